"""One ranking out of the keyword leg and the vector leg.

Each leg's scores are measured against that leg's own best: how many deviations above their mean. A leg that tells
its candidates apart so speaks up, one that finds all of them much alike holds back, and nothing needs to be known
about the collection. Both legs score every candidate, also those that only the other one found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Chosen on tuning questions, see docs/decisions/0007-fusion.md.
KEYWORD_WEIGHT = 0.5  # of the keyword leg
AMONG_SENTENCES = 0.35  # the same where passages are single sentences: how often a word comes tells nothing there
SENTENCE = 60  # characters of a passage that is no more than a sentence
SCALE_OVER = 100  # the best of a leg over which its mean and deviation are taken
_RRF_K = 60


def mix(keyword: Mapping[str, float], vector: Mapping[str, float], weight: float = KEYWORD_WEIGHT) -> dict[str, float]:
    """``weight`` · keyword + (1 - ``weight``) · vector, both on their scales; the result runs from 0 to 1.

    A candidate that a leg did not score counts there as the worst one; a leg without candidates leaves the other
    alone.

    >>> mix({"a": 8.0, "b": 0.0}, {"a": 0.75, "b": 0.5})
    {'a': 1.0, 'b': 0.0}
    """
    import numpy as np

    both = dict.fromkeys([*keyword, *vector])
    words, meaning = (np.array([leg.get(id_, np.nan) for id_ in both], np.float64) for leg in (keyword, vector))
    return dict(zip(both, mixed(words, meaning, weight).tolist(), strict=True))


def mixed(keyword: np.ndarray, vector: np.ndarray, weight: float = KEYWORD_WEIGHT) -> np.ndarray:
    """:func:`mix` for candidates in a row, a score each; nan where a leg has none."""
    import numpy as np

    fused = np.zeros(len(keyword))
    for leg, share in ((keyword, weight), (vector, 1 - weight)):
        known = np.sort(leg)  # nan last
        whole = not len(leg) or known[-1] == known[-1]
        count = len(leg) if whole else len(leg) - np.count_nonzero(np.isnan(leg))
        if count:
            best = known[max(0, count - SCALE_OVER) : count]
            mean = np.add.reduce(best) / len(best)
            apart = best - mean
            deviation = (np.add.reduce(apart * apart) / len(best)) ** 0.5
            filled = leg if whole else np.where(np.isnan(leg), known[0], leg)
            fused += share / max(deviation, 1e-6) * (filled - mean)
    if not len(fused):
        return fused
    low, high = fused.min(), fused.max()
    return (fused - low) / (high - low) if high > low else np.ones(len(fused))


def keyword_weight(lengths: Sequence[int] | np.ndarray) -> float:
    """The keyword leg's weight among passages of these lengths in characters."""
    import numpy as np

    if not len(lengths):
        return KEYWORD_WEIGHT
    ordered = np.sort(np.asarray(lengths))
    median = (int(ordered[(len(ordered) - 1) // 2]) + int(ordered[len(ordered) // 2])) / 2
    return AMONG_SENTENCES if median <= SENTENCE else KEYWORD_WEIGHT


def reciprocal_rank(keyword: Mapping[str, float], vector: Mapping[str, float]) -> dict[str, float]:
    """Reciprocal rank fusion, 1 / (60 + rank) summed over the legs.

    Source: Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet", SIGIR 2009.
    """
    fused: dict[str, float] = {}
    for leg in (keyword, vector):
        for rank, id_ in enumerate(ranked(leg), 1):
            fused[id_] = fused.get(id_, 0.0) + 1 / (_RRF_K + rank)
    return fused


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Ids, best first; ties by id, so that the order never depends on chance."""
    by_id = sorted(scores)
    return sorted(by_id, key=scores.__getitem__, reverse=True)  # which keeps the order of equals
