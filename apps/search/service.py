"""The search app as plain Python: find, answer, explain, upload; no page and no HTTP.

>>> from apps.search import Search                                  # doctest: +SKIP
>>> desk = Search.open()                                            # doctest: +SKIP
>>> for hit in desk.find("出差住宿标准").hits: print(hit.passage.title)  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps import samples
from apps.background import Background, Embedder
from apps.search import export
from apps.search.defaults import Defaults
from apps.search.folders import Folders
from apps.search.history import History
from apps.search.judgments import Judgments
from apps.search.query import Query, kind_of
from apps.search.saved import SavedSearches
from apps.search.tester import Tester
from apps.uploads import SEARCH, Uploads
from core.errors import InputError, NotFound, TouchstoneError
from core.evaluation.judged import short_names
from core.i18n import detect_language
from core.providers.sync import run
from core.retrieval.answer import AnswerDone, AnswerEvent
from core.retrieval.answerer import Answerer
from core.retrieval.beside import Beside, other_language
from core.retrieval.explain import Explanation
from core.retrieval.index import Index, ProgressCallback
from core.retrieval.lexicon import Lexicon
from core.retrieval.lexicons import Lexicons
from core.retrieval.library import Library
from core.retrieval.query_help import Change, helped
from core.retrieval.question import checked_question
from core.retrieval.records import DocumentInfo, FileResult, Found, Progress
from core.retrieval.several import Narrowed, Several
from core.runtime import Runtime, open_runtime
from core.settings import Settings
from core.types import LOCAL, Answer, Caller, Hit, Language, Message

SAMPLE = Path(__file__).parent / "sample"
SAMPLE_COLLECTION = "sample-company"
SAMPLE_OWNER = Caller(user="sample")
UPLOADS_LIMIT = 2000  # documents of one caller
DEPTH = 100  # results that pages and facets are made of
PAGE = 8  # of them on one page
NEXT, LONGEST_HEADING = 3, 60  # headings that are offered as follow-up questions, and their characters


@dataclass(frozen=True, slots=True)
class Place:
    """A collection a caller may search. ``id`` is ``sample``, ``shared`` or ``mine``."""

    id: str
    index: Index


@dataclass(frozen=True, slots=True)
class Understood:
    """``query`` is to be searched; ``changes`` say what was corrected in it, ``also`` what is searched beside it.

    It is not ``complete`` while the words of the collections are still being read.
    """

    query: Query
    changes: tuple[Change, ...] = ()
    also: tuple[str, ...] = ()
    complete: bool = True


class Search:
    """Finds passages in the sample company, in the collection that ``touchstone index`` fills, and in uploads."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._library, self._workspace = Library.of(runtime), runtime.workspace
        self._embedder, self.lexicons = Embedder(self._changed), Lexicons()
        self.background, self.tester = Background(), Tester(self)
        self.judgments, self.defaults = Judgments(lambda: runtime.workspace), Defaults(lambda: runtime.workspace)
        self.history, self.saved = History(lambda: runtime.workspace), SavedSearches(self)
        self.folders = Folders(self)
        self._uploads = Uploads(lambda: self.library, self._embedder, prefix=SEARCH, most=UPLOADS_LIMIT)
        self._lock = threading.RLock()
        self._prepared: Library | None = None
        self._preparer = ThreadPoolExecutor(1, "touchstone-search-sample")

    @classmethod
    def open(cls, settings: Settings | None = None) -> Search:
        """Open with ``settings``, or with those of the current folder and the environment."""
        return cls(open_runtime(settings))

    def close(self) -> None:
        """Close the service and its runtime."""
        self._preparer.shutdown()
        self.lexicons.close()
        self._embedder.stop()
        self.background.stop()
        self._library.close()
        self.runtime.close()

    @property
    def library(self) -> Library:
        """The library of the workspace in use; a runtime that was reloaded may have another."""
        with self._lock:
            if self._workspace is not self.runtime.workspace:
                self._library.close()
                self._library, self._workspace = Library.of(self.runtime), self.runtime.workspace
            return self._library

    def places(self, caller: Caller = LOCAL) -> tuple[Place, ...]:
        """What the caller may search. The sample is the same for everybody; uploads are the caller's alone."""
        mine = self.library.for_caller(caller)
        return (
            Place("sample", self.library.for_caller(SAMPLE_OWNER).collection(SAMPLE_COLLECTION)),
            Place("shared", mine.collection()),
            Place("mine", self._uploads.index(caller)),
        )

    # --- finding ------------------------------------------------------------------------------

    def find(self, query: Query | str, caller: Caller = LOCAL, *, sentences: bool = True) -> Found:
        """The best ``DEPTH`` passages, near-duplicates folded into the better one.

        Args:
            sentences: whether each hit carries its best sentence; a page looks for those of the hits that it shows.

        Raises:
            InputError: the query is empty or too long, or a filter is none.
        """
        return run(self.found(query, caller, sentences=sentences))

    async def found(self, query: Query | str, caller: Caller = LOCAL, *, sentences: bool = True) -> Found:
        """:meth:`find` for asynchronous code."""
        asked = query if isinstance(query, Query) else Query(query)
        text, options = checked_question(asked.text), replace(asked.options(DEPTH), sentences=sentences)
        indexes = await self.ready(asked, caller)
        vector = await indexes[0].query_vector(text, options)
        return await Several(indexes).find(text, options=options, vector=vector)

    def generations(self, caller: Caller = LOCAL) -> str:
        """Where the caller's collections stand: it changes with every document and with every batch of vectors."""
        ids = [place.index.id() for place in self.places(caller)]
        marks = ",".join("?" * len(ids))
        with self.runtime.workspace.read() as db:
            rows = db.execute(
                f"SELECT id, generation FROM collections WHERE id IN ({marks}) ORDER BY id", ids
            ).fetchall()
        return json.dumps([list(row) for row in rows])

    def understood(self, query: Query, caller: Caller = LOCAL, *, wait_s: float | None = None) -> Understood:
        """The query as it was meant, by the words of the collections it searches, and what else is searched.

        Args:
            wait_s: for how long to wait for the words of the collections, which are read anew after each change of
                them; a query is taken as it is until they are. ``None`` waits to the end.
        """
        if not query.text.strip():
            return Understood(query)
        self.prepare()
        indexes = [place.index for place in self._chosen(query, caller)]
        kinds = query.slips
        lexicon = self.lexicons.of(indexes, wait_s=wait_s) if kinds else None
        meant = helped(query.text, lexicon or Lexicon(()), kinds)
        also = [meant.simplified] if meant.simplified else []
        if "synonyms" in query.help:
            also += [word for index in indexes for word in index.vocabulary().synonyms(meant.query)]
        complete = lexicon is not None or not kinds
        return Understood(replace(query, text=meant.query), meant.changes, tuple(dict.fromkeys(also)), complete)

    def beside(self, query: Query, found: Found, caller: Caller = LOCAL) -> Beside | None:
        """What documents in the other language have; see :mod:`core.retrieval.beside`."""
        if "other_language" not in query.help or query.languages or found.vector is None:
            return None  # without a vector the model may not open, and there would be nothing to find by
        return run(self._beside(query, found, caller))

    async def _beside(self, query: Query, found: Found, caller: Caller) -> Beside | None:
        indexes, model = await self.ready(query, caller), self.library.embedding_model()
        return await other_language(indexes, found, query.options(DEPTH), model, self.runtime.settings.language)

    def as_data(self, meant: Understood, found: Found, typed: str, caller: Caller = LOCAL) -> dict[str, Any]:
        """What was found as plain data; see :func:`apps.search.export.as_data`."""
        return export.as_data(typed, meant.changes, meant.also, found, self.beside(meant.query, found, caller))

    def similar(self, hit: Hit, query: Query, caller: Caller = LOCAL) -> Found:
        """Passages of other documents that are like ``hit``'s."""
        passage = hit.passage
        text = f"{passage.title}\n{passage.text}"[:1000]
        found = self.find(Query(text, places=query.places, mode=query.mode), caller)
        others = tuple(other for other in found.hits if other.passage.document_id != passage.document_id)
        return Found(text, others, found.weights, found.passages, found.vector, found.spread, found.notices)

    def explain(self, query: Query, about: str, caller: Caller = LOCAL) -> Explanation:
        """Why ``about`` (a file name, title, path or id) was found, or was not; the first place that has it counts."""
        chosen = query.options(DEPTH)
        self.prepare()
        told: Explanation | None = None
        for place in self._chosen(query, caller):
            library = self.library.for_caller(place.index.caller)
            told = run(library.explain(query.text, about, chosen, collections=(place.index.name,)))
            if told.verdict not in ("not_here", "elsewhere"):
                return told
        assert told is not None  # there is always a place  # noqa: S101
        mine = {place.index.name for place in self.places(caller)}
        elsewhere = tuple(name for name in told.elsewhere if name in mine)  # uploads of others stay unsaid
        return replace(told, verdict="elsewhere" if elsewhere else "not_here", elsewhere=elsewhere)

    # --- answering ----------------------------------------------------------------------------

    def able(self) -> bool:
        """Whether the chat model set can write answers from sources; else answers are made of quotes."""
        try:
            self.runtime.claim_judge()
            return self.runtime.chat().capabilities.grounded
        except TouchstoneError:
            return False

    async def stream(
        self,
        query: Query,
        caller: Caller = LOCAL,
        *,
        language: Language | None = None,
        written: bool = True,
        history: Sequence[Message] = (),
    ) -> AsyncGenerator[AnswerEvent, None]:
        """An answer to the query from what it finds, as events, the last of which is ``AnswerDone``.

        Args:
            history: what was asked and answered before, oldest first; a follow-up is understood from it.
            written: let the chat model write, when one that can is set; otherwise sources are quoted.

        Raises:
            InputError: the query is empty or too long.
        """
        chat, judge = (self.runtime.chat(), self.runtime.claim_judge()) if written and self.able() else (None, None)
        options = replace(query.options(DEPTH), collapse=None, sentences=False)
        answerer = Answerer(Narrowed(Several(await self.ready(query, caller)), options), chat, judge)
        told: Language = language or (
            "zh" if detect_language(query.text, self.runtime.settings.language) == "zh" else "en"
        )
        async with aclosing(answerer.ask(query.text, language=told, history=history)) as events:
            async for event in events:
                yield event

    def answer(
        self, query: Query | str, caller: Caller = LOCAL, *, written: bool = True, history: Sequence[Message] = ()
    ) -> Answer:
        """The whole answer; see :meth:`stream`."""
        asked = query if isinstance(query, Query) else Query(query)
        return run(self._whole(asked, caller, written, history))

    async def _whole(self, query: Query, caller: Caller, written: bool, history: Sequence[Message]) -> Answer:
        async with aclosing(self.stream(query, caller, written=written, history=history)) as events:
            async for event in events:
                if isinstance(event, AnswerDone):
                    return event.answer
        raise RuntimeError("the events of an answer ended without it")

    def follow_ups(self, answer: Answer, caller: Caller = LOCAL) -> tuple[str, ...]:
        """What to ask next: the other headings of the documents that the answer cites, in their order.

        A document that is found but not cited puts nothing here.
        """
        cited = {citation.heading for citation in answer.citations}
        headings: dict[str, None] = {}
        for document in dict.fromkeys(citation.document_id for citation in answer.citations):
            for passage in self.folders.passages(document, caller):
                if passage.heading and passage.heading not in cited and len(passage.heading) <= LONGEST_HEADING:
                    headings[passage.heading] = None
        return tuple(headings)[:NEXT] if answer.mode != "refused" else ()

    # --- documents ----------------------------------------------------------------------------

    def prepare(self, progress: ProgressCallback | None = None) -> None:
        """Load the sample company, unless it is there; with another embedding model its vectors follow later."""
        with self._lock:
            library = self.library
            if self._prepared is library:
                return
            index = self.places()[0].index
            samples.load(index, SAMPLE, self.runtime, progress)
            self._embedder.start(index)
            self._prepared = library

    def upload(self, name: str, data: bytes, caller: Caller = LOCAL) -> FileResult:
        """Add a document that only ``caller`` finds; one of the same name is replaced. Words find it at once.

        Raises:
            InputError: no text in it, not a supported kind, too large, or too many documents.
        """
        result = self._uploads.add(name, data, caller)
        self.saved.check_all(caller)
        return result

    def documents(self, caller: Caller = LOCAL) -> list[DocumentInfo]:
        """The documents ``caller`` uploaded, newest first."""
        return self._uploads.documents(caller)

    def remove(self, document_id: str, caller: Caller = LOCAL) -> None:
        """Forget an uploaded document.

        Raises:
            NotFound: the caller has uploaded no such document.
        """
        self._uploads.remove(document_id, caller)

    def embedding(self, caller: Caller = LOCAL) -> Progress | None:
        """How far the vectors of the caller's uploads are; ``None`` when none are being made."""
        return self._uploads.embedding(caller)

    def text(self, document_id: str, caller: Caller = LOCAL) -> str:
        """The text of a document that the caller may search.

        Raises:
            NotFound: there is none.
        """
        for place in self.places(caller):
            try:
                return place.index.document_text(document_id)
            except NotFound:
                continue
        raise NotFound(kind="document", value=document_id)

    def names(self, caller: Caller = LOCAL) -> dict[str, str]:
        """Short names of all documents that the caller may search, by id; none tells a folder of this machine."""
        found = [info for place in self.places(caller) for info in place.index.documents()]
        short = short_names(info.source for info in found)
        return {info.id: short[info.source] for info in found}

    def dates(self, document_ids: Sequence[str]) -> dict[str, float]:
        """When documents were last read, as seconds since the epoch, by id."""
        marks = ",".join("?" * len(document_ids))
        with self.runtime.workspace.read() as db:
            rows = db.execute(f"SELECT id, updated_at FROM documents WHERE id IN ({marks})", list(document_ids))
            return {row["id"]: float(row["updated_at"]) for row in rows}

    def facets(self, hits: Sequence[Hit], caller: Caller = LOCAL) -> dict[str, dict[str, int]]:
        """How many of ``hits`` are of each place, language and kind, by the names that a query has for them."""
        named = {place.index.name: place.id for place in self.places(caller)}
        ids = sorted({hit.passage.document_id for hit in hits})
        marks = ",".join("?" * len(ids))
        with self.runtime.workspace.read() as db:
            rows = db.execute(f"SELECT id, media_type FROM documents WHERE id IN ({marks})", ids).fetchall()
        kinds = {row["id"]: kind_of(row["media_type"]) for row in rows}
        counted: dict[str, Counter[str | None]] = {
            "in": Counter(named.get(hit.collection or "") for hit in hits),
            "language": Counter(hit.passage.language for hit in hits),
            "kind": Counter(kinds.get(hit.passage.document_id) for hit in hits),
        }
        return {facet: {name: n for name, n in count.items() if name} for facet, count in counted.items()}

    def _changed(self, index: Index) -> None:
        """The vectors of ``index`` are complete: meaning may find what words did not."""
        if index.name != SAMPLE_COLLECTION:
            self.saved.check_tenant(index.caller.tenant)

    async def ready(self, query: Query, caller: Caller) -> list[Index]:
        """The indexes to search, the sample loaded when it is among them.

        Loading has a thread of its own: in the event loop's, those who wait would keep out the one they wait for.
        """
        chosen = self._chosen(query, caller)
        if any(place.id == "sample" for place in chosen) and self._prepared is not self.library:
            await asyncio.wrap_future(self._preparer.submit(self.prepare))
        return [place.index for place in chosen]

    def _chosen(self, query: Query, caller: Caller) -> list[Place]:
        """
        Raises:
            InputError: a place that there is not.
        """
        places = self.places(caller)
        known = {place.id for place in places}
        if wrong := set(query.places) - known:
            raise InputError(reason="bad_value", name="places", value=", ".join(wrong), allowed=", ".join(known))
        return [place for place in places if not query.places or place.id in query.places]
