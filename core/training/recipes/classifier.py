"""The recipes ``lora``, ``adalora``, ``full`` and ``frozen``: a text classifier on an encoder.

encoder + a linear layer  ->  train all, adapters or the top alone  ->  one temperature from the validation part
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.training.bases import quiet
from core.training.loop import optimize, planned_steps
from core.training.recipes import Plan, adapters, ranks

LABELS = "labels.json"  # beside the weights: the labels in their order, and the temperature


def train(plan: Plan) -> dict[str, Any]:
    from transformers import AutoTokenizer, set_seed

    set_seed(plan.session.seed)
    labels = sorted({str(record.label) for record in plan.splits.train.records})
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(plan.start, local_files_only=True)
        model = trainable(plan, labels)
    rows, held = (
        encoded(tokenizer, part.records, labels, plan.recipe.settings["max_tokens"])
        for part in (plan.splits.train, plan.splits.validation)
    )
    ranked = plan.recipe.method == "adalora"
    more: dict[str, Any] = {"loss": ranks.loss, "callbacks": [ranks.moving(model)]} if ranked else {}
    facts = optimize(model, rows, held, padded(tokenizer), plan.recipe.settings, plan.session, **more)
    found = temperature(model, held, padded(tokenizer))
    counted = adapters.counted(model)
    if ranked:
        counted["trained_weights"] -= ranks.masked(model)
        model = model.merge_and_unload(safe_merge=True)  # masked ranks add nothing, and nobody else masks them
    with quiet():
        model.save_pretrained(plan.model)
        tokenizer.save_pretrained(plan.model)
    told = {"labels": labels, "temperature": found, "max_tokens": plan.recipe.settings["max_tokens"]}
    (plan.model / LABELS).write_text(json.dumps(told, ensure_ascii=False), "utf-8")
    return {**facts, "labels": labels, "temperature": found, **counted}


def trainable(plan: Plan, labels: Sequence[str]) -> Any:
    """The base with a new classifier on top; which weights move is the recipe's method."""
    import torch
    from transformers import AutoModelForSequenceClassification

    names = dict(enumerate(labels))
    model = AutoModelForSequenceClassification.from_pretrained(
        plan.start,
        num_labels=len(labels),
        id2label=names,
        label2id={label: number for number, label in names.items()},
        ignore_mismatched_sizes=True,  # a base that classified something else begins with a new top
        dtype=torch.float32,
        local_files_only=True,
        trust_remote_code=False,
    )
    if plan.recipe.method == "lora":
        return adapters.with_adapters(model, plan.recipe.settings, "SEQ_CLS")
    if plan.recipe.method == "adalora":
        steps = planned_steps(len(plan.splits.train.records), plan.recipe.settings)
        return adapters.with_adapters(model, plan.recipe.settings, "SEQ_CLS", steps=steps)
    if plan.recipe.method == "frozen":
        for name, weight in model.base_model.named_parameters():
            weight.requires_grad_("pooler" in name)  # the pooler of BERT was never trained for this task either
    return model


def encoded(tokenizer: Any, records: Sequence[Any], labels: Sequence[str], max_tokens: float) -> list[dict[str, Any]]:
    """Token ids and the number of the label, per record."""
    number = {label: i for i, label in enumerate(labels)}
    ids = tokenizer([r.input for r in records], truncation=True, max_length=_most(tokenizer, max_tokens))["input_ids"]
    return [{"input_ids": row, "label": number[str(r.label)]} for row, r in zip(ids, records, strict=True)]


def padded(tokenizer: Any) -> Any:
    """Makes a batch: padded to its longest row."""

    def collate(rows: list[dict[str, Any]]) -> Any:
        import torch

        batch = tokenizer.pad({"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt")
        if "label" in rows[0]:
            batch["labels"] = torch.tensor([row["label"] for row in rows])
        return batch

    return collate


def logits(model: Any, rows: Sequence[dict[str, Any]], collate: Any, *, batch: int = 32) -> Any:
    """Shape: ``(len(rows), labels)``, float32 on the CPU; rows of one length share a batch."""
    import torch

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
    found = torch.empty(len(rows), 0)
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            given = collate([{"input_ids": rows[i]["input_ids"]} for i in places]).to(model.device)
            part = model(**given).logits.float().cpu()
            if not found.shape[1]:
                found = torch.empty(len(rows), part.shape[1])
            found[places] = part
    return found


def temperature(model: Any, held: Sequence[dict[str, Any]], collate: Any) -> float:
    """The number by which the logits are divided so that the held-out labels are most likely.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.
    """
    import torch
    from scipy.optimize import minimize_scalar

    scores, truth = logits(model, held, collate), torch.tensor([row["label"] for row in held])

    def loss(log_t: float) -> float:
        return float(torch.nn.functional.cross_entropy(scores / float(torch.tensor(log_t).exp()), truth))

    found = minimize_scalar(loss, bounds=(-1.1, 1.1), method="bounded")
    return float(round(float(torch.tensor(found.x).exp()), 4))


def _most(tokenizer: Any, max_tokens: float) -> int:
    return int(min(max_tokens, tokenizer.model_max_length))
