"""The recipe ``head``: four views of a text on top of the embedding model. No torch, no checkpoints: it takes seconds."""

from __future__ import annotations

from typing import Any

from core.providers.registry import open_model
from core.providers.sync import run
from core.training.fit import fit
from core.training.recipes import Plan
from core.types import Example


def train(plan: Plan) -> dict[str, Any]:
    learned, checked = (
        [Example(record.input, str(record.label)) for record in part.records]
        for part in (plan.splits.train, plan.splits.validation)
    )
    plan.session.log.write(0, 1)
    embedding = open_model("embedding", plan.embedding, plan.app)
    try:
        head = run(
            fit(learned, embedding, validation=checked, kept=plan.recipe.settings["kept"], seed=plan.session.seed)
        )
    finally:
        run(embedding.aclose())
    head.save(plan.model)
    plan.session.log.write(1, 1)
    return {"labels": list(head.labels), "fitted_s": head.about["fitted_s"]}
