"""The recipe ``cross-encoder``: a model that reads a query and a passage together gives the right one the highest score.

Of the right passage and some wrong ones the right one must win (softmax over their scores). Wrong ones that a search
itself puts high teach most: ``touchstone train negatives`` finds them. Source: Nogueira and Cho 2019,
https://arxiv.org/abs/1901.04085; the loss over a group is that of Gao et al. 2021, https://arxiv.org/abs/2101.08751.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.bases import quiet
from core.training.data import NEGATIVES
from core.training.loop import optimize
from core.training.recipes import Plan


def train(plan: Plan) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    set_seed(plan.session.seed)
    settings, safe = plan.recipe.settings, {"local_files_only": True, "trust_remote_code": False}
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(plan.start, **safe)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            plan.start, num_labels=1, ignore_mismatched_sizes=True, dtype=torch.float32, **safe
        )
    tokenizer.model_max_length = int(min(settings["max_tokens"], tokenizer.model_max_length))
    learned, held = (
        groups(part.records, int(settings["negatives"]), plan.session.seed)
        for part in (plan.splits.train, plan.splits.validation)
    )
    facts = optimize(
        model, learned, held, lambda rows: together(tokenizer, rows), settings, plan.session, loss=first_wins
    )
    with quiet():
        model.save_pretrained(plan.model)
        tokenizer.save_pretrained(plan.model)
    weights = sum(p.numel() for p in model.parameters())
    return {**facts, "weights": weights, "trained_weights": weights}


def groups(records: Sequence[Record], count: int, seed: int) -> list[dict[str, Any]]:
    """A query with its passage first and ``count`` wrong ones; those that a record lacks are drawn from the others'.

    What is right for the query in any row is wrong for it in none.
    """
    right: dict[str, set[str]] = {}
    for record in records:
        right.setdefault(record.input, set()).update(record.answers)
    draw, there = random.Random(seed), sorted({answer for record in records for answer in record.answers})
    found = []
    for record in records:
        wrong = [text for text in record.metadata.get(NEGATIVES, ()) if text not in right[record.input]]
        wrong = draw.sample(wrong, min(count, len(wrong)))
        if len(wrong) < count:
            strangers = [text for text in draw.sample(there, min(len(there), 2 * count)) if text not in {*right[record.input], *wrong}]  # fmt: skip
            wrong += strangers[: count - len(wrong)]
        if wrong:
            found.append({"query": record.input, "passages": [record.answers[0], *wrong]})
    return found


def together(tokenizer: Any, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of groups: every query beside each of its passages, and how many passages each group has."""
    import torch

    pairs = [(row["query"], passage) for row in rows for passage in row["passages"]]
    read = tokenizer(
        [query for query, _ in pairs], [passage for _, passage in pairs],
        truncation=True, padding=True, return_tensors="pt",
    )  # fmt: skip
    return {**read, "sizes": torch.tensor([len(row["passages"]) for row in rows])}


def first_wins(model: Any, batch: dict[str, Any]) -> Any:
    """The mean over groups of ``-log softmax(scores)[0]``."""
    import torch

    given = dict(batch)
    sizes = given.pop("sizes").tolist()
    scores = model(**given).logits[:, 0].float()
    losses = [-torch.log_softmax(group, 0)[0] for group in scores.split(sizes)]
    return torch.stack(losses).mean()
