"""One ranking out of the keyword leg and the vector leg.

Each leg's scores are measured against that leg's own best: how many deviations above their mean. A leg that tells
its candidates apart so speaks up, one that finds all of them much alike holds back, and nothing needs to be known
about the collection. Both legs score every candidate, also those that only the other one found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# Chosen on tuning questions, see docs/decisions/0007-fusion.md.
KEYWORD_WEIGHT = 0.5  # of the keyword leg
AMONG_SENTENCES = 0.35  # the same where passages are single sentences: how often a word comes tells nothing there
SENTENCE = 60  # characters of a passage that is no more than a sentence
SCALE_OVER = 100  # the best of a leg over which its mean and deviation are taken
_RRF_K = 60


@dataclass(frozen=True, slots=True)
class Scale:
    """What a leg's scores are measured by. It is that of the search, however many candidates are asked for."""

    mean: float
    deviation: float

    def __call__(self, score: float) -> float:
        return (score - self.mean) / self.deviation


def scale(scores: Mapping[str, float]) -> Scale:
    """The scale of a leg, of its ``SCALE_OVER`` best."""
    best = sorted(scores.values(), reverse=True)[:SCALE_OVER]
    mean = sum(best) / len(best) if best else 0.0
    variance = sum((score - mean) ** 2 for score in best) / len(best) if best else 0.0
    return Scale(mean, max(variance**0.5, 1e-6))


def mix(keyword: Mapping[str, float], vector: Mapping[str, float], weight: float = KEYWORD_WEIGHT) -> dict[str, float]:
    """``weight`` · keyword + (1 - ``weight``) · vector, both on their scales; the result runs from 0 to 1.

    A candidate that a leg did not score counts there as the worst one; a leg without candidates leaves the other
    alone.

    >>> mix({"a": 8.0, "b": 0.0}, {"a": 0.75, "b": 0.5})
    {'a': 1.0, 'b': 0.0}
    """
    fused: dict[str, float] = dict.fromkeys([*keyword, *vector], 0.0)
    for leg, share in ((keyword, weight), (vector, 1 - weight)):
        if leg:
            measured, get = scale(leg), leg.get
            factor, worst = share / measured.deviation, min(leg.values())
            offset = factor * measured.mean
            for id_ in fused:
                fused[id_] += factor * get(id_, worst) - offset
    return _from_0_to_1(fused)


def keyword_weight(lengths: Sequence[int]) -> float:
    """The keyword leg's weight among passages of these lengths in characters."""
    return AMONG_SENTENCES if lengths and median(lengths) <= SENTENCE else KEYWORD_WEIGHT


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


def _from_0_to_1(scores: Mapping[str, float]) -> dict[str, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {id_: (score - low) / (high - low) if high > low else 1.0 for id_, score in scores.items()}
