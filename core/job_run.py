"""One run of a job: workers on the event loop, and one thread that records what they finish.

The thread does all writing: outputs in batches, the heartbeat, and looking whether somebody cancelled. So
neither a busy disk holds up the event loop, nor a function that blocks the loop costs the job its lease.

``python -m core.job_run WORKSPACE JOB [CONCURRENCY]`` runs a job in this process (see ``Jobs.spawn``).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError, InputError, StoreBusy, TouchstoneError, code_of
from core.i18n import secret_free
from core.jobs import Job, Jobs
from core.telemetry.trace import trace
from core.types import Caller
from core.workspace import Workspace

POLL_S = 0.25  # how soon a run sees that another process cancelled it
PROGRESS_S = 0.1


@dataclass(frozen=True, slots=True)
class _Outcome:
    position: int
    elapsed_s: float
    output: str | None = None
    error: str | None = None


class _LeaseLost(StoreBusy):
    """Another run holds the job now: this one may record nothing more."""


class Run:
    """A run that holds the job's lease number ``lease``."""

    def __init__(
        self, jobs: Jobs, job: Job, lease: int, max_errors: int | None, on_progress: Callable[[Job], None] | None
    ) -> None:
        self.jobs = jobs
        self.job = job
        self.lease = lease
        self.max_errors = max_errors
        self.on_progress = on_progress
        self.errors = 0
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[str] = self._loop.create_future()
        self._outbox: queue.SimpleQueue[tuple[_Outcome, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._record, name=f"touchstone-job-{job.id}", daemon=True)

    async def finish(self, function: Callable[..., Any], parameters: Mapping[str, Any], concurrency: int) -> None:
        """Do all waiting items, then give the lease back with the state the job ended in."""
        self._thread.start()
        caller = Caller(self.job.tenant, self.job.user, frozenset())
        try:
            with trace(caller=caller):
                async with _opened(function, parameters, concurrency) as call:
                    state = await self._drain(call, concurrency)
        except BaseException as error:
            # An error ends the job; Ctrl-C and cancellation only end this run of it.
            self._end("failed" if isinstance(error, Exception) else "waiting", error)
            raise
        self._end(state, InputError(reason="job_errors", count=self.errors) if state == "failed" else None)

    async def _drain(self, call: Callable[[Any], Awaitable[Any]], concurrency: int) -> str:
        items = self._waiting()
        workers = {asyncio.create_task(self._work(call, items)) for _ in range(max(1, concurrency))}
        busy: set[asyncio.Future[Any]] = {*workers}
        try:
            while busy:
                ended, _ = await asyncio.wait({*busy, self._stopped}, return_when=asyncio.FIRST_COMPLETED)
                busy -= ended
                if self._stopped.done():
                    break
                for worker in ended & workers:
                    worker.result()
            # Cancelled at the very end, a job is done all the same.
            return "done" if self.job.done + self.job.failed == self.job.total else self._stopped.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, call: Callable[[Any], Awaitable[Any]], items: Iterator[tuple[int, Any]]) -> None:
        for position, value in items:  # shared by all workers: each takes the next
            if self._stopped.done():
                return
            outcome = await _attempt(call, position, value)
            recorded = self._loop.create_future()
            self._outbox.put((outcome, recorded))
            await recorded
            self.errors += outcome.error is not None
            if self.max_errors is not None and self.errors >= self.max_errors:
                self._stop("failed")

    def _waiting(self) -> Iterator[tuple[int, Any]]:
        after = -1
        while True:
            with self.jobs.workspace.read() as db:
                page = db.execute(
                    "SELECT position, input FROM job_items WHERE job_id=? AND position>? AND state='waiting'"
                    " ORDER BY position LIMIT 200",
                    (self.job.id, after),
                ).fetchall()
            if not page:
                return
            for row in page:
                yield row["position"], json.loads(row["input"])
            after = page[-1]["position"]

    def _stop(self, outcome: str | Exception) -> None:
        if not self._stopped.done():
            if isinstance(outcome, str):
                self._stopped.set_result(outcome)
            else:
                self._stopped.set_exception(outcome)

    def _end(self, state: str, error: BaseException | None = None) -> None:
        self._outbox.put(None)
        self._thread.join()
        if self._stopped.done():
            self._stopped.exception()  # seen, or superseded by the error that ended the run first
        told = json.dumps(described(error)) if isinstance(error, Exception) else None
        with self.jobs.workspace.write() as db:
            db.execute(
                "UPDATE jobs SET state=?, ended_at=?, error=?, pid=NULL, host=NULL, heartbeat_at=NULL"
                " WHERE id=? AND lease=? AND state='running'",
                (state, None if state == "waiting" else time.time(), told, self.job.id, self.lease),
            )

    # --- the recording thread -------------------------------------------------------------------

    def _record(self) -> None:
        pulse_s = self.jobs.lease_s / 5
        written = told = time.monotonic()
        batch: list[tuple[_Outcome, asyncio.Future[None]]] = []
        closing = False
        try:
            while not closing:
                closing = self._collect(batch)
                now = time.monotonic()
                try:
                    if batch or now - written >= pulse_s:
                        cancelled = self._store([outcome for outcome, _ in batch], now - written)
                        written = now
                        self._settle(batch)
                        batch = []
                    else:
                        cancelled = self._look()
                except StoreBusy as error:  # another process writes for long; the lease says for how long we may wait
                    if isinstance(error, _LeaseLost) or closing or time.monotonic() - written > self.jobs.lease_s:
                        raise
                    continue
                if cancelled:
                    self._loop.call_soon_threadsafe(self._stop, "cancelled")
                if self.on_progress and (closing or now - told >= PROGRESS_S):
                    told = now
                    self._loop.call_soon_threadsafe(self.on_progress, self.job)
        except TouchstoneError as error:
            self._loop.call_soon_threadsafe(self._stop, error)
            self._settle(batch, recorded=False)
        finally:
            self.jobs.workspace.release()

    def _collect(self, batch: list[tuple[_Outcome, asyncio.Future[None]]]) -> bool:
        """Wait a moment for outcomes and take all there are; True when the run is closing."""
        wait_s = POLL_S
        while True:
            try:
                entry = self._outbox.get(timeout=wait_s) if wait_s else self._outbox.get_nowait()
            except queue.Empty:
                return False
            if entry is None:
                return True
            batch.append(entry)
            wait_s = 0

    def _store(self, outcomes: Sequence[_Outcome], active_s: float) -> bool:
        failed = sum(outcome.error is not None for outcome in outcomes)
        with self.jobs.workspace.write() as db:
            held = db.execute(
                "UPDATE jobs SET done=done+?, failed=failed+?, active_s=active_s+?, heartbeat_at=?"
                " WHERE id=? AND lease=? AND state='running'",
                (len(outcomes) - failed, failed, active_s, time.time(), self.job.id, self.lease),
            )
            row = db.execute("SELECT * FROM jobs WHERE id=?", (self.job.id,)).fetchone()
            if not held.rowcount:
                raise self._lost(row)
            db.executemany(
                "UPDATE job_items SET state=?, output=?, error=?, elapsed_s=? WHERE job_id=? AND position=?",
                (
                    ("failed" if o.error else "done", o.output, o.error, o.elapsed_s, self.job.id, o.position)
                    for o in outcomes
                ),
            )
        self.job = replace(
            self.job, state="running", done=row["done"], failed=row["failed"], active_s=row["active_s"], started_at=row["started_at"]
        )  # fmt: skip
        return bool(row["cancel_requested"])

    def _look(self) -> bool:
        with self.jobs.workspace.read() as db:
            row = db.execute("SELECT * FROM jobs WHERE id=?", (self.job.id,)).fetchone()
        if row is None or row["lease"] != self.lease:
            raise self._lost(row)
        return bool(row["cancel_requested"])

    def _lost(self, row: Any) -> _LeaseLost:
        holder = f"process {row['pid']}" if row is not None and row["pid"] else "nobody: it was cancelled or deleted"
        return _LeaseLost(path=f"job {self.job.id}", holder=holder, waited_s=0)

    def _settle(self, batch: Sequence[tuple[_Outcome, asyncio.Future[None]]], *, recorded: bool = True) -> None:
        def settle() -> None:
            for _, waiting in batch:
                if waiting.done():
                    continue
                if recorded:
                    waiting.set_result(None)
                else:
                    waiting.cancel()  # the run ends with the error itself

        if batch:
            self._loop.call_soon_threadsafe(settle)


