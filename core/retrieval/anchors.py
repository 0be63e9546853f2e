"""Times that a claim has taken from beside one thing and put beside another.

A source says what each of its times belongs to: built in 1911, opened in 1926. A claim with the one time that says what
stands beside the other, and nothing of what stands beside its own, has crossed them. What stands before the first
time of a sentence is what the sentence speaks of, and belongs to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.retrieval import polarity
from core.retrieval.measures import Moment, plain, quantities
from core.retrieval.synonyms import Unit, matter, said

# Words that only the other says: so many and so many times more than only the own one
# says; one in the same sentence, if the own one has no word alone.
_LEAST, _MORE, _ALONE = 2.0, 2.0, 1.0
_DAYS = r"(?:周|星期|礼拜)[一二三四五六日天末]"
_NAMES = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"|january|february|march|april|may(?= ?\d)|june|july|august|september|october|november|december"
)
_CALENDAR = re.compile(
    rf"\d+(?:[.,:]\d+)*(?:st|nd|rd|th)?%?|(?<=\d)\s?[年月日号时点分]|{_DAYS}|每|\b(?:{_NAMES}|[ap]\.?m)\b",
    re.IGNORECASE,
)
_TIME = re.compile(rf"\d{{4}}|\d+\s?[年月日号时点]|\d+:\d\d|{_DAYS}|\b(?:{_NAMES})\b|\b\d+ ?[ap]\.?m\b", re.IGNORECASE)
_YEARS = (1000, 2100)


@dataclass(frozen=True)
class _Piece:
    """Clauses of the source that say what belongs to the times in them."""

    text: str
    times: tuple[Moment, ...]
    sentence: int


def crossed(claim: Sequence[str], sentences: Sequence[Sequence[str]]) -> bool:
    """Whether a time of ``claim`` stands in its source beside something else.

    Args:
        claim: its clauses.
        sentences: the clauses of each sentence of the source.

    >>> crossed(["The theatre was completed in 1911"], [["He completed the town hall in 1911", "the theatre in 1926"]])
    True
    >>> crossed(["年报于4月26日披露"], [["公司定于4月26日披露年报", "5月20日召开年度股东大会"]])
    False
    """
    mine = [
        (_times(clause), _said_of(claim, n))
        for n, clause in enumerate(claim)
        if not polarity.plainly_denies(plain(clause))
    ]
    if not any(times for times, _ in mine):
        return False
    pieces = [piece for n, sentence in enumerate(sentences) for piece in _pieces(sentence, n)]
    every = [time for times, _ in mine for time in times]
    return any(_moved(time, units, every, pieces) for times, units in mine for time in times)


@lru_cache(maxsize=1_024)
def _times(text: str) -> tuple[Moment, ...]:
    """The times of ``text``; a number like 1911 that counts nothing is a year."""
    found = quantities(text)
    low, high = _YEARS
    years = (
        int(m.number) for m in found.measures if not m.kind and m.number == int(m.number) and low <= m.number <= high
    )
    return (*found.moments, *(Moment(year=year) for year in years))


@lru_cache(maxsize=1_024)
def _matter(text: str) -> Sequence[Unit]:
    return matter(_CALENDAR.sub(" ", plain(text)), written=True)


def _said_of(claim: Sequence[str], n: int) -> Sequence[Unit]:
    """What clause ``n`` says of its times, with those after it that have none, and those before it if they say hardly anything."""
    following = next((m for m in range(n + 1, len(claim)) if _times(claim[m])), len(claim))
    units = _matter(" ".join(claim[n:following]))
    return units if len(units) > 1 else _matter(" ".join(claim[:following]))


def _pieces(sentence: Sequence[str], number: int) -> Iterator[_Piece]:
    """``sentence`` cut so that each piece has one clause with times, and what it says of them."""
    topic, waiting = "", ""
    found: list[str] = []
    for clause in sentence:
        if not _times(clause):
            waiting = f"{waiting} {clause}"
        elif not found:
            topic = f"{waiting} {_TIME.split(plain(clause), maxsplit=1)[0]}"
            found, waiting = [f"{waiting} {clause}"], ""
        elif not _matter(clause):  # the theatre, of which he was proud, in 1926
            found.append(f"{waiting} {clause}")
            waiting = ""
        else:
            found[-1] += waiting
            found.append(clause)
            waiting = ""
    if found:
        found[-1] += waiting
    for text in found:
        yield _Piece(f"{topic} {text}", _times(text), number)


def _moved(time: Moment, units: Sequence[Unit], every: Sequence[Moment], pieces: Sequence[_Piece]) -> bool:
    own = [piece for piece in pieces if any(time.agrees(other) for other in piece.times)]
    if not own:
        return False
    here = said(" ".join(piece.text for piece in own))
    for rival in pieces:
        if rival in own or not any(_alike(time, other) for other in rival.times):
            continue
        if any(one.agrees(other) for one in every for other in rival.times):
            continue  # it draws the two together
        apart = [said(rival.text).holds(unit) - here.holds(unit) for unit in units]
        theirs, ours = sum(d for d in apart if d > 0), -sum(d for d in apart if d < 0)
        beside = not ours and any(rival.sentence == piece.sentence for piece in own)
        if theirs >= (_ALONE if beside else _LEAST) and theirs >= _MORE * ours:
            return True
    return False


def _alike(one: Moment, other: Moment) -> bool:
    """Whether the one could stand in the place of the other: both dates, days of the week, hours."""
    parts = ("year", "month", "day", "weekday", "minute")
    return any(getattr(one, part) is not None and getattr(other, part) is not None for part in parts)
