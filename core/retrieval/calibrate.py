"""Fits the few weights of the answerer on questions whose answers are known: a small logistic regression.

``apps/customer_service/evaluate.py --fit`` prints the weights that stand in :mod:`core.retrieval.evidence`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_STEPS = 50


def logistic(
    rows: np.ndarray, labels: np.ndarray, *, weights: np.ndarray | None = None, ridge: float = 1.0
) -> tuple[np.ndarray, float]:
    """Coefficients and bias of an L2-penalised logistic regression, by Newton's method.

    Columns are scaled by their deviation for the penalty; coefficients come back in the columns' own units.

    Shape: ``rows`` is ``(n, features)``, ``labels`` ``(n,)`` of 0 and 1, ``weights`` ``(n,)``.
    """
    deviation = rows.std(axis=0) + 1e-9
    x = np.hstack([rows / deviation, np.ones((len(rows), 1))])
    penalty = ridge * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6  # the bias is free
    w = np.ones(len(rows)) if weights is None else weights
    beta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (p - labels)) + penalty @ beta
        step = np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + penalty, gradient)
        beta -= step
        if np.abs(step).max() < 1e-8:
            break
    return beta[:-1] / deviation, float(beta[-1])


def balanced(labels: np.ndarray, groups: Sequence[int] | None = None) -> np.ndarray:
    """Weights that give both classes the same sum, and each group (question) the same say within its class."""
    group = np.zeros(len(labels), dtype=int) if groups is None else np.asarray(groups)
    weights = np.zeros(len(labels))
    for label in (0, 1):
        for g in np.unique(group):
            here = (labels == label) & (group == g)
            if here.any():
                weights[here] = 1 / here.sum()
    for label in (0, 1):
        total = weights[labels == label].sum()
        if total:
            weights[labels == label] *= len(labels) / (2 * total)
    return weights
