"""What the service knows: the sample shop, a caller's own uploads, and the default collection.

``touchstone index FILE`` writes the default collection, so that what a terminal adds the next question finds.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from apps import samples
from apps.background import Embedder
from apps.customer_service.dialog import standalone, without_courtesy
from apps.uploads import SUPPORT, Uploads
from core.errors import NotFound, TouchstoneError, code_of
from core.retrieval.answer import AnswerDone, AnswerEvent, Notice
from core.retrieval.answerer import Answerer
from core.retrieval.index import Index, ProgressCallback
from core.retrieval.library import Library
from core.retrieval.several import Several
from core.runtime import Runtime
from core.types import Caller, Citation, Language, Message, Queued, Switched
from core.types import user as said_by_user

SAMPLE = Path(__file__).parent / "sample"
SAMPLE_COLLECTION = "sample-shop"
SAMPLE_OWNER = Caller(user="sample")
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
        self.uploads = Uploads(lambda: self.library, self._embedder, prefix=SUPPORT, most=UPLOADS_LIMIT)
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
        found = [mine.collection(), self.uploads.index(caller)]
        return [self._sample(), *found] if sample else found

    def _sample(self) -> Index:
        return self.library.for_caller(SAMPLE_OWNER).collection(SAMPLE_COLLECTION)

    # --- answers ------------------------------------------------------------------------------

    async def answer(
        self,
        question: str,
        earlier: Sequence[str],
        *,
        caller: Caller,
        language: Language,
        sample: bool = True,
        quotes: bool = False,
        first: int = 1,
        goes_on: bool = False,
    ) -> AsyncGenerator[AnswerEvent | Queued | Switched, None]:
        """Answer ``question`` from all the caller may search. ``earlier`` are the questions before it, oldest first.

        With ``quotes`` no model writes. ``first`` is the number of the first citation; with ``goes_on`` the
        question belongs to the one before it, though nothing in it says so. A model that cannot be opened is as one that is down: a notice says so and the sources are quoted.
        """
        if sample:
            await self._sample_ready()
        down: tuple[str, ...] = ()
        chat = judge = None
        try:
            if not quotes:
                judge, chat = self._runtime.claim_judge(), self._runtime.chat()
        except TouchstoneError as error:
            log.warning("no generator: %s", error)
            down = (GENERATOR_DOWN,)
            yield Notice(GENERATOR_DOWN, {"reason": code_of(error), "detail": error.text(language)})
        complete, history = in_context(question, earlier, goes_on=goes_on)
        answerer = Answerer(Several(self.collections(caller, sample=sample)), chat, judge)
        async with aclosing(answerer.ask(complete, language=language, history=history, first=first)) as events:
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
        samples.load(index, SAMPLE, self._runtime, progress)
        self._embedder.start(index)
        self._prepared = library

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


def in_context(question: str, earlier: Sequence[str], *, goes_on: bool = False) -> tuple[str, tuple[Message, ...]]:
    """What to ask, and what was said before it when that is needed to understand it.

    A follow-up that only names another product is completed; any other keeps its words, so that they decide
    what answers it, and brings the question before it along.
    """
    asked, complete = without_courtesy(question), standalone(question, earlier)
    if goes_on and complete == asked and earlier:
        complete = f"{earlier[-1]} {asked}"
    if complete != asked and complete.endswith(asked):
        return asked, (said_by_user(complete.removesuffix(asked).strip()),)
    return complete, ()
