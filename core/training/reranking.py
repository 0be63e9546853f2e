"""How a cross-encoder is judged: does it put what belongs to a query above what a search brings beside it?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.contracts import Reranker
from core.evaluation.datasets import Dataset, Document, Record
from core.evaluation.judges import retrieval_task
from core.evaluation.tasks import Task
from core.training.data import NEGATIVES

TASK = "rerank"
PLAIN = "embedded:lexical"  # the reranker that reads only words, the baseline
CANDIDATES = 20  # passages ordered for a query, as many as a search hands on
RANKED = ("ndcg@10", "mrr@10", "success@1")


def task(test: Dataset, others: Sequence[str]) -> Task:
    """For each query its passages among its negatives; those that it lacks are taken from ``others``, round and round."""
    right: dict[str, list[str]] = {}
    wrong: dict[str, list[str]] = {}
    for record in test.records:
        right.setdefault(record.input, []).extend(record.answers)
        wrong.setdefault(record.input, []).extend(record.metadata.get(NEGATIVES, ()))
    strangers = list(dict.fromkeys([*others, *(answer for answers in right.values() for answer in answers)]))
    ids: dict[str, str] = {}
    records = []
    for number, (query, answers) in enumerate(right.items()):
        candidates = list(dict.fromkeys([*answers, *wrong[query]]))
        for place in range(len(strangers)):
            if len(candidates) >= CANDIDATES:
                break
            stranger = strangers[(number * CANDIDATES + place) % len(strangers)]
            if stranger not in candidates:
                candidates.append(stranger)
        candidates.sort(key=lambda text, query=query: hashlib.sha256(f"{query}\n{text}".encode()).digest())  # type: ignore[misc]
        named = [ids.setdefault(text, f"d{len(ids)}") for text in candidates]  # in an order that tells nothing
        relevant = {ids[answer]: 1.0 for answer in answers}
        records.append(Record(f"q{number}", query, relevant=relevant, metadata={"candidates": named}))
    documents = tuple(Document(id_, text) for text, id_ in ids.items())
    return replace(retrieval_task(Dataset(test.name, "test", tuple(records), documents), RANKED), name=TASK)


async def ordered(data: Dataset, model: Reranker) -> dict[str, Any]:
    """Each query's candidates in the order of ``model``, best first."""
    import numpy as np

    texts = {document.id: document.text for document in data.documents}
    found = {}
    for record in data.records:
        candidates = record.metadata["candidates"]
        scores = await model.rerank(record.input, [texts[id_] for id_ in candidates])
        found[record.id] = [candidates[place] for place in np.argsort(-scores, kind="stable")]
    return found
