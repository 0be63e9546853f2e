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

import numpy as np

from apps.recommendation.log import Array, weighed

DEFAULT = 0.5  # of the slider from 0 to 1, chosen on validation: see docs/en/recommendation.md
POOL = 100  # best candidates the list is chosen from
TEXT = 0.7  # of likeness; tags are the rest
_LIKENESS, _FAME = 7.8, 0.39  # deviations of the score that full likeness, and a deviation of fame, cost at diversity 1


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike items are: the cosine of their texts and the Jaccard index of their tags, or the one there is.

    Shape: ``vectors`` ``(items, dim)`` centered and of norm 1, ``tags`` a set for each item; ``None``: not known.
    """

    vectors: Array | None
    tags: tuple[frozenset[str], ...] | None

    @classmethod
    def of(cls, vectors: Array | None, tags: Iterable[Iterable[str]]) -> Likeness:
        sets = tuple(frozenset(of_one) for of_one in tags)
        return cls(vectors, sets if any(sets) else None)

    def __bool__(self) -> bool:
        return self.vectors is not None or self.tags is not None

    def to(self, item: int, others: Array) -> Array:
        """Shape: ``(len(others),)``."""
        parts = []
        if self.vectors is not None:
            parts.append((TEXT, weighed(self.vectors[item], self.vectors[others].T)))
        if self.tags is not None:
            mine, sets = self.tags[item], self.tags
            shared = [len(mine & sets[other]) / (len(mine | sets[other]) or 1) for other in others.tolist()]
            parts.append((1 - TEXT, np.array(shared)))
        whole = sum(weight for weight, _ in parts)
        return np.sum([weight / whole * values for weight, values in parts], axis=0)


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
    first = np.argsort(-worth, kind="stable")[: max(pool, count)]
    best, worth = allowed[first], worth[first]
    if not likeness or diversity <= 0 or len(best) <= 1:
        return best[:count]
    chosen = [0]
    alike = likeness.to(best[0], best)
    while len(chosen) < min(count, len(best)):
        gain = worth - diversity * _LIKENESS * np.maximum(alike / len(chosen), 0)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        alike = alike + likeness.to(best[chosen[-1]], best)
    listed = best[chosen]
    return listed[np.argsort(-scores[listed], kind="stable")]


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
