"""Opening, migrating, writing from several threads and processes, and what happens to a bad store."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core import workspace as module
from core.errors import StoreBusy, StoreDamaged, StoreError, StoreTooNew
from core.workspace import Workspace, migrations, recalled, statements

ROOT = Path(__file__).parents[2]
NEWEST = max(migrations())


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows(folder: Path) -> int:
    with sqlite3.connect(folder / "touchstone.db") as db:
        return int(db.execute("SELECT count(*) FROM calls").fetchone()[0])


INSERT = "INSERT INTO calls (at, trace_id, tenant, user, operation, provider, model, total_s) VALUES (1, ?, 't', 'u', 'chat', 'p', 'm', 1)"


def test_opening_creates_the_folder_for_its_owner_and_the_newest_schema(tmp_path: Path) -> None:
    with_closing = Workspace.open(tmp_path / "a" / "b")
    assert with_closing.schema_version() == NEWEST
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert with_closing.connection().execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    with_closing.close()
    assert not (tmp_path / "a" / "b" / "backups").exists()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    Workspace.open(tmp_path).close()
    again = Workspace.open(tmp_path)
    assert again.schema_version() == NEWEST
    assert not (tmp_path / "backups").exists()
    again.close()


def test_a_migration_takes_a_backup_first_and_keeps_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_core.sql").write_text((module.MIGRATIONS / "0001_core.sql").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(module, "MIGRATIONS", folder)
    old = Workspace.open(tmp_path / "home")
    with old.write() as db:
        db.execute(INSERT, ("a",))
    old.close()
    (folder / "0002_more.sql").write_text("CREATE TABLE more (x); -- a; b\nINSERT INTO more VALUES (1);\n", "utf-8")
    new = Workspace.open(tmp_path / "home")
    assert new.schema_version() == 2
    assert rows(tmp_path / "home") == 1
    new.close()
    (backup,) = (tmp_path / "home" / "backups").iterdir()
    with sqlite3.connect(backup) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert db.execute("SELECT count(*) FROM calls").fetchone()[0] == 1


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_core.sql").write_text("CREATE TABLE a (x);", "utf-8")
    monkeypatch.setattr(module, "MIGRATIONS", folder)
    Workspace.open(tmp_path / "home").close()
    (folder / "0002_bad.sql").write_text("CREATE TABLE b (x); CREATE TABLE a (x);", "utf-8")
    with pytest.raises(StoreError, match="already exists"):
        Workspace.open(tmp_path / "home")
    with sqlite3.connect(tmp_path / "home" / "touchstone.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master")] == ["a"]


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    Workspace.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "touchstone.db") as db:
        db.execute(f"PRAGMA user_version={NEWEST + 5}")
    before = (tmp_path / "touchstone.db").read_bytes()
    with pytest.raises(StoreTooNew, match=rf"schema {NEWEST + 5}.*knows {NEWEST}"):
        Workspace.open(tmp_path)
    assert (tmp_path / "touchstone.db").read_bytes() == before


def test_a_damaged_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "touchstone.db").write_bytes(b"this is not a database, it is a letter" * 100)
    with pytest.raises(StoreDamaged, match="touchstone rebuild"):
        Workspace.open(tmp_path)
    assert (tmp_path / "touchstone.db").read_bytes().startswith(b"this is not")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file"):
        Workspace.open(tmp_path / "file" / "home")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError):
            Workspace.open(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_store_that_may_only_be_read_says_so_when_written(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.connection().execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError, match="readonly"), workspace.write() as db:
        db.execute(INSERT, ("a",))
    with workspace.read() as db:
        assert db.execute("SELECT count(*) FROM calls").fetchone()[0] == 0
    workspace.close()


def test_a_block_that_raises_is_rolled_back(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)

    def half() -> None:
        with workspace.write() as db:
            db.execute(INSERT, ("a",))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        half()
    with workspace.write() as db:
        db.execute(INSERT, ("b",))
    assert rows(tmp_path) == 1
    workspace.close()


def test_a_transaction_that_sqlite_has_ended_itself_shows_its_own_error(tmp_path: Path) -> None:
    """After a full disk SQLite may have rolled back already; the second ROLLBACK must not hide why."""
    workspace = Workspace.open(tmp_path)

    def ended() -> None:
        with workspace.write() as db:
            db.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(StoreError, match="disk is full"):
        ended()
    workspace.close()


def test_threads_write_together(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)

    def work(name: str) -> None:
        for number in range(25):
            with workspace.write() as db:
                db.execute(INSERT, (f"{name}-{number}",))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(tmp_path) == 100
    workspace.close()


WRITER = f"""
import sys
from pathlib import Path
from core.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
for number in range(50):
    with workspace.write() as db:
        db.execute({INSERT!r}, (f"{{sys.argv[2]}}-{{number}}",))
