"""What may a system answer, and how wrong is it then? Risk against coverage.

A system that declines below a confidence threshold answers a share of the questions (coverage) and is
wrong on a share of those (risk). Records of one confidence are answered together: no threshold parts
them, so the order of ties can never flatter a figure. Arrays have shape ``(n,)``; ``loss`` is usually
1 for wrong and 0 for right, any number from 0 to 1 will do. Source: El-Yaniv and Wiener 2010,
https://www.jmlr.org/papers/v11/el-yaniv10a.html; Geifman and El-Yaniv 2017, https://arxiv.org/abs/1705.08500
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """A point per distinct confidence, from the surest down. Answer when confidence >= threshold.

    Shape: each ``(points,)``; ``coverage`` grows to 1, ``risk`` is the mean loss of what is answered.
    """

    threshold: Array
    coverage: Array
    risk: Array


def risk_coverage(confidence: Array, loss: Array) -> RiskCoverage:
    """The curve. Three records, the middle one wrong:

    >>> curve = risk_coverage(np.array([0.9, 0.8, 0.3]), np.array([0, 1, 0]))
    >>> curve.coverage.round(4), curve.risk.round(4)
    (array([0.3333, 0.6667, 1.    ]), array([0.    , 0.5   , 0.3333]))
    """
    confidence, loss = _sorted(confidence, loss)
    last = _last_of_ties(confidence)
    return RiskCoverage(confidence[last], (last + 1) / max(1, len(confidence)), np.cumsum(loss)[last] / (last + 1))


def aurc(confidence: Array, loss: Array) -> float:
    """Area under the risk-coverage curve: the risk averaged over answering the 1, 2, … n surest. Lower is better.

    Tied records count as their expectation over random orders. Source: Geifman et al. 2019,
    https://arxiv.org/abs/1805.08206

    The risks above at 1, 2 and 3 answers: (0 + 1/2 + 1/3) / 3. The same three tied: 1/3 at each.

    >>> round(aurc(np.array([0.9, 0.8, 0.3]), np.array([0, 1, 0])), 4)
    0.2778
    >>> round(aurc(np.array([0.5, 0.5, 0.5]), np.array([0, 1, 0])), 4)
    0.3333
    """
    confidence, loss = _sorted(confidence, loss)
    if not len(loss):
        return 0.0
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    expected = (np.bincount(group, weights=loss) / size)[group]
    return float((np.cumsum(expected) / np.arange(1, len(loss) + 1)).mean())


def coverage_at_risk(confidence: Array, loss: Array, max_risk: float) -> float:
    """The largest share that can be answered with a risk of at most ``max_risk``; 0 when none can.

    >>> coverage_at_risk(np.array([0.9, 0.8, 0.3]), np.array([0, 1, 0]), 0.34)
    1.0
    >>> round(coverage_at_risk(np.array([0.9, 0.8, 0.3]), np.array([0, 1, 0]), 0.2), 4)
    0.3333
    """
    curve = risk_coverage(confidence, loss)
    allowed = curve.coverage[curve.risk <= max_risk + 1e-12]  # sums of floats: .1 + .2 may not fail a limit of .3
    return float(allowed.max()) if len(allowed) else 0.0


def risk_at_coverage(confidence: Array, loss: Array, min_coverage: float) -> float:
    """The risk when at least ``min_coverage`` is answered, at the highest threshold that reaches it.

    >>> risk_at_coverage(np.array([0.9, 0.8, 0.3]), np.array([0, 1, 0]), 0.6)
    0.5
    """
    curve = risk_coverage(confidence, loss)
    if not len(curve.coverage):
        return 0.0
    return float(curve.risk[np.searchsorted(curve.coverage, min_coverage - 1e-12)])


@dataclass(frozen=True, slots=True)
class Refusal:
    """A threshold and what it does: the share of answerable questions it refuses (the fault) and of
    unanswerable ones (the purpose)."""

    threshold: float
    false_refusals: float
    refusals: float


def refusal_at(answerable: Array, unanswerable: Array, max_false_refusals: float) -> Refusal:
    """Refuse as many unanswerable questions as can be at no more than ``max_false_refusals`` of the others.

    Takes the confidences of both kinds; a question is refused when its confidence is below the threshold.
    ``nan`` where there is no question of a kind.

    Of the answerable .9 .8 .7 .2 one in four may be refused, so the threshold is .7; it refuses .1 and .6.

    >>> refusal_at(np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.1, 0.6, 0.75]), 0.25).refusals.__round__(4)
    0.6667
    """
    kept = np.sort(np.asarray(answerable, dtype=float))
    if not len(kept):
        return Refusal(float("nan"), float("nan"), float("nan"))
    below = min(int(np.floor(max_false_refusals * len(kept) + 1e-9)), len(kept) - 1)
    threshold = float(kept[below])
    others = np.asarray(unanswerable, dtype=float)
    return Refusal(
        threshold,
        float((kept < threshold).mean()),
        float((others < threshold).mean()) if len(others) else float("nan"),
    )


def _sorted(confidence: Array, loss: Array) -> tuple[Array, Array]:
    confidence, loss = np.asarray(confidence, dtype=float), np.asarray(loss, dtype=float)
    if confidence.shape != loss.shape or confidence.ndim != 1:
        raise ValueError(f"arrays of one length are needed, not shapes {confidence.shape} and {loss.shape}")
    if np.isnan(confidence).any():
        raise ValueError("a confidence is not a number")
    order = np.argsort(-confidence, kind="stable")
    return confidence[order], loss[order]


def _last_of_ties(confidence: Array) -> Array:
    if not len(confidence):
        return np.empty(0, dtype=int)
    return np.append(np.flatnonzero(np.diff(confidence)), len(confidence) - 1)
