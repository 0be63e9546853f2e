"""Upkeep of a workspace's indexes: make them anew from the truth, and clear away what nothing points to."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import StoreDamaged
from core.retrieval import applied, finding, journal, keyword, meaning, pending, split
from core.retrieval.evidence import unit_text
from core.retrieval.lease import hold
from core.retrieval.library import Library
from core.retrieval.records import Progress
from core.retrieval.units import units
from core.types import LOCAL, Caller

Told = Callable[[Progress], None]
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made anew. ``damaged`` are documents whose text is not what was indexed: sync them again."""

    collections: int
    passages: int
    vectors: int
    damaged: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What was cleared away, and the size of the workspace folder."""

    vectors: int
    keyword_rows: int
    keyword_indexes: int
    chroma_collections: int
    folders: int
    stamps: int
    bytes_before: int
    bytes_after: int

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "bytes_freed": max(0, self.bytes_before - self.bytes_after)}


async def rebuild(library: Library, progress: Told | None = None) -> Rebuilt:
    """Write keyword and vector indexes of all collections anew from documents and vectors in SQLite.

    Nothing is embedded again. A passage whose text does not fit its hash was damaged where it is stored; its
    document is named, and read again by the next sync of its file.

    Raises:
        StoreDamaged: the database itself is damaged; restore a backup.
        StoreBusy: another process is writing.
    """
    workspace = library.workspace
    with workspace.read() as db:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreDamaged(path=str(workspace.path), detail=str(found))
    model = library.embedding_model()
    passages = vectors = 0
    damaged: list[str] = []
    listed = library.tenants()
    for number, (tenant, name) in enumerate(listed, 1):
        index = library.for_caller(Caller(tenant, LOCAL.user)).collection(name)
        done, bad = await asyncio.to_thread(_reindex, library, index.id())
        passages += done
        damaged += bad
        if progress is not None:
            progress(Progress("files", number, len(listed), name))
        if model is not None:
            leg = library.leg(index.id(), model)

            def told(at: int, of: int) -> None:
                if progress is not None:
                    progress(Progress("index", at, of))

            vectors += await asyncio.to_thread(leg.rebuild, told)
    return Rebuilt(len(listed), passages, vectors, tuple(damaged))


def _reindex(library: Library, collection: int) -> tuple[int, list[str]]:
    """The keyword index of one collection anew, in one transaction; passages, and sources of damaged documents."""
    damaged: dict[str, str] = {}
    done = 0
    with library.workspace.write() as db:
        keyword.rebuild(db, collection)
        rows = db.execute(
            "SELECT p.document_id, p.text, p.heading, p.metadata, p.text_hash, d.title, d.source FROM passages p"
            " JOIN documents d ON d.id = p.document_id WHERE p.collection_id = ?",
            (collection,),
        )
        for row in rows:
            done += 1
            context = split.context(row["title"], row["heading"], json.loads(row["metadata"]))
            if split.text_hash(f"{context}\n{row['text']}") != row["text_hash"]:
                damaged[row["document_id"]] = row["source"]
        for document, source in damaged.items():
            db.execute("UPDATE documents SET content_hash = '' WHERE id = ?", (document,))
            journal.forget(db, collection, source)
    return done, sorted(damaged.values())


def vacuum(library: Library, *, other_models: bool = False) -> Vacuumed:
    """Clear away what nothing points to, and give the space back.

    Vectors of texts that are gone, keyword rows without a passage, Chroma collections and folders that no
    collection uses, folders of damaged indexes that were set aside.

    Args:
        other_models: also the vectors of models that do not serve; rolling a migration back must then embed anew. Those
            that the serving model's follow from stay: the next adapter is made from them.

    Raises:
        StoreBusy: another process is writing.
        StoreDamaged, StoreUnreachable: Chroma cannot be opened; run ``rebuild`` first.
    """
    workspace = library.workspace
    before = size_of(workspace.folder)
    model = library.embedding_model() if other_models else None
    with workspace.write() as db:
        vectors = _forget_vectors(db)
        if model is not None:
            kept = (model.name, follows.base if (follows := pending.derivation(model)) else model.name)
            vectors += db.execute("DELETE FROM vectors WHERE model NOT IN (?, ?)", kept).rowcount
            db.execute("DELETE FROM vector_indexes WHERE model <> ?", (model.name,))
            db.execute("DELETE FROM embedded_up_to WHERE model <> ?", (model.name,))
        rows, tables = _forget_terms(db)
        stamps = db.execute(
            "DELETE FROM files WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.collection_id = files.collection_id"
            " AND d.source = files.source)"
        ).rowcount
    collections, folders = _forget_chroma(library)
    with workspace.read() as db:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Vacuumed(vectors, rows, tables, collections, folders, stamps, before, size_of(workspace.folder))


def _forget_vectors(db: sqlite3.Connection) -> int:
    """Delete vectors of texts that are neither a passage nor a part of one."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS live (text_hash TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM live")
    db.execute("INSERT OR IGNORE INTO live SELECT text_hash FROM passages")
    stray = "FROM vectors WHERE text_hash NOT IN (SELECT text_hash FROM live)"
    if db.execute(f"SELECT 1 {stray} LIMIT 1").fetchone() is None:
        return 0
    texts = [text for row in meaning.anchors() for pair in row.values() if isinstance(pair, list) for text in pair]
    keys = {meaning.key(text, kind) for text in texts for kind in ("query", "document")}
    db.executemany("INSERT OR IGNORE INTO live VALUES (?)", [(key,) for key in keys])
    after = 0
    while rows := db.execute(
        "SELECT p.*, d.title, d.source, d.metadata AS document_metadata FROM passages p"
        " JOIN documents d ON d.id = p.document_id WHERE p.number > ? ORDER BY p.number LIMIT ?",
        (after, _PAGE),
    ).fetchall():
        parts = {meaning.key(unit_text(unit)) for row in rows for unit in units(finding.passage_of(row))}
        db.executemany("INSERT OR IGNORE INTO live VALUES (?)", [(key,) for key in parts])
        after = rows[-1]["number"]
    return int(db.execute(f"DELETE {stray}").rowcount)


