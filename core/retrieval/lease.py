"""The right to do something that only one process may do at a time, as a row in SQLite.

A holder that died is replaced: at once when it ran on this machine, after ``STALE_S`` without a heartbeat
otherwise. Who waits gets ``StoreBusy`` naming the holder when the time is up.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import StoreBusy
from core.processes import alive, host, process_start
from core.workspace import Workspace

STALE_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Lease:
    """A right that is held. Call ``beat`` at least every ``STALE_S / 2`` seconds."""

    workspace: Workspace
    name: str
    token: str

    def beat(self) -> None:
        """Say that the holder lives.

        Raises:
            StoreBusy: another process took the right over; stop writing.
        """
        with self.workspace.write() as db:
            changed = db.execute(
                "UPDATE leases SET heartbeat = ? WHERE name = ? AND token = ?", (time.time(), self.name, self.token)
            )
            if not changed.rowcount:
                raise StoreBusy(path=self.name, holder="another process", waited_s=0)


@contextmanager
def hold(workspace: Workspace, name: str, *, wait_s: float = 30.0) -> Iterator[Lease]:
    """Hold the right ``name`` for the block.

    Raises:
        StoreBusy: somebody else holds it and did not give it back within ``wait_s``.
    """
    lease = Lease(workspace, name, secrets.token_hex(8))
    deadline = time.monotonic() + wait_s
    while (holder := _take(lease)) is not None:
        if time.monotonic() >= deadline:
            raise StoreBusy(path=str(workspace.folder / name), holder=holder, waited_s=round(wait_s, 1))
        time.sleep(_POLL_S)
    try:
        yield lease
    finally:
        with workspace.write() as db:
            db.execute("DELETE FROM leases WHERE name = ? AND token = ?", (name, lease.token))


def _take(lease: Lease) -> str | None:
    """Take the right; when it is taken already, say by whom."""
    with lease.workspace.write() as db:
        row = db.execute("SELECT * FROM leases WHERE name = ?", (lease.name,)).fetchone()
        if row is not None and _alive(row):
            return _named(row)
        db.execute(
            "INSERT OR REPLACE INTO leases (name, token, pid, host, process_start, heartbeat) VALUES (?, ?, ?, ?, ?, ?)",
            (lease.name, lease.token, os.getpid(), host(), process_start(os.getpid()), time.time()),
        )
    return None


def held(workspace: Workspace, name: str) -> bool:
    """Whether a living process, perhaps this one, holds the right ``name`` now."""
    with workspace.read() as db:
        row = db.execute("SELECT * FROM leases WHERE name = ?", (name,)).fetchone()
    return row is not None and _alive(row)


def _named(row: sqlite3.Row) -> str:
    return f"process {row['pid']} on {row['host'].partition('/')[0]}"


def _alive(row: sqlite3.Row) -> bool:
    """Of a process on this machine we know at once; of another one we only hear."""
    known = alive(row["host"], row["pid"], row["process_start"])
    return time.time() - row["heartbeat"] < STALE_S if known is None or os.name == "nt" else known
