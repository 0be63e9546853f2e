"""Searching one collection: both legs, fused, with the reason for every hit."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from core.contracts import EmbeddingModel
from core.errors import TouchstoneError
from core.retrieval import fuse, keyword, split, tokens
from core.retrieval.candidates import gather, terms_of
from core.retrieval.records import Found
from core.retrieval.search import VectorLeg
from core.types import Hit, Passage
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A question's vector and the model that made it, or neither and the notice that says why."""

    vector: np.ndarray | None = None
    model: EmbeddingModel | None = None
    notices: tuple[str, ...] = ()


async def query_vector(embedding: Callable[[], EmbeddingModel] | None, query: str) -> QueryVector:
    if embedding is None:
        return QueryVector()
    try:
        model = embedding()
        return QueryVector((await model.embed([query], kind="query"))[0], model)
    except TouchstoneError:
        return QueryVector(notices=("embedding_down",))


def find(
    workspace: Workspace,
    collection: int,
    legs: Callable[[int, EmbeddingModel], VectorLeg],
    query: str,
    top_k: int,
    asked: QueryVector,
    terms_from: str,
) -> Found:
    """The best ``top_k`` passages of ``collection``; see :meth:`core.retrieval.index.Index.find`."""
    with workspace.read() as db:
        total = db.execute("SELECT count(*) FROM passages WHERE collection_id = ?", (collection,)).fetchone()[0]
        if not total:
            return Found(query, (), vector=asked.vector, notices=asked.notices)
        leg = legs(collection, asked.model) if asked.model is not None else None
        terms = terms_of(query, lambda asking: keyword.document_frequency(db, collection, asking), total)
        made = gather(db, collection, terms, top_k, leg, asked.vector)
        best = fuse.ranked(made.fused)[:top_k]
        found = passages(db, collection, best)
        content = tokens.content_terms(terms_from)
        frequency = keyword.document_frequency(db, collection, content)
    weights = {term: keyword.idf(frequency[term], total) for term in content}
    hits = tuple(
        Hit(
            passage,
            made.fused[passage.id],
            made.word_ranks.get(passage.id),
            made.by_word.get(passage.id),
            made.meaning_ranks.get(passage.id),
            made.by_meaning.get(passage.id),
            _matched(passage, content),
        )
        for passage in (found[id_] for id_ in best if id_ in found)
    )
    return Found(query, hits, weights, total, asked.vector, made.spread, asked.notices)


def passages(db: sqlite3.Connection, collection: int, ids: Sequence[str]) -> dict[str, Passage]:
    """Passages by id, in the order of ``ids``; only those of ``collection``."""
    if not ids:
        return {}
    marks = ",".join("?" * len(ids))
    rows = db.execute(
        "SELECT p.*, d.title, d.source FROM passages p JOIN documents d ON d.id = p.document_id"
        f" WHERE p.collection_id = ? AND p.id IN ({marks})",
        (collection, *ids),
    )
    found = {row["id"]: passage_of(row) for row in rows}
    return {id_: found[id_] for id_ in ids if id_ in found}


def passage_of(row: sqlite3.Row) -> Passage:
    """A row of ``passages`` joined with its document's title and source."""
    return Passage(
        row["id"], row["document_id"], row["text"], row["title"], row["source"], row["position"], row["start"],
        row["end"], row["heading"], row["page"], row["language"], json.loads(row["metadata"]),
    )  # fmt: skip


def _matched(passage: Passage, content: Sequence[str]) -> tuple[str, ...]:
    """Which of the question's content terms stand in the passage or its context."""
    context = split.context(passage.title, passage.heading, dict(passage.metadata))
    there = _terms(f"{context}\n{passage.text}")
    return tuple(term for term in content if term in there)


@lru_cache(maxsize=2048)
def _terms(text: str) -> frozenset[str]:
    """Terms of a passage; the same passages are found again and again."""
    return frozenset(tokens.tokens(text))
