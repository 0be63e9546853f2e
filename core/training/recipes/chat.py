"""The recipe ``chat``: a chat model learns from conversations what an assistant says, by low-rank adapters.

Only the assistant's words are learned; what users and the system say is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.data import conversation
from core.training.loop import optimize
from core.training.recipes import Plan, adapters

IGNORED = -100  # torch's mark for a token that is not learned


def train(plan: Plan) -> dict[str, Any]:
    settings = plan.recipe.settings
    tokenizer, model = adapters.opened(plan)
    learned, held = (
        [row for record in part.records if (row := encoded(tokenizer, record, int(settings["max_tokens"])))]
        for part in (plan.splits.train, plan.splits.validation)
    )
    facts = optimize(model, learned, held, padded(tokenizer), settings, plan.session)
    return {
        **facts,
        "learned_tokens": sum(label != IGNORED for row in learned for label in row["labels"]),
        **adapters.saved(plan, model),
    }


def encoded(tokenizer: Any, record: Record, max_tokens: int) -> dict[str, list[int]] | None:
    """Token ids and what is learned of them; ``None`` when nothing is left to learn within ``max_tokens``.

    The conversation is written as the provider will write it, by the model's own template. An answer's tokens are those
    between the prompt that asks for it and the end of its turn.
    """
    turns = conversation(record)
    ids: list[int] = templated(tokenizer, turns)
    labels = [IGNORED] * len(ids)
    for place, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        before = templated(tokenizer, turns[:place], add_generation_prompt=True)
        until = templated(tokenizer, turns[: place + 1])
        if ids[: len(before)] == before and ids[: len(until)] == until:  # some templates rewrite earlier turns
            labels[len(before) : len(until)] = ids[len(before) : len(until)]
    ids, labels = ids[:max_tokens], labels[:max_tokens]
    return {"input_ids": ids, "labels": labels} if any(label != IGNORED for label in labels) else None


def padded(tokenizer: Any) -> Any:
    """Makes a batch, padded on the right to its longest row."""
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        import torch

        most = max(len(row["input_ids"]) for row in rows)

        def column(name: str, value: int) -> Any:
            return torch.tensor([row[name] + [value] * (most - len(row[name])) for row in rows])

        mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (most - len(row["input_ids"])) for row in rows])
        return {"input_ids": column("input_ids", fill), "labels": column("labels", IGNORED), "attention_mask": mask}

    return collate


def templated(tokenizer: Any, turns: Sequence[dict[str, str]], **options: Any) -> list[int]:
    found = tokenizer.apply_chat_template(list(turns), tokenize=True, return_dict=True, **options)
    return list(found["input_ids"])
