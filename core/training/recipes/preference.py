"""The recipes ``dpo`` and ``kto``: a chat model learns which answers people like, by low-rank adapters.

    reward(answer) = log p(answer) - log p(answer) of the model it began with, in nats
    dpo    -log sigmoid(beta (reward(chosen) - reward(rejected)))
    kto    1 - sigmoid(beta (reward - z)) of a liked answer, 1 - sigmoid(beta (z - reward)) of one that is not,
           z the mean reward of answers under others' prompts, as an estimate of how far the model has moved

Sources: Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 7; Ethayarajh et al. 2024,
https://arxiv.org/abs/2402.01306, equation 8, with the weights of its section 4.2. Why not trl: decision 0032.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.data import conversation
from core.training.loop import optimize
from core.training.recipes import Plan, adapters
from core.training.recipes.chat import IGNORED, padded, templated

SIDES = ("chosen", "rejected")
Row = dict[str, Any]


def train(plan: Plan) -> dict[str, Any]:
    settings = plan.recipe.settings
    tokenizer, model = adapters.opened(plan)
    collate, dpo = padded(tokenizer), plan.recipe.method == "dpo"
    made = _pairs if dpo else _thumbs
    learned, held = (
        list(made(tokenizer, part.records, int(settings["max_tokens"])))
        for part in (plan.splits.train, plan.splits.validation)
    )
    sides = SIDES if dpo else ("said", "elsewhere")
    for rows in (learned, held):  # fresh adapters change nothing yet, and those of before belong to the beginning
        referenced(model, rows, sides, collate)
    loss = dpo_loss(settings["beta"]) if dpo else kto_loss(settings["beta"], *balanced(learned))
    facts = optimize(model, learned, held, lambda rows: _batch(rows, sides, collate), settings, plan.session, loss=loss)
    return {**facts, "learned_rows": len(learned), **adapters.saved(plan, model)}


# --- rows -----------------------------------------------------------------------------------------


def answered(tokenizer: Any, record: Record, answer: str, max_tokens: int) -> Row:
    """Token ids of prompt and answer; only the answer counts. Of what is too long the beginning of the prompt goes."""
    turns = conversation(record)
    before = templated(tokenizer, turns, add_generation_prompt=True)
    whole = templated(tokenizer, [*turns, {"role": "assistant", "content": answer}])
    start = len(before) if whole[: len(before)] == before else _common(before, whole)
    labels = [IGNORED] * start + whole[start:]
    cut = max(0, min(len(whole) - max_tokens, start - 1))
    return {"input_ids": whole[cut : cut + max_tokens], "labels": labels[cut : cut + max_tokens]}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _pairs(tokenizer: Any, records: Sequence[Record], most: int) -> Iterator[Row]:
    for record in records:
        if all(record.answers):
            yield {side: answered(tokenizer, record, text, most) for side, text in zip(SIDES, record.answers, strict=True)}  # fmt: skip


def _thumbs(tokenizer: Any, records: Sequence[Record], most: int) -> Iterator[Row]:
    """Every answer by itself, and the next one under this prompt, which tells how far the model has moved."""
    single = [(r, text, liked) for r in records for text, liked in zip(r.answers, (True, False), strict=True) if text]
    for place, (record, text, liked) in enumerate(single):
        other = next(
            (t for r, t, _ in [*single[place + 1 :], *single[:place]] if r.input != record.input), single[place - 1][1]
        )
        yield {
            "said": answered(tokenizer, record, text, most),
            "elsewhere": answered(tokenizer, record, other, most),
            "liked": liked,
        }


def balanced(rows: Sequence[Row]) -> tuple[float, float]:
    """Weights of liked and other answers under which both sorts weigh the same in all."""
    liked = sum(row["liked"] for row in rows)
    other = len(rows) - liked
    if not liked or not other:
        return 1.0, 1.0
    return max(1.0, other / liked), max(1.0, liked / other)


# --- log-probabilities and losses -----------------------------------------------------------------


def log_probabilities(model: Any, batch: dict[str, Any]) -> Any:
    """Of each row's answer, summed over its tokens. Shape: ``(rows,)``."""
    import torch

    labels = batch["labels"][:, 1:]
    scores = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].float()
    each = torch.nn.functional.cross_entropy(scores.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    return -each.sum(1)


def referenced(model: Any, rows: Sequence[Row], sides: Sequence[str], collate: Any) -> None:
    """Write into each row, as ``base``, what the model gives that it is compared with."""
    import torch

    model.eval()
    with torch.inference_mode():
        for row in rows:
            batch = collate([row[side] for side in sides])
            found = log_probabilities(model, {name: column.to(model.device) for name, column in batch.items()})
            row["base"] = found.tolist()


def _batch(rows: Sequence[Row], sides: Sequence[str], collate: Any) -> dict[str, Any]:
    """All rows' first sides, then all rows' second ones, in one batch."""
    import torch

    batch: dict[str, Any] = collate([row[side] for side in sides for row in rows])
    batch["base"] = torch.tensor([row["base"][n] for n in range(len(sides)) for row in rows])
    if "liked" in rows[0]:
        batch["liked"] = torch.tensor([row["liked"] for row in rows])
    return batch


def dpo_loss(beta: float) -> Callable[[Any, dict[str, Any]], Any]:
    def loss(model: Any, batch: dict[str, Any]) -> Any:
        import torch

        rewards = log_probabilities(model, batch) - batch["base"]
        chosen, rejected = rewards.chunk(2)
        return -torch.nn.functional.logsigmoid(beta * (chosen - rejected)).mean()

    return loss


def kto_loss(beta: float, liked_weight: float, other_weight: float) -> Callable[[Any, dict[str, Any]], Any]:
    def loss(model: Any, batch: dict[str, Any]) -> Any:
        import torch

        rewards, elsewhere = (log_probabilities(model, batch) - batch["base"]).chunk(2)
        moved = elsewhere.mean().clamp(min=0).detach()
        sign = torch.where(batch["liked"], 1.0, -1.0)
        weight = torch.where(batch["liked"], liked_weight, other_weight)
        return (weight * (1 - torch.sigmoid(beta * sign * (rewards - moved)))).mean()

    return loss
