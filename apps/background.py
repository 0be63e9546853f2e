"""What goes on in the background: vectors, one task per collection (words find a document at once, meaning a little
later), long work that a page asks for, and functions called again and again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from core.errors import InputError, TouchstoneError
from core.providers.sync import run
from core.retrieval.index import Index
from core.retrieval.records import Progress

log = logging.getLogger(__name__)


class Embedder:
    """Makes missing vectors of collections in the event loop of :mod:`core.providers.sync`. Threads may share it."""

    def __init__(self, done: Callable[[Index], None] | None = None) -> None:
        """
        Args:
            done: called in a thread when the vectors of a collection are through.
        """
        self._after = done
        self._progress: dict[str, Progress] = {}  # by collection whose vectors are being made
        self._once_more: set[str] = set()  # those of them that got another document meanwhile
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lock = threading.Lock()

    def start(self, index: Index) -> None:
        """Make what is missing in ``index``; one that is under way looks once more when it is through."""
        key = _key(index)
        with self._lock:
            if key in self._progress:
                self._once_more.add(key)
                return
            self._progress[key] = Progress("vectors", 0, 0)
        run(self._task(key, index))

    def progress(self, index: Index) -> Progress | None:
        """How far it is; ``None`` when nothing is under way."""
        return self._progress.get(_key(index))

    def stop(self) -> None:
        """Stop what is under way; what is made already stays."""
        run(self._stop())

    async def _task(self, key: str, index: Index) -> None:
        self._tasks[key] = asyncio.create_task(self._embed(key, index))

    async def _embed(self, key: str, index: Index) -> None:
        while True:
            try:
                await index.embed_pending(progress=lambda step: self._progress.update({key: step}))
            except TouchstoneError as error:  # the passages stay pending, and words find them
                log.warning("vectors of %s are not complete: %s", index.name, error)
            with self._lock:
                again = key in self._once_more
                self._once_more.discard(key)
                if not again:
                    del self._progress[key]
            if not again:
                await self._told(index)
                return

    async def _told(self, index: Index) -> None:
        try:
            if self._after is not None:
                await asyncio.to_thread(self._after, index)
        except TouchstoneError as error:  # whoever opens the page looks again
            log.warning("what follows the vectors of %s is not done: %s", index.name, error)

    async def _stop(self) -> None:
        await _cancelled([task for task in self._tasks.values() if not task.done()])


@dataclass(frozen=True, slots=True)
class Work:
    """Work as it stands. It goes on while ``result`` and ``error`` are both ``None``."""

    progress: Progress
    result: Any = None
    error: TouchstoneError | None = None

    @property
    def under_way(self) -> bool:
        return self.result is None and self.error is None


class Background:
    """Long work by key, one of each at a time, in the event loop of :mod:`core.providers.sync`. Threads may share it.

    What became of it stays until it is forgotten or begun anew: a page that was closed meanwhile finds it.
    """

    def __init__(self) -> None:
        self._work: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lock = threading.Lock()

    def start(self, key: str, work: Callable[[Callable[[Progress], None]], Coroutine[Any, Any, Any]]) -> bool:
        """Begin, unless it is under way; whether it was begun. ``work`` gets a function that takes its progress."""
        with self._lock:
            if (before := self._work.get(key)) and before.under_way:
                return False
            self._work[key] = Work(Progress("files", 0, 0))
        run(self._started(key, work))
        return True

    def state(self, key: str) -> Work | None:
        return self._work.get(key)

    def forget(self, key: str) -> None:
        """Stop what is under way under ``key`` and forget what became of it."""
        if (task := self._tasks.get(key)) and not task.done():
            run(_cancelled([task]))
        self._work.pop(key, None)

    def stop(self) -> None:
        run(_cancelled([task for task in self._tasks.values() if not task.done()]))

    async def _started(self, key: str, work: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._tasks[key] = asyncio.create_task(self._done(key, work))

    async def _done(self, key: str, work: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        def told(step: Progress) -> None:
            self._work[key] = Work(step)

        try:
            result = await work(told)
            self._work[key] = Work(self._work[key].progress, True if result is None else result)
        except TouchstoneError as error:
            self._work[key] = Work(self._work[key].progress, error=error)
        except Exception as error:
            log.error("work in the background failed: %s", key, exc_info=error)
            self._work[key] = Work(self._work[key].progress, error=InputError(reason="background", detail=repr(error)))


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _key(index: Index) -> str:
    return f"{index.caller.tenant}/{index.name}"


class Repeating:
    """Calls a function again and again in a thread of its own, which ends with the process.

    An error of ours is logged and the next call comes all the same; anything else is a mistake in the function, and
    is logged with its trace.
    """

    def __init__(self, function: Callable[[], object], *, every_s: float, name: str) -> None:
        self._function, self._every_s = function, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait_s: float = 10.0) -> None:
        """Make no further call, and wait for the one under way."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._function()
            except TouchstoneError as error:
                log.warning("%s: %s", self._thread.name, error)
            except Exception:
                log.exception("%s: unexpected error", self._thread.name)
            self._stopped.wait(self._every_s)
