"""Probabilities that mean what they say: a decision model calibrated on labelled examples.

>>> calibrated = await calibrate(model, [question], {question.id: examples})    # doctest: +SKIP

A yes/no question gets Platt's two numbers, any other a temperature. Answers keep their order under a temperature; under
Platt's bias the answer itself may change sides. Calibrate on examples the model was not tuned on, some fifty of them.

Source: Platt, Probabilistic outputs for support vector machines, 1999 (with its smoothed targets); Guo, Pleiss, Sun and
Weinberger, On Calibration of Modern Neural Networks, ICML 2017, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.contracts import DecisionModel
from core.errors import InputError
from core.i18n import Phrase
from core.providers.decisions import decided, labels_of
from core.types import Decision, Example, Question

if TYPE_CHECKING:
    import numpy as np

AT_ONCE = 8
LEAST = 1e-6  # probability; a model that says 0 or 1 is never believed entirely
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logits become ``slope * logit + bias``; the bias belongs to the first of two labels and is 0 for more."""

    slope: float
    bias: float = 0.0

    @property
    def temperature(self) -> float:
        return 1 / self.slope

    def apply(self, shares: Sequence[float]) -> list[float]:
        """The calibrated probabilities.

        >>> [round(p, 3) for p in Calibration(0.5).apply([0.9, 0.1])]
        [0.75, 0.25]
        """
        import numpy as np

        logits = self.slope * np.log(np.clip(np.asarray(shares, float), LEAST, None))
        logits[0] += self.bias
        weights = np.exp(logits - logits.max())
        return [float(weight) for weight in weights / weights.sum()]


class Calibrated:
    """A decision model whose answers to the questions of ``calibrations`` (by id) are calibrated."""

    def __init__(self, model: DecisionModel, calibrations: Mapping[str, Calibration]) -> None:
        self.name = model.name
        self.calibrations = dict(calibrations)
        self._model = model

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        found = await self._model.decide(state, questions)
        return {question.id: self._calibrated(question, found[question.id]) for question in questions}

    def _calibrated(self, question: Question, decision: Decision) -> Decision:
        calibration = self.calibrations.get(question.id)
        if calibration is None:
            return decision
        shares = [decision.probabilities[label] for label in labels_of(question)]
        return decided(question, calibration.apply(shares), decision.model)


async def calibrate(
    model: DecisionModel, questions: Sequence[Question], examples: Mapping[str, Sequence[Example]]
) -> Calibrated:
    """Ask ``model`` about the ``examples`` of each question (by id) and fit its calibration to their labels.

    Raises:
        InputError: (reason ``bad_value``) a question has fewer than two examples, or one with a label it has not.
    """
    found = {}
    turn = asyncio.Semaphore(AT_ONCE)
    for question in questions:
        labels = labels_of(question)
        given = examples.get(question.id, ())
        wrong = next((example.label for example in given if example.label not in labels), None)
        if wrong is not None or len(given) < 2:
            allowed = Phrase("decision.examples", labels=", ".join(labels))
            value = wrong if wrong is not None else len(given)
            raise InputError(reason="bad_value", name=f"examples[{question.id}]", value=value, allowed=allowed)

        async def one(example: Example, question: Question = question) -> list[float]:
            async with turn:
                shares = (await model.decide(example.text, [question]))[question.id].probabilities
                return [shares[label] for label in labels_of(question)]

        rows = await asyncio.gather(*(one(example) for example in given))
        right = [labels.index(example.label) for example in given]
        found[question.id] = fit(rows, right)
    return Calibrated(model, found)


def fit(rows: Sequence[Sequence[float]], right: Sequence[int]) -> Calibration:
    """The calibration under which the ``right`` labels of ``rows`` of probabilities are most likely.

    Shape of ``rows``: ``(n, labels)``. Newton's method on two numbers; convex, so that it ends.
    """
    import numpy as np

    logits = np.log(np.clip(np.asarray(rows, float), LEAST, None))
    truth = np.asarray(right)
    if logits.shape[1] == 2:
        return _platt(logits[:, 0] - logits[:, 1], truth == 0)
    slopes = np.exp(np.linspace(np.log(0.02), np.log(20), 400))
    return Calibration(float(min(slopes, key=lambda slope: _loss(slope * logits, truth))))


def _loss(logits: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative log-likelihood. Shapes: ``(n, labels)`` and ``(n,)``."""
    import numpy as np

    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(truth)), truth]))


def _platt(margin: np.ndarray, first: np.ndarray) -> Calibration:
    """Platt's slope and bias. Shapes: ``(n,)``; a slope below zero would turn the model around and is not taken."""
    import numpy as np

    yes, no = int(first.sum()), int((~first).sum())
    targets = np.where(first, (yes + 1) / (yes + 2), 1 / (no + 2))
    slope, bias = 1.0, 0.0
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(slope * margin + bias, -30, 30)))
        gradient = np.array([((p - targets) * margin).sum(), (p - targets).sum()])
        w = p * (1 - p)
        curve = np.array([[(w * margin**2).sum(), (w * margin).sum()], [(w * margin).sum(), w.sum()]])
        step = np.linalg.solve(curve + 1e-6 * np.eye(2), gradient)
        slope, bias = slope - float(np.clip(step[0], -1, 1)), bias - float(np.clip(step[1], -1, 1))
        if np.abs(step).max() < 1e-8:
            break
    return Calibration(max(slope, 1e-3), bias)
