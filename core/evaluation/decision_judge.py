"""Free answers judged by a decision model: how likely is each right, given what is known of the question?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.contracts import DecisionModel
from core.evaluation.datasets import Dataset, Record
from core.evaluation.results import Cell, Measure
from core.evaluation.tasks import Task
from core.i18n import detect_language, message
from core.types import Question

RIGHT = "right"
AT_ONCE = 8


def decided_task(data: Dataset, model: DecisionModel) -> Task:
    """Answer each record in words; ``model`` decides whether the answer says the same as one of the record's own.

    The figure ``judged_right`` is the mean probability of yes. A failure has none; without reference answers in the
    record, the model judges by its own knowledge. A judge is a model too: measure it on judged answers first.
    """

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        from core.providers.sync import run

        texts = [output["text"] if isinstance(output, dict) else output for output in outputs]
        return {"judged_right": run(probabilities(model, records, texts))}

    return Task("decided", data, judge, (Measure("judged_right"),))


async def probabilities(model: DecisionModel, records: Sequence[Record], texts: Sequence[str | None]) -> list[Cell]:
    """How likely each of ``texts`` answers its record rightly; 0 for no text."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(record: Record, text: str | None) -> Cell:
        if text is None:
            return 0.0
        language = detect_language(record.input)
        reference = "; ".join(record.answers) or message("evaluation.no_reference", language)
        state = message("evaluation.judged", language, question=record.input, reference=reference, answer=text)
        asked = Question(RIGHT, "yes_no", message("evaluation.is_right", language))
        async with turn:
            return (await model.decide(state, [asked]))[RIGHT].probabilities["yes"]

    return list(await asyncio.gather(*(one(record, text) for record, text in zip(records, texts, strict=True))))
