"""Durable jobs: the only runner for long work.

A job is a function over items. Items, outputs and errors live in the workspace, so a job goes on where it
stopped after a crash, a kill or a restart, can be cancelled from another process, and is read back in the
order of its items. An error of one item is kept with it and the others go on.

    @job
    async def shout(item, *, mark):
        return item.upper() + mark

    jobs = Jobs(workspace)
    made = jobs.create(LOCAL, shout, ["a", "b"], parameters={"mark": "!"})
    await jobs.run(LOCAL, made.id)
    [row.output for row in jobs.results(LOCAL, made.id)]        # ["A!", "B!"]

The function is named ``module:callable`` and must carry ``@job``: a row of the database can never name
any other code. Parameters, inputs and outputs are JSON. An ``@asynccontextmanager`` marked ``@job`` does
its set-up once per run and yields the function of the item. Functions that are not ``async`` run in threads.

An item counts when it is recorded. One process runs a job at a time, held by a lease with a heartbeat;
after a kill at most as many items run twice as ran at once, and a run that lost its lease records nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeVar

from core.errors import InputError, NotFound, StoreBusy, UnknownName
from core.processes import alive, host, process_start
from core.types import Caller
from core.workspace import Workspace

State = Literal["waiting", "running", "interrupted", "done", "cancelled", "failed"]
Work = Callable[[Any], Awaitable[Any] | Any]
F = TypeVar("F", bound=Callable[..., Any])

LEASE_S = 15.0  # a holder without a heartbeat for so long is taken for dead


def job(function: F) -> F:
    """Mark a function as one that jobs may name."""
    function.__dict__["is_touchstone_job"] = True
    return function


@dataclass(frozen=True, slots=True)
class Item:
    """An input with a key of its own; items given bare are known by their place in the list."""

    key: str
    input: Any


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. ``interrupted``: it was running and its process is gone; run it again."""

    id: str
    tenant: str
    user: str
    title: str
    function: str | None
    parameters: Mapping[str, Any]
    state: State
    total: int
    done: int  # items with an output
    failed: int  # items with an error
    created_at: float
    started_at: float | None
    ended_at: float | None
    active_s: float
    error: Mapping[str, str] | None
    holder: str | None

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the rate so far; ``None`` when it does not run or nothing is done yet."""
        finished = self.done + self.failed
        if self.state != "running" or not finished:
            return None
        return (self.total - finished) * self.active_s / finished


@dataclass(frozen=True, slots=True)
class Result:
    """An item and what became of it. ``error`` has ``code``, ``en`` and ``zh``."""

    position: int
    key: str
    input: Any
    state: Literal["waiting", "done", "failed"]
    output: Any
    error: Mapping[str, str] | None
    elapsed_s: float | None


class Jobs:
    """The jobs of a workspace. A caller sees its own; with the role ``admin`` those of its whole tenant."""

    def __init__(self, workspace: Workspace, *, lease_s: float = LEASE_S) -> None:
        self.workspace = workspace
        self.lease_s = lease_s

    def create(
        self,
        caller: Caller,
        function: str | Callable[..., Any] | None,
        items: Iterable[Any],
        *,
        parameters: Mapping[str, Any] | None = None,
        title: str = "",
        key: str | None = None,
    ) -> Job:
        """Store a job, waiting to be run.

        Args:
            function: ``module:callable`` or the callable; ``None`` for a job that is only run with ``work=``.
            items: inputs, or :class:`Item` with keys of your own; a key that comes twice is one item.
            key: creating a job under a key that exists returns the existing one, whatever its state.

        Raises:
            UnknownName: no such function, or it is not marked ``@job``.
            InputError: the key exists for other work, an item key has two inputs, something is not JSON.
        """
        name = named(function) if callable(function) else function
        if name:
            resolve(name)
        arguments = _json("parameters", dict(parameters or {}))
        rows = _unique(items)
        fingerprint = hashlib.sha256(json.dumps([name, arguments, list(rows.items())]).encode()).hexdigest()
        new = secrets.token_hex(8)
        with self.workspace.write() as db:
            found = db.execute(
                "SELECT id, fingerprint FROM jobs WHERE tenant=? AND user=? AND key=?",
                (caller.tenant, caller.user, key),
            ).fetchone()
            if found and found["fingerprint"] != fingerprint:
                raise InputError(reason="job_differs", key=key, id=found["id"])
            if not found:
                db.execute(
                    "INSERT INTO jobs (id, tenant, user, key, title, function, parameters, fingerprint, state, total,"
                    " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)",
                    (
                        *(new, caller.tenant, caller.user, key, title or name or "", name, arguments, fingerprint),
                        *(len(rows), time.time()),
                    ),
                )
                db.executemany(
                    "INSERT INTO job_items (job_id, position, key, input) VALUES (?, ?, ?, ?)",
                    ((new, position, item, text) for position, (item, text) in enumerate(rows.items())),
                )
        return self.get(caller, found["id"] if found else new)

    async def run(
        self,
        caller: Caller,
        job_id: str,
        *,
        work: Work | None = None,
        concurrency: int = 4,
        max_errors: int | None = None,
        on_progress: Callable[[Job], None] | None = None,
    ) -> Job:
        """Run what is still waiting, ``concurrency`` items at once, and return the job as it ended.

        A job that is done or cancelled is returned as it is (see :meth:`resume`). Cancelling this coroutine
        leaves the job waiting, with everything recorded that was finished.

        Args:
            work: used in place of the named function, for work on objects that this process holds open.
            max_errors: stop as ``failed`` after so many items with an error; by default all are tried.
            on_progress: called on the event loop with the job, at most ten times a second and at the end.

        Raises:
            NotFound: no such job for this caller.
            StoreBusy: another process runs it, or took it over; names the holder.
            ConfigurationError: raised by the function. It would fail for every item, so the job is ``failed``.
            StoreError: the workspace can no longer be written.
        """
        from core.job_run import Run

        current = self.get(caller, job_id)
        if current.state in ("done", "cancelled"):
            return current
        if current.function is None and work is None:
            raise InputError(reason="job_needs_program", id=job_id, title=current.title)
        function = work or resolve(current.function or "")
        lease = self._take(job_id)
        if lease is not None:
            run = Run(self, current, lease, max_errors, on_progress)
            await run.finish(function, {} if work else current.parameters, concurrency)
        return self.get(caller, job_id)

    def spawn(self, caller: Caller, job_id: str, *, concurrency: int = 4) -> int:
        """Run a job in a process of its own, which outlives this one; the process number.

        For pages: the work neither shares the interpreter with them nor ends with them. Watch it with
        :meth:`get`, stop it with :meth:`cancel`; what it prints goes to ``jobs/ID.log`` in the workspace.
        """
        current = self.get(caller, job_id)
        resolve(current.function or "")
        _children[:] = [child for child in _children if child.poll() is None]  # takes leave of those that ended
        folder = self.workspace.folder / "jobs"
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "core.job_run", str(self.workspace.folder), current.id, str(concurrency)]
        with (folder / f"{current.id}.log").open("ab") as log:
            _children.append(
                subprocess.Popen(  # noqa: S603  # this interpreter, this program and an id found in the workspace
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            )
        return _children[-1].pid

    def cancel(self, caller: Caller, job_id: str) -> Job:
        """Stop a job, in whichever process it runs; what is recorded stays. A finished job is left alone."""
        self.get(caller, job_id)
        with self.workspace.write() as db:
            state = self._job(_row(db, job_id)).state
            if state == "running":
                db.execute("UPDATE jobs SET cancel_requested=1 WHERE id=?", (job_id,))
            elif state in ("waiting", "interrupted", "failed"):
                db.execute(
                    "UPDATE jobs SET state='cancelled', lease=lease+1, ended_at=? WHERE id=?", (time.time(), job_id)
                )
        return self.get(caller, job_id)

    def resume(self, caller: Caller, job_id: str, *, errors: bool = False) -> Job:
        """Make a cancelled or failed job wait for a run again; with ``errors`` its failed items too, of any job.

        Raises:
            StoreBusy: it is running.
        """
        self.get(caller, job_id)
        with self.workspace.write() as db:
            self._refuse_running(db, job_id)
            if errors:
                db.execute(
                    "UPDATE job_items SET state='waiting', error=NULL WHERE job_id=? AND state='failed'", (job_id,)
                )
                db.execute("UPDATE jobs SET failed=0 WHERE id=?", (job_id,))
            db.execute(
                "UPDATE jobs SET state='waiting', ended_at=NULL, error=NULL WHERE id=? AND (state<>'done' OR total>done+failed)",
                (job_id,),
            )
        return self.get(caller, job_id)

    def get(self, caller: Caller, job_id: str) -> Job:
        """The job as it stands.

        Raises:
            NotFound: there is none, or it belongs to somebody else.
        """
        with self.workspace.read() as db:
            found = db.execute(f"SELECT * FROM jobs WHERE id=? AND {_VISIBLE}", (job_id, *_who(caller))).fetchone()
        if found is None:
            raise NotFound(kind="job", value=job_id)
        return self._job(found)

    def recent(self, caller: Caller, limit: int = 100) -> list[Job]:
        """The caller's jobs, the newest first."""
        with self.workspace.read() as db:
            rows = db.execute(
                f"SELECT * FROM jobs WHERE {_VISIBLE} ORDER BY created_at DESC, rowid DESC LIMIT ?",
                (*_who(caller), limit),
            ).fetchall()
        return [self._job(row) for row in rows]

    def results(self, caller: Caller, job_id: str, state: str | None = None) -> Iterator[Result]:
        """The items in their order, those of one ``state`` (waiting, done, failed) or all."""
        self.get(caller, job_id)
        after = -1
        while True:
            with self.workspace.read() as db:
                page = db.execute(
                    "SELECT * FROM job_items WHERE job_id=? AND position>? AND state=COALESCE(?, state)"
                    " ORDER BY position LIMIT 500",
                    (job_id, after, state),
                ).fetchall()
            if not page:
                return
            for row in page:
                output, error = row["output"], row["error"]
                yield Result(
                    row["position"],
                    row["key"],
                    json.loads(row["input"]),
                    row["state"],
                    None if output is None else json.loads(output),
                    None if error is None else json.loads(error),
                    row["elapsed_s"],
                )
            after = page[-1]["position"]

    def delete(self, caller: Caller, job_id: str) -> None:
        """Forget a job and its results.

        Raises:
            StoreBusy: it is running; cancel it first.
        """
        self.get(caller, job_id)
        with self.workspace.write() as db:
            self._refuse_running(db, job_id)
            db.execute("DELETE FROM jobs WHERE id=?", (job_id,))

    def _take(self, job_id: str) -> int | None:
        """Become the holder; the number of the lease, or ``None`` when there is nothing to run any more."""
        with self.workspace.write() as db:
            self._refuse_running(db, job_id)
            taken = db.execute(
                "UPDATE jobs SET state='running', lease=lease+1, pid=?, host=?, process_start=?, heartbeat_at=?,"
                " started_at=COALESCE(started_at, ?), ended_at=NULL, cancel_requested=0, error=NULL"
                " WHERE id=? AND state NOT IN ('done', 'cancelled')",
                (os.getpid(), host(), process_start(os.getpid()), time.time(), time.time(), job_id),
            )
            return int(_row(db, job_id)["lease"]) if taken.rowcount else None

    def _refuse_running(self, db: sqlite3.Connection, job_id: str) -> None:
        found = self._job(_row(db, job_id))
        if found.state == "running":
            raise StoreBusy(path=f"job {job_id}", holder=found.holder, waited_s=0)

    def _job(self, row: sqlite3.Row) -> Job:
        running = row["state"] == "running"
        return Job(
            id=row["id"],
            tenant=row["tenant"],
            user=row["user"],
            title=row["title"],
            function=row["function"],
            parameters=json.loads(row["parameters"]),
            state="interrupted" if running and not self._alive(row) else row["state"],
            total=row["total"],
            done=row["done"],
            failed=row["failed"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            active_s=row["active_s"],
            error=json.loads(row["error"]) if row["error"] else None,
            holder=f"process {row['pid']} on {row['host'].partition('/')[0]}" if running else None,
        )

    def _alive(self, row: sqlite3.Row) -> bool:
        if time.time() - row["heartbeat_at"] > self.lease_s:
            return False
        # Of a process on this machine we know at once that it is gone, without waiting for the lease to end.
        return alive(row["host"], row["pid"], row["process_start"]) is not False


_children: list[subprocess.Popen[bytes]] = []
_VISIBLE = "tenant=? AND (user=? OR ?)"


def _who(caller: Caller) -> tuple[str, str, bool]:
    return caller.tenant, caller.user, "admin" in caller.roles


def _row(db: sqlite3.Connection, job_id: str) -> sqlite3.Row:
    found = db.execute("SELECT * FROM jobs WHERE id=?", (job_id,)).fetchone()
    if found is None:
        raise NotFound(kind="job", value=job_id)
    return found


def _unique(items: Iterable[Any]) -> dict[str, str]:
    """Inputs as JSON by key, in order."""
    rows: dict[str, str] = {}
    for place, item in enumerate(items):
        key, value = (item.key, item.input) if isinstance(item, Item) else (str(place), item)
        text = _json(f"item {key}", value)
        if rows.setdefault(key, text) != text:
            raise InputError(reason="job_two_inputs", key=key)
    return rows


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(reason="not_json", name=name, detail=str(error)) from error


# --- functions by name --------------------------------------------------------------------------


def named(function: Callable[..., Any]) -> str:
    """``module:callable`` of a function that another process can import."""
    return f"{function.__module__}:{function.__qualname__}"


def resolve(name: str) -> Callable[..., Any]:
    """The function called ``module:callable``.

    Raises:
        UnknownName: it cannot be imported, or it does not carry ``@job``.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownName(kind="job function", value=name, allowed="module:callable") from error
    if not getattr(found, "is_touchstone_job", False):
        raise UnknownName(kind="job function", value=name, allowed="@core.jobs.job")
    return found
