"""The list that is shown: not ten times the same, and with room for what nobody has tried.

Maximal marginal relevance over the best candidates (Carbonell and Goldstein 1998,
https://doi.org/10.1145/290941.291025): the next item is the one whose score, less its likeness to those chosen
already, is greatest. Likeness is by text and by tags, and it is the mean over the chosen ones: their nearest alone
forbids a second item of any kind, and costs more hits for less difference (docs/decisions/0019). Those chosen are then
listed by their scores: a list is as diverse in any order, and the best belong first (docs/decisions/0023). The more diversity is
asked for, the less it helps an item to be well known, so that a list reaches further into the catalogue. Exploration
adds noise drawn with a seed, so that a list stays the same until it is asked anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.recommendation.log import Array, dots

DEFAULT = 0.5  # of the slider from 0 to 1, chosen on validation: docs/decisions/0027
POOL = 100  # best candidates the list is chosen from
TEXT = 0.3  # of likeness; tags are the rest
_LIKENESS, _FAME = 7.2, 0.48  # deviations of the score that full likeness, and a deviation of fame, cost at diversity 1


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike items are: the cosine of their texts and the Jaccard index of their tags, or the one there is.

    Shape: ``vectors`` ``(items, dim)`` centered and of norm 1; ``tags`` a ``csr_matrix`` ``(items, tags)``, 1 where an
    item has the tag; ``None``: not known.
    """

    vectors: Array | None
    tags: Any

    @classmethod
    def of(cls, vectors: Array | None, tags: Iterable[Iterable[str]]) -> Likeness:
        from scipy import sparse

        number: dict[str, int] = {}
        rows = [sorted({number.setdefault(tag, len(number)) for tag in of_one}) for of_one in tags]
        if not number:
            return cls(vectors, None)
        ends = np.cumsum([0, *map(len, rows)])
        ones, columns = np.ones(ends[-1], np.float32), np.array([n for row in rows for n in row], np.int32)
        return cls(vectors, sparse.csr_matrix((ones, columns, ends), shape=(len(rows), len(number))))

    def __bool__(self) -> bool:
        return self.vectors is not None or self.tags is not None

    def among(self, items: Array) -> Likeness:
        """That of ``items`` alone, numbered in their order."""
        return Likeness(
            None if self.vectors is None else self.vectors[items], None if self.tags is None else self.tags[items]
        )

    def to(self, item: int) -> Array:
        """Of each item to one of them. Shape: ``(items,)``."""
        near = None if self.vectors is None else dots(self.vectors, self.vectors[item])
        if self.tags is None:
            return near if near is not None else np.zeros(0)
        sizes, mine = np.diff(self.tags.indptr), np.zeros(self.tags.shape[1], np.float32)
        mine[self.tags.indices[self.tags.indptr[item] : self.tags.indptr[item + 1]]] = 1
        shared = self.tags @ mine
        jaccard = shared / np.maximum(sizes + sizes[item] - shared, 1)
        return jaccard if near is None else TEXT * near + (1 - TEXT) * jaccard


def arranged(
    scores: Array,
    allowed: Array,
    likeness: Likeness,
    *,
    count: int,
    diversity: float,
    fame: Array | None = None,
    pool: int = POOL,
) -> Array:
    """The numbers of ``count`` items among ``allowed``, best first; at ``diversity`` 0 in the order of the scores.

    Shape: ``scores``, of deviation 1, and ``fame`` ``(items,)``.
    """
    worth = scores[allowed].astype(float)
    if fame is not None:
        worth = worth - diversity * _FAME * fame[allowed]
    first = _best(worth, max(pool, count))
    best, worth = allowed[first], worth[first]
    if not likeness or diversity <= 0 or len(best) <= 1:
        return best[:count]
    chosen, those = [0], likeness.among(best)
    alike = those.to(0)
    while len(chosen) < min(count, len(best)):
        gain = worth - diversity * _LIKENESS * np.maximum(alike / len(chosen), 0)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        alike = alike + those.to(chosen[-1])
    listed = best[chosen]
    return listed[np.argsort(-scores[listed], kind="stable")]


def _best(worth: Array, count: int) -> Array:
    """Places of the ``count`` greatest, the greatest first; of equal ones the earlier first."""
    if count < len(worth):
        least = np.partition(worth, len(worth) - count)[len(worth) - count]
        above, equal = np.flatnonzero(worth > least), np.flatnonzero(worth == least)
        first = np.concatenate([above, equal[: count - len(above)]])
    else:
        first = np.arange(len(worth))
    return first[np.argsort(-worth[first], kind="stable")]


def fame(counts: Array) -> Array:
    """How well known items are: the logarithm of their events, mean 0 and deviation 1."""
    known = np.log1p(counts)
    spread = float(known.std())
    return (known - known.mean()) / spread if spread > 0 else np.zeros(len(counts))


def explored(scores: Array, amount: float, seed: int) -> Array:
    """``scores`` with noise: at ``amount`` 1 it is as large as their own differences."""
    if amount <= 0:
        return scores
    return scores + amount * np.random.default_rng(seed).gumbel(size=len(scores)).astype(scores.dtype)
