"""Whom or what a claim singles out: the work was taken over by A, it was A who took it over, 接手工作的是甲.

Such a claim says of one thing what its source says in one clause. If that clause says nearly all else of the claim, and something
else in the place of what is singled out, the claim has put another there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from core.i18n import detect_language
from core.retrieval import polarity
from core.retrieval.synonyms import Unit, matter, said

_NEARLY_ALL = 0.6  # of what is said of it
_SAID, _LEFT = 0.4, 2  # of the thing itself; words that the clause has and the claim has not
_HAN = (
    re.compile(r"(?:的|者|人)(?:就?是|为)(?P<thing>[^,，。；的]{2,12})[。]?$"),
    re.compile(r"由(?P<thing>[\u4e00-\u9fff]{2})"),
)
_ENGLISH = (
    re.compile(r"\bit (?:was|is) (?:the )?(?P<thing>(?:[\w'’-]+ ){1,4}?)(?=who\b|that\b|which\b)", re.IGNORECASE),
    re.compile(r"\bby (?:the |an? )?(?P<thing>(?:[A-Z][\w'’-]+ ?){1,3})"),
    re.compile(r"\b(?:is|was|are|were) (?:the )?(?P<thing>(?:[A-Z][\w'’-]+ ?){1,3})[.]?$"),
)


def moved(claim: str, sentences: Sequence[Sequence[str]]) -> Literal["attribution", "name"] | None:
    """What is wrong, if ``claim`` singles out something else than the clause of its source that says the same of it.

    >>> moved("接手分管交通工作的是韩明", [["周立群接替退休的韩明", "分管交通的工作由孙佳慧接手"]])
    'attribution'
    >>> moved("It was Brown who designed the bridge.", [["Brown, an engineer, designed the bridge over the Tarn"]])
    """
    han = detect_language(claim) == "zh"
    if polarity.plainly_denies(claim):
        return None
    for pattern in _HAN if han else _ENGLISH:
        match = pattern.search(claim)
        if match is None:
            continue
        thing, rest = matter(match["thing"]), matter(claim[: match.start("thing")] + " " + claim[match.end("thing") :])
        if thing and len(rest) > 1 and _elsewhere(thing, rest, claim, sentences):
            told = said(" ".join(clause for parts in sentences for clause in parts))
            return "attribution" if told.share(thing) > _SAID else "name"
    return None


def _elsewhere(thing: Sequence[Unit], rest: Sequence[Unit], claim: str, sentences: Sequence[Sequence[str]]) -> bool:
    shares = {(n, m): said(clause).share(rest) for n, parts in enumerate(sentences) for m, clause in enumerate(parts)}
    n, m = max(shares, key=lambda place: shares[place])
    clause = sentences[n][m]
    if shares[n, m] < _NEARLY_ALL or said(clause).share(thing) > _SAID:
        return False
    left = [unit for unit in matter(clause) if said(claim).holds(unit) == 0.0]
    return len(left) >= _LEFT
