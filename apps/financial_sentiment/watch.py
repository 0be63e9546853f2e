"""Folders that are read again and again: each content of each file once, whatever happens in between.

What was met is written down before it is read, with the time; that is the seen time of its items. A process that is
killed in the middle reads the file again with that same time, and the store knows the items that it has already. Any
number of processes may watch one folder.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from apps.financial_sentiment import sources
from apps.financial_sentiment.sources import FILE_LIMIT_MB, SUFFIXES, Reading
from core.errors import InputError, MissingFile, NotFound, TouchstoneError
from core.job_run import described
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk

STILL_S = 1.0  # for how long a file must not have changed
_UNREADABLE = "unreadable"  # stands for the hash of a content that could not be read
State = Literal["reading", "done", "failed"]
Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Folder:
    """A watched folder. ``error`` (code, en, zh) is why it could not be read when it was looked at last."""

    path: str
    added_at: float
    looked_at: float | None
    error: Told | None
    files: int
    failed: int


@dataclass(frozen=True, slots=True)
class File:
    """A file of a watched folder. ``counts`` has new, updated, copies, known and refused; ``error`` (where, code, en,
    zh) is the first thing that was refused. ``failed``: nothing of it could be taken."""

    folder: str
    path: str
    state: State
    seen_at: float
    counts: Mapping[str, int]
    error: Told | None


class Watch:
    """The watched folders of a desk."""

    def __init__(self, desk: Desk, *, still_s: float = STILL_S) -> None:
        self.desk, self.still_s = desk, still_s
        self._workspace = desk.runtime.workspace

    def add(self, folder: Path, caller: Caller = LOCAL) -> str:
        """Watch ``folder`` from now on; what is in it is read at the next look. Returns its full path.

        Raises:
            MissingFile: there is no such folder.
        """
        if not folder.is_dir():
            raise MissingFile(path=str(folder), needed_for="news")
        path = str(folder.resolve())
        with self._workspace.write() as db:
            db.execute(
                "INSERT OR IGNORE INTO news_folders (tenant, path, added_at) VALUES (?, ?, ?)",
                (caller.tenant, path, time.time()),
            )
        return path

    def remove(self, path: str, caller: Caller = LOCAL) -> None:
        """Watch it no longer; the news stays.

        Raises:
            NotFound: it is not watched.
        """
        with self._workspace.write() as db:
            gone = db.execute("DELETE FROM news_folders WHERE tenant = ? AND path = ?", (caller.tenant, path))
        if not gone.rowcount:
            raise NotFound(kind="folder", value=path)

    def folders(self, caller: Caller = LOCAL) -> list[Folder]:
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT f.path, f.added_at, f.looked_at, f.error, count(n.path) AS files, coalesce(sum(n.state = 'failed'), 0)"
                " AS failed FROM news_folders f LEFT JOIN news_files n ON n.tenant = f.tenant AND n.folder = f.path"
                " WHERE f.tenant = ? GROUP BY f.path ORDER BY f.path",
                (caller.tenant,),
            ).fetchall()
        return [Folder(**{**dict(row), "error": row["error"] and json.loads(row["error"])}) for row in rows]

    def any(self) -> bool:
        """Whether any tenant watches a folder."""
        with self._workspace.read() as db:
            return db.execute("SELECT 1 FROM news_folders LIMIT 1").fetchone() is not None

    def files(self, path: str, caller: Caller = LOCAL) -> list[File]:
        """The files of a folder that were met, the newest first."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT * FROM news_files WHERE tenant = ? AND folder = ? ORDER BY seen_at DESC, path",
                (caller.tenant, path),
            ).fetchall()
        return [_file(row) for row in rows]

    def look_all(self) -> list[File]:
        """Look into the folders of all tenants; for a thread that does so again and again."""
        with self._workspace.read() as db:
            tenants = [row["tenant"] for row in db.execute("SELECT DISTINCT tenant FROM news_folders")]
        return [file for tenant in tenants for file in self.look(Caller(tenant=tenant, user="watch"))]

    def look(self, caller: Caller = LOCAL) -> list[File]:
        """Read what is new in the caller's folders; what became of each file that was read.

        A folder that cannot be read keeps the reason (:meth:`folders`) and the others go on.
        """
        read: list[File] = []
        for folder in self.folders(caller):
            error: TouchstoneError | None = None
            try:
                read += self._folder(Path(folder.path), caller)
            except OSError as problem:
                error = MissingFile(path=f"{folder.path} ({problem.strerror})", needed_for="news")
            except TouchstoneError as problem:
                error = problem
            with self._workspace.write() as db:
                db.execute(
                    "UPDATE news_folders SET looked_at = ?, error = ? WHERE tenant = ? AND path = ?",
                    (time.time(), json.dumps(described(error)) if error else None, caller.tenant, folder.path),
                )
        return read

    def _folder(self, folder: Path, caller: Caller) -> list[File]:
        if not folder.is_dir():
            raise MissingFile(path=str(folder), needed_for="news")
        known = self._known(str(folder), caller)
        read = []
        there = set()
        for path, name in _listed(folder):
            there.add(name)
            if file := self._one(folder, path, name, known.get(name), caller):
                read.append(file)
        for name, row in known.items():
            if row["state"] == "reading" and name not in there:  # gone before it was read to its end
                error = MissingFile(path=name, needed_for="news")
                read.append(self._told(folder, name, "failed", {}, {"where": name, **described(error)}, caller))
        return read

    def _one(self, folder: Path, path: Path, name: str, row: sqlite3.Row | None, caller: Caller) -> File | None:
        """Read a file that is new, has other content, or was not read to its end."""
        status = path.stat()
        settled = row and row["state"] != "reading" and row["sha256"] != _UNREADABLE
        if row and settled and (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns):
            return None
        if 0 <= time.time() - status.st_mtime < self.still_s:
            return None  # being written: the next look has it
        reading, digest = _read(path, name, status.st_size)
        after = path.stat()
        if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            return None
        now = time.time()
        with self._workspace.write() as db:
            db.execute(
                "INSERT INTO news_files VALUES (?, ?, ?, ?, ?, 'reading', ?, ?, '{}', NULL) ON CONFLICT (tenant, folder, path)"
                " DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
                " seen_at = CASE WHEN sha256 = excluded.sha256 THEN seen_at ELSE excluded.seen_at END,"
                " state = CASE WHEN sha256 = excluded.sha256 THEN state ELSE 'reading' END, sha256 = excluded.sha256",
                (caller.tenant, str(folder), name, digest, now, status.st_size, status.st_mtime_ns),
            )
        met = self._known(str(folder), caller)[name]
        if met["state"] != "reading":
            return None  # only its date has changed
        seen = met["seen_at"]
        items = tuple(replace(item, seen_at=item.seen_at or seen) for item in reading.items)
        self.desk.troubles.note(
            caller, (replace(one, source=f"{folder.name}/{name}") for one in (*reading.refused, *reading.noticed))
        )
        added = self.desk.add(items, caller)
        counts = {"new": added.new, "updated": added.updated, "copies": added.copies, "known": added.known,
                  "refused": len(reading.refused)}  # fmt: skip
        first = reading.refused[0] if reading.refused else None
        error = {"where": first.where, **described(first.error)} if first else None
        return self._told(folder, name, "done" if items or not first else "failed", counts, error, caller)

    def _known(self, folder: str, caller: Caller) -> dict[str, sqlite3.Row]:
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT * FROM news_files WHERE tenant = ? AND folder = ?", (caller.tenant, folder)
            ).fetchall()
        return {row["path"]: row for row in rows}

    def _told(
        self, folder: Path, name: str, state: State, counts: Mapping[str, int], error: Told | None, caller: Caller
    ) -> File:
        with self._workspace.write() as db:
            row = db.execute(
                "UPDATE news_files SET state = ?, counts = ?, error = ? WHERE tenant = ? AND folder = ? AND path = ?"
                " RETURNING *",
                (state, json.dumps(counts), json.dumps(error, ensure_ascii=False) if error else None, caller.tenant,
                 str(folder), name),
            ).fetchone()  # fmt: skip
        if row is None:
            raise NotFound(kind="folder", value=str(folder))  # it was removed meanwhile
        return _file(row)


def _listed(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files that a reader knows, by their path below ``folder``; hidden ones and links that lead out are not read."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in name.parts):
            continue
        if path.is_file() and path.resolve().is_relative_to(folder):
            yield path, name.as_posix()


def _read(path: Path, name: str, size: int) -> tuple[Reading, str]:
    """What a reader makes of the file, and a hash of its content."""
    if size > FILE_LIMIT_MB * 1_000_000:
        error = InputError(reason="file_too_large", name=name, size_mb=round(size / 1e6, 1), limit_mb=FILE_LIMIT_MB)
        return Reading(refused=(sources.Refused(name, error),)), f"size:{size}"
    try:
        data = path.read_bytes()
    except OSError as problem:
        refused = InputError(reason="unreadable_file", name=name, detail=problem.strerror or str(problem))
        return Reading(refused=(sources.Refused(name, refused),)), _UNREADABLE
    return sources.parse(name, data), hashlib.sha256(data).hexdigest()


def _file(row: sqlite3.Row) -> File:
    return File(
        row["folder"], row["path"], row["state"], row["seen_at"], json.loads(row["counts"]),
        row["error"] and json.loads(row["error"]),
    )  # fmt: skip
