"""What belongs together in a source, so that a claim does not take the one half from here and the other from there.

Sources tell like things alike: first prize 20 winners, second prize 50. Two clauses of one pattern are laid beside each
other; what differs between them are pairs, and a claim that has the one clause's part of one pair and the other clause's
part of another has crossed them. Where clauses have no pattern in common, a number or a date whose neighbours in the
claim stand in the source with another value of its kind has been moved, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from core.retrieval import denial, tokens
from core.retrieval.measures import Moment, plain, quantities
from core.retrieval.synonyms import Said, said
from core.retrieval.wording import Word, spelled, words

_NEARLY_ALL, _HELD, _NOT = 0.75, 0.5, 0.34  # shares of what one clause has alone, that a claim says of it or hardly says
_ALIKE = {"zh": 0.3, "en": 0.2}  # share of the words that two clauses of one pattern have in common
_APART = 3  # clauses between two that are laid beside each other
_PIECE = re.compile(r"[;；]")
_LISTED = re.compile(r"[、]")
_CAPITAL = re.compile(r"\b[A-Z][a-z]+")
Span = tuple[int, int]


def crossed(claim: str, clauses: Sequence[Sequence[str]], sentences: Sequence[str]) -> bool:
    """Whether ``claim`` has parts of two like clauses of its source that do not belong together.

    >>> crossed("二等奖有20人", [["评出一等奖20名、二等奖50名"]], ["评出一等奖20名、二等奖50名。"])
    True
    >>> crossed("An adult ticket is £12", [["Tickets cost £18 for adults", "£12 for students"]], [""])
    True
    """
    mine = _Claim(claim)
    for row, whole in _rows(clauses, sentences):
        for n, one in enumerate(row):
            for apart, other in enumerate(row[n + 1 : n + 1 + _APART], 1):
                if mine.mixes(one, other, apart=apart, whole=whole):
                    return True
    return False


def _rows(clauses: Sequence[Sequence[str]], sentences: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """Pieces of the source of one size each: clauses, halves of sentences, sentences."""
    yield [piece for sentence in clauses for clause in sentence for piece in _listed(clause)], False
    yield [piece for sentence in sentences for piece in _PIECE.split(sentence) if piece.strip()], True


def _listed(clause: str) -> list[str]:
    """``clause`` cut between things that are listed with a value each."""
    pieces = [piece for piece in _LISTED.split(clause) if piece]
    return pieces if len(pieces) > 1 and all(any(w.number for w in words(piece)) for piece in pieces) else [clause]


class _Claim:
    def __init__(self, text: str) -> None:
        self.said: Said = said(text)
        self.text = spelled(text)
        self.numbers = {word.key for word in words(text) if word.number}

    def mixes(self, one: str, other: str, *, apart: int, whole: bool) -> bool:
        """Whether it has of two clauses what each has alone in the place of something that the other has.

        Args:
            apart: 1 for neighbours.
            whole: whether they are more than clauses.
        """
        if denial.forceful(self.text, f"{one} {other}") and denial.forceful(f"{one} {other}", self.text):
            return False
        pattern = _pattern(one, other)
        alike = pattern.alike >= (_ALIKE["zh"] if whole or one > "\u4e00" else _ALIKE["en"])
        if not alike and (apart > 1 or whole):
            return False
        states: set[tuple[str, bool]] = set()
        for mine, yours, of_a_kind in pattern.differences:
            a, b = self._share(mine, one), self._share(yours, other)
            if a is None or b is None:
                continue
            if a >= _HELD and b >= _HELD:
                return False  # it draws the two together
            if a >= _held(mine, yours) and b < _NOT:
                states.add(("one", of_a_kind))
            elif b >= _held(yours, mine) and a < _NOT:
                states.add(("other", of_a_kind))
        if len({side for side, _ in states}) < 2:
            return False
        return alike or any(of_a_kind for _, of_a_kind in states)

    def _share(self, found: Sequence[Word], text: str) -> float | None:
        """How much it says of the words ``found`` of the clause ``text``."""
        own = [word for word in found if not word.light]
        return sum(self._holds(word, text) for word in own) / len(own) if own else None

    def _holds(self, word: Word, text: str) -> float:
        if word.number:
            return float(word.key in self.numbers)
        if not word.han:
            return float(word.key in self.said.keys or any(u.groups & self.said.groups for u in said(word.text).units))
        there = spelled(text)
        pairs = [there[max(0, word.start - 1) : word.end], there[word.start : word.end + 1]]
        return float(any(len(pair) == 2 and (pair in self.text or self._means(pair)) for pair in pairs))

    def _means(self, pair: str) -> bool:
        return any(unit.groups & self.said.groups for unit in said(pair).units if unit.key == pair)


def _held(found: Sequence[Word], other: Sequence[Word]) -> float:
    """How much a claim must say of ``found``: nearly all where the other clause may leave some of it to be understood."""
    return _HELD if len(found) <= 2 * len(other) + 1 else _NEARLY_ALL


@dataclass(frozen=True)
class _Pattern:
    """What two clauses have in common, and what stands in the one in the place of something in the other."""

    alike: float
    differences: tuple[tuple[tuple[Word, ...], tuple[Word, ...], bool], ...]  # and whether both are of a kind


@lru_cache(maxsize=1_024)
def _pattern(one: str, other: str) -> _Pattern:
    mine, yours = words(one), words(other)
    matcher = SequenceMatcher(None, [w.key for w in mine], [w.key for w in yours], autojunk=False)
    kinds = _capitals(one), _capitals(other)
    found = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "replace":
            continue
        of_a_kind = _of_a_kind(mine, (a, b), yours, (c, d), kinds)
        numbers = [tuple(w for w in each if w.number) for each in (mine[a:b], yours[c:d])]
        if not all(numbers):
            found.append((mine[a:b], yours[c:d], of_a_kind))
            continue
        rest = [tuple(w for w in each if not w.number) for each in (mine[a:b], yours[c:d])]
        found += [(numbers[0], numbers[1], of_a_kind), (rest[0], rest[1], False)]
    return _Pattern(matcher.ratio(), tuple(found))


def _of_a_kind(
    mine: Sequence[Word], mine_at: Span, yours: Sequence[Word], yours_at: Span, capitals: tuple[set[str], set[str]]
) -> bool:
    """Whether both name a number of the same unit, a day of the week, or something with a capital."""
    units = [
        {found[n + 1].text if n + 1 < len(found) else "" for n in range(*at) if found[n].number}
        for found, at in ((mine, mine_at), (yours, yours_at))
    ]
    if units[0] & units[1] or (units[0] and units[1] and not any(word.han for word in mine)):
        return True
    before = [found[at[0] - 1].text if at[0] else "" for found, at in ((mine, mine_at), (yours, yours_at))]
    if before[0] == before[1] and before[0] in ("周", "期", "拜"):
        return True
    return all(
        any(word.text in names for word in found[slice(*at)])
        for found, at, names in ((mine, mine_at, capitals[0]), (yours, yours_at, capitals[1]))
    )


def _capitals(text: str) -> set[str]:
    return {match.lower() for match in _CAPITAL.findall(text) if not tokens.is_stop(match.lower())}