workspace.close()
"""


def test_processes_open_and_write_a_new_workspace_together(tmp_path: Path) -> None:
    """None is refused, nothing is lost, and the schema is made once."""
    others = [python(WRITER, str(tmp_path / "home"), str(n)) for n in range(4)]
    for other in others:
        _, said = other.communicate(timeout=60)
        assert other.returncode == 0, said
    assert rows(tmp_path / "home") == 200


def test_a_database_that_another_is_just_making_is_opened_once_it_is_free(tmp_path: Path) -> None:
    """SQLite does not wait by itself when it is to write ahead for the first time."""
    with closing(sqlite3.connect(tmp_path / "touchstone.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE made_elsewhere (a)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            Workspace.open(tmp_path, busy_s=0.05)
        soon = threading.Timer(0.3, other.execute, ["COMMIT"])
        soon.start()
        Workspace.open(tmp_path).close()
        soon.join()


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    first, second = Workspace.open(tmp_path), Workspace.open(tmp_path, busy_s=0.1)
    with first.write() as db:
        db.execute(INSERT, ("a",))
        with pytest.raises(StoreBusy, match=r"0\.1 s"), second.write():
            pass
    with second.write() as db:
        db.execute(INSERT, ("b",))
    assert rows(tmp_path) == 2
    first.close()
    second.close()


def test_a_killed_writer_loses_only_what_it_had_not_finished(tmp_path: Path) -> None:
    code = f"""
    import os, signal, sys
    from pathlib import Path
    from core.workspace import Workspace
    workspace = Workspace.open(Path(sys.argv[1]))
    for number in range(10):
        with workspace.write() as db:
            db.execute({INSERT!r}, (str(number),))
    with workspace.write() as db:
        db.execute({INSERT!r}, ("unfinished",))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = python(code, str(tmp_path))
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    workspace = Workspace.open(tmp_path)
    with workspace.write() as db:
        db.execute(INSERT, ("after",))
    assert rows(tmp_path) == 11
    workspace.close()


def test_closing_twice_is_harmless_and_a_new_call_opens_again(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.close()
    workspace.close()
    with workspace.read() as db:
        assert db.execute("SELECT count(*) FROM calls").fetchone()[0] == 0
    workspace.close()


def test_a_thread_that_looks_just_when_another_closes_opens_again(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)

    class Meanwhile:
        """What this thread holds, found a moment before another thread closes it."""

        held = workspace._local.lease

        @property
        def lease(self) -> object:
            workspace.close()
            return self.held

    for reading in (workspace.read, workspace.snapshot):
        workspace._local = Meanwhile()  # type: ignore[assignment]
        with reading() as db:
            assert db.execute("SELECT count(*) FROM calls").fetchone()[0] == 0
    workspace.close()


def test_statements_keep_a_trigger_whole() -> None:
    script = "CREATE TABLE a (x); -- one; two\nCREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; SELECT 1; END;\n"
    found = statements(script)
    assert len(found) == 2
    assert found[1].strip().endswith("END;")


def test_migrations_are_numbered_without_a_gap() -> None:
    assert sorted(migrations()) == list(range(1, NEWEST + 1))


def test_rows_at_hand_are_never_older_than_the_database(tmp_path: Path) -> None:
    """Whoever writes: another process' connection, another thread's, this one; and never what was rolled back."""
    ours, theirs = Workspace.open(tmp_path), Workspace.open(tmp_path)
    asked: list[str] = []

    def names() -> list[str]:
        with ours.snapshot() as db:
            return [row[0] for row in recalled(db, "SELECT name FROM collections ORDER BY name")]

    def add(workspace: Workspace, name: str) -> None:
        with workspace.write() as db:
            db.execute("INSERT INTO collections (tenant, name, created_at) VALUES ('local', ?, 0)", (name,))
            assert name in [row[0] for row in recalled(db, "SELECT name FROM collections ORDER BY name")]

    assert names() == []
    ours.connection().set_trace_callback(asked.append)
    assert names() == names() == []
    assert not [sql for sql in asked if sql.startswith("SELECT")]
    add(theirs, "a")
    assert names() == ["a"]
    add(ours, "b")
    assert names() == ["a", "b"]
    thread = threading.Thread(target=add, args=(ours, "c"))
    thread.start()
    thread.join()
    assert names() == ["a", "b", "c"]

    def in_vain() -> None:
        with ours.write() as db:
            db.execute("DELETE FROM collections")
            assert names() == []  # as this transaction sees it
            raise RuntimeError

    with pytest.raises(RuntimeError):
        in_vain()
    assert names() == ["a", "b", "c"]
    with ours.snapshot() as db:
        assert recalled(db, "SELECT count(*) FROM collections")[0][0] == 3
        add(theirs, "d")
        assert recalled(db, "SELECT count(*) FROM collections")[0][0] == 3  # one state to the end
        assert names() == ["a", "b", "c"]
    assert names() == ["a", "b", "c", "d"]
    with ours.snapshot() as db:
        assert len(names()) == 4
        db.execute("DELETE FROM collections WHERE name = 'd'")  # a reader that writes after all
        assert len(names()) == 3
    assert len(names()) == 3
    for workspace in (ours, theirs):
        workspace.close()
