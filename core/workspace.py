"""One folder, one SQLite database: everything Touchstone remembers.

``Workspace.open`` creates or migrates ``touchstone.db`` (WAL). Migrations are the numbered files of
``core/migrations``; a backup is taken before a database that holds data is migrated. Any number of
processes may open the same folder: SQLite serialises writers, who wait up to ``busy_s``.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from core.errors import StoreBusy, StoreDamaged, StoreError, StoreTooNew

MIGRATIONS = Path(__file__).parent / "migrations"
_AGAIN_S = 0.01  # between two tries at what SQLite does not wait for
_KNOWN = 1000  # statements whose rows a connection keeps


class Connection(sqlite3.Connection):
    """A connection that has the rows of some statements at hand for as long as nothing is written, here or elsewhere.

    ``PRAGMA data_version`` tells of what other connections committed, in any process, and ``total_changes`` of what
    this one wrote. Rows read within a transaction that writes are not kept: it may be rolled back, and the number of
    changes does not go back with it.
    """

    _known: dict[tuple[str, tuple[Any, ...]], list[sqlite3.Row]]
    _state: tuple[int, int] | None = None  # in which the rows are known
    _began_at: int | None = None  # total_changes when the snapshot under way began; None outside of one
    _sure = False  # since then the state has been looked at

    def begin_reading(self) -> None:
        self.execute("BEGIN")
        self._began_at, self._sure = self.total_changes, False

    def end_reading(self) -> None:
        self._began_at = None
        if self.in_transaction:
            self.execute("COMMIT")

    def recalled(self, sql: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
        """All rows of a statement that reads few."""
        if self._began_at != self.total_changes:  # no snapshot, or one that has written after all
            return self.execute(sql, values).fetchall()
        if not self._sure:
            state = (self.execute("PRAGMA data_version").fetchone()[0], self._began_at)
            if state != self._state or len(self._known) > _KNOWN:
                self._known, self._state = {}, state
            self._sure = True
        rows = self._known.get((sql, values))
        if rows is None:
            rows = self._known[sql, values] = self.execute(sql, values).fetchall()
        return rows


def recalled(db: sqlite3.Connection, sql: str, *values: Any) -> list[sqlite3.Row]:
    """All rows of a statement that reads few: within :meth:`Workspace.snapshot` without asking again what nobody changed."""
    return db.recalled(sql, values) if isinstance(db, Connection) else db.execute(sql, values).fetchall()


class Workspace:
    """An open workspace. One connection per living thread, handed on when its thread ends; close() closes them all."""

    def __init__(self, folder: Path, *, busy_s: float = 10.0) -> None:
        self.folder = folder
        self.path = folder / "touchstone.db"
        self.busy_s = busy_s
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._free: list[Connection] = []
        self._lock = threading.Lock()
        self._users = 0  # blocks under way that use a connection
        self._idle = threading.Condition()

    @classmethod
    def open(cls, folder: Path, *, busy_s: float = 10.0) -> Workspace:
        """Open ``folder``, creating it when it is not there, and bring its schema up to date.

        Raises:
            StoreError: the folder cannot be created or written.
            StoreDamaged, StoreTooNew, StoreBusy: see core.errors.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(path=str(folder), detail=str(error)) from error
        workspace = cls(folder, busy_s=busy_s)
        with workspace._translated():
            workspace._migrate()
        return workspace

    def connection(self) -> Connection:
        """This thread's connection, in autocommit mode, rows by name."""
        lease = getattr(self._local, "lease", None)
        if lease is not None:
            found: Connection = lease.db
            return found
        try:
            db = self._free.pop()
        except IndexError:
            db = self._connect()
        self._local.lease = _Lease(db, self._free)
        return db

    def _inside(self) -> Connection | None:
        """This thread's connection within a transaction, whose own block translates errors and is waited for."""
        lease = getattr(self._local, "lease", None)
        try:
            return lease.db if lease is not None and lease.db.in_transaction else None
        except sqlite3.ProgrammingError:  # closed just now by another thread, which does not wait for who only looks
            return None

    def _connect(self) -> Connection:
        db = sqlite3.connect(
            self.path, timeout=self.busy_s, isolation_level=None, check_same_thread=False, factory=Connection
        )
        db.row_factory = sqlite3.Row
        self._log_ahead(db)
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA foreign_keys=ON")
        with self._lock:
            self._connections.append(db)
        return db

    def _log_ahead(self, db: sqlite3.Connection) -> None:
        """Switch to WAL, which stays. For whoever is about to write SQLite does not wait here: two would wait for each other."""
        until = time.monotonic() + self.busy_s
        while True:
            try:
                db.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """This thread's connection; what is read within sees one state each."""
        inside = self._inside()
        return self._reading() if inside is None else nullcontext(inside)  # a search comes here often

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            yield self.connection()

    def snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """Reads that all see one state, whatever others commit meanwhile."""
        inside = self._inside()
        return self._one_state() if inside is None else nullcontext(inside)

    @contextmanager
    def _one_state(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            db = self.connection()
            db.begin_reading()
            try:
                yield db
            finally:
                db.end_reading()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self._translated():
            db = self.connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:  # a full disk may have ended it already
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def backup(self, reason: str) -> Path:
        """Copy the database into ``backups/`` while others may write, and return the copy's path."""
        folder = self.folder / "backups"
        folder.mkdir(exist_ok=True)
        target = folder / f"touchstone-{time.strftime('%Y%m%d-%H%M%S')}-{reason}.db"
        self.copy_to(target)
        return target

    def copy_to(self, target: Path) -> None:
        """Copy the database as it is now into the new file ``target``; what others commit meanwhile is left out."""
        with self._translated(), closing(sqlite3.connect(target)) as copy:
            source = self._connect()  # one with an open snapshot: SQLite would start over at every foreign write
            try:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                source.backup(copy)
            finally:
                with self._lock:
                    self._connections.remove(source)
                source.close()

    def close(self) -> None:
        """Close all connections once the reads and writes under way in other threads have ended.

        Closing a connection that another thread is using would crash the process.
        """
        with self._idle:
            self._idle.wait_for(lambda: not self._users, timeout=self.busy_s)
            with self._lock:
                for db in self._connections:
                    db.close()
                self._connections.clear()
                self._free = []
            self._local = threading.local()

    def release(self) -> None:
        """Hand this thread's connection on; using it again takes another. For threads that end early."""
        self._local.__dict__.pop("lease", None)

    def schema_version(self) -> int:
        return int(self.connection().execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        steps = migrations()
        newest = max(steps, default=0)
        found = self.schema_version()
        if found > newest:
            raise StoreTooNew(path=str(self.path), found=found, supported=newest)
        if found == newest:
            return
        if found:
            self.backup(f"before-{newest:04d}")
        db = self.connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            found = self.schema_version()  # another process may have migrated while we waited
            for number in sorted(n for n in steps if n > found):
                for statement in statements(steps[number].read_text("utf-8")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={number}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with self._idle:
            self._users += 1
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise StoreBusy(path=str(self.path), holder="another process", waited_s=self.busy_s) from error
            raise StoreError(path=str(self.path), detail=str(error)) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise StoreDamaged(path=str(self.path), detail=str(error)) from error
        finally:
            with self._idle:
                self._users -= 1
                if not self._users:
                    self._idle.notify_all()


class _Lease:
    """A thread's hold on a connection. It dies with the thread, which frees the connection for another.

    A web page runs every click in a new thread; a connection for each would exhaust the file handles.
    """

    __slots__ = ("_free", "db")

    def __init__(self, db: Connection, free: list[Connection]) -> None:
        self.db = db
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.db)


def migrations() -> dict[int, Path]:
    """Numbered migration files: ``0001_core.sql`` is number 1."""
    return {int(p.name[:4]): p for p in sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))}


def statements(script: str) -> list[str]:
    """The statements of an SQL script; a trigger's body stays whole."""
    script = re.sub(r"--.*", "", script)
    found: list[str] = []
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            if pending.strip(" \n\t;"):
                found.append(pending)
            pending = ""
    return found
