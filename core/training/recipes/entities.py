"""The recipe ``entities``: an encoder names pieces of a text, one mark a token.

Marks are those of Ramshaw and Marcus 1995, https://arxiv.org/abs/cmp-lg/9505040: ``B-date`` begins a date, ``I-date``
goes on with it, ``O`` is none. All weights are trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.bases import quiet
from core.training.loop import optimize
from core.training.recipes import Plan
from core.training.recipes.chat import IGNORED

MARKS = "marks.json"  # beside the weights
OUTSIDE = "O"
Span = tuple[int, int, str]  # start and end in characters, label


def train(plan: Plan) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer, set_seed

    set_seed(plan.session.seed)
    most, safe = int(plan.recipe.settings["max_tokens"]), {"local_files_only": True, "trust_remote_code": False}
    labels = sorted({label for record in plan.splits.train.records for _, _, label in spans(record)})
    marks = [OUTSIDE, *(f"{place}-{label}" for label in labels for place in "BI")]
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(plan.start, **safe)
        model: Any = AutoModelForTokenClassification.from_pretrained(
            plan.start, num_labels=len(marks), id2label=dict(enumerate(marks)),
            label2id={mark: number for number, mark in enumerate(marks)},
            ignore_mismatched_sizes=True, dtype=torch.float32, **safe,
        )  # fmt: skip
    learned, held = (
        [marked(tokenizer, record, marks, most) for record in part.records]
        for part in (plan.splits.train, plan.splits.validation)
    )
    facts = optimize(model, learned, held, padded(tokenizer), plan.recipe.settings, plan.session)
    with quiet():
        model.save_pretrained(plan.model)
        tokenizer.save_pretrained(plan.model)
    (plan.model / MARKS).write_text(json.dumps({"marks": marks, "max_tokens": most}, ensure_ascii=False), "utf-8")
    weights = sum(p.numel() for p in model.parameters())
    return {**facts, "labels": labels, "weights": weights, "trained_weights": weights}


def spans(record: Record) -> list[Span]:
    return [(start, end, label) for start, end, label in record.metadata["entities"]]


def tokenized(tokenizer: Any, text: str, most: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and the characters each stands for; the marks of beginning and end stand for none."""
    read = tokenizer(text, truncation=True, max_length=_most(tokenizer, most), return_offsets_mapping=True)
    return read["input_ids"], read["offset_mapping"]


def marked(tokenizer: Any, record: Record, marks: Sequence[str], most: int) -> dict[str, list[int]]:
    """Token ids with the number of each token's mark; a label that was never learned counts as outside."""
    number = {mark: n for n, mark in enumerate(marks)}
    ids, places = tokenized(tokenizer, record.input, most)
    found = [number[OUTSIDE] if start < end else IGNORED for start, end in places]
    for start, end, label in spans(record):
        inside = [n for n, (a, b) in enumerate(places) if a < b and a < end and b > start]
        for n in inside:
            found[n] = number.get(f"{'B' if n == inside[0] else 'I'}-{label}", number[OUTSIDE])
    return {"input_ids": ids, "labels": found}


def padded(tokenizer: Any) -> Any:
    def collate(rows: Sequence[dict[str, list[int]]]) -> Any:
        import torch

        batch = tokenizer.pad({"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt")
        most = batch["input_ids"].shape[1]
        if "labels" in rows[0]:
            batch["labels"] = torch.tensor([row["labels"] + [IGNORED] * (most - len(row["labels"])) for row in rows])
        return batch

    return collate


def read_off(
    marks: Sequence[str], shares: Sequence[float], places: Sequence[tuple[int, int]]
) -> list[tuple[int, int, str, float]]:
    """The pieces that tokens' marks come to, each with the least probability of its tokens.

    An ``I`` with nothing of its label before it begins a piece, as the field's scorers have it.

    >>> read_off(["O", "B-date", "I-date"], [0.9, 0.8, 0.7], [(0, 2), (3, 7), (7, 10)])
    [(3, 10, 'date', 0.7)]
    """
    found: list[tuple[int, int, str, float]] = []
    before = OUTSIDE
    for mark, share, (start, end) in zip(marks, shares, places, strict=True):
        if start == end:
            continue
        _, _, label = mark.partition("-")
        if mark != OUTSIDE and mark.startswith("I") and before[2:] == label:
            first, _, _, least = found[-1]
            found[-1] = (first, end, label, min(least, share))
        elif mark != OUTSIDE:
            found.append((start, end, label, share))
        before = mark
    return found


def whole_words(text: str, pieces: Sequence[tuple[int, int, str, float]]) -> list[tuple[int, int, str, float]]:
    """The pieces, none of which begins or ends within a word or number of Latin letters and digits.

    A tokenizer cuts ``PW28034063`` where it likes, and the marks of its parts may differ; the earlier piece keeps it.

    >>> whole_words("order PW28", [(6, 8, "order", 0.9)])
    [(6, 10, 'order', 0.9)]
    """
    found: list[tuple[int, int, str, float]] = []
    for start, end, label, share in pieces:
        last = found[-1][1] if found else 0
        start = max(start, last)
        while last < start < len(text) and _latin(text[start - 1]) and _latin(text[start]):
            start -= 1
        while 0 < end < len(text) and _latin(text[end - 1]) and _latin(text[end]):
            end += 1
        if start < end:
            found.append((start, end, label, share))
    return found


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _most(tokenizer: Any, most: int) -> int:
    return int(min(most, tokenizer.model_max_length))
