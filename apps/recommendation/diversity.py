"""The list that is shown: not ten times the same, and with room for what nobody has tried.

Maximal marginal relevance over the best candidates (Carbonell and Goldstein 1998,
https://doi.org/10.1145/290941.291025): the next item is the one whose score, less its likeness to those chosen
already, is greatest. The more diversity is asked for, the less it helps an item to be well known, so that a list reaches
further into the catalogue. Exploration adds noise drawn with a seed, so that a list stays the same until it is asked anew.
"""

from __future__ import annotations

import numpy as np

from apps.recommendation.log import Array, weighed

DEFAULT = 0.5  # of the slider from 0 to 1, chosen on validation: see docs/en/recommendation.md
POOL = 100  # best candidates the list is chosen from
_LIKENESS, _FAME = 3.0, 0.6  # deviations of the score that full likeness, and a deviation of fame, cost at diversity 1


def arranged(
    scores: Array,
    allowed: Array,
    vectors: Array | None,
    *,
    count: int,
    diversity: float,
    fame: Array | None = None,
    pool: int = POOL,
) -> Array:
    """The numbers of ``count`` items among ``allowed``, best first.

    Shape: ``scores`` and ``fame`` ``(items,)``, ``vectors`` ``(items, dim)`` centered and of norm 1; at ``diversity``
    0 the order of the scores.
    """
    worth = scores[allowed].astype(float)
    if fame is not None:
        worth = worth - diversity * _FAME * fame[allowed]
    first = np.argsort(-worth, kind="stable")[: max(pool, count)]
    best, worth = allowed[first], worth[first]
    if vectors is None or diversity <= 0 or len(best) <= 1:
        return best[:count]
    texts = vectors[best]
    chosen = [0]
    nearest = weighed(texts[0], texts.T)
    while len(chosen) < min(count, len(best)):
        gain = worth - diversity * _LIKENESS * np.maximum(nearest, 0)
        gain[chosen] = -np.inf
        pick = int(np.argmax(gain))
        chosen.append(pick)
        nearest = np.maximum(nearest, weighed(texts[pick], texts.T))
    return best[chosen]


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
