"""What the service knows: the sample shop, a caller's own uploads, and the default collection.

``touchstone index FILE`` writes the default collection, so that what a terminal adds the next question finds.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from apps.background import Embedder
from apps.customer_service.dialog import standalone, without_courtesy
from core.errors import InputError, NotFound, TouchstoneError, code_of
from core.providers.sync import run
from core.retrieval import vectors
from core.retrieval.answer import AnswerDone, AnswerEvent, Notice
from core.retrieval.answerer import Answerer
from core.retrieval.index import Index, ProgressCallback
from core.retrieval.library import Library
from core.retrieval.records import DocumentInfo, FileResult, Progress
from core.retrieval.several import Several
from core.runtime import Runtime
from core.types import Caller, Citation, Language, Message, Queued, Switched
from core.types import user as said_by_user

SAMPLE = Path(__file__).parent / "sample"
VECTORS = SAMPLE / "vectors.npz"  # of the embedded model; another one makes its own
SAMPLE_COLLECTION = "sample-shop"
SAMPLE_OWNER = Caller(user="sample")
UPLOAD_LIMIT_MB = 20
UPLOADS_LIMIT = 200  # documents of one caller
EXCERPT = 120  # characters shown before and after a quote
GENERATOR_DOWN = "generator_down"
log = logging.getLogger(__name__)


class Knowledge:
    """The documents behind the answers. One per process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._library = Library.of(runtime)
        self._workspace = runtime.workspace
        self._embedder = Embedder()
        self._lock = threading.Lock()
        self._prepared: Library | None = None  # the library that has the sample
        self._preparation: Future[None] | None = None
        self._preparer = ThreadPoolExecutor(1, "touchstone-sample")

    @property
    def library(self) -> Library:
        """The library of the workspace in use; a runtime that was reloaded may have another."""
        with self._lock:
            if self._workspace is not self._runtime.workspace:
                self._library.close()
                self._library, self._workspace = Library.of(self._runtime), self._runtime.workspace
            return self._library

    def collections(self, caller: Caller, *, sample: bool = True) -> list[Index]:
        """Where the caller's answers are looked for."""
        mine = self.library.for_caller(caller)
        found = [mine.collection(), self._uploads(caller)]
        return [self._sample(), *found] if sample else found

    def _sample(self) -> Index:
        return self.library.for_caller(SAMPLE_OWNER).collection(SAMPLE_COLLECTION)

    def _uploads(self, caller: Caller) -> Index:
        """A collection of the caller alone; a collection's name is shared by the users of a tenant."""
        return self.library.for_caller(caller).collection(
            f"uploads-{hashlib.sha256(caller.user.encode()).hexdigest()[:16]}"
        )

    # --- answers ------------------------------------------------------------------------------

    async def answer(
        self,
        question: str,
        earlier: Sequence[str],
        *,
        caller: Caller,
        language: Language,
        sample: bool = True,
    ) -> AsyncGenerator[AnswerEvent | Queued | Switched, None]:
        """Answer ``question`` from all the caller may search. ``earlier`` are the questions before it, oldest first.

        A model that cannot be opened is as one that is down: a notice says so and the sources are quoted.
        """
        if sample:
            await self._sample_ready()
        down: tuple[str, ...] = ()
        try:
            chat = self._runtime.chat()
        except TouchstoneError as error:
            log.warning("no generator: %s", error)
            chat, down = None, (GENERATOR_DOWN,)
            yield Notice(GENERATOR_DOWN, {"reason": code_of(error), "detail": error.text(language)})
        complete, history = in_context(question, earlier)
        answerer = Answerer(Several(self.collections(caller, sample=sample)), chat)
        async with aclosing(answerer.ask(complete, language=language, history=history)) as events:
            async for event in events:
                if isinstance(event, AnswerDone):
                    notices = tuple(dict.fromkeys((*down, *event.answer.notices)))
                    event = AnswerDone(replace(event.answer, question=question, notices=notices))
                yield event

    # --- the sample shop ----------------------------------------------------------------------

    async def _sample_ready(self) -> None:
        """:meth:`prepare` when the sample is first searched in this process; whoever comes meanwhile waits for it.

        It has a thread of its own: in the event loop's, those who wait would keep out the one they wait for.
        """
        library = self.library
        if self._prepared is library:
            return
        with self._lock:
            if self._preparation is None or self._preparation.done():
                self._preparation = self._preparer.submit(self.prepare)
            preparation = self._preparation
        await asyncio.shield(asyncio.wrap_future(preparation))

    def prepare(self, progress: ProgressCallback | None = None) -> None:
        """Load the sample shop: found by words when this returns, by meaning too when its vectors fit the model.

        Costs milliseconds when it is there. With another embedding model its vectors are made in the background.
        """
        library = self.library
        index = self._sample()
        run(index.sync([SAMPLE / "zh", SAMPLE / "en"], progress=progress, embed=False))
        for document in index.documents():
            if not Path(document.source).is_relative_to(SAMPLE):  # of an install that stood elsewhere
                run(index.remove(document.id))
        if VECTORS.is_file():
            with self._runtime.workspace.write() as db:
                vectors.import_file(db, VECTORS, self._runtime.settings.model("embedding"))
        self._embedder.start(index)
        self._prepared = library

    # --- uploads ------------------------------------------------------------------------------

    def upload(self, name: str, data: bytes, caller: Caller) -> FileResult:
        index = self._uploads(caller)
        if len(data) > UPLOAD_LIMIT_MB * 2**20:
            size_mb = round(len(data) / 2**20, 1)
            raise InputError(reason="file_too_large", name=name, size_mb=size_mb, limit_mb=UPLOAD_LIMIT_MB)
        if len(index.documents()) >= UPLOADS_LIMIT:
            raise InputError(reason="too_many_documents", limit=UPLOADS_LIMIT)
        result = run(index.add_bytes(data, name, embed=False))
        self._embedder.start(index)
        return result

    def documents(self, caller: Caller) -> list[DocumentInfo]:
        return sorted(self._uploads(caller).documents(), key=lambda document: -document.updated_at)

    def remove(self, document_id: str, caller: Caller) -> None:
        run(self._uploads(caller).remove(document_id))

    def embedding(self, caller: Caller) -> Progress | None:
        """How far the vectors of the caller's uploads are; ``None`` when nothing is under way."""
        return self._embedder.progress(self._uploads(caller))

    def close(self) -> None:
        """Stop what goes on in the background; the runtime stays open."""
        self._preparer.shutdown()
        self._embedder.stop()
        self._library.close()

    # --- reading ------------------------------------------------------------------------------

    def surroundings(self, citation: Citation, caller: Caller) -> tuple[str, str]:
        """The text before and after a quote; empty when the document is gone or reads otherwise now."""
        for index in self.collections(caller):
            try:
                text = index.document_text(citation.document_id)
            except NotFound:
                continue
            if text[citation.start : citation.end] != citation.quote:
                break
            return text[max(0, citation.start - EXCERPT) : citation.start], text[citation.end : citation.end + EXCERPT]
        return "", ""


def in_context(question: str, earlier: Sequence[str]) -> tuple[str, tuple[Message, ...]]:
    """What to ask, and what was said before it when that is needed to understand it.

    A follow-up that only names another product is completed; any other keeps its words, so that they decide
    what answers it, and brings the question before it along.
    """
    asked, complete = without_courtesy(question), standalone(question, earlier)
    if complete != asked and complete.endswith(asked):
        return asked, (said_by_user(complete.removesuffix(asked).strip()),)
    return complete, ()
