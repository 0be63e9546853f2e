"""Backup and restore of a whole workspace, as one zip file that any zip tool can read.

The database is copied with SQLite's online backup, so the copy is one state even while others write. A restore
reads everything and checks it first (names, sizes, SHA-256, SQLite's own check, schema), keeps what it replaces in
a folder ``replaced-…`` of the workspace, and at every moment leaves a whole database in place. Vector indexes in
Chroma are not part of a backup: they are written anew from the vectors in the database.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from core import __version__
from core.errors import InputError, StoreBusy, StoreDamaged, StoreError, StoreTooNew
from core.workspace import Workspace, migrations

DATABASE = "touchstone.db"
MANIFEST = "manifest.json"
FORMAT = 1
_LEFT_OUT = (
    "chroma",
    "backups",
    "evaluation",
    "replaced-",
    "restoring-",
    f"{DATABASE}-",
)  # beginnings; made anew, or old
_MOST_MANIFEST = 50 * 2**20
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    path: Path
    created_at: float
    schema: int
    files: int
    bytes: int  # unpacked
    documents: int
    replaced: Path | None = None  # after a restore: where what was there before lies

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "created_at": self.created_at,
            "schema": self.schema,
            "files": self.files,
            "bytes": self.bytes,
            "documents": self.documents,
            "replaced": str(self.replaced) if self.replaced else None,
        }


def backup(workspace: Workspace, target: Path | None = None) -> Backup:
    """Write the workspace to ``target``, by default a dated file in its folder ``backups``.

    Raises:
        InputError: bad_value when the target is there already.
        StoreDamaged: the database is damaged; a backup of it would be no backup.
        StoreError: the target cannot be written.
    """
    home = workspace.folder
    target = target or home / "backups" / f"touchstone-{time.strftime('%Y%m%d-%H%M%S')}.zip"
    if target.exists():
        raise InputError(reason="file_exists", name=str(target))
    unfinished = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="restoring-", dir=home) as folder:
            copy = Path(folder) / DATABASE
            workspace.copy_to(copy)
            schema, documents = _examined(copy, str(workspace.path))
            entries: dict[str, dict[str, Any]] = {}
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                entries[DATABASE] = _add(archive, DATABASE, copy)
                for name, path in _others(home):
                    entries[name] = _add(archive, name, path)
                manifest = {
                    "format": FORMAT,
                    "version": __version__,
                    "created_at": time.time(),
                    "schema": schema,
                    "documents": documents,
                    "files": entries,
                }
                archive.writestr(MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1))
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except OSError as error:
        raise StoreError(path=str(target), detail=error.strerror or str(error)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return _told(target, manifest)


def inspect(path: Path) -> Backup:
    """Read a backup through and check it, without restoring anything.

    Raises:
        InputError: bad_backup; says what is wrong.
        StoreTooNew: it was written by a newer version.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _told(path, _unpacked(path, Path(folder)))


def restore(home: Path, path: Path) -> Backup:
    """Put the workspace of backup ``path`` in place of the one in ``home``.

    Raises:
        InputError: bad_backup; nothing was changed.
        StoreTooNew: the backup was written by a newer version; nothing was changed.
        StoreBusy: another process has the workspace open; nothing was changed.
        StoreError: the folder cannot be written; what was replaced is in the folder that is named.
    """
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="restoring-", dir=home) as folder:
            fresh = Path(folder)
            manifest = _unpacked(path, fresh)
            _forget_indexes(fresh / DATABASE)
            _claim(home / DATABASE)
            aside = home / f"replaced-{stamp}"
            replaced = _swap(home, fresh, aside, list(manifest["files"]))
    except OSError as error:
        raise StoreError(path=str(home), detail=error.strerror or str(error)) from error
    return _told(path, manifest, aside if replaced else None)


# --- writing --------------------------------------------------------------------------------------


def _others(home: Path) -> Iterator[tuple[str, Path]]:
    """The workspace's other files by their names in the archive. Links are not followed."""
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.is_symlink() or not path.is_file() or name == DATABASE or name.startswith(_LEFT_OUT):
            continue
        if not _stays(name):
            raise InputError(reason="skipped_name", name=repr(name))
        yield name, path


