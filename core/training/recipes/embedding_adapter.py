"""The recipe ``embedding-adapter``: pairs teach a matrix over the vectors of the embedding model. No torch, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.contracts import EmbeddingModel
from core.errors import InputError
from core.evaluation.datasets import Record
from core.providers.registry import open_model
from core.providers.sync import run
from core.training.adapted import save
from core.training.data import NEGATIVES
from core.training.linear_adapter import Pairs, learn
from core.training.loop import Stopped
from core.training.recipes import Plan


def train(plan: Plan) -> dict[str, Any]:
    settings, session = plan.recipe.settings, plan.session
    embedding = open_model("embedding", plan.embedding, plan.app)
    session.log.write(0, int(settings["epochs"]))
    try:
        pairs, held_out = (
            run(embedded(part.records, embedding)) for part in (plan.splits.train, plan.splits.validation)
        )
    finally:
        run(embedding.aclose())

    for part, found in (("train", pairs), ("validation", held_out)):
        if not len(found.own):
            raise InputError(reason="no_rows", name=f"{plan.splits.train.name} ({part})")

    def told(epoch: int, epochs: int, loss: float, validation: float, best: bool) -> None:
        session.log.write(epoch, epochs, loss=loss, validation=validation, best=best)
        if session.stop():
            raise Stopped  # what was learned in seconds is not worth a checkpoint

    learned = learn(
        pairs,
        held_out,
        epochs=int(settings["epochs"]),
        batch_size=int(settings["batch_size"]),
        learning_rate=settings["learning_rate"],
        scale=settings["scale"],
        seed=session.seed,
        told=told,
    )
    facts = {
        "dimensions": len(learned.matrix),
        "weights": learned.matrix.size,
        "validation_loss_before": round(learned.before, 5),
        "validation_loss": round(learned.after, 5),
        "epoch": learned.epoch,
    }
    about = {"pairs": plan.splits.train.checksum, "validation": plan.splits.validation.checksum}
    save(plan.model, learned.matrix, base=embedding.name, about=about | facts)
    return facts


async def embedded(records: Sequence[Record], embedding: EmbeddingModel) -> Pairs:
    """The pairs of ``records`` with their vectors. What is right for a text in any row is not wrong for it."""
    import numpy as np

    queries = {text: number for number, text in enumerate(dict.fromkeys(r.input for r in records))}
    texts = [text for r in records for text in (*r.answers, *r.metadata.get(NEGATIVES, ()))]
    documents = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    own = [(queries[r.input], documents[answer]) for r in records for answer in r.answers if answer != r.input]
    known = set(own)
    wrong: list[list[int]] = [[] for _ in queries]
    for record in records:
        query = queries[record.input]
        named = (documents[text] for text in record.metadata.get(NEGATIVES, ()) if text != record.input)
        wrong[query] += [document for document in named if (query, document) not in known]
    return Pairs(
        await embedding.embed(list(queries), kind="query"),
        await embedding.embed(list(documents), kind="document"),
        np.array(own, np.int64).reshape(-1, 2),
        wrong,
        [documents.get(text) for text in queries],
    )
