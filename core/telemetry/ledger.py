"""The usage ledger: one row per model call, written behind the caller's back by one thread.

A call never waits for the ledger's disk. ``flush`` (and ``close``) wait until every row is stored.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, TypeVar

from core.contracts import DEFAULT_OPTIONS, BlockingEmbedding, ChatModel, EmbeddingModel, ImageEmbeddingModel, Reranker
from core.errors import TouchstoneError, Unsupported, code_of
from core.telemetry.trace import current_trace
from core.types import (
    Completion,
    Done,
    EmbeddingKind,
    Event,
    Image,
    Message,
    Options,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from core.workspace import Workspace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A row of the ledger. Times are seconds, counts tokens; what the engine did not say is ``None``."""

    at: float
    trace_id: str
    tenant: str
    user: str
    operation: str
    provider: str
    model: str
    total_s: float
    prompt: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    first_token_s: float | None = None
    finish_reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The calls of one model. Tokens are ``None`` where no call said any."""

    operation: str
    provider: str
    model: str
    calls: int
    failed: int
    stopped: int
    input_tokens: int | None
    output_tokens: int | None
    mean_first_token_s: float | None
    mean_total_s: float


_SUMMARY = """
SELECT operation, provider, model, count(*) AS calls,
    sum(error IS NOT NULL AND error <> 'cancelled') AS failed, sum(error IS 'cancelled') AS stopped,
    sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    avg(first_token_s) AS mean_first_token_s, avg(total_s) AS mean_total_s
FROM calls WHERE at >= ? GROUP BY operation, provider, model ORDER BY calls DESC, provider, model
"""
_INSERT = "INSERT INTO calls ({}) VALUES ({})".format(", ".join(Call.__slots__), ", ".join("?" for _ in Call.__slots__))
_row = attrgetter(*Call.__slots__)
GATHER_S = 0.05  # how long the first row of a batch waits for others: a transaction costs more than its rows


class Ledger:
    """Collects calls and stores them in batches."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._queue: queue.SimpleQueue[Call | threading.Event | None] = queue.SimpleQueue()
        self._hurry = threading.Event()  # somebody waits for the rows
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.failed: str | None = None  # why the last batch could not be stored; doctor shows it

    def record(self, call: Call) -> None:
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="touchstone-ledger", daemon=True)
                    self._thread.start()
        self._queue.put(call)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything recorded so far is stored; False when ``timeout_s`` passed first."""
        if self._thread is None or not self._thread.is_alive():
            return True
        stored = threading.Event()
        self._queue.put(stored)
        self._hurry.set()
        return stored.wait(timeout_s)

    def close(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._hurry.set()
            self._thread.join(10.0)
        self._thread = None

    def recent(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest calls first."""
        self.flush()
        with self._workspace.read() as db:
            return [dict(row) for row in db.execute("SELECT * FROM calls ORDER BY id DESC LIMIT ?", (limit,))]

    def summary(self, since: float = 0.0) -> list[Totals]:
        """Calls, tokens and times by model since the time ``since`` (seconds since the epoch), most calls first."""
        self.flush()
        with self._workspace.read() as db:
            return [Totals(**dict(row)) for row in db.execute(_SUMMARY, (since,))]

    def _run(self) -> None:
        while True:
            batch: list[Any] = [self._queue.get()]
            self._hurry.wait(GATHER_S)
            self._hurry.clear()  # before the queue is emptied: who hurries puts first, so nothing is left behind
            while True:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            self._store([item for item in batch if isinstance(item, Call)])
            for item in batch:
                if isinstance(item, threading.Event):
                    item.set()
            if None in batch:
                return

    def _store(self, calls: list[Call]) -> None:
        if not calls:
            return
        try:
            with self._workspace.write() as db:
                db.executemany(_INSERT, [_row(call) for call in calls])
            self.failed = None
        except (TouchstoneError, sqlite3.Error) as error:  # a full disk stops no answer; doctor and home show it
            self.failed = str(error)


