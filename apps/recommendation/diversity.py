"""The list that is shown: not ten times the same, and with room for what nobody has tried.

Maximal marginal relevance over the best candidates (Carbonell and Goldstein 1998,
https://doi.org/10.1145/290941.291025): the next item is the one whose score, less its likeness to those chosen
already, is greatest. Exploration adds noise drawn with a seed, so that a list stays the same until it is asked anew.
"""

from __future__ import annotations

import numpy as np

from apps.recommendation.log import Array

DEFAULT = 0.3  # of the slider from 0 to 1, chosen on validation: see docs/en/recommendation.md
POOL = 60  # best candidates the list is chosen from
_STRENGTH = 3.0  # deviations of the score that full likeness costs at diversity 1


def arranged(
    scores: Array, allowed: Array, vectors: Array | None, *, count: int, diversity: float, pool: int = POOL
) -> Array:
    """The numbers of ``count`` items among ``allowed``, best first.

    Shape: ``scores`` ``(items,)``, ``vectors`` ``(items, dim)`` centered and of norm 1; without vectors, or with
    ``diversity`` 0, the order of the scores.
    """
    best = allowed[np.argsort(-scores[allowed], kind="stable")[: max(pool, count)]]
    if vectors is None or diversity <= 0 or len(best) <= 1:
        return best[:count]
    likeness = vectors[best] @ vectors[best].T
    worth = scores[best].astype(float)
    chosen = [0]
    nearest = likeness[0].copy()
    while len(chosen) < min(count, len(best)):
        gain = worth - diversity * _STRENGTH * np.maximum(nearest, 0)
        gain[chosen] = -np.inf
        pick = int(np.argmax(gain))
        chosen.append(pick)
        nearest = np.maximum(nearest, likeness[pick])
    return best[chosen]


def explored(scores: Array, amount: float, seed: int) -> Array:
    """``scores`` with noise: at ``amount`` 1 it is as large as their own differences."""
    if amount <= 0:
        return scores
    return scores + amount * np.random.default_rng(seed).gumbel(size=len(scores)).astype(scores.dtype)
