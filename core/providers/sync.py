"""The synchronous face of everything asynchronous: one event-loop thread per process.

``run`` waits for a coroutine, ``iterate`` reads an asynchronous generator, ``sync`` gives a model methods
that block. They work from any thread, a notebook's and a Streamlit script's included, because the work is
done on a thread of its own; the caller's context variables go with it.

Events travel in batches: the loop thread collects what is ready and wakes the reader once, so a burst of
200 chunks costs one switch of threads and not 200.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from core.contracts import DEFAULT_OPTIONS, ChatModel, DecisionModel, EmbeddingModel, Reranker
from core.providers.complete import as_messages, complete
from core.types import (
    Capabilities,
    Completion,
    Decision,
    Done,
    EmbeddingKind,
    Event,
    Message,
    Options,
    Question,
    TextDelta,
)

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

GRACE_S = 1.0  # how long a cancelled coroutine or generator may take to release what it holds
LIMIT = 256  # events kept for a reader that does not read; then the generator waits


# --- the loop thread --------------------------------------------------------------------------


class _LoopThread:
    """An event loop and the daemon thread that runs it until the process ends."""

    def __init__(self) -> None:
        self.loop = _new_loop()
        self.thread = threading.Thread(target=self._serve, name="touchstone-loop", daemon=True)
        self._closing = False
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._closing:
            # The task that raised them hands them to its caller; other tasks go on.
            with suppress(KeyboardInterrupt, SystemExit):
                self.loop.run_forever()

    def close(self) -> None:
        """Cancel what is under way, wait a little for it, stop the thread."""
        if self.thread.is_alive():
            self._closing = True
            with suppress(RuntimeError):  # the loop is closed already
                self.loop.call_soon_threadsafe(lambda: _strong(self.loop.create_task(self._wind_up())))
            self.thread.join(2 * GRACE_S)
        if not self.thread.is_alive() and not self.loop.is_closed():
            self.loop.close()

    async def _wind_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=GRACE_S)
        self.loop.stop()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on Windows; the standard loop does the same, a little slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_starting = threading.Lock()
_current: _LoopThread | None = None
_left_behind: list[_LoopThread] = []  # loops of a parent process: theirs to close, not ours
_tasks: set[asyncio.Task[Any]] = set()  # asyncio itself holds tasks only weakly


def _strong(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _loop_thread() -> _LoopThread:
    """The process's loop thread, started when there is none or it has died."""
    global _current
    found = _current
    if found is not None and found.thread.is_alive():
        return found
    with _starting:
        if _current is None or not _current.thread.is_alive():
            _current = _LoopThread()
        return _current


def _other_thread(caller: str) -> _LoopThread:
    """The loop thread, unless the caller is on it: waiting there would never end."""
    found = _loop_thread()
    if found.thread.ident == threading.get_ident():
        raise RuntimeError(
            f"{caller} was called on Touchstone's own event-loop thread and would wait for itself. "
            "Inside asynchronous code, await the model's asynchronous methods instead."
        )
    return found


def never_on_loop(caller: str) -> None:
    """
    Raises:
        RuntimeError: called on the event loop's own thread, which must not wait.
    """
    if _current is not None and _current.thread.ident == threading.get_ident():
        _other_thread(caller)


def _after_fork() -> None:
    """A forked child has the loop's memory and not its thread: forget it, a new one starts when needed."""
    global _current, _starting
    _starting = threading.Lock()
    if _current is not None:
        _left_behind.append(_current)
        _current = None
    _tasks.clear()


def _at_exit() -> None:
    global _current
    found, _current = _current, None
    if found is not None:
        found.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)


# --- run --------------------------------------------------------------------------------------


class _Call(Generic[T]):
    """One coroutine on its way through the loop thread. ``finished`` is locked until it has ended."""

    __slots__ = ("_coroutine", "_loop", "_task", "finished")

    _task: asyncio.Task[T]  # from `start` on, which runs before `_cancel` can

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self.finished = threading.Lock()
        self.finished.acquire()

    def start(self) -> None:
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def _end(self, _: asyncio.Task[T]) -> None:
        self.finished.release()

    def result(self) -> T:
        return self._task.result()

    def cancel(self) -> bool:
        """Cancel from another thread; True when the coroutine ended within ``GRACE_S``."""
        with suppress(RuntimeError):  # the loop is closed: nothing runs any more
            self._loop.call_soon_threadsafe(self._cancel)
        return self.finished.acquire(timeout=GRACE_S)

    def _cancel(self) -> None:
        _strong(self._task).cancel()