class Recorded:
    """A chat model that writes every call of the model it holds into the ledger."""

    def __init__(self, model: ChatModel, ledger: Ledger) -> None:
        self.model = model
        self.name = model.name
        self.capabilities = model.capabilities
        self._ledger = ledger

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        trace, at, started = current_trace(), time.time(), time.perf_counter()
        provider, _, name = self.name.partition(":")
        call = Call(
            at, trace.trace_id, trace.caller.tenant, trace.caller.user, "chat", provider, name, 0.0, trace.prompt
        )
        first: float | None = None
        recorded = False

        def record(error: str | None = None) -> None:
            nonlocal recorded
            if not recorded:
                recorded, total_s = True, time.perf_counter() - started
                self._ledger.record(replace(call, first_token_s=first, total_s=total_s, error=error))

        try:
            async with aclosing(self.model.stream(messages, options)) as events:
                async for event in events:
                    if first is None and isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
                        first = time.perf_counter() - started
                    if isinstance(event, Done):
                        call = _finished(call, event.completion)
                        event = Done(replace(event.completion, trace_id=trace.trace_id))
                        record()  # now: who has read the last event may close the stream at once
                    yield event
            record("no_done")
        except TouchstoneError as error:
            record(code_of(error))
            raise
        except Exception as error:
            record(type(error).__name__)
            raise
        except BaseException:  # GeneratorExit and CancelledError: the caller stopped the answer
            record("cancelled")
            raise

    async def aclose(self) -> None:
        await self.model.aclose()


def _finished(call: Call, done: Completion) -> Call:
    return replace(
        call,
        provider=done.provider,
        model=done.model,
        input_tokens=done.usage.input_tokens,
        output_tokens=done.usage.output_tokens,
        finish_reason=done.finish_reason,
    )


class RecordedEmbedding:
    """An embedding model that writes every call into the ledger."""

    def __init__(self, model: EmbeddingModel, ledger: Ledger) -> None:
        self.model = model
        self.name = model.name
        self._ledger = ledger

    @property
    def dim(self) -> int:
        return self.model.dim

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> Any:
        return await _recorded(self.model.embed(texts, kind=kind), self._ledger, "embeddings", self.name)

    async def warm(self) -> None:
        """Load what makes single queries fast, where the model has such a thing; see :meth:`Runtime.warm`."""
        warm = getattr(self.model, "warm", None)
        if warm is not None:
            await warm()

    async def embed_images(self, images: Sequence[Image]) -> Any:
        """As ``core.contracts.ImageEmbeddingModel``; ``Unsupported`` where the model knows texts only."""
        if not isinstance(self.model, ImageEmbeddingModel):
            provider, _, name = self.name.partition(":")
            raise Unsupported(provider=provider, model=name, feature="images")
        return await _recorded(self.model.embed_images(images), self._ledger, "embeddings", self.name)

    async def aclose(self) -> None:
        await self.model.aclose()


class RecordedBlockingEmbedding(RecordedEmbedding):
    """The same of a model that can be asked without an event loop."""

    model: BlockingEmbedding

    def embed_now(self, texts: Sequence[str], *, kind: EmbeddingKind) -> Any:
        with _recording(self._ledger, "embeddings", self.name):
            return self.model.embed_now(texts, kind=kind)


def recorded_embedding(model: EmbeddingModel, ledger: Ledger) -> RecordedEmbedding:
    """``model`` with a ledger; it can be asked in as many ways as before."""
    blocking = isinstance(model, BlockingEmbedding)
    return RecordedBlockingEmbedding(model, ledger) if blocking else RecordedEmbedding(model, ledger)


class RecordedReranker:
    """A reranker that writes every call into the ledger."""

    def __init__(self, model: Reranker, ledger: Ledger) -> None:
        self.model = model
        self.name = model.name
        self._ledger = ledger

    async def rerank(self, query: str, passages: Sequence[str]) -> Any:
        return await _recorded(self.model.rerank(query, passages), self._ledger, "rerank", self.name)

    async def aclose(self) -> None:
        await self.model.aclose()


async def _recorded(call: Awaitable[T], ledger: Ledger, operation: str, model: str) -> T:
    """The result of ``call``, which leaves a row whatever becomes of it."""
    with _recording(ledger, operation, model):
        return await call


@contextmanager
def _recording(ledger: Ledger, operation: str, model: str) -> Iterator[None]:
    """A call that leaves a row whatever becomes of it."""
    trace, at, started = current_trace(), time.time(), time.perf_counter()
    provider, _, name = model.partition(":")
    error: str | None = None
    try:
        yield
    except TouchstoneError as failure:
        error = code_of(failure)
        raise
    except Exception as failure:
        error = type(failure).__name__
        raise
    except BaseException:
        error = "cancelled"
        raise
    finally:
        total_s = time.perf_counter() - started
        row = Call(at, trace.trace_id, trace.caller.tenant, trace.caller.user, operation, provider, name, total_s)
        ledger.record(replace(row, error=error))