def _forget_terms(db: sqlite3.Connection) -> tuple[int, int]:
    """Delete keyword rows without a passage, and indexes of the first format; how many of each."""
    rows = 0
    for collection in keyword.collections(db):
        known = {r[0] for r in db.execute("SELECT number FROM passages WHERE collection_id = ?", (collection,))}
        for number in keyword.numbers(db, collection):
            if number not in known:
                keyword.remove(db, collection, number)
                rows += 1
    old = keyword.first_format(db)
    for collection in old:
        keyword.drop_first_format(db, collection)
    return rows, len(old)


def _forget_chroma(library: Library) -> tuple[int, int]:
    """Delete Chroma collections that no manifest names, and folders that no collection of Chroma uses."""
    store, workspace = library.store, library.workspace
    folders = 0
    for path in workspace.folder.glob("chroma-damaged-*"):
        shutil.rmtree(path)
        folders += 1
    if not store.url and not store.folder.exists():
        return 0, folders
    dropped = 0
    with hold(workspace, applied.LEASE), store.writing():
        with workspace.write() as db:
            ours = applied.prefix(db)
            used = {
                row["name"] for row in db.execute("SELECT name FROM vector_indexes WHERE place = ?", (store.place,))
            }
        for name in store.names():
            if name not in used and (name.startswith(f"{ours}-") or not store.url):
                store.drop(name)
                dropped += 1
        store.close()
        if not store.url:
            for path in _unused_folders(store.folder):
                shutil.rmtree(path)
                folders += 1
    return dropped, folders


def _unused_folders(folder: Path) -> list[Path]:
    """Chroma leaves the graph of a dropped collection behind."""
    db = sqlite3.connect(f"{(folder / 'chroma.sqlite3').absolute().as_uri()}?mode=ro", uri=True)
    try:
        used = {row[0] for row in db.execute("SELECT id FROM segments")}
    finally:
        db.close()
    return [path for path in folder.iterdir() if path.is_dir() and path.name not in used]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
