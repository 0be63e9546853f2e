"""The journal of a collection: which sync did what to which file and why, and what each file looked like then.

A file whose stamp (size, times, inode) is the one it had when it was last read whole is unchanged without being
opened. A stamp younger than ``RACY_S`` is not kept: a second write within the clock's tick could leave it as it is.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.errors import TouchstoneError, code_of
from core.i18n import message
from core.processes import alive, host, process_start
from core.retrieval.load import Stamp
from core.retrieval.records import FileResult, Status
from core.workspace import Workspace

RACY_S = 2.0
KEPT = 10  # runs with an entry for each file
_FLUSH = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to one file. ``reason`` is an error's code and parameters, or ``None``."""

    source: str
    status: Status
    passages: int
    reason: dict[str, Any] | None

    def text(self, language: str = "en") -> str:
        """Why, in words; empty when there is nothing to say."""
        return message(f"error.{self.reason['code']}", language, **self.reason["params"]) if self.reason else ""

    def as_dict(self, language: str = "en") -> dict[str, Any]:
        return {
            "source": self.source,
            "status": self.status,
            "passages": self.passages,
            "code": self.reason["code"] if self.reason else None,
            "reason": self.text(language),
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One sync. ``state``: ``done``, ``running``, or ``interrupted`` when its process ended before it did."""

    id: int
    started_at: float
    ended_at: float | None
    state: str
    embedded: int
    notices: tuple[str, ...]
    entries: tuple[Entry, ...]

    def as_dict(self, language: str = "en") -> dict[str, Any]:
        return {
            "id": self.id,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "state": self.state,
            "embedded": self.embedded,
            "notices": list(self.notices),
            "files": [entry.as_dict(language) for entry in self.entries],
        }


class Journal:
    """The journal of one sync while it runs. Entries of what was committed are committed with it."""

    def __init__(self, workspace: Workspace, collection: int) -> None:
        self.workspace, self.collection = workspace, collection
        self._waiting: list[tuple[FileResult, Stamp | None, str]] = []
        with workspace.write() as db:
            self.run = db.execute(
                "INSERT INTO sync_runs (collection_id, started_at, pid, host, process_start) VALUES (?, ?, ?, ?, ?)",
                (collection, time.time(), os.getpid(), host(), process_start(os.getpid())),
            ).lastrowid
            db.execute(
                "DELETE FROM sync_runs WHERE collection_id = ? AND id <= (SELECT id FROM sync_runs"
                " WHERE collection_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (collection, collection, KEPT),
            )

    def enter(self, db: sqlite3.Connection, result: FileResult, stamp: Stamp | None, versions: str) -> None:
        """Enter a result within the transaction that made it so."""
        error = result.error
        reason = json.dumps(_reason(error), ensure_ascii=False, default=str) if error else None
        db.execute(
            "INSERT OR REPLACE INTO sync_entries VALUES (?, ?, ?, ?, ?)",
            (self.run, result.source, result.status, result.passages, reason),
        )
        if stamp is not None and result.status in ("added", "updated", "unchanged"):
            keep(db, self.collection, result.source, stamp, versions)

    def note(self, result: FileResult, stamp: Stamp | None = None, versions: str = "") -> None:
        """Enter a result that changed nothing, soon."""
        self._waiting.append((result, stamp, versions))
        if len(self._waiting) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            with self.workspace.write() as db:
                for result, stamp, versions in self._waiting:
                    self.enter(db, result, stamp, versions)
            self._waiting.clear()

    def end(self, embedded: int, notices: Iterable[str]) -> None:
        self.flush()
        with self.workspace.write() as db:
            db.execute(
                "UPDATE sync_runs SET ended_at = ?, embedded = ?, notices = ? WHERE id = ?",
                (time.time(), embedded, json.dumps(list(notices)), self.run),
            )


def keep(db: sqlite3.Connection, collection: int, source: str, stamp: Stamp, versions: str) -> None:
    """Remember the stamp of a file that was read whole, unless it is too young to be trusted."""
    now = time.time()
    if now - max(stamp.mtime_ns, stamp.ctime_ns) / 1e9 < RACY_S:
        db.execute("DELETE FROM files WHERE collection_id = ? AND source = ?", (collection, source))
        return
    db.execute(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (collection, source, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode, versions, now),
    )


def forget(db: sqlite3.Connection, collection: int, source: str) -> None:
    db.execute("DELETE FROM files WHERE collection_id = ? AND source = ?", (collection, source))


@dataclass(frozen=True, slots=True)
class Known:
    """A document whose file was read whole, and how the file looked then."""

    stamp: Stamp
    versions: str
    document_id: str
    title: str
    given: str  # the metadata it was given, as JSON


def known(db: sqlite3.Connection, collection: int) -> dict[str, Known]:
    """By source, what of ``collection`` need not be opened while it looks the same."""
    rows = db.execute(
        "SELECT f.source, f.size, f.mtime_ns, f.ctime_ns, f.inode, f.versions, d.id, d.title, d.given"
        " FROM files f"
        " JOIN documents d ON d.collection_id = f.collection_id AND d.source = f.source WHERE f.collection_id = ?",
        (collection,),
    )
    return {row[0]: Known(Stamp(row[1], row[2], row[3], row[4]), row[5], row[6], row[7], row[8]) for row in rows}


def runs(workspace: Workspace, collection: int, limit: int = 1) -> list[Run]:
    """The last ``limit`` syncs, the newest first."""
    with workspace.read() as db:
        rows = db.execute(
            "SELECT * FROM sync_runs WHERE collection_id = ? ORDER BY id DESC LIMIT ?", (collection, limit)
        ).fetchall()
        entries = {
            row["id"]: db.execute(
                "SELECT * FROM sync_entries WHERE run_id = ? ORDER BY source", (row["id"],)
            ).fetchall()
            for row in rows
        }
    return [
        Run(
            row["id"],
            row["started_at"],
            row["ended_at"],
            _state(row),
            row["embedded"],
            tuple(json.loads(row["notices"])),
            tuple(
                Entry(e["source"], e["status"], e["passages"], json.loads(e["reason"]) if e["reason"] else None)
                for e in entries[row["id"]]
            ),
        )
        for row in rows
    ]


def _state(row: sqlite3.Row) -> str:
    if row["ended_at"] is not None:
        return "done"
    return "interrupted" if alive(row["host"], row["pid"], row["process_start"]) is False else "running"


def _reason(error: TouchstoneError) -> dict[str, Any]:
    return {"code": code_of(error), "params": error.params}