def run(coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """Run ``coroutine`` on the loop thread and wait for its result; its exception is raised here.

    A ``KeyboardInterrupt`` while waiting cancels the coroutine.

    Raises:
        TimeoutError: not finished after ``timeout_s``; the coroutine is cancelled.
        RuntimeError: called on the loop thread itself, where waiting would never end.
    """
    try:
        loop = _other_thread("run()").loop
    except RuntimeError:
        coroutine.close()
        raise
    call = _Call(coroutine, loop)
    loop.call_soon_threadsafe(call.start)  # takes a copy of this thread's context along
    try:
        in_time = call.finished.acquire(timeout=-1 if timeout_s is None else timeout_s)
    except BaseException:
        call.cancel()
        raise
    if in_time:
        return call.result()
    ended = call.cancel()
    with suppress(asyncio.CancelledError):
        if ended:
            return call.result()  # it got there, or failed, in the last moment
    raise TimeoutError(f"not finished after {timeout_s} s")


# --- iterate ----------------------------------------------------------------------------------


class _Channel(Generic[T]):
    """Between a generator on the loop thread and a reader on another.

    ``ready`` is a token: released by the loop thread when there is news, taken by the reader when it has
    none. A token too many costs one more look at the buffer; one too few cannot be.
    """

    __slots__ = ("_context", "_limit", "_loop", "_room", "_source", "_task", "_waking", "buffer", "ended", "error", "ready")  # fmt: skip

    _task: asyncio.Task[None]  # from `start` on, which runs before `_cancel` can

    def __init__(self, source: AsyncIterator[T], loop: asyncio.AbstractEventLoop, context: Context, limit: int) -> None:
        self._source = source
        self._loop = loop
        self._context = context
        self._limit = limit
        self._room: asyncio.Future[None] | None = None
        self._waking = False
        self.buffer: deque[T] = deque()
        self.ended = False
        self.error: BaseException | None = None
        self.ready = threading.Lock()
        self.ready.acquire()

    # on the loop thread

    def start(self) -> None:
        self._task = _strong(self._loop.create_task(self._produce()))
        self._task.add_done_callback(self._end)

    async def _produce(self) -> None:
        buffer, limit, call_soon, wake = self.buffer, self._limit, self._loop.call_soon, self._wake
        try:
            async for item in self._source:
                buffer.append(item)
                if not self._waking:
                    self._waking = True
                    call_soon(wake)  # runs when this task waits: once for all that was ready
                if len(buffer) >= limit:
                    await self._wait_for_room()
        finally:
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self.ended = True
        self._wake()

    async def _wait_for_room(self) -> None:
        self._room = self._loop.create_future()
        if len(self.buffer) >= self._limit:  # else it was read meanwhile, before it could see `_room`
            await self._room
        self._room = None

    def _resume(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _wake(self) -> None:
        self._waking = False
        if self.ready.locked():
            self.ready.release()

    def _cancel(self) -> None:
        self._task.cancel()

    # on the reader's thread

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self.start, context=self._context)

    def make_room(self) -> None:
        """The buffer is empty: let a waiting generator go on."""
        if self._room is not None:
            self._loop.call_soon_threadsafe(self._resume)

    def close(self, wait_s: float) -> None:
        """Cancel the generator and wait up to ``wait_s`` until it has released what it holds."""
        if self.ended:
            return
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # the loop is closed: nothing runs any more
            return
        until = time.monotonic() + wait_s
        while not self.ended and (left := until - time.monotonic()) > 0:
            self.ready.acquire(timeout=left)


@overload
def iterate(source: AsyncIterator[T], *, limit: int = ..., tick_s: None = None) -> Generator[T, None, None]: ...
@overload
def iterate(source: AsyncIterator[T], *, limit: int = ..., tick_s: float) -> Generator[T | None, None, None]: ...
def iterate(source: AsyncIterator[T], *, limit: int = LIMIT, tick_s: float | None = None) -> Generator[Any, None, None]:
    """Read an asynchronous generator from synchronous code.

    It starts at the first ``next`` with the context variables of the call to ``iterate``, and is at most
    ``limit`` items ahead. Closing the iterator, dropping it, or an exception in the loop that reads it
    cancels the generator and waits up to ``GRACE_S`` until it has released what it holds.

    With ``tick_s`` the iterator yields ``None`` whenever that many seconds pass without an item, so that a
    page can notice a press on its stop button while a model is still thinking.
    """
    return _read(source, copy_context(), limit, -1 if tick_s is None else tick_s)


def _read(source: AsyncIterator[T], context: Context, limit: int, tick_s: float) -> Generator[T | None, None, None]:
    thread = _other_thread("iterate()")
    channel = _Channel(source, thread.loop, context, limit)
    buffer, take, wait = channel.buffer, channel.buffer.popleft, channel.ready.acquire
    channel.open()
    try:
        while True:
            while buffer:
                yield take()
            channel.make_room()
            if channel.ended and not buffer:
                break
            if not buffer and not wait(timeout=tick_s):
                yield None
    finally:
        on_loop = thread.thread.ident == threading.get_ident()  # collected there: waiting would never end
        channel.close(0.0 if on_loop else GRACE_S)
    if channel.error is not None:
        try:
            raise channel.error
        finally:
            del channel


# --- faces ------------------------------------------------------------------------------------


class SyncChat:
    """A chat model whose methods block."""

    def __init__(self, model: ChatModel) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def capabilities(self) -> Capabilities:
        return self.model.capabilities

    def stream(
        self, messages: Sequence[Message] | str, options: Options = DEFAULT_OPTIONS
    ) -> Generator[Event, None, None]:
        """Answer as events, the last of which is ``Done``. Closing the iterator cancels the work."""
        return iterate(self.model.stream(as_messages(messages), options))

    def complete(self, messages: Sequence[Message] | str, options: Options | None = None) -> Completion:
        """The whole answer."""
        return run(complete(self.model, messages, options))

    def text(self, messages: Sequence[Message] | str, options: Options = DEFAULT_OPTIONS) -> Generator[str, None, None]:
        """The answer's text in pieces, as they come."""
        return iterate(_texts(self.model.stream(as_messages(messages), options)))

    def close(self) -> None:
        run(self.model.aclose())


async def _texts(events: AsyncGenerator[Event, None]) -> AsyncGenerator[str, None]:
    any_text = False
    try:
        async for event in events:
            if isinstance(event, TextDelta):
                any_text = True
                yield event.text
            elif isinstance(event, Done) and not any_text and event.completion.text:
                yield event.completion.text  # an engine that answers in one piece
    finally:
        await events.aclose()


class SyncEmbedding:
    """An embedding model whose methods block."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def dim(self) -> int:
        return self.model.dim

    def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        """Shape: ``(len(texts), dim)`` float32, rows of L2 norm 1."""
        return run(self.model.embed(texts, kind=kind))

    def close(self) -> None:
        run(self.model.aclose())


class SyncDecision:
    """A decision model whose methods block."""

    def __init__(self, model: DecisionModel) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return self.model.name

    def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        """Answer every question about ``state``; keys are question ids."""
        return run(self.model.decide(state, questions))


class SyncReranker:
    """A reranker whose methods block."""

    def __init__(self, model: Reranker) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return self.model.name

    def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        """Shape: ``(len(passages),)`` float32, higher is better."""
        return run(self.model.rerank(query, passages))

    def close(self) -> None:
        run(self.model.aclose())


_FACES: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("stream", SyncChat),
    ("embed", SyncEmbedding),
    ("decide", SyncDecision),
    ("rerank", SyncReranker),
)


@overload
def sync(model: ChatModel) -> SyncChat: ...
@overload
def sync(model: EmbeddingModel) -> SyncEmbedding: ...
@overload
def sync(model: DecisionModel) -> SyncDecision: ...
@overload
def sync(model: Reranker) -> SyncReranker: ...
def sync(model: Any) -> Any:
    """The synchronous face of a model, by the method it has.

    >>> from core import open_runtime                              # doctest: +SKIP
    >>> sync(open_runtime().chat()).complete("Hello").text         # doctest: +SKIP
    """
    for method, face in _FACES:
        if hasattr(type(model), method):
            return face(model)
    raise TypeError(f"{type(model).__name__} has none of: {', '.join(method for method, _ in _FACES)}")
