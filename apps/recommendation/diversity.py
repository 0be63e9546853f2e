"""The list that is shown: not ten times the same, and with room for what nobody has tried.

The best candidates become chances of being what comes next: a softmax of their scores, whose sharpness was learnt on
validation. The list is then the set whose expected gain (chances discounted by place, as NDCG is), less its mean
likeness, is greatest: from the best by score, the exchange that helps most is made until none does. So a place where
the chance is high is given up for much difference only, and one at the end for little; by mean likeness, a second item
of a kind is not forbidden (docs/decisions/0019). Items that are well known, or stand in many lists already, count a
little less, so that lists together reach further into the catalogue. All of it is weighed by the diversity that is
asked for; at 0 the scores alone decide (docs/decisions/0029).

Novelty takes off the score what everybody knows, as far as is asked for; exploration adds noise drawn with a seed, so
that a list stays the same until it is asked anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.recommendation.log import Array, product

DEFAULT = 0.5  # of the slider from 0 to 1, chosen on validation as all that follows: docs/decisions/0029
POOL, RANKED = 60, 400  # best candidates the list is chosen from, and those that share the chances
SHARP = 2.3  # of the softmax, for a deviation of the score
SPREAD = 4.5  # at most so far apart are the first and the last of POOL, however heavy the tail of their scores
TEXT = 0.3  # of likeness; tags are the rest
# At diversity 1: what full likeness, and an item that stands in no list, count in expected gain; what a deviation of
# fame costs in deviations of the score.
LIKENESS, SELDOM, FAME = 0.4, 0.0076, 0.154
NOVEL = 0.5  # what a deviation of fame costs at novelty 1, in deviations of the score
ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Standing:
    """How well known items are (:func:`fame`), and how seldom they stand in lists: 1 never, 1/2 as often as an equal share.

    Shape: ``(items,)`` each.
    """

    fame: Array
    seldom: Array


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

    def matrix(self) -> Array:
        """Of each item to each; 1 on the diagonal where there is anything to compare. Shape: ``(items, items)``."""
        near = None if self.vectors is None else product(self.vectors, np.ascontiguousarray(self.vectors.T))
        if self.tags is None:
            return near if near is not None else np.zeros((0, 0))
        sizes, shared = np.diff(self.tags.indptr), (self.tags @ self.tags.T).toarray()
        jaccard = shared / np.maximum(sizes[:, None] + sizes - shared, 1)
        return jaccard if near is None else TEXT * near + (1 - TEXT) * jaccard


def arranged(
    scores: Array,
    allowed: Array,
    likeness: Likeness,
    *,
    count: int,
    diversity: float,
    standing: Standing | None = None,
    pool: int = POOL,
) -> Array:
    """The numbers of ``count`` items among ``allowed``, best first; at ``diversity`` 0 in the order of the scores.

    Shape: ``scores``, of deviation 1, ``(items,)``.
    """
    worth = scores[allowed].astype(float)
    if standing is not None:
        worth = worth - diversity * FAME * standing.fame[allowed]
    pool = max(pool, 2 * count)
    first = _best(worth, max(pool, RANKED))
    best = allowed[first[:pool]]
    if diversity <= 0 or not 0 < count < len(best):
        return best[:count]
    seldom = SELDOM * standing.seldom[best] if standing is not None else np.zeros(len(best))
    alike = LIKENESS * likeness.among(best).matrix() if likeness else np.zeros((len(best), len(best)))
    return best[_exchanged(chances(worth[first], pool)[:pool], diversity * alike, diversity * seldom, count)]


def chances(worth: Array, pool: int = POOL) -> Array:
    """How likely each of the best candidates, best first, is what comes next, were it one of them. Shape: as ``worth``."""
    widest = worth[0] - worth[min(pool, len(worth)) - 1]
    told = np.exp(min(SHARP, SPREAD / max(float(widest), ENOUGH)) * (worth - worth[0]))
    return told / told.sum()


def _exchanged(chance: Array, alike: Array, extra: Array, count: int) -> Array:
    """Places of the ``count`` candidates, in order, that are best together: from the first ones by the best exchanges."""
    every = np.arange(len(chance))
    chosen = every[:count]
    pairs = max(1, count * (count - 1) // 2)
    for _ in range(len(chance)):
        to_chosen = alike[:, chosen].sum(axis=1)
        among = alike[chosen]  # (chosen, candidates)
        closer = to_chosen - among - (to_chosen[chosen] - alike[chosen, chosen])[:, None]
        gain = _gains(chance, chosen) - closer / pairs + extra - extra[chosen][:, None]
        gain[:, chosen] = -np.inf
        out, in_ = divmod(int(np.argmax(gain)), len(chance))
        if gain[out, in_] <= ENOUGH:
            break
        chosen = np.sort(np.append(np.delete(chosen, out), in_))
    return chosen


def _gains(chance: Array, chosen: Array) -> Array:
    """What the expected gain of ``chosen`` becomes more when each of them makes room for each candidate.

    Those between both places move up or down by one. Shape: ``(chosen, candidates)``.
    """
    count = len(chosen)
    discount = 1 / np.log2(np.arange(count) + 2)
    mine = chance[chosen]
    here = _sums(mine * discount)
    up = _sums(mine * np.append(0, discount[:-1]))
    down = _sums(mine * np.append(discount[1:], 0))
    row = np.arange(count)[:, None]
    before = np.searchsorted(chosen, np.arange(len(chance)))[None]  # chosen ones that stand before each candidate
    after = before > row
    moved = np.where(
        after,
        up[before] - up[row + 1] - (here[before] - here[row + 1]),
        down[row] - down[before] - (here[row] - here[before]),
    )
    return moved - (mine * discount)[:, None] + chance * discount[np.clip(before - after, 0, count - 1)]


def _sums(values: Array) -> Array:
    """Of the first 0, 1, … of them."""
    return np.append(0, np.cumsum(values))


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


def lesser_known(scores: Array, amount: float, famous: Array) -> Array:
    """``scores`` less what everybody knows: at ``amount`` 1 a deviation of :func:`fame` costs ``NOVEL``. Shape: ``(items,)``."""
    return scores - amount * NOVEL * famous if amount > 0 else scores


def explored(scores: Array, amount: float, seed: int) -> Array:
    """``scores`` with noise: at ``amount`` 1 it is as large as their own differences."""
    if amount <= 0:
        return scores
    return scores + amount * np.random.default_rng(seed).gumbel(size=len(scores)).astype(scores.dtype)