def _stays(name: str) -> bool:
    """Whether a file of this name lies in the folder that it is unpacked in, on any system."""
    pure = PurePosixPath(name)
    inside = str(pure) == name and not pure.is_absolute() and ".." not in pure.parts
    return inside and name.isprintable() and "\\" not in name and not PureWindowsPath(name).drive


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    entry = zipfile.ZipInfo(name, time.localtime()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as into:
        while chunk := source.read(_CHUNK):
            into.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


# --- checking -------------------------------------------------------------------------------------


def _unpacked(path: Path, folder: Path) -> dict[str, Any]:
    """Unpack ``path`` into ``folder``, every file checked; its manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            files: dict[str, Any] = manifest["files"]
            free = shutil.disk_usage(folder).free
            if (needed := sum(row["bytes"] for row in files.values())) > free:
                raise _bad(path, f"{needed} bytes are needed and {free} are free")
            for name, row in files.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, target.open("xb") as into:
                    _copy_checked(source, into, row, path, name)
    except FileNotFoundError as error:
        raise _bad(path, "there is no such file") from error
    except (
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise _bad(path, f"{type(error).__name__}: {error}") from error
    schema, _ = _examined(folder / DATABASE, str(path))
    if schema > max(migrations()):
        raise StoreTooNew(path=str(path), found=schema, supported=max(migrations()))
    return manifest


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The manifest, once the archive is known to hold exactly its files, under names that stay in their folder."""
    names = archive.namelist()
    if archive.getinfo(MANIFEST).file_size > _MOST_MANIFEST:
        raise _bad(path, "its manifest is too large")
    manifest = json.loads(archive.read(MANIFEST))
    if manifest["format"] != FORMAT:
        raise _bad(path, f"its format is {manifest['format']}, known is {FORMAT}")
    files = manifest["files"]
    if len(set(names)) != len(names) or set(names) != {MANIFEST, *files} or DATABASE not in files:
        raise _bad(path, "its files are not those of its manifest")
    for name, row in files.items():
        if not _stays(name) or name == MANIFEST or name.startswith(_LEFT_OUT):
            raise _bad(path, f"the name {name!r} is not allowed")
        entry = archive.getinfo(name)
        regular = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
        if entry.file_size != row["bytes"] or not regular:
            raise _bad(path, f"{name} is not what the manifest says")
    return dict(manifest)


def _copy_checked(source: IO[bytes], into: IO[bytes], row: dict[str, Any], path: Path, name: str) -> None:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > row["bytes"]:
            break
        digest.update(chunk)
        into.write(chunk)
    if size != row["bytes"] or digest.hexdigest() != row["sha256"]:
        raise _bad(path, f"{name} is damaged")


def _examined(database: Path, where: str) -> tuple[int, int]:
    """Schema and number of documents of a sound database.

    Raises:
        StoreDamaged: it is not sound.
    """
    try:
        with closing(sqlite3.connect(database)) as db:
            found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreDamaged(path=where, detail=str(found))
            schema = int(db.execute("PRAGMA user_version").fetchone()[0])
            has = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone()
            return schema, int(db.execute("SELECT count(*) FROM documents").fetchone()[0]) if has else 0
    except sqlite3.Error as error:
        raise StoreDamaged(path=where, detail=str(error)) from error


# --- restoring ------------------------------------------------------------------------------------


def _forget_indexes(database: Path) -> None:
    """Chroma's part is not in the backup; and a restored copy must not write the original's collections."""
    with closing(sqlite3.connect(database)) as db:
        for table in ("vector_applied", "vector_indexes", "leases", "facts WHERE name = 'workspace'"):
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.split()[0],)).fetchone():
                db.execute(f"DELETE FROM {table}")
        db.commit()
        db.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it


def _claim(database: Path) -> None:
    """Make sure that no other process has the database open. SQLite leaves WAL only when it is alone."""
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database, timeout=2.0)) as db:
            mode = db.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise StoreBusy(path=str(database), holder="another process", waited_s=2.0) from error
        raise StoreError(path=str(database), detail=str(error)) from error
    except sqlite3.DatabaseError:
        return  # damaged: that is why it is restored
    if mode == "wal":
        raise StoreBusy(path=str(database), holder="another process", waited_s=2.0)


def _swap(home: Path, fresh: Path, aside: Path, names: list[str]) -> bool:
    """Put the files of ``fresh`` in place, the database last; whether anything was there before."""
    old = [
        path
        for path in home.iterdir()
        if path != fresh and not path.name.startswith(("backups", "replaced-", "restoring-"))
    ]
    if old:
        aside.mkdir()
    for path in old:
        if path.name == DATABASE:
            try:
                os.link(path, aside / DATABASE)
            except OSError:
                shutil.copy2(path, aside / DATABASE)
        else:
            os.replace(path, aside / path.name)
    for name in [name for name in names if name != DATABASE] + [DATABASE]:
        target = home / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / name, target)
    return bool(old)


def _told(path: Path, manifest: dict[str, Any], replaced: Path | None = None) -> Backup:
    files = manifest["files"]
    size = sum(row["bytes"] for row in files.values())
    return Backup(path, manifest["created_at"], manifest["schema"], len(files), size, manifest["documents"], replaced)


def _bad(path: Path, detail: str) -> InputError:
    return InputError(reason="bad_backup", name=str(path), detail=detail)
