"""Why a passage was found, or was not: terms, ranks, scores, filter, duplicates, budget.

Not on the path of a search: ranks are counted over everything, not over the candidates alone.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.i18n import message
from core.retrieval import allowed, bm25, filters, finding, keyword, split, vectors
from core.retrieval.allowed import AllowedCache
from core.retrieval.names import Names
from core.retrieval.options import MOST
from core.retrieval.records import Found
from core.types import Passage

if TYPE_CHECKING:
    from core.retrieval.index import Index

Verdict = Literal[
    "found",  # among the hits
    "folded",  # repeats a better hit, which stands for it
    "outranked",  # among the first by relevance; boosts, recency or diversity put others above
    "below_cut",  # a candidate, but not among the first top_k
    "not_candidate",  # neither leg had it among its best
    "filtered_out",
    "elsewhere",  # in another collection of the caller's
    "not_here",  # not indexed; or somebody else's, which is not said
]
MOST_PASSAGES = 5  # of a document that are explained, the best first


@dataclass(frozen=True, slots=True)
class TermReason:
    """A term that was searched for. ``in_text`` and ``in_context`` (title, headings) count it in the passage."""

    term: str
    idf: float
    passages: int  # of the collection that hold it
    in_text: int
    in_context: int
    synonym: bool = False


@dataclass(frozen=True, slots=True)
class PassageReason:
    """One passage against a query. Ranks count from 1 among what the filter lets through; ``None``: not ranked.

    ``keyword_rank`` and ``keyword_score`` are exact whether or not the passage was a candidate, and so is
    ``cosine``; ``vector_rank`` is ``None`` beyond the first 1,000. ``pending`` says that its vector is not made yet.
    """

    passage: Passage
    verdict: Verdict
    rank: int | None = None
    score: float | None = None
    fused_rank: int | None = None
    fused_score: float | None = None
    keyword_rank: int | None = None
    keyword_score: float | None = None
    vector_rank: int | None = None
    cosine: float | None = None
    pending: bool = False
    folded_into: str | None = None
    failed: tuple[str, ...] = ()  # conditions of the filter
    parts: Mapping[str, float] | None = None
    terms: tuple[TermReason, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why ``about`` was found, or was not. ``passages`` are those of the document that come nearest, best first."""

    query: str
    about: str
    verdict: Verdict
    top_k: int
    candidates: int = finding.CANDIDATES
    title: str = ""
    source: str = ""
    collection: str = ""
    elsewhere: tuple[str, ...] = ()
    filter: str = ""
    passages: tuple[PassageReason, ...] = ()
    more_passages: int = 0
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The explanation as data, for ``--json`` and HTTP."""
        return asdict(self)

    def text(self, language: str = "en") -> str:
        """The verdict in one sentence."""
        first = self.passages[0] if self.passages else None
        return message(
            f"explain.{self.verdict}",
            language,
            about=self.title or self.about,
            collection=self.collection,
            elsewhere=", ".join(self.elsewhere),
            top_k=self.top_k,
            candidates=self.candidates,
            rank=first.rank if first else None,
            fused_rank=first.fused_rank if first else None,
            folded_into=first.folded_into if first else None,
            failed="; ".join(first.failed) if first else "",
        )


def explain(view: View, about: str, passages: Sequence[Passage]) -> Explanation:
    """Judge ``passages`` (one, or those of a document) of the view's collection; blocks."""
    index, asked, final = view.index, view.asked, view.final
    with index.workspace.read() as db:
        reasons = sorted((view.reason(db, passage) for passage in passages), key=_nearness)
    detailed = tuple(replace(reason, terms=view.terms(reason.passage)) for reason in reasons[:MOST_PASSAGES])
    return Explanation(
        asked.query,
        about,
        reasons[0].verdict,
        asked.options.top_k,
        title=passages[0].title,
        source=passages[0].source,
        collection=index.name,
        filter=filters.described(asked.options.filter) if asked.options.filter else "",
        passages=detailed,
        more_passages=len(reasons) - len(detailed),
        notices=final.notices,
    )


def resolve(db: sqlite3.Connection, collection: int, about: str) -> list[str]:
    """Ids of the passages that ``about`` names: a passage, or a document by id, source, path, file name or title."""
    row = db.execute("SELECT id FROM passages WHERE collection_id = ? AND id = ?", (collection, about)).fetchone()
    if row is not None:
        return [row["id"]]
    documents: list[sqlite3.Row] = []
    for column, value in (("id", about), ("source", about), ("source", _full(about)), ("title", about)):
        documents = (
            documents
            or db.execute(
                f"SELECT id FROM documents WHERE collection_id = ? AND {column} = ? LIMIT 2", (collection, value)
            ).fetchall()
        )
    if not documents and "/" not in about:
        documents = db.execute(
            "SELECT id FROM documents WHERE collection_id = ? AND substr(source, -length(?)) = ? LIMIT 2",
            (collection, f"/{about}", f"/{about}"),
        ).fetchall()
    if len(documents) != 1:  # none, or several of that name: which one is meant cannot be told
        return []
    rows = db.execute(
        "SELECT id FROM passages WHERE collection_id = ? AND document_id = ? ORDER BY position",
        (collection, documents[0]["id"]),
    )
    return [row["id"] for row in rows]


def _full(about: str) -> str:
    try:
        return str(Path(about).expanduser().resolve())
    except (OSError, ValueError, RuntimeError):  # no path: a NUL, a loop of links, an unknown user
        return about


