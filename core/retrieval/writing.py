"""Documents into the tables of a collection, and out of them.

Every document is one transaction: its row, its passages and their keyword terms, and its entry in the journal.
Vectors are another matter (:mod:`core.retrieval.pending`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError, MissingPackage
from core.retrieval import finding, keyword, load, meaning, pending, reading, segments, split, tokens, vocabulary
from core.retrieval import journal as journals
from core.retrieval.evidence import unit_text
from core.retrieval.records import FileResult, Status
from core.retrieval.units import units
from core.safety.fetch import fetch
from core.types import Caller
from core.workspace import Workspace, recalled

_VERSIONS = (load.VERSION, split.VERSION, tokens.VERSION)


class Writer:
    """Writes the collection ``name`` of ``caller``'s tenant; it is made with its first document. Blocks."""

    def __init__(self, workspace: Workspace, name: str, caller: Caller) -> None:
        self.workspace, self.name, self.caller = workspace, name, caller

    def id(self) -> int:
        """The collection's number; 0 while nothing was ever written to it."""
        with self.workspace.read() as db:
            rows = recalled(
                db, "SELECT id FROM collections WHERE tenant = ? AND name = ?", self.caller.tenant, self.name
            )
        return int(rows[0]["id"]) if rows else 0

    def created(self) -> int:
        """The collection's number; the collection is made when it is not there."""
        if not self.id():
            key = (self.caller.tenant, self.name)
            with self.workspace.write() as db:
                db.execute(
                    "INSERT OR IGNORE INTO collections (tenant, name, created_at) VALUES (?, ?, ?)", (*key, time.time())
                )
                keyword.create(
                    db, db.execute("SELECT id FROM collections WHERE tenant = ? AND name = ?", key).fetchone()[0]
                )
        return self.id()

    def settle(self) -> None:
        """Put the keyword index together when a batch of documents has left it in many pieces."""
        with self.workspace.read() as db:
            scattered = segments.scattered(db, self.id())
        if scattered:
            with self.workspace.write() as db:
                keyword.settle(db, self.id())

    def sync_file(
        self, path: Path, given: dict[str, Any] | None, log: journals.Journal, columns: Mapping[str, str] | None
    ) -> FileResult:
        """Read a file; one that cannot be read is ``failed`` or ``skipped``, and its older version stays."""
        try:
            data, stamp = load.read_stamped(path)
            return self.store(data, str(path), None, given, columns=columns, log=log, stamp=stamp)
        except (InputError, MissingPackage) as error:
            status: Status = "skipped" if error.reason in ("file_changing", "skipped_special") else "failed"
            result = FileResult(str(path), status, error=error)
            log.note(result)
            return result

    def sync_page(self, url: str, given: dict[str, Any] | None, log: journals.Journal) -> FileResult:
        """Fetch a page of the public internet; a failed fetch leaves its older version."""
        try:
            page = fetch(url)
            return self.store(page.data, url, None, given, suffix=page.suffix, log=log)
        except (InputError, MissingPackage) as error:
            result = FileResult(url, "failed", error=error)
            log.note(result)
            return result

    def looks_the_same(
        self, found: Sequence[Path], given: dict[str, Any] | None, columns: Mapping[str, str] | None
    ) -> dict[Path, FileResult]:
        """The files whose stamp is that of their last reading, and whose document carries what is ``given`` now."""
        versions = _versions(columns)
        with self.workspace.read() as db:
            known = journals.known(db, self.id())
        same: dict[Path, FileResult] = {}
        for path in found:
            row = known.get(str(path))
            if row is None or row.versions != versions or (given is not None and given != json.loads(row.given)):
                continue
            try:
                looks = load.Stamp.of(path.stat())
            except OSError:
                continue  # reading it will say why
            if looks == row.stamp:
                same[path] = FileResult(str(path), "unchanged", row.document_id, row.title)
        return same

    def store(
        self,
        data: bytes,
        source: str,
        title: str | None,
        given: dict[str, Any] | None,
        *,
        columns: Mapping[str, str] | None = None,
        suffix: str | None = None,
        log: journals.Journal | None = None,
        stamp: load.Stamp | None = None,
    ) -> FileResult:
        """Load, split and commit one document with its entry in the journal, unless its bytes are already there."""
        versions = _versions(columns)
        hash_ = load.content_hash(data, *_VERSIONS, *((sorted(columns.items()),) if columns else ()))
        before = self._document_row(source)
        if _same(before, hash_, title, given):
            same = FileResult(source, "unchanged", before["id"], before["title"])
            if log is not None:
                log.note(same, stamp, versions)
            return same
        document = reading.read_document(data, source=source, title=title, hash_=hash_, columns=columns, suffix=suffix)
        pieces = split.split(document.text, list(document.blocks), title=document.title)
        collection = self.created()
        document_id = hashlib.sha256(f"{collection}\n{source}".encode()).hexdigest()[:16]
        with self.workspace.write() as db:
            there = db.execute("SELECT * FROM documents WHERE id = ?", (document_id,)).fetchone()
            if _same(there, hash_, title, given):
                same = FileResult(source, "unchanged", document_id, there["title"])  # another process was faster
                if log is not None:
                    log.enter(db, same, stamp, versions)
                return same
            kept = given if given is not None else json.loads(there["given"]) if there is not None else {}
            old = self._delete_passages(db, document_id)
            db.execute("DELETE FROM documents WHERE id = ?", (document_id,))
            db.execute(
                "INSERT INTO documents (id, collection_id, tenant, user, source, title, language, media_type,"
                " content_hash, text, updated_at, metadata, given) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    document_id, collection, self.caller.tenant, self.caller.user, source, document.title,
                    document.language, document.media_type, hash_, document.text, time.time(),
                    json.dumps({**document.metadata, **kept}, ensure_ascii=False), json.dumps(kept, ensure_ascii=False),
                ),
            )  # fmt: skip
            new = self._insert_passages(db, collection, document_id, document, pieces)
            _forget_vectors(db, old - new)
            pending.raise_generation(db, collection, complete=False)
            journals.forget(db, collection, source)
            status: Status = "updated" if there else "added"
            result = FileResult(source, status, document_id, document.title, len(pieces))
            if log is not None:
                log.enter(db, result, stamp, versions)
        return result

    def _insert_passages(
        self,
        db: sqlite3.Connection,
        collection: int,
        document_id: str,
        document: load.Document,
        pieces: Sequence[split.Piece],
    ) -> set[str]:
        hashes: dict[str, int] = {}
        words = vocabulary.of(db, self.caller.tenant, self.name)
        for position, piece in enumerate(pieces):
            text = document.text[piece.start : piece.end]
            context = split.context(document.title, piece.heading, piece.metadata)
            hash_ = split.text_hash(f"{context}\n{text}")
            hashes[hash_] = hashes.get(hash_, 0) + 1
            passage_id = f"{document_id}-{hash_[:12]}" + (f"-{hashes[hash_]}" if hashes[hash_] > 1 else "")
            number = db.execute(
                'INSERT INTO passages (id, collection_id, document_id, position, start, "end", heading, page, language,'
                " text, text_hash, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    passage_id, collection, document_id, position, piece.start, piece.end, piece.heading, piece.page,
                    document.language, text, hash_, json.dumps(piece.metadata, ensure_ascii=False),
                ),
            ).lastrowid  # fmt: skip
            assert number is not None  # an INSERT has a row id  # noqa: S101
            keyword.add(db, collection, number, words.terms(context), words.terms(text))
        return set(hashes)

    def _delete_passages(self, db: sqlite3.Connection, document_id: str) -> set[str]:
        """Delete the passages of a document from the tables; returns the keys of their vectors and their units'."""
        rows = db.execute(
            "SELECT p.*, d.title, d.source, d.metadata AS document_metadata"
            " FROM passages p JOIN documents d ON d.id = p.document_id WHERE document_id = ?",
            (document_id,),
        ).fetchall()
        for row in rows:
            keyword.remove(db, self.id(), row["number"])
        db.execute("DELETE FROM passages WHERE document_id = ?", (document_id,))
        parts = {meaning.key(unit_text(unit)) for row in rows for unit in units(finding.passage_of(row))}
        return {row["text_hash"] for row in rows} | parts

    def remove(self, source: str, log: journals.Journal | None = None) -> FileResult:
        """Forget the document ``source``, its passages and those of its vectors that no other passage uses."""
        with self.workspace.write() as db:
            row = db.execute(
                "SELECT id, title FROM documents WHERE collection_id = ? AND source = ?", (self.id(), source)
            ).fetchone()
            if row is not None:
                hashes = self._delete_passages(db, row["id"])
                db.execute("DELETE FROM documents WHERE id = ?", (row["id"],))
                _forget_vectors(db, hashes)
                pending.raise_generation(db, self.id(), complete=True)
            journals.forget(db, self.id(), source)
            result = FileResult(source, "removed", row["id"] if row else None, row["title"] if row else "")
            if log is not None:
                log.enter(db, result, None, "")
        return result

    def listed(self, paths: Sequence[str | os.PathLike[str]]) -> tuple[list[Path], list[str], list[FileResult]]:
        """The files under ``paths``, the sources that are indexed and no longer there, and what is not read."""
        full = [Path(path).expanduser() for path in paths]
        gone = [str(p.resolve()) for p in full if not p.exists() and self._document_row(str(p.resolve()))]
        present = [p for p in full if str(p.resolve()) not in gone]
        listing = load.files(present)
        roots = [p.resolve() for p in present if p.is_dir()]
        with self.workspace.read() as db:
            rows = db.execute("SELECT source FROM documents WHERE collection_id = ?", (self.id(),)).fetchall()
        there = {str(path) for path, _ in listing.files}
        unknown = [folder.resolve() for folder in listing.unreadable]  # nobody can say what is gone from there
        for (source,) in rows:
            path = Path(source)
            inside = source not in there and path.is_absolute() and any(path.is_relative_to(root) for root in roots)
            if inside and source not in gone and not any(path.is_relative_to(folder) for folder in unknown):
                gone.append(source)
        skipped = [
            FileResult(name, "failed" if error.reason == "unreadable_file" else "skipped", error=error)
            for name, error in listing.skipped.items()
        ]
        return [path for path, _ in listing.files], gone, skipped

    def _document_row(self, source: str) -> Any:
        return self._one("SELECT * FROM documents WHERE collection_id = ? AND source = ?", self.id(), source)

    def _one(self, sql: str, *values: Any) -> Any:
        with self.workspace.read() as db:
            return db.execute(sql, values).fetchone()


def _versions(columns: Mapping[str, str] | None) -> str:
    """What a file was read with: when this changes it is read again, though it looks the same."""
    return json.dumps([*_VERSIONS, sorted((columns or {}).items())], ensure_ascii=False)


def _same(row: Any, hash_: str, title: str | None, given: dict[str, Any] | None) -> bool:
    """Whether the document ``row`` is there as it is to be stored."""
    return (
        row is not None
        and row["content_hash"] == hash_
        and title in (None, row["title"])
        and (given is None or given == json.loads(row["given"]))
    )


def _forget_vectors(db: sqlite3.Connection, hashes: set[str]) -> None:
    """Delete vectors of texts that no passage of any collection holds any more."""
    for hash_ in hashes:
        db.execute(
            "DELETE FROM vectors WHERE text_hash = ? AND NOT EXISTS (SELECT 1 FROM passages WHERE text_hash = ?)",
            (hash_, hash_),
        )
