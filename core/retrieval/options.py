"""What a search may be asked for, as one value: the same in Python, on the command line and in an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal

from core.errors import InputError
from core.retrieval import filters

Mode = Literal["hybrid", "keyword", "vector"]
MODES: tuple[Mode, ...] = ("keyword", "vector", "hybrid")
BOOSTED = ("title", "heading")
MOST = 1000  # hits of one search
POOL = 60  # candidates that ranking features look at, when more than a cut is asked for


@dataclass(frozen=True, slots=True)
class Recency:
    """Newer documents first: ``weight`` × 0.5 ^ (age / ``half_life_days``) is added to the score.

    Scores are in units of the candidates' spread, as for ``boosts``: with weight 0.3 a document of today gains 0.3
    of the distance between the best and the worst candidate. One without a date counts as one half-life old.
    """

    half_life_days: float
    weight: float = 0.3
    date: str = "updated_at"  # or a metadata key with an ISO date
    now: float | None = None  # seconds since 1970; None is now


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """
    Args:
        mode: both legs fused, or one of them alone.
        where: a filter (:mod:`core.retrieval.filters`); both legs are restricted before their best are taken.
        diversity: 0 ranks by score alone, 1 by difference from what stands above (MMR); 0.3 is a good start.
        recency: newer documents first.
        boosts: what a question's terms in ``title`` or ``heading`` add to the score.
        collapse: from this likeness on (0 to 1) a passage is folded into the better one it repeats; 0.8 finds
            edited copies.
        rerank: whether the reranker of the settings orders the best; ``None`` does so when there is one.
        synonyms: whether the collection's synonyms are searched, too.
        sentences: whether hits carry the sentence that answers best (``Hit.sentence``).
        collections: searched as one.
        explain: whether ``Found.explanations`` says of every hit where its score comes from.

    Raises:
        InputError: a value that is not allowed, a filter that is none.
    """

    top_k: int = 8
    mode: Mode = "hybrid"
    where: filters.Filter | Mapping[str, Any] | None = None
    diversity: float = 0.0
    recency: Recency | None = None
    boosts: Mapping[str, float] = field(default_factory=dict)
    collapse: float | None = None
    rerank: bool | None = None
    synonyms: bool = True
    sentences: bool = True
    collections: tuple[str, ...] = ("default",)
    explain: bool = False

    def __post_init__(self) -> None:
        _demand("top_k", self.top_k, _whole(self.top_k) and 1 <= self.top_k <= MOST, f"1-{MOST}")
        _demand("mode", self.mode, self.mode in MODES, ", ".join(MODES))
        _demand("diversity", self.diversity, _between(self.diversity, 0, 1), "0-1")
        _demand("collapse", self.collapse, self.collapse is None or _between(self.collapse, 0.3, 1), "0.3-1")
        for name, weight in self.boosts.items():
            _demand("boosts", name, name in BOOSTED, ", ".join(BOOSTED))
            _demand(f"boosts.{name}", weight, _between(weight, 0, 10), "0-10")
        if self.recency is not None:
            days, weight = self.recency.half_life_days, self.recency.weight
            _demand("recency.half_life_days", days, _between(days, 0.001, 100_000), "0.001-100000")
            _demand("recency.weight", weight, _between(weight, 0, 10), "0-10")
        _demand("collections", self.collections, bool(self.collections), "name, …")
        if isinstance(self.where, Mapping):  # an empty one is no filter
            object.__setattr__(self, "where", filters.parse(self.where) if self.where else None)
        if isinstance(self.collections, str):
            object.__setattr__(self, "collections", (self.collections,))

    @property
    def filter(self) -> filters.Filter | None:
        assert not isinstance(self.where, Mapping)  # __post_init__ parsed it  # noqa: S101
        return self.where

    @property
    def arranges(self) -> bool:
        """Whether more than a cut of the fused ranking is asked for."""
        return bool(self.diversity or self.recency or self.boosts or self.collapse)

    @property
    def depth(self) -> int:
        """How many of the fused candidates are looked at."""
        return max(POOL, 2 * self.top_k) if self.arranges else self.top_k

    def narrowed(self, where: filters.Filter | Mapping[str, Any] | None) -> SearchOptions:
        """A copy that ``where`` must let through, too: what comes from outside cannot lift the filter that is set.

        Raises:
            InputError: bad_filter
        """
        if not where:
            return self
        given = filters.parse(where)
        return replace(self, where=given if self.filter is None else filters.Every((self.filter, given)))

    def candidates(self, depth: int) -> SearchOptions:
        """The same question to one collection, its ``depth`` candidates in fused order."""
        return replace(
            self, top_k=depth, diversity=0.0, recency=None, boosts={}, collapse=None, sentences=False, explain=False
        )

    def changed(self, **values: Any) -> SearchOptions:
        """A copy with ``values``; an unknown name is an error that lists the known ones.

        Raises:
            InputError: bad_value
        """
        known = [f.name for f in fields(self)]
        for name in values:
            _demand("option", name, name in known, ", ".join(known))
        return replace(self, **values)


@lru_cache(maxsize=64, typed=True)
def plain(top_k: int) -> SearchOptions:
    """What one collection is asked for when nothing else is said: its best, without their best sentences."""
    return SearchOptions(top_k, sentences=False)


def _demand(name: str, value: Any, right: bool, allowed: str) -> None:
    if not right:
        raise InputError(reason="bad_value", name=name, value=str(value)[:100], allowed=allowed)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _between(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high  # nan is not