@dataclass(frozen=True, slots=True)
class View:
    """Everything in a collection ranked by each leg, beside the search that gave ``final``."""

    index: Index
    asked: finding.Asked
    final: Found
    collection: int
    total: int
    query_terms: tuple[str, ...]
    own_terms: frozenset[str]  # without synonyms
    frequency: Mapping[str, int]
    by_word: Mapping[str, tuple[int, float]]  # rank and score by passage id
    by_meaning: Mapping[str, int]  # rank
    fused: Mapping[str, tuple[int, float]]

    @classmethod
    def of(cls, index: Index, asked: finding.Asked, final: Found) -> View:
        options, collection = asked.options, index.id()
        plain = replace(asked, options=replace(options, synonyms=False))
        with index.workspace.read() as db:
            total = keyword.passages(db, collection)
            terms = finding.search_terms(db, collection, asked, total)
            own = finding.search_terms(db, collection, plain, total)
            let_through = allowed.allowed(db, collection, options.filter) if options.filter is not None else None
            numbers = let_through.numbers if let_through is not None else None
            words = keyword.search(db, collection, terms, max(1, total), allowed=numbers)
            ids = {row["number"]: row["id"] for row in db.execute(
                "SELECT number, id FROM passages WHERE collection_id = ?", (collection,)
            )} if words else {}  # fmt: skip
            frequency = keyword.document_frequency(db, collection, terms)
        meaning: Mapping[str, float] = {}
        if asked.vector.vector is not None and asked.vector.model is not None:
            leg = index.leg(asked.vector.model)
            near = leg.search(asked.vector.vector, MOST, allowed=let_through)
            with index.workspace.read() as db:
                named = Names(db, collection).ids(near.numbers)
            meaning = {id_: cosine for id_, cosine in zip(named, near.cosines.tolist(), strict=True) if id_ is not None}
        candidates = finding.find(
            index.workspace, collection, lambda _, model: index.leg(model), replace(asked, uncut=True), AllowedCache()
        )
        return cls(
            index,
            asked,
            final,
            collection,
            total,
            tuple(terms),
            frozenset(own),
            frequency,
            {ids[number]: (rank, score) for rank, (number, score) in enumerate(words, 1) if number in ids},
            {id_: rank for rank, id_ in enumerate(meaning, 1)},
            {hit.passage.id: (rank, hit.score) for rank, hit in enumerate(candidates.hits, 1)},
        )

    def reason(self, db: sqlite3.Connection, passage: Passage) -> PassageReason:
        options, id_ = self.asked.options, passage.id
        hits = {hit.passage.id: (rank, hit) for rank, hit in enumerate(self.final.hits, 1)}
        folded = {other.passage.id: hit.passage.id for hit in self.final.hits for other in hit.similar}
        cosine, pending = self._cosine(db, id_)
        fused_rank, fused_score = self.fused.get(id_, (None, None))
        keyword_rank, keyword_score = self.by_word.get(id_, (None, None))
        known = PassageReason(
            passage, "not_candidate", None, None, fused_rank, fused_score, keyword_rank, keyword_score,
            self.by_meaning.get(id_), cosine, pending,
        )  # fmt: skip
        if options.filter is not None and not allowed.lets_through(db, self.collection, id_, options.filter):
            return replace(known, verdict="filtered_out", failed=_failed(db, self.collection, id_, options.filter))
        if id_ in hits:
            rank, hit = hits[id_]
            return replace(known, verdict="found", rank=rank, score=hit.score, parts=dict(hit.parts) or None)
        if id_ in folded:
            return replace(known, verdict="folded", folded_into=folded[id_])
        legs = (
            (keyword_rank if options.mode != "vector" else None),
            (self.by_meaning.get(id_) if options.mode != "keyword" else None),
        )
        deep = max(finding.CANDIDATES, options.depth)
        if not any(rank is not None and rank <= deep for rank in legs):
            return known
        inside = options.arranges and fused_rank is not None and fused_rank <= options.top_k
        return replace(known, verdict="outranked" if inside else "below_cut")

    def terms(self, passage: Passage) -> tuple[TermReason, ...]:
        words = self.asked.words
        in_text = Counter(words.terms(passage.text))
        in_context = Counter(words.terms(split.context(passage.title, passage.heading, dict(passage.metadata))))
        return tuple(
            TermReason(
                term.removeprefix("="),
                bm25.idf(self.frequency[term], self.total),
                self.frequency[term],
                in_text[term],
                in_context[term],
                term not in self.own_terms,
            )
            for term in self.query_terms
        )

    def _cosine(self, db: sqlite3.Connection, passage_id: str) -> tuple[float | None, bool]:
        """The exact cosine, and whether the vector it needs is not made yet."""
        model, vector = self.asked.vector.model, self.asked.vector.vector
        if model is None or vector is None:
            return None, False
        hash_ = db.execute("SELECT text_hash FROM passages WHERE id = ?", (passage_id,)).fetchone()[0]
        stored = vectors.get(db, model.name, [hash_])
        return (float(stored[hash_] @ vector), False) if stored else (None, True)


def _failed(db: sqlite3.Connection, collection: int, passage_id: str, where: filters.Filter) -> tuple[str, ...]:
    """The conditions of ``where`` that keep the passage out."""
    parts = where.parts if isinstance(where, filters.Every) else (where,)
    return tuple(
        filters.described(part) for part in parts if not allowed.lets_through(db, collection, passage_id, part)
    )


def _nearness(reason: PassageReason) -> tuple[bool, int, int, float, str]:
    """Found ones first, then by fused rank, then by how alike they are."""
    far = MOST * 1000
    return (
        reason.verdict == "filtered_out",
        reason.rank or far,
        reason.fused_rank or far,
        -(reason.cosine or 0.0) - (reason.keyword_score or 0.0),
        reason.passage.id,
    )
