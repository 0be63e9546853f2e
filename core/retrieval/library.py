"""The way in for command line, pages and notebooks: collections of documents, and answers from them.

library = Library.of(runtime)
report = await library.collection().sync(["docs/"])
async for event in library.ask("几天内可以退货？"):
    ...                      # SourcesFound, SentenceReady, Notice, and one AnswerDone at the end
answer = await library.answer("几天内可以退货？")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.contracts import ChatModel, EmbeddingModel
from core.errors import InputError, InvalidSetting, NotFound
from core.i18n import Phrase
from core.retrieval import choice, filters, finding, keyword
from core.retrieval.allowed import AllowedCache
from core.retrieval.answer import AnswerDone, AnswerEvent
from core.retrieval.chroma import ChromaStore
from core.retrieval.explain import Explanation, Verdict, View, explain, resolve
from core.retrieval.index import Index
from core.retrieval.judge import Judge
from core.retrieval.options import SearchOptions
from core.retrieval.records import CollectionInfo, Found
from core.retrieval.rerank import Rerankers
from core.retrieval.search import Mode, VectorLeg
from core.retrieval.several import Narrowed, Several
from core.retrieval.vocabulary import ALL
from core.retrieval.words import Words
from core.types import LOCAL, Answer, Caller, Language, Message, Passage
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.runtime import Runtime

DEFAULT_COLLECTION = "default"


class Library:
    """All collections of a tenant. Keep one per process: it holds vectors in memory and the open Chroma client.

    Threads may share it. ``for_caller`` gives another tenant's or user's view on the same caches.
    """

    def __init__(
        self,
        workspace: Workspace,
        embedding: EmbeddingModel | Callable[[], EmbeddingModel] | None,
        caller: Caller = LOCAL,
        *,
        vectors: Mode = "auto",
        chroma_url: str = "",
        synonyms: Path | None = None,
        reranker: Rerankers | None = None,
    ) -> None:
        """
        Args:
            embedding: the model, or a function that opens it on first use; ``None`` searches by words alone.
            vectors: ``exact`` in memory, ``chroma``, or ``auto`` (Chroma for large collections).
            chroma_url: of a Chroma server; empty keeps the vector index in the workspace.
            synonyms: a YAML file that holds for every collection; see :func:`core.retrieval.vocabulary.read`.
            reranker: opens the model that orders the best hits, or says that there is none.
        """
        self.workspace, self.caller, self._mode = workspace, caller, vectors
        self._embedding: Callable[[], EmbeddingModel] | None = (
            None if embedding is None else embedding if callable(embedding) else lambda: embedding
        )
        self._reranker = reranker
        self._legs: dict[tuple[int, str], VectorLeg] = {}
        self._store = ChromaStore(workspace.folder / "chroma", chroma_url)
        self._lock = threading.Lock()
        self._allowed, self._synonyms = AllowedCache(), synonyms

    @classmethod
    def of(cls, runtime: Runtime, caller: Caller = LOCAL) -> Library:
        """The library of a runtime's workspace, with the embedding model that serves it.

        Raises:
            InvalidSetting: ``retrieval.chroma_url`` is no address.
        """
        values = runtime.settings.values
        mode: Mode = values["retrieval.vectors"]
        url = values["retrieval.chroma_url"]
        if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            where = runtime.settings.sources.get("retrieval.chroma_url", "")
            raise InvalidSetting(name="retrieval.chroma_url", value=url, allowed=Phrase("allowed.url"), where=where)
        named = values["retrieval.synonyms"]
        synonyms = runtime.settings.folder / Path(named).expanduser() if named else None

        def embedding() -> EmbeddingModel:
            return runtime.embedding(choice.serving(runtime.workspace, runtime.settings.model("embedding")))

        return cls(
            runtime.workspace,
            embedding,
            caller,
            vectors=mode,
            chroma_url=url,
            synonyms=synonyms,
            reranker=runtime.reranker,
        )

    def with_embedding(self, embedding: EmbeddingModel) -> Library:
        """The same library as ``embedding`` would serve it: caches shared, vectors of that model only."""
        other = self.for_caller(self.caller)
        other._embedding = lambda: embedding
        return other

    def tenants(self) -> list[tuple[str, str]]:
        """All collections of all tenants, for the upkeep of the whole workspace: ``(tenant, name)``."""
        with self.workspace.read() as db:
            rows = db.execute("SELECT tenant, name FROM collections ORDER BY tenant, name").fetchall()
        return [(row["tenant"], row["name"]) for row in rows]

    def embedding_model(self) -> EmbeddingModel | None:
        """The model that serves, or ``None`` when words alone are searched."""
        return self._embedding() if self._embedding is not None else None

    def leg(self, collection_id: int, model: EmbeddingModel) -> VectorLeg:
        """The vector leg of a collection, kept for the next caller."""
        return self._leg(collection_id, model)

    @property
    def store(self) -> ChromaStore:
        return self._store

    def for_caller(self, caller: Caller) -> Library:
        """The same library for another caller: caches shared, documents of ``caller.tenant`` only."""
        other = object.__new__(Library)
        other.__dict__.update(self.__dict__)
        other.caller = caller
        return other

    def collection(self, name: str = DEFAULT_COLLECTION) -> Index:
        """The collection ``name`` of this tenant, created when it is first written or searched.

        Raises:
            InputError: an empty name, or one longer than 100 characters.
        """
        if not name.strip() or len(name) > 100:
            raise InputError(reason="bad_value", name="collection", value=name[:100], allowed="1-100 characters")
        return Index(
            self.workspace,
            name.strip(),
            self._embedding,
            self._leg,
            self.caller,
            allowed=self._allowed,
            synonyms=self._synonyms,
            reranker=self._reranker,
        )

    def collections(self) -> list[CollectionInfo]:
        """This tenant's collections, by name."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT name FROM collections WHERE tenant = ? ORDER BY name", (self.caller.tenant,)
            ).fetchall()
        return [self.collection(row["name"]).info() for row in rows]

    def filled(self) -> list[str]:
        """Names of this tenant's collections that hold documents; unlike :meth:`collections` it opens no model."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT name FROM collections c WHERE tenant = ?"
                " AND EXISTS (SELECT 1 FROM documents WHERE collection_id = c.id) ORDER BY name",
                (self.caller.tenant,),
            ).fetchall()
        return [row["name"] for row in rows]

    def drop(self, name: str) -> None:
        """Delete a collection with its documents.

        Raises:
            NotFound: this tenant has no such collection.
        """
        with self.workspace.write() as db:
            row = db.execute(
                "SELECT id FROM collections WHERE tenant = ? AND name = ?", (self.caller.tenant, name)
            ).fetchone()
            if row is None:
                raise NotFound(kind="collection", value=name)
            keyword.drop(db, row["id"])
            db.execute(
                "DELETE FROM vectors WHERE text_hash IN (SELECT text_hash FROM passages WHERE collection_id = ?)"
                " AND NOT EXISTS (SELECT 1 FROM passages p WHERE p.text_hash = vectors.text_hash"
                " AND p.collection_id <> ?)",
                (row["id"], row["id"]),
            )
            db.execute("DELETE FROM collections WHERE id = ?", (row["id"],))

    async def search(self, query: str, options: SearchOptions | None = None, **changes: Any) -> Found:
        """Search the collections of ``options`` as one; ``changes`` are options by name.

            found = await library.search("几天可以退货", collections=("shop", "mine"), where={"year": {"$gte": 2025}})

        Raises:
            InputError: empty_question, question_too_long, an option or filter that is not allowed.
        """
        from core.retrieval.question import checked_question

        asked, chosen = checked_question(query), (options or SearchOptions()).changed(**changes)
        indexes = {name: self.collection(name) for name in dict.fromkeys(chosen.collections)}
        vector = await indexes[chosen.collections[0]].query_vector(asked, chosen)
        found = await Several(tuple(indexes.values())).find(asked, options=chosen, vector=vector)
        if not chosen.explain:
            return found
        return await asyncio.to_thread(self.with_reasons, asked, vector, chosen, found, indexes)

    async def explain(
        self, query: str, about: str, options: SearchOptions | None = None, **changes: Any
    ) -> Explanation:
        """Why ``about`` was found by this search, or was not.

        Args:
            about: a passage or document id, a source, a path, a file name or a title, in the collections of
                ``options``. What belongs to another tenant is ``not_here``, as what is not indexed at all.

        Raises:
            InputError: as for :meth:`search`.
        """
        from core.retrieval.question import checked_question

        asked, chosen = checked_question(query), (options or SearchOptions()).changed(**changes)
        there = await asyncio.to_thread(self._named, about)
        inside = [name for name in chosen.collections if name in there]
        if not inside:
            verdict: Verdict = "elsewhere" if there else "not_here"
            return Explanation(asked, about, verdict, chosen.top_k, elsewhere=tuple(there))
        indexes = [self.collection(name) for name in dict.fromkeys(chosen.collections)]
        vector = await indexes[0].query_vector(asked, chosen)
        final = await Several(indexes).find(asked, options=chosen, vector=vector)
        index = self.collection(inside[0])
        view = await asyncio.to_thread(_view, asked, vector, chosen, final, index)
        return await asyncio.to_thread(explain, view, about, there[inside[0]])

    def _named(self, about: str) -> dict[str, list[Passage]]:
        """The passages that ``about`` names, by collection of this tenant."""
        found: dict[str, list[Passage]] = {}
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT id, name FROM collections WHERE tenant = ? ORDER BY name", (self.caller.tenant,)
            ).fetchall()
            for row in rows:
                if ids := resolve(db, row["id"], about):
                    found[row["name"]] = list(finding.passages(db, row["id"], ids).values())
        return found

    @staticmethod
    def with_reasons(
        query: str,
        vector: finding.QueryVector,
        options: SearchOptions,
        found: Found,
        indexes: Mapping[str, Index],
    ) -> Found:
        """``found`` with an explanation of every hit; blocks."""
        views = {
            name: _view(query, vector, options, found, indexes[name]) for name in {hit.collection for hit in found.hits}
        }
        reasons = [explain(views[hit.collection], hit.passage.id, [hit.passage]) for hit in found.hits]
        return replace(found, explanations=tuple(reasons))

    def words(self, collection: str = ALL) -> Words:
        """Synonyms and the user dictionary of ``collection``, or of all this tenant's collections."""
        return Words(self.workspace, self.caller, collection)

    def ask(
        self,
        question: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        chat: ChatModel | None = None,
        judge: Judge | None = None,
        language: Language | None = None,
        history: Sequence[Message] = (),
        top_k: int = 8,
        where: filters.Filter | Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Answer ``question`` from the documents, as a stream of events that ends in one ``AnswerDone``.

        Args:
            chat: writes the answer when it is able to (``capabilities.grounded``); ``None`` quotes the sources.
            judge: says of what was written whether its source says it (:mod:`core.retrieval.judge`); by default rules do.
            language: of the answer's own words; by default the question's.
            history: the conversation so far, oldest first; a follow-up is understood from its last question.
            where: a filter; the answer is made of nothing else (:mod:`core.retrieval.filters`).

        Raises:
            InputError: empty_question, question_too_long, a filter that is none.
        """
        from core.retrieval.answerer import Answerer

        index = self.collection(collection)
        options = SearchOptions(where=where, sentences=False)
        searched = Narrowed(Several((index,)), options) if options.where is not None else index
        return Answerer(searched, chat, judge).ask(question, language=language, history=history, top_k=top_k)

    async def answer(
        self,
        question: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        chat: ChatModel | None = None,
        judge: Judge | None = None,
        language: Language | None = None,
        history: Sequence[Message] = (),
        top_k: int = 8,
        where: filters.Filter | Mapping[str, Any] | None = None,
    ) -> Answer:
        """The whole answer at once; see :meth:`ask`."""
        events = self.ask(
            question,
            collection=collection,
            chat=chat,
            judge=judge,
            language=language,
            history=history,
            top_k=top_k,
            where=where,
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, AnswerDone):
                    return event.answer
        raise AssertionError("an answer's stream ends in AnswerDone")

    def close(self) -> None:
        """Close Chroma; the workspace stays open."""
        self._store.close()

    def _leg(self, collection_id: int, model: EmbeddingModel) -> VectorLeg:
        with self._lock:
            key = (collection_id, model.name)
            if key not in self._legs:
                self._legs[key] = VectorLeg(
                    self.workspace, self._store, collection_id, model.name, model.dim, self._mode
                )
            return self._legs[key]


def _view(query: str, vector: finding.QueryVector, options: SearchOptions, final: Found, index: Index) -> View:
    return View.of(index, finding.Asked(query, vector, query, options, index.vocabulary()), final)
