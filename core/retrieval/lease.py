"""The right to do something that only one process may do at a time, as a row in SQLite.

A holder that died is replaced: at once when it ran on this machine, after ``STALE_S`` without a heartbeat
otherwise. Who waits gets ``StoreBusy`` naming the holder when the time is up.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import StoreBusy
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
    pid, host, now = os.getpid(), socket.gethostname(), time.time()
    with lease.workspace.write() as db:
        row = db.execute("SELECT * FROM leases WHERE name = ?", (lease.name,)).fetchone()
        if row is not None and _alive(row["pid"], row["host"], row["started"], row["heartbeat"]):
            return f"process {row['pid']} on {row['host']}"
        db.execute(
            "INSERT OR REPLACE INTO leases (name, token, pid, host, started, heartbeat) VALUES (?, ?, ?, ?, ?, ?)",
            (lease.name, lease.token, pid, host, process_start(pid) or 0.0, now),
        )
    return None


def _alive(pid: int, host: str, started: float, heartbeat: float) -> bool:
    if host != socket.gethostname() or os.name == "nt":  # os.kill(pid, 0) is no question on Windows
        return time.time() - heartbeat < STALE_S
    now_started = process_start(pid)
    if now_started is not None:
        return now_started == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_start(pid: int) -> float | None:
    """When ``pid`` started, in clock ticks since boot; ``None`` where the system does not say, or it is gone."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