async def _attempt(call: Callable[[Any], Awaitable[Any]], position: int, value: Any) -> _Outcome:
    started = time.perf_counter()
    try:
        output = json.dumps(await call(value), ensure_ascii=False, allow_nan=False)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a function raises is kept as the outcome of its item
        told = json.dumps(described(error), ensure_ascii=False)
        return _Outcome(position, time.perf_counter() - started, error=told)
    return _Outcome(position, time.perf_counter() - started, output=output)


def described(error: BaseException) -> dict[str, str]:
    """An error as it is stored: its code and its text in both languages, secrets masked."""
    if isinstance(error, TouchstoneError):
        return {"code": code_of(error), "en": error.text("en"), "zh": error.text("zh")}
    text = secret_free(f"{type(error).__name__}: {error}")
    return {"code": type(error).__name__, "en": text, "zh": text}


@asynccontextmanager
async def _opened(
    function: Callable[..., Any], parameters: Mapping[str, Any], concurrency: int
) -> AsyncIterator[Callable[[Any], Awaitable[Any]]]:
    """The function of one item, after its set-up when it has one, in threads when it is not ``async``."""
    async with AsyncExitStack() as stack:
        if inspect.isasyncgenfunction(inspect.unwrap(function)):
            work = await stack.enter_async_context(function(**parameters))
        else:
            work = partial(function, **parameters)
        if inspect.iscoroutinefunction(work):
            yield work
        else:
            pool = ThreadPoolExecutor(max(1, concurrency), thread_name_prefix="touchstone-job-item")
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            yield partial(_in_thread, pool, work)


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[Any], Any], value: Any) -> Any:
    found = await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, work, value)
    return await found if inspect.isawaitable(found) else found


def main(arguments: Sequence[str]) -> int:
    folder, job_id, *rest = arguments
    workspace = Workspace.open(Path(folder))
    try:
        with workspace.read() as db:
            row = db.execute("SELECT tenant, user FROM jobs WHERE id=?", (job_id,)).fetchone()
        owner = Caller(row["tenant"], row["user"], frozenset()) if row else Caller(roles=frozenset())
        ended = asyncio.run(Jobs(workspace).run(owner, job_id, concurrency=int(rest[0]) if rest else 4))
    except TouchstoneError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        workspace.close()
    return 0 if ended.state == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
