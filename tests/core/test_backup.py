"""Backup and restore: whole while others write, checked before anything changes, no trick with names."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from core import backup as module
from core.backup import MANIFEST, backup, inspect, restore
from core.errors import InputError, StoreBusy, StoreDamaged, StoreTooNew
from core.retrieval.library import Library
from core.workspace import Workspace, migrations
from tests.core.test_workspace import INSERT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    workspace = Workspace.open(tmp_path / "home")
    with workspace.write() as db:
        db.execute(INSERT, ("first",))
    asyncio.run(Library(workspace, None).collection().add_text("Kept text.", "kept.md"))
    workspace.close()
    (tmp_path / "home" / "jobs").mkdir()
    (tmp_path / "home" / "jobs" / "a.log").write_text("a log")
    (tmp_path / "home" / "chroma").mkdir()
    (tmp_path / "home" / "chroma" / "big.bin").write_text("made anew")
    (tmp_path / "home" / "link").symlink_to("/etc/passwd")
    return tmp_path / "home"


def rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "touchstone.db")) as db:
        return int(db.execute("SELECT count(*) FROM calls").fetchone()[0])


def packed(home: Path) -> Path:
    workspace = Workspace.open(home)
    try:
        return backup(workspace, home.with_name("b.zip")).path
    finally:
        workspace.close()


def everything(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_there_and_back(home: Path, tmp_path: Path) -> None:
    path = packed(home)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["jobs/a.log", MANIFEST, "touchstone.db"]
    seen = inspect(path)
    assert (seen.documents, seen.files, seen.schema) == (1, 2, max(migrations()))
    workspace = Workspace.open(home)
    with workspace.write() as db:
        db.execute(INSERT, ("second",))
    workspace.close()
    (home / "jobs" / "new.log").write_text("newer")
    done = restore(home, path)
    assert rows(home) == 1
    assert (home / "jobs" / "a.log").read_text() == "a log"
    assert not (home / "jobs" / "new.log").exists()
    assert not (home / "chroma").exists()
    assert done.replaced is not None
    assert rows(done.replaced) == 2  # what was there is kept
    assert (done.replaced / "jobs" / "new.log").read_text() == "newer"
    elsewhere = restore(tmp_path / "elsewhere", path)
    assert elsewhere.replaced is None
    again = Workspace.open(tmp_path / "elsewhere")
    assert [d.title for d in Library(again, None).collection().documents()] == ["kept"]
    again.close()
    assert not list(home.glob("restoring-*"))


def test_a_backup_is_one_state_while_others_write(home: Path) -> None:
    """Two tables are always written together; a copy that shows one without the other would be torn."""
    workspace = Workspace.open(home)
    with workspace.write() as db:
        db.execute("CREATE TABLE one (x)")
        db.execute("CREATE TABLE two (x)")
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            with workspace.write() as db:
                db.execute("INSERT INTO one VALUES (?)", (f"{n}" * 500,))
                db.execute("INSERT INTO two VALUES (?)", (f"{n}" * 500,))
            n += 1

    thread = threading.Thread(target=write)
    thread.start()
    counts = []
    try:
        for n in range(4):
            made = backup(workspace, home.with_name(f"b{n}.zip"))
            restore(home.with_name(f"copy{n}"), made.path)
            with sqlite3.connect(home.with_name(f"copy{n}") / "touchstone.db") as db:
                counts.append([db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("one", "two")])
    finally:
        stop.set()
        thread.join()
        workspace.close()
    assert all(one == two for one, two in counts)
    assert counts[-1][0] > counts[0][0], "nothing was written meanwhile, so nothing was tested"


def test_an_open_workspace_is_not_replaced(home: Path) -> None:
    path = packed(home)
    workspace = Workspace.open(home)
    workspace.connection().execute("SELECT 1").fetchone()  # idle, but open
    before = rows(home)
    with pytest.raises(StoreBusy):
        restore(home, path)
    assert rows(home) == before
    assert not list(home.glob("replaced-*"))
    workspace.close()
    restore(home, path)


def test_a_target_that_is_there_is_left_alone(home: Path) -> None:
    path = packed(home)
    before = path.read_bytes()
    workspace = Workspace.open(home)
    with pytest.raises(InputError) as caught:
        backup(workspace, path)
    assert caught.value.reason == "file_exists"
    assert path.read_bytes() == before
    workspace.close()


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """A copy of a backup with its manifest and files changed."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != MANIFEST}
        manifest = json.loads(archive.read(MANIFEST))
    change(manifest, files)
    target = path.with_name("changed.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(MANIFEST, json.dumps(manifest))
    return target


def listed(manifest: dict[str, Any], files: dict[str, bytes], name: str, data: bytes) -> None:
    files[name] = data
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:evil.txt", "a//b", "./a", "a\nb", "a\u202eb",
     "chroma/x", "backups/x", "replaced-x/y", "touchstone.db-wal"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(home: Path, tmp_path: Path, name: str) -> None:
    path = rewritten(packed(home), lambda manifest, files: listed(manifest, files, name, b"evil"))
    before = everything(tmp_path)
    with pytest.raises(InputError) as caught:
        restore(home, path)
    assert caught.value.reason == "bad_backup"
    assert everything(tmp_path) == before


def damaged_byte(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    data = bytearray(files["touchstone.db"])
    data[5000] ^= 1
    files["touchstone.db"] = bytes(data)


def lying_size(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    manifest["files"]["jobs/a.log"]["bytes"] = 3


def bomb(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    files["jobs/a.log"] = b"0" * 50_000_000


@pytest.mark.parametrize(
    "change",
    [
        damaged_byte,
        lying_size,
        bomb,
        lambda manifest, files: files.update({"more.txt": b"not in the manifest"}),
        lambda manifest, files: files.pop("jobs/a.log"),
        lambda manifest, files: (files.pop("touchstone.db"), manifest["files"].pop("touchstone.db")),
        lambda manifest, files: manifest.update(format=99),
        lambda manifest, files: manifest.pop("files"),
        lambda manifest, files: manifest.update(files=[1]),
    ],
)
def test_what_is_not_whole_is_refused_and_nothing_changes(home: Path, change: Callable[..., Any]) -> None:
    path = rewritten(packed(home), change)
    before = everything(home)
    with pytest.raises(InputError) as caught:
        restore(home, path)
    assert caught.value.reason == "bad_backup"
    assert str(path) in caught.value.text("zh")
    assert everything(home) == before


def test_files_that_are_no_backup(home: Path, tmp_path: Path) -> None:
    path = packed(home)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(path.read_bytes()[:-200])
    text = tmp_path / "text.zip"
    text.write_text("not a zip")
    for given in (cut, text, tmp_path / "nowhere.zip"):
        with pytest.raises(InputError) as caught:
            inspect(given)
        assert caught.value.reason == "bad_backup"


def test_a_symlink_in_the_archive_is_refused(home: Path) -> None:
    path = packed(home)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
        database = archive.read("touchstone.db")
        log = archive.read("jobs/a.log")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("touchstone.db", database)
        link = zipfile.ZipInfo("jobs/a.log")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, log)
        archive.writestr(MANIFEST, json.dumps(manifest))
    with pytest.raises(InputError):
        restore(home, path)


def test_a_newer_schema_and_a_damaged_database_are_refused(home: Path) -> None:
    def newer(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        data = bytearray(files["touchstone.db"])
        data[60:64] = (999).to_bytes(4, "big")
        listed(manifest, files, "touchstone.db", bytes(data))

    with pytest.raises(StoreTooNew):
        restore(home, rewritten(packed(home), newer))
    home.with_name("b.zip").unlink()

    def noise(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        listed(manifest, files, "touchstone.db", b"x" * 9000)

    with pytest.raises(StoreDamaged):
        restore(home, rewritten(packed(home), noise))


def test_a_restore_that_is_killed_leaves_a_whole_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(home)
    original, calls = module.os.replace, 0

    for stop in range(1, 5):

        def dies(source: Any, target: Any, stop: int = stop) -> None:
            nonlocal calls
            calls += 1
            if calls == stop:
                raise KeyboardInterrupt
            original(source, target)

        calls = 0
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "replace", dies)
            with suppress(KeyboardInterrupt):
                restore(home, path)
        workspace = Workspace.open(home)
        assert len(Library(workspace, None).collection().documents()) == 1
        workspace.close()


def test_a_damaged_database_gives_no_backup(home: Path) -> None:
    workspace = Workspace.open(home)
    with workspace.write() as db:
        for n in range(200):
            db.execute(INSERT, (f"{n}" * 300,))
    workspace.close()
    with (home / "touchstone.db").open("r+b") as file:
        file.seek(-10 * 4096, 2)  # rows of the table that was filled last
        file.write(b"\xff" * 4096 * 9)
    workspace = Workspace.open(home)
    with pytest.raises(StoreDamaged):
        backup(workspace)
    workspace.close()
    assert not list((home / "backups").glob("*.zip*"))
