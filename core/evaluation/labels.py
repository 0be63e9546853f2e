"""How good are labels and probabilities? Classification metrics on numpy arrays.

Labels may be strings or numbers; ``expected`` and ``predicted`` have shape ``(n,)`` and the same type.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Array = np.ndarray


def accuracy(expected: Array, predicted: Array) -> float:
    """Share of records whose label is right.

    >>> accuracy(np.array(["a", "b", "b"]), np.array(["a", "b", "a"])).__round__(4)
    0.6667
    """
    expected, predicted = _pair(expected, predicted)
    return float((expected == predicted).mean()) if len(expected) else 0.0


def confusion(expected: Array, predicted: Array) -> tuple[Array, Array]:
    """``(labels, counts)``: ``counts[i, j]`` records of label i were given label j.

    >>> labels, counts = confusion(np.array(["a", "b", "b"]), np.array(["a", "b", "a"]))
    >>> labels.tolist(), counts.tolist()
    (['a', 'b'], [[1, 0], [1, 1]])
    """
    expected, predicted = _pair(expected, predicted)
    labels, codes = np.unique(np.concatenate([expected, predicted]), return_inverse=True)
    pairs = codes[: len(expected)] * len(labels) + codes[len(expected) :]
    return labels, np.bincount(pairs, minlength=len(labels) ** 2).reshape(len(labels), len(labels))


def f1_per_label(expected: Array, predicted: Array) -> tuple[Array, Array, Array]:
    """``(labels, F1 of each, records of each)``; a label that was expected or predicted and never hit has 0.

    F1 = 2 hits / (expected + predicted).

    >>> labels, f1, support = f1_per_label(np.array(["a", "b", "b"]), np.array(["a", "b", "a"]))
    >>> f1.round(4).tolist(), support.tolist()
    ([0.6667, 0.6667], [1, 2])
    """
    labels, counts = confusion(expected, predicted)
    support = counts.sum(axis=1)
    return labels, 2 * np.diag(counts) / np.maximum(1, support + counts.sum(axis=0)), support


def f1(expected: Array, predicted: Array, average: Literal["macro", "weighted"] = "macro") -> float:
    """Mean of the labels' F1: each label the same (macro) or by its number of records (weighted).

    Labels are those that occur in either array, as in scikit-learn's ``f1_score``,
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html
    An empty prediction ``""`` means that no label was given: a miss, and no label of its own.

    Label a: 2 of 3 hit, F1 = 2·2/(3+2) = .8; label b: F1 = 2·1/(1+2) = .667; weighted (3·.8 + .667) / 4.

    >>> expected, predicted = np.array(list("aaab")), np.array(list("aabb"))
    >>> round(f1(expected, predicted), 4), round(f1(expected, predicted, "weighted"), 4)
    (0.7333, 0.7667)
    """
    names, scores, support = f1_per_label(expected, predicted)
    given = (names != "") if names.dtype.kind == "U" else np.ones(len(names), dtype=bool)
    scores, support = scores[given], support[given]
    if not support.sum():
        return 0.0
    return float(scores.mean() if average == "macro" else scores @ support / support.sum())


def auroc(positive: Array, score: Array) -> float:
    """Area under the ROC curve: how often a positive record scores above a negative one, ties half.

    ``nan`` when one of the two classes is missing. Source: Hanley and McNeil 1982,
    https://doi.org/10.1148/radiology.143.1.7063747 (the Mann-Whitney statistic).

    Positive scores .8 and .3, negative .3 and .1: pairs won 1, 1, tied .5, won 1: 3.5 of 4.

    >>> auroc(np.array([1, 1, 0, 0]), np.array([0.8, 0.3, 0.3, 0.1]))
    0.875
    """
    truth, score = _pair(np.asarray(positive, dtype=bool), np.asarray(score, dtype=float))
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return float("nan")
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[group]  # from 1; tied scores share their mean rank
    return float((rank[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def aupr(positive: Array, score: Array) -> float:
    """Average precision: the area under the precision-recall curve as a sum of steps, without interpolation.

    Records of one score enter together. ``nan`` without a positive record. Source:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html

    Positives at ranks 1 and 3: (1/1 + 2/3) / 2.

    >>> round(aupr(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])), 4)
    0.8333
    """
    truth, score = _pair(np.asarray(positive, dtype=bool), np.asarray(score, dtype=float))
    if not truth.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # last record of each distinct score
    hits = np.cumsum(truth[order])[last]
    return float(np.diff(hits, prepend=0) @ (hits / (last + 1)) / truth.sum())


def ece(confidence: Array, correct: Array, bins: int = 15) -> float:
    """Expected calibration error: distance of confidence from accuracy, averaged over equal-width bins.

    Bin b holds the confidences in ((b-1)/bins, b/bins]; 0 belongs to the first. Source: Guo et al. 2017,
    https://arxiv.org/abs/1706.04599, equation 3.

    Two bins: {.2 wrong, .4 right} has |.5 - .3| = .2, {.9 right} has .1: (2·.2 + .1) / 3.

    >>> round(ece(np.array([0.2, 0.4, 0.9]), np.array([0, 1, 1]), bins=2), 4)
    0.1667
    """
    confidence, right = _pair(np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float))
    if not len(confidence):
        return 0.0
    if confidence.min() < 0 or confidence.max() > 1:
        raise ValueError("confidences must lie between 0 and 1")
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def brier(probabilities: Array, expected: Array) -> float:
    """Mean squared distance of probabilities from the truth; 0 is perfect.

    Shape: ``probabilities`` is ``(n,)`` for yes/no questions with ``expected`` 0 or 1, and the result lies
    in [0, 1]; or ``(n, labels)`` with ``expected`` the number of the right column, and it lies in [0, 2].
    Source: Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2

    (.8-1)² = .04 and (.3-0)² = .09; over two columns each error counts twice.

    >>> round(brier(np.array([0.8, 0.3]), np.array([1, 0])), 4)
    0.065
    >>> round(brier(np.array([[0.2, 0.8], [0.7, 0.3]]), np.array([1, 0])), 4)
    0.13
    """
    probabilities = np.asarray(probabilities, dtype=float)
    if probabilities.ndim == 1:
        probabilities, truth = _pair(probabilities, np.asarray(expected, dtype=float))
        return float(((probabilities - truth) ** 2).mean())
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(truth)), np.asarray(expected, dtype=int)] = 1
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def _pair(left: Array, right: Array) -> tuple[Array, Array]:
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"arrays of one length are needed, not shapes {left.shape} and {right.shape}")
    return left, right
