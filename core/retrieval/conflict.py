"""Do two sources answer the same question with different values? Then the reader has to know.

Two sentences are held against each other only when they say the same thing otherwise: nearly the same words,
the same products, a value of the kind that was asked for in each, and no value in common. Rows of one table,
two conditions of one rule and two languages are no contradiction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from core.retrieval import tokens
from core.retrieval.measures import plain, quantities
from core.retrieval.units import Unit

SHARED = 0.7  # of the words of the shorter sentence; what remains may be a condition
_LIKE = 0.25  # at most this share of either's words may be its own
_CONDITION = re.compile(
    r"会员|除外|另|如果|若|但|仅|首次|第[一二三]|以[上下内外]|超过|不足|\b(?:if|unless|except|members?|only|but|first|second|over|under|more|less|extra)\b",
    re.IGNORECASE,
)


def between(units: Sequence[Unit]) -> tuple[Unit, Unit] | None:
    """The first two units of different documents that contradict each other."""
    for one, other in combinations(units, 2):
        if one.passage.document_id != other.passage.document_id and contradict(one, other):
            return one, other
    return None


def contradict(one: Unit, other: Unit) -> bool:
    """Whether two units say the same of the same thing with different values."""
    if one.kind == "row" or other.kind == "row" or one.passage.language != other.passage.language:
        return False
    if _products(one) != _products(other):
        return False
    mine, theirs = _words(one), _words(other)
    both = mine & theirs
    if not both or len(both) < SHARED * min(len(mine), len(theirs)):
        return False
    if any(len(words - both) > _LIKE * len(words) for words in (mine, theirs)):
        return False
    if set(_CONDITION.findall(one.shown)) != set(_CONDITION.findall(other.shown)):
        return False
    return _values_differ(one.shown, other.shown)


def _values_differ(one: str, other: str) -> bool:
    """A value of one kind in each, and none of that kind in common; times and dates count as a kind."""
    mine, theirs = quantities(one), quantities(other)
    for kind in {m.kind for m in mine.measures} & {m.kind for m in theirs.measures}:
        a, b = ({round(m.value, 4) for m in found.measures if m.kind == kind} for found in (mine, theirs))
        if len(a) == len(b) and a.isdisjoint(b):
            return True
    pairs = [(a, b) for a in mine.moments for b in theirs.moments]
    return len(mine.moments) == len(theirs.moments) == 1 and not any(a.agrees(b) for a, b in pairs)


def _products(unit: Unit) -> set[str]:
    return tokens.codes(f"{unit.passage.title}\n{unit.passage.heading or ''}\n{unit.lead}\n{unit.shown}")


def _words(unit: Unit) -> set[str]:
    """The words of a unit without its numbers and their units."""
    text = re.sub(r"\d[\d.,:]*\s?(?:个)?[^\W\d_]{0,2}(?![a-z])", " ", plain(unit.shown))
    return {term for term in tokens.content_terms(text) if not term[0].isdigit()}
