"""How good is a ranked list? The metrics of trec_eval and BEIR, one value per query.

A run is first turned into two arrays by :func:`grade`; each metric is a function of these:

    gains  (queries, depth) float64   gain of the document at each rank, 0 beyond the end of the list
    ideal  (queries, width) float64   gains of all relevant documents, largest first, 0 where there are fewer

A gain above 0 means relevant. A query without relevant documents scores 0, as in trec_eval.
``k=None`` looks at the whole list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.errors import UnknownName

Array = np.ndarray

DEFAULT_MEASURES = ("ndcg@10", "mrr@10", "recall@10", "recall@100", "map@100", "success@1")


def grade(
    rankings: Sequence[Sequence[str]], relevant: Sequence[Mapping[str, float]], depth: int | None = None
) -> tuple[Array, Array]:
    """Look up the gain of every ranked document.

    Args:
        rankings: per query the document ids, best first. A document that is named twice counts once, at
            its better rank; the later rank stays in the list with gain 0, so repeating pays nothing.
        relevant: per query the gains by document id; 0 or less means judged and not relevant.
        depth: how many ranks to look at; by default all.

    Shape: ``(queries, depth)`` and ``(queries, largest number of relevant documents)``, at least 1 wide.

    >>> gains, ideal = grade([["b", "a", "x"]], [{"a": 2, "b": 1, "c": 1, "d": 0}])
    >>> gains
    array([[1., 2., 0.]])
    >>> ideal
    array([[2., 1., 1.]])
    """
    if len(rankings) != len(relevant):
        raise ValueError(f"{len(rankings)} rankings for {len(relevant)} queries")
    longest = max((len(ranking) for ranking in rankings), default=0)
    gains = np.zeros((len(rankings), max(1, min(longest, depth) if depth else longest)))
    ideal = np.zeros((len(rankings), max([1, *(sum(g > 0 for g in r.values()) for r in relevant)])))
    for row, (ranking, gain_of) in enumerate(zip(rankings, relevant, strict=True)):
        best = sorted((float(g) for g in gain_of.values() if g > 0), reverse=True)
        ideal[row, : len(best)] = best
        seen: set[str] = set()
        for rank, document in enumerate(ranking[: gains.shape[1]]):
            if document not in seen and document in gain_of:
                gains[row, rank] = max(0.0, gain_of[document])
            seen.add(document)
    return gains, ideal


def ndcg(gains: Array, ideal: Array, k: int | None = None) -> Array:
    """Normalized discounted cumulative gain: DCG of the list over DCG of the best possible list.

    DCG = sum of gain / log2(rank + 1), with the gain as it stands in the judgments (not 2^gain - 1).
    Source: Järvelin and Kekäläinen 2002, https://doi.org/10.1145/582415.582418; ``ndcg_cut`` of trec_eval,
    which BEIR reports.

    Gains 1, 2 at ranks 1, 2 of an ideal 2, 1, 1: (1 + 2/1.585) / (2 + 1/1.585 + 1/2) = 2.2619 / 3.1309.

    >>> ndcg(np.array([[1.0, 2.0, 0.0]]), np.array([[2.0, 1.0, 1.0]]), 3).round(4)
    array([0.7224])
    """
    return _ratio(_dcg(_top(gains, k)), _dcg(_top(ideal, k)))


def mrr(gains: Array, ideal: Array | None = None, k: int | None = None) -> Array:
    """Reciprocal rank: 1 / rank of the first relevant document, 0 when there is none in the first k.

    Its mean over queries is MRR. Source: Voorhees, TREC-8 question answering track, 1999,
    https://trec.nist.gov/pubs/trec8/papers/qa_report.pdf

    >>> mrr(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 3.0]]), k=2)
    array([0.5, 0. ])
    """
    relevant = _top(gains, k) > 0
    return np.where(relevant.any(axis=1), 1.0 / (relevant.argmax(axis=1) + 1), 0.0)


def recall(gains: Array, ideal: Array, k: int | None = None) -> Array:
    """Share of all relevant documents that stand in the first k.

    Source: ``recall`` of trec_eval, https://github.com/usnistgov/trec_eval/blob/main/m_recall.c

    >>> recall(np.array([[1.0, 0.0, 1.0]]), np.array([[1.0, 1.0, 1.0, 1.0]]), 3)
    array([0.5])
    """
    return _ratio((_top(gains, k) > 0).sum(axis=1), (ideal > 0).sum(axis=1))


def precision(gains: Array, ideal: Array | None = None, k: int | None = None) -> Array:
    """Share of the first k ranks that hold a relevant document; a list shorter than k loses the rest.

    With ``k=None`` the depth of ``gains`` is taken. Source: ``P`` of trec_eval.

    >>> precision(np.array([[1.0, 0.0, 1.0]]), k=4)
    array([0.5])
    """
    return (_top(gains, k) > 0).sum(axis=1) / float(k or gains.shape[1])


def average_precision(gains: Array, ideal: Array, k: int | None = None) -> Array:
    """Mean, over all relevant documents, of the precision at the rank of each (0 for those not found).

    Its mean over queries is MAP. Source: ``map`` and ``map_cut`` of trec_eval.

    Relevant at ranks 1 and 3, a third one not found: (1/1 + 2/3) / 3.

    >>> average_precision(np.array([[1.0, 0.0, 1.0]]), np.array([[1.0, 1.0, 1.0]])).round(4)
    array([0.5556])
    """
    relevant = _top(gains, k) > 0
    at_rank = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
    return _ratio((at_rank * relevant).sum(axis=1), (ideal > 0).sum(axis=1))


def success(gains: Array, ideal: Array | None = None, k: int | None = None) -> Array:
    """1 when a relevant document stands in the first k, else 0 (hit rate). Source: ``success`` of trec_eval.

    >>> success(np.array([[0.0, 1.0], [0.0, 0.0]]), k=2)
    array([1., 0.])
    """
    return (_top(gains, k) > 0).any(axis=1).astype(float)


METRICS = {
    "ndcg": ndcg,
    "mrr": mrr,
    "recall": recall,
    "precision": precision,
    "map": average_precision,
    "success": success,
}


def measure(
    rankings: Sequence[Sequence[str]],
    relevant: Sequence[Mapping[str, float]],
    measures: Sequence[str] = DEFAULT_MEASURES,
) -> dict[str, Array]:
    """Values per query of each measure, named ``metric`` or ``metric@k``.

    Raises:
        UnknownName: a measure that is not in ``METRICS``, or a k that is not a whole number above 0.

    >>> measure([["a", "b"]], [{"b": 1}], ["mrr", "success@1"])
    {'mrr': array([0.5]), 'success@1': array([0.])}
    """
    parsed = {name: parse_measure(name) for name in measures}
    gains, ideal = grade(rankings, relevant)
    return {name: METRICS[metric](gains, ideal, k) for name, (metric, k) in parsed.items()}


def parse_measure(name: str) -> tuple[str, int | None]:
    """``("ndcg", 10)`` of ``ndcg@10``."""
    metric, at, cut = name.partition("@")
    if metric not in METRICS or (at and not (cut.isdecimal() and int(cut) > 0)):
        raise UnknownName(kind="measure", value=name, allowed=", ".join(f"{m}[@k]" for m in METRICS))
    return metric, int(cut) if at else None


def _top(gains: Array, k: int | None) -> Array:
    return gains[:, :k] if k else gains


def _dcg(gains: Array) -> Array:
    return gains @ (1.0 / np.log2(np.arange(2, gains.shape[1] + 2)))


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
