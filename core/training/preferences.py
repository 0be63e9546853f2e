"""How a model that learned preferences is judged: how often is the chosen answer likelier, and is what people like still?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.evaluation.datasets import Dataset, Record
from core.evaluation.results import Cell, Measure
from core.evaluation.tasks import Task

TASK = "preferences"


def task(data: Dataset) -> Task:
    """``preferred`` and ``margin`` (nats) need both answers, ``thumbs`` is of rows with one: its log-probability, less
    than nothing where it was not liked, so that only the difference of two models says something. ``perplexity`` is that
    of the chosen ones."""
    kept = tuple(record for record in data.records if any(record.answers))
    data = replace(data, records=kept, checksum="") if len(kept) < len(data.records) else data

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        columns: dict[str, list[Cell]] = {name: [] for name in ("preferred", "margin", "thumbs", "nll", "tokens")}
        for output in outputs:
            chosen, rejected = (output or {}).get("chosen"), (output or {}).get("rejected")
            margin = chosen[0] - rejected[0] if chosen and rejected else None
            columns["margin"].append(margin)
            columns["preferred"].append(None if margin is None else float(margin > 0))
            single = chosen[0] if chosen else -rejected[0] if rejected else None
            columns["thumbs"].append(single if margin is None else None)
            columns["nll"].append(-chosen[0] if chosen else None)
            columns["tokens"].append(float(chosen[1]) if chosen else None)
        return columns

    perplexity = Measure("perplexity", ("nll", "tokens"), "perplexity", higher_is_better=False, gated=False)
    return Task(TASK, data, judge, (Measure("preferred"), Measure("margin"), Measure("thumbs"), perplexity))


def likelihoods(
    model: Any, tokenizer: Any, records: Sequence[Record], *, most: int
) -> dict[str, dict[str, tuple[float, int]]]:
    """``(log-probability in nats, tokens)`` of each record's ``chosen`` and ``rejected`` answer, where it has one."""
    import torch

    from core.training.recipes.chat import IGNORED, padded
    from core.training.recipes.preference import SIDES, answered, log_probabilities

    collate, found = padded(tokenizer), {}
    with torch.inference_mode():
        for record in records:
            sides = [(side, text) for side, text in zip(SIDES, record.answers, strict=True) if text]
            rows = [answered(tokenizer, record, text, most) for _, text in sides]
            batch = {name: column.to(model.device) for name, column in collate(rows).items()}
            nats = log_probabilities(model, batch).tolist()
            counts = [sum(label != IGNORED for label in row["labels"][1:]) for row in rows]
            found[record.id] = {side: (value, count) for (side, _), value, count in zip(sides, nats, counts, strict=True)}  # fmt: skip
    return found
