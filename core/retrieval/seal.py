"""What the files of a Chroma folder looked like when their last writer was done, kept in a file beside the folder.

Chroma does not check its own files: damaged ones end the process, or answer in part. So a folder is opened without
more ado only while its files are those of the seal (size and time, else BLAKE2 of the content). A seal that a
living writer has broken is trusted as far as that writer; one that was never made good again (a kill) says
``doubtful``, and the folder is first tried by a process that may crash (:mod:`core.retrieval.chroma_probe`).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import StoreDamaged
from core.processes import alive, host, process_start

DATABASE = "chroma.sqlite3"
PROBE_S = 120.0
_PERSISTED = "index_metadata.pickle"  # only folders with this file hold a graph; others are made anew at every opening
_ROOT = Path(__file__).parents[2]


class Seal:
    """The seal of ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder.with_name(f"{folder.name}.seal.json")

    def check(self) -> None:
        """Make sure that opening the folder is safe and that its files are those that were written.

        Raises:
            StoreDamaged: names the file, or says how the attempt in another process ended.
        """
        if not (self.folder / DATABASE).exists():
            if any(self.folder.glob(f"*/{_PERSISTED}")):
                raise self._damaged(f"{DATABASE} is missing")
            return
        told = self._told()
        writer = told.get("writer")
        if writer is not None and alive(writer["host"], writer["pid"], writer["process_start"]):
            return
        if writer is not None or "files" not in told:
            self._try_it()
        else:
            self._compare(told["files"])

    def open(self) -> None:
        """Break the seal: from now on this process writes."""
        process = {"pid": os.getpid(), "host": host(), "process_start": process_start(os.getpid())}
        self._tell({"writer": process, "files": self._told().get("files", {})})

    def close(self) -> None:
        """Seal the folder as it is now. Nothing may have it open for writing."""
        before = self._told().get("files", {})
        self._tell({"files": {name: self._look(path, before.get(name)) for name, path in self._files()}})

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def _compare(self, files: dict[str, Any]) -> None:
        there = dict(self._files())
        for name, (size, mtime_ns, digest) in files.items():
            path = there.pop(name, None)
            if path is None:
                raise self._damaged(f"{name} is missing")
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) == (size, mtime_ns):
                continue
            if name == DATABASE:  # an opening by a reader touches it
                self._check_database(path)
            elif status.st_size != size or _digest(path) != digest:
                raise self._damaged(f"{name} is not as it was written")
        if there:  # files that this program did not seal
            self._try_it()

    def _check_database(self, path: Path) -> None:
        try:
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
            try:
                found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                db.execute("SELECT count(*) FROM collections")
            finally:
                db.close()
        except sqlite3.Error as error:
            raise self._damaged(f"{DATABASE}: {error}") from error
        if found != "ok":
            raise self._damaged(f"{DATABASE}: {found}")

    def _try_it(self) -> None:
        """Open and ask every collection in a process that may die of it."""
        self._check_database(self.folder / DATABASE)
        command = [sys.executable, "-W", "ignore", "-m", "core.retrieval.chroma_probe", str(self.folder)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])}
        try:
            done = subprocess.run(  # noqa: S603  # this interpreter and a module of this package
                command, capture_output=True, timeout=PROBE_S, check=False, cwd=_ROOT, env=environment
            )
        except subprocess.TimeoutExpired as error:
            raise self._damaged(f"opening it did not end within {PROBE_S:g} s") from error
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
            how = f"signal {-done.returncode}" if done.returncode < 0 else last[0][:200]
            raise self._damaged(f"opening it in a process of its own ended with {how}")
        self.close()  # the next opening need not doubt it

    def _files(self) -> Iterator[tuple[str, Path]]:
        if (self.folder / DATABASE).exists():
            yield DATABASE, self.folder / DATABASE
        for marker in sorted(self.folder.glob(f"*/{_PERSISTED}")):
            for path in sorted(marker.parent.iterdir()):
                yield f"{marker.parent.name}/{path.name}", path

    def _look(self, path: Path, before: list[Any] | None) -> list[Any]:
        status = path.stat()
        if before is not None and before[:2] == [status.st_size, status.st_mtime_ns]:
            return before
        digest = "" if path.name == DATABASE else _digest(path)  # SQLite's own check stands in for it
        return [status.st_size, status.st_mtime_ns, digest]

    def _told(self) -> dict[str, Any]:
        try:
            told = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return {}  # a seal that cannot be read is none: the folder is tried first
        return told if isinstance(told, dict) else {}

    def _tell(self, told: dict[str, Any]) -> None:
        fresh = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            fresh.write_text(json.dumps(told), "utf-8")
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def _damaged(self, detail: str) -> StoreDamaged:
        return StoreDamaged(path=str(self.folder), detail=detail)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
