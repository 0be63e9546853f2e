"""The way in for command line, pages and notebooks: collections of documents, and answers from them.

library = Library.of(runtime)
report = await library.collection().sync(["docs/"])
async for event in library.ask("几天内可以退货？"):
    ...                      # SourcesFound, SentenceReady, Notice, and one AnswerDone at the end
answer = await library.answer("几天内可以退货？")
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.contracts import ChatModel, EmbeddingModel
from core.errors import InputError, InvalidSetting, NotFound
from core.i18n import Phrase
from core.retrieval import choice, keyword
from core.retrieval.answer import AnswerDone, AnswerEvent
from core.retrieval.chroma import ChromaStore
from core.retrieval.index import Index
from core.retrieval.records import CollectionInfo
from core.retrieval.search import Mode, VectorLeg
from core.types import LOCAL, Answer, Caller, Language, Message
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
    ) -> None:
        """
        Args:
            embedding: the model, or a function that opens it on first use; ``None`` searches by words alone.
            vectors: ``exact`` in memory, ``chroma``, or ``auto`` (Chroma for large collections).
            chroma_url: of a Chroma server; empty keeps the vector index in the workspace.
        """
        self.workspace, self.caller, self._mode = workspace, caller, vectors
        self._embedding: Callable[[], EmbeddingModel] | None = (
            None if embedding is None else embedding if callable(embedding) else lambda: embedding
        )
        self._legs: dict[tuple[int, str], VectorLeg] = {}
        self._store = ChromaStore(workspace.folder / "chroma", chroma_url)
        self._lock = threading.Lock()

    @classmethod
    def of(cls, runtime: Runtime, caller: Caller = LOCAL) -> Library:
        """The library of a runtime's workspace, with the embedding model that serves it.

        Raises:
            InvalidSetting: ``retrieval.chroma_url`` is no address.
        """
        mode: Mode = runtime.settings.values["retrieval.vectors"]
        url = runtime.settings.values["retrieval.chroma_url"]
        if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            where = runtime.settings.sources.get("retrieval.chroma_url", "")
            raise InvalidSetting(name="retrieval.chroma_url", value=url, allowed=Phrase("allowed.url"), where=where)

        def embedding() -> EmbeddingModel:
            return runtime.embedding(choice.serving(runtime.workspace, runtime.settings.model("embedding")))

        return cls(runtime.workspace, embedding, caller, vectors=mode, chroma_url=url)

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
        return Index(self.workspace, name.strip(), self._embedding, self._leg, self.caller)

    def collections(self) -> list[CollectionInfo]:
        """This tenant's collections, by name."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT name FROM collections WHERE tenant = ? ORDER BY name", (self.caller.tenant,)
            ).fetchall()
        return [self.collection(row["name"]).info() for row in rows]

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

    def ask(
        self,
        question: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        chat: ChatModel | None = None,
        language: Language | None = None,
        history: Sequence[Message] = (),
        top_k: int = 8,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Answer ``question`` from the documents, as a stream of events that ends in one ``AnswerDone``.

        Args:
            chat: writes the answer when it is able to (``capabilities.grounded``); ``None`` quotes the sources.
            language: of the answer's own words; by default the question's.
            history: the conversation so far, oldest first; a follow-up is understood from its last question.

        Raises:
            InputError: empty_question, question_too_long.
        """
        from core.retrieval.answerer import Answerer

        return Answerer(self.collection(collection), chat).ask(
            question, language=language, history=history, top_k=top_k
        )

    async def answer(
        self,
        question: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        chat: ChatModel | None = None,
        language: Language | None = None,
        history: Sequence[Message] = (),
        top_k: int = 8,
    ) -> Answer:
        """The whole answer at once; see :meth:`ask`."""
        events = self.ask(question, collection=collection, chat=chat, language=language, history=history, top_k=top_k)
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
