"""Searching one collection: both legs, fused, with the reason for every hit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from core.contracts import EmbeddingModel
from core.errors import TouchstoneError
from core.retrieval import keyword, passage_rows, pending, tokens, vocabulary
from core.retrieval.allowed import AllowedCache
from core.retrieval.candidates import LEAST, gather, terms_of
from core.retrieval.options import SearchOptions
from core.retrieval.records import Found
from core.retrieval.search import IndexFailed, VectorLeg
from core.retrieval.segment_views import View
from core.types import Hit, Passage
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

CANDIDATES = LEAST  # of each leg, before fusion


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A question's vector and the model that made it, or neither and the notice that says why."""

    vector: np.ndarray | None = None
    model: EmbeddingModel | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as one collection is asked it.

    ``terms_from`` is the text whose content terms count as the question's; ``vector`` is not used in keyword mode.
    With ``uncut`` all candidates come back, not the first ``options.depth``.
    """

    query: str
    vector: QueryVector
    terms_from: str
    options: SearchOptions
    words: vocabulary.Vocabulary = vocabulary.EMPTY
    uncut: bool = False


async def query_vector(embedding: Callable[[], EmbeddingModel] | None, query: str) -> QueryVector:
    if embedding is None:
        return QueryVector()
    try:
        model = embedding()
        return QueryVector((await model.embed([query], kind="query"))[0], model)
    except TouchstoneError:
        return QueryVector(notices=("embedding_down",))


def query_vector_now(embedding: Callable[[], EmbeddingModel] | None, query: str) -> QueryVector | None:
    """As :func:`query_vector`; blocks. ``None`` where the model can be asked by way of an event loop alone."""
    if embedding is None:
        return QueryVector()
    try:
        model = embedding()
        now = getattr(
            model, "embed_now", None
        )  # a BlockingEmbedding; asking isinstance costs more than what is asked for
        return None if now is None else QueryVector(now([query], kind="query")[0], model)
    except TouchstoneError:
        return QueryVector(notices=("embedding_down",))


def find(
    workspace: Workspace,
    collection: int,
    legs: Callable[[int, EmbeddingModel], VectorLeg],
    asked: Asked,
    cache: AllowedCache,
    name: str = "",
) -> Found:
    """The best passages of ``collection`` in fused order, ``options.depth`` of them.

    A filter restricts both legs before each takes its best: what it lets through competes as if nothing else were
    there, with the scores it has in the whole collection.

    Args:
        collection: its keyword index is of this format (:func:`core.retrieval.keyword.make_current`).
        name: the collection's, for the hits.

    Raises:
        IndexFailed: inside a snapshot; ask again outside.
    """
    try:
        return _find(workspace, collection, legs, asked, cache, name)
    except IndexFailed as failed:
        if workspace.connection().in_transaction:
            raise
        assert asked.vector.model is not None  # there was a leg to fail  # noqa: S101
        legs(collection, asked.vector.model).without_index(failed.error)
        return _find(workspace, collection, legs, asked, cache, name)


def _find(
    workspace: Workspace,
    collection: int,
    legs: Callable[[int, EmbeddingModel], VectorLeg],
    asked: Asked,
    cache: AllowedCache,
    name: str,
) -> Found:
    options, given = asked.options, asked.vector
    with workspace.snapshot() as db:
        view = keyword.view(db, collection)
        total, notices = view.passages, given.notices
        if not total:
            return Found(asked.query, (), vector=given.vector, notices=notices)
        allowed = cache.get(db, collection, options.filter) if options.filter is not None else None
        terms = search_terms(db, collection, asked, total, view) if options.mode != "vector" else ()
        held = keyword.terms_in(db, collection, terms, view=view)
        by_meaning = options.mode != "keyword" and given.vector is not None and given.model is not None
        leg = legs(collection, given.model) if by_meaning and given.model is not None else None
        made = gather(db, collection, held, options.depth, leg, given.vector, allowed=allowed, view=view)
        best = made.best if asked.uncut else made.best[: options.depth]
        numbers = made.numbers[best]
        places = view.places(numbers)
        passages = view.shown(db, collection, numbers, places)
        content = tokens.content_terms(asked.terms_from)
        if not held.holds(content):  # those of another question, or too common to be searched
            held = keyword.terms_in(db, collection, content, view=view)
        matched, weights = held.matched(places, content, len(numbers)), held.idf(content)
        if given.model is not None and pending.some(workspace, collection, given.model.name):
            notices = (*notices, "embedding_pending")
        if leg is not None and leg.notices:  # what the search by meaning had to do without
            notices = (*notices, *(code for code in leg.notices if code not in notices))
    columns = (made.fused, made.word_ranks, made.by_word, made.meaning_ranks, made.by_meaning)
    rows = zip(numbers.tolist(), *(column[best].tolist() for column in columns), matched, strict=True)
    hits = tuple(
        Hit(
            passages[number],
            fused,
            word_rank or None,
            None if isnan(by_word) else by_word,
            meaning_rank or None,
            None if isnan(by_meaning) else by_meaning,
            terms_held,
            collection=name,
        )
        for number, fused, word_rank, by_word, meaning_rank, by_meaning, terms_held in rows
        if number in passages
    )
    return Found(asked.query, hits, weights, total, given.vector, made.spread, notices)


def search_terms(
    db: sqlite3.Connection, collection: int, asked: Asked, total: int, view: View | None = None
) -> list[str]:
    """The terms that the keyword leg is asked for: the question's, and those of kept words and synonyms."""
    own = terms_of(asked.query, lambda asking: keyword.document_frequency(db, collection, asking, view=view), total)
    return list(dict.fromkeys([*own, *asked.words.added_terms(asked.query, synonyms=asked.options.synonyms)]))


def passages(db: sqlite3.Connection, collection: int, ids: Sequence[str]) -> dict[str, Passage]:
    """Passages by id, in the order of ``ids``; only those of ``collection``."""
    found = {passage.id: passage for _, passage in passage_rows.read(db, collection, "id", ids)}
    return {id_: found[id_] for id_ in ids if id_ in found}


def passage_of(row: sqlite3.Row) -> Passage:
    """A row of ``passages`` joined with its document's title, source and metadata; the passage's own keys win."""
    return Passage(
        row["id"], row["document_id"], row["text"], row["title"], row["source"], row["position"], row["start"],
        row["end"], row["heading"], row["page"], row["language"], passage_rows.metadata(row["document_metadata"], row["metadata"]),
    )  # fmt: skip
