"""One ranking out of the keyword leg and the vector leg."""

from __future__ import annotations

from collections.abc import Mapping

KEYWORD_WEIGHT = 0.4  # of the keyword leg in the min-max mix; see docs/decisions/0005-keyword-leg-and-fusion.md
_RRF_K = 60


def min_max(
    keyword: Mapping[str, float], vector: Mapping[str, float], weight: float = KEYWORD_WEIGHT
) -> dict[str, float]:
    """Mix scores, each leg scaled to [0, 1] over the candidates: ``weight`` · keyword + (1 - ``weight``) · vector.

    A candidate that a leg did not score gets that leg's 0; a leg without candidates leaves the other alone.

    >>> min_max({"a": 8.0, "b": 2.0}, {"b": 0.9, "c": 0.7}, 0.5)
    {'a': 0.5, 'b': 0.5, 'c': 0.0}
    """
    if not keyword or not vector:
        return _scaled(keyword or vector)
    words, meaning = _scaled(keyword), _scaled(vector)
    return {
        id_: weight * words.get(id_, 0.0) + (1 - weight) * meaning.get(id_, 0.0)
        for id_ in dict.fromkeys([*keyword, *vector])
    }


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
    return sorted(scores, key=lambda id_: (-scores[id_], id_))


def _scaled(scores: Mapping[str, float]) -> dict[str, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {id_: (score - low) / (high - low) if high > low else 1.0 for id_, score in scores.items()}
