"""The recipe ``embedding``: pairs of texts that belong together teach an embedding model.

Of each batch a text's own partner must be nearer than all others' (multiple negatives ranking), and nearer than a text
that is wrong for it where rows name some (triples). Source: Henderson et al. 2017, https://arxiv.org/abs/1705.00652, the loss
of sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.bases import quiet
from core.training.data import NEGATIVES
from core.training.loop import optimize
from core.training.recipes import Plan


def train(plan: Plan) -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import set_seed

    set_seed(plan.session.seed)
    settings = plan.recipe.settings
    with quiet():
        model = SentenceTransformer(
            str(plan.start), device=plan.session.device or None, trust_remote_code=False, local_files_only=True
        )
    model.max_seq_length = int(min(settings["max_tokens"], model.max_seq_length or settings["max_tokens"]))

    def ranking(learner: Any, features: Any) -> Any:
        """The loss; of several processes each compares with the texts of all, as one process would."""
        return MultipleNegativesRankingLoss(learner, scale=settings["scale"], gather_across_devices=True)(
            features, None
        )

    facts = optimize(
        model,
        distinct(plan.splits.train.records),
        distinct(plan.splits.validation.records),
        lambda rows: [model.preprocess(texts) for texts in columns(rows)],
        settings,
        plan.session,
        loss=ranking,
    )
    with quiet():
        model.save(str(plan.model), create_model_card=False)
    return {
        **facts,
        "weights": sum(p.numel() for p in model.parameters()),
        "dimensions": model.get_embedding_dimension(),
    }


def distinct(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One pair of each text; the second copy of a text would be taught to be a stranger to the first. Where a record names
    wrong texts, every pair has some: those that a record lacks are another's partner."""
    seen: set[str] = set()
    found: list[dict[str, Any]] = []
    for record in records:
        anchor, positive = record.input, record.answers[0]
        if anchor not in seen and positive not in seen:
            seen |= {anchor, positive}
            found.append({"anchor": anchor, "positive": positive, NEGATIVES: record.metadata.get(NEGATIVES, ())})
    if not any(row[NEGATIVES] for row in found) or len(found) < 2:
        return [{"anchor": row["anchor"], "positive": row["positive"]} for row in found]
    right: dict[str, set[str]] = {}
    for record in records:
        right.setdefault(record.input, set()).update(record.answers)
    for row, other in zip(found, [*found[1:], found[0]], strict=True):
        wrong = [text for text in row[NEGATIVES] if text not in right[row["anchor"]]]
        row[NEGATIVES] = wrong or [other["positive"]]
    return found


def columns(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The texts of a batch, alike in number: anchors, partners and, where rows have them, wrong ones, none of which is the
    partner of another row of the batch if that can be helped."""
    anchors, partners = ([row[side] for row in rows] for side in ("anchor", "positive"))
    if NEGATIVES not in rows[0]:
        return [anchors, partners]
    there = set(partners)
    return [anchors, partners, [next((text for text in row[NEGATIVES] if text not in there), row[NEGATIVES][0]) for row in rows]]  # fmt: skip
