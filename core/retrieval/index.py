"""A collection: sync files into it, search it. SQLite is the truth; vector indexes follow it.

Every file is one transaction: document, passages and keyword terms are committed together, and from then on
found by words. Vectors follow in batches; what still lacks one is a query over the tables, so indexing goes
on where a killed process stopped, and two processes may index at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.errors import InputError, NotFound, ProviderError, TouchstoneError, code_of
from core.retrieval import arrange, finding, keyword, load, meaning, metadata, split, tokens, vectors, vocabulary
from core.retrieval.allowed import AllowedCache
from core.retrieval.evidence import unit_text
from core.retrieval.meaning import Meaning
from core.retrieval.options import SearchOptions
from core.retrieval.records import CollectionInfo, DocumentInfo, FileResult, Found, Progress, SyncReport
from core.retrieval.rerank import FIRST, Rerankers, reranked
from core.retrieval.search import VectorLeg
from core.retrieval.section import MOST as SECTION
from core.retrieval.section import Section, widened
from core.retrieval.units import units
from core.retrieval.vocabulary import Vocabulary
from core.types import LOCAL, Caller, Hit, Passage
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

ProgressCallback = Callable[[Progress], None]
EMBED_BATCH = 16  # texts per call: small enough that progress moves and a kill loses little
_VERSIONS = (load.VERSION, split.VERSION, tokens.VERSION)


class Index:
    """One collection of one tenant. Open it through :class:`core.retrieval.library.Library`."""

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        embedding: Callable[[], EmbeddingModel] | None,
        legs: Callable[[int, EmbeddingModel], VectorLeg],
        caller: Caller = LOCAL,
        *,
        allowed: AllowedCache | None = None,
        synonyms: Path | None = None,
        reranker: Rerankers | None = None,
    ) -> None:
        """
        Args:
            synonyms: a YAML file of synonyms for every collection; see :func:`core.retrieval.vocabulary.read`.
            reranker: opens the model that orders the best hits, or says that there is none.
        """
        self.reranker = reranker
        self.workspace, self.name, self.caller = workspace, name, caller
        self._embedding, self._legs = embedding, legs
        self._allowed, self._synonyms = allowed or AllowedCache(), synonyms

    # --- indexing ---------------------------------------------------------------------------------

    async def sync(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        progress: ProgressCallback | None = None,
        embed: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> SyncReport:
        """Bring the collection in step with files and folders ``paths``.

        Unchanged files cost a read and a hash. Documents whose file vanished from a given folder are removed.
        A file that cannot be read is reported as ``failed`` and the others go on; its older version stays.

        Args:
            embed: also make the vectors; otherwise call :meth:`embed_pending` when there is time.
            metadata: what every one of these documents carries, beside the front matter of its file; ``None``
                leaves what was given before.

        Raises:
            InputError: bad_metadata
            MissingFile: a path that is not there and was never indexed.
            StoreError: the workspace cannot be written.
        """
        started = time.perf_counter()
        given = _given(metadata)
        found, gone = await asyncio.to_thread(self._listed, paths)
        results: list[FileResult] = []
        for done, path in enumerate(found, 1):
            results.append(await asyncio.to_thread(self._sync_file, path, given))
            _tell(progress, Progress("files", done, len(found), path.name))
        for source in gone:
            results.append(await asyncio.to_thread(self._remove_source, source))
        embedded, notices = await self.embed_pending(progress=progress) if embed else (0, ())
        changed = sum(r.passages for r in results if r.status in ("added", "updated"))
        return SyncReport(
            tuple(results), embedded, max(0, changed - embedded), time.perf_counter() - started, tuple(notices)
        )

    async def add_bytes(
        self,
        data: bytes,
        name: str,
        *,
        title: str | None = None,
        embed: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> FileResult:
        """Add or replace the document ``name`` (an upload). Its suffix says how it is read.

        Args:
            metadata: texts, numbers, true or false, dates, or lists of them, to filter by and to show; ``None``
                leaves what was given before. The front matter of Markdown is read beside it.

        Raises:
            InputError: bad_metadata, binary_file, bad_encoding, empty_file, file_too_large, unreadable_file, bad_json.
        """
        if len(data) > load.MOST_BYTES:
            size = round(len(data) / 2**20, 1)
            raise InputError(reason="file_too_large", name=name, size_mb=size, limit_mb=load.MOST_BYTES // 2**20)
        source = load.clean(name).replace("\\", "/").rsplit("/", 1)[-1].strip() or "document.txt"
        result = await asyncio.to_thread(self._store, data, source, title, _given(metadata))
        if embed:
            await self.embed_pending()
        return result

    async def add_text(
        self,
        text: str,
        source: str,
        *,
        title: str | None = None,
        embed: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> FileResult:
        """Add or replace the document ``source`` with ``text``; see :meth:`add_bytes`."""
        return await self.add_bytes(text.encode("utf-8"), source, title=title, embed=embed, metadata=metadata)

    async def remove(self, document_id: str) -> None:
        """Forget a document, its passages and those of its vectors that no other passage uses.

        Raises:
            NotFound: no such document in this collection.
        """
        row = self._one("SELECT source FROM documents WHERE id = ? AND collection_id = ?", document_id, self.id())
        if row is None:
            raise NotFound(kind="document", value=document_id)
        await asyncio.to_thread(self._remove_source, row["source"])

    async def embed_pending(self, *, progress: ProgressCallback | None = None) -> tuple[int, tuple[str, ...]]:
        """Embed every passage that has no vector yet; ``(how many, notice codes)``. Safe to stop at any moment.

        When the embedding model fails the passages stay pending (keyword search finds them) and the notice is
        ``embedding_down``.
        """
        if self._embedding is None or not self.id():
            return 0, ()
        try:
            model = self._embedding()
        except TouchstoneError:
            return 0, ("embedding_down",)
        embedded, total = 0, await asyncio.to_thread(self._count_pending, model.name)
        while batch := await asyncio.to_thread(self._pending, model.name, secrets.token_hex(16)):
            try:
                made = await model.embed(list(batch.values()), kind="document")
            except ProviderError:
                return embedded, ("embedding_down",)
            await asyncio.to_thread(self._put_vectors, model.name, dict(zip(batch, made, strict=True)))
            embedded += len(batch)
            _tell(progress, Progress("vectors", min(embedded, total), total))
        leg = self._legs(self.id(), model)
        await asyncio.to_thread(leg.apply, lambda done, of: _tell(progress, Progress("index", done, of)))
        return embedded, ()

    # --- searching --------------------------------------------------------------------------------

    async def search(self, query: str, top_k: int = 8, **options: Any) -> list[Hit]:
        """The best ``top_k`` passages, best first; ``options`` as in :class:`~core.retrieval.options.SearchOptions`.

        Raises:
            InputError: an option or a filter that is not allowed.
        """
        return list((await self.find(query, options=SearchOptions(top_k).changed(**options))).hits)

    async def find(
        self, query: str, top_k: int = 8, *, terms_from: str | None = None, options: SearchOptions | None = None
    ) -> Found:
        """Search both legs, fuse them, and have the reranker order the best when one is set.

        Args:
            terms_from: the text whose content terms count as the question's (default: ``query``); a follow-up
                question is searched together with the one before it, but judged by its own words.
            options: everything else that can be asked for; its ``top_k`` stands in place of ``top_k``, and its
                ``collections`` are not looked at, because this is one.
        """
        chosen = options or SearchOptions(top_k, sentences=False)
        asked = await self.query_vector(query, chosen)
        found = await asyncio.to_thread(self.find_with, query, asked, terms_from or query, self.deep(chosen))
        return await self.ordered(found, chosen)

    async def query_vector(self, query: str, options: SearchOptions | None = None) -> finding.QueryVector:
        """The question's vector, or the notice that there is none. Raises nothing: words go on without it."""
        if options is not None and options.mode == "keyword":
            return finding.QueryVector()
        return await finding.query_vector(self._embedding, query)

    def find_with(self, query: str, vector: finding.QueryVector, terms_from: str, options: SearchOptions) -> Found:
        """The fused candidates, with a vector that is already there; blocks."""
        asked = finding.Asked(query, vector, terms_from, options, self.vocabulary())
        found = finding.find(self.workspace, self.id(), self._legs, asked, self._allowed)
        return replace(found, hits=tuple(replace(hit, collection=self.name) for hit in found.hits))

    def deep(self, options: SearchOptions) -> SearchOptions:
        """``options`` with as many candidates as the reranker is shown, when there is one."""
        if self.reranker is None or options.rerank is False:
            return options
        return replace(options, top_k=max(options.top_k, FIRST))

    async def ordered(self, found: Found, options: SearchOptions) -> Found:
        """Fused candidates as hits: the reranker's order, then everything else that ``options`` ask for."""
        if options.rerank is not False:
            found = await reranked(found, self.reranker)
        return await asyncio.to_thread(self._arranged, found, options)

    def _arranged(self, found: Found, options: SearchOptions) -> Found:
        """Boosts, recency, duplicates, diversity, the cut; blocks."""
        model = self._embedding().name if options.diversity and self._embedding is not None else None
        return arrange.arranged(self.workspace, found, options, model)

    def leg(self, model: EmbeddingModel) -> VectorLeg:
        """The vector leg of this collection for ``model``."""
        return self._legs(self.id(), model)

    def vocabulary(self) -> Vocabulary:
        """Synonyms and kept words of this collection."""
        with self.workspace.read() as db:
            return vocabulary.of(db, self.caller.tenant, self.name, self._synonyms)

    def meaning(self) -> Meaning | None:
        """The embedding model with its memory of vectors; ``None`` when there is none."""
        return Meaning(self.workspace, self._embedding()) if self._embedding is not None else None

    # --- reading ----------------------------------------------------------------------------------

    def documents(self) -> list[DocumentInfo]:
        """All documents, by title."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT d.*, length(d.text) AS characters, (SELECT count(*) FROM passages p WHERE p.document_id = d.id)"
                " AS passages FROM documents d WHERE collection_id = ? ORDER BY title, source",
                (self.id(),),
            ).fetchall()
        names = DocumentInfo.__slots__
        return [DocumentInfo(**{name: row[name] for name in names}) for row in rows]

    def document_text(self, document_id: str) -> str:
        """The stored text of a document: what citations point into.

        Raises:
            NotFound: no such document in this collection.
        """
        row = self._one("SELECT text FROM documents WHERE id = ? AND collection_id = ?", document_id, self.id())
        if row is None:
            raise NotFound(kind="document", value=document_id)
        return str(row["text"])

    def passage(self, passage_id: str) -> Passage:
        """
        Raises:
            NotFound: no such passage in this collection.
        """
        with self.workspace.read() as db:
            found = finding.passages(db, self.id(), [passage_id])
        if passage_id not in found:
            raise NotFound(kind="passage", value=passage_id)
        return found[passage_id]

    def passages(self, document_id: str) -> list[Passage]:
        """The passages of a document in its order."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT id FROM passages WHERE document_id = ? AND collection_id = ? ORDER BY position",
                (document_id, self.id()),
            ).fetchall()
            return list(finding.passages(db, self.id(), [row["id"] for row in rows]).values())

    def section(self, passage_id: str, *, most: int = SECTION) -> Section:
        """The section a passage stands in: what lies around it under the same heading.

        Args:
            most: characters; a longer section is cut at passages, with the passage asked for in its middle.

        Raises:
            NotFound: no such passage in this collection.
        """
        passage = self.passage(passage_id)
        around = [p for p in self.passages(passage.document_id) if p.heading == passage.heading]
        return widened(passage, around, self.document_text(passage.document_id), most)

    def info(self) -> CollectionInfo:
        collection = self.id()
        model = self._embedding().name if self._embedding else ""
        row = self._one(
            "SELECT c.generation, (SELECT count(*) FROM documents WHERE collection_id = c.id) AS documents,"
            " (SELECT count(*) FROM passages WHERE collection_id = c.id) AS passages FROM collections c WHERE c.id = ?",
            collection,
        )
        if row is None:
            return CollectionInfo(self.name, 0, 0, 0, 0)
        return CollectionInfo(
            self.name, row["documents"], row["passages"], self._count_pending(model), row["generation"]
        )

    def id(self) -> int:
        """The collection's number; 0 while nothing was ever written to it."""
        row = self._one("SELECT id FROM collections WHERE tenant = ? AND name = ?", self.caller.tenant, self.name)
        return int(row["id"]) if row is not None else 0

    # --- rows -------------------------------------------------------------------------------------

    def _created(self) -> int:
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

    def _sync_file(self, path: Path, given: dict[str, Any] | None) -> FileResult:
        try:
            return self._store(load.read(path), str(path), None, given)
        except (InputError, TouchstoneError) as error:
            if not isinstance(error, InputError) and not code_of(error).startswith("missing_package"):
                raise
            return FileResult(str(path), "failed", error=error)

    def _store(self, data: bytes, source: str, title: str | None, given: dict[str, Any] | None) -> FileResult:
        """Load, split and commit one document, unless its bytes are already there."""
        hash_ = load.content_hash(data, *_VERSIONS)
        before = self._document_row(source)
        if _same(before, hash_, title, given):
            return FileResult(source, "unchanged", before["id"], before["title"])
        document = load.load(data, source=source, title=title, hash_=hash_)
        pieces = split.split(document.text, list(document.blocks), title=document.title)
        collection = self._created()
        document_id = hashlib.sha256(f"{collection}\n{source}".encode()).hexdigest()[:16]
        with self.workspace.write() as db:
            there = db.execute("SELECT * FROM documents WHERE id = ?", (document_id,)).fetchone()
            if _same(there, hash_, title, given):
                return FileResult(source, "unchanged", document_id, there["title"])  # another process was faster
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
            self._raise_generation(db)
        return FileResult(source, "updated" if there else "added", document_id, document.title, len(pieces))

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

    def _remove_source(self, source: str) -> FileResult:
        with self.workspace.write() as db:
            row = db.execute(
                "SELECT id, title FROM documents WHERE collection_id = ? AND source = ?", (self.id(), source)
            ).fetchone()
            if row is not None:
                hashes = self._delete_passages(db, row["id"])
                db.execute("DELETE FROM documents WHERE id = ?", (row["id"],))
                _forget_vectors(db, hashes)
                self._raise_generation(db)
        return FileResult(source, "removed", row["id"] if row else None, row["title"] if row else "")

    def _listed(self, paths: Sequence[str | os.PathLike[str]]) -> tuple[list[Path], list[str]]:
        """The files under ``paths``, and the sources that are indexed and no longer there."""
        full = [Path(path).expanduser() for path in paths]
        gone = [str(p.resolve()) for p in full if not p.exists() and self._document_row(str(p.resolve()))]
        present = [p for p in full if str(p.resolve()) not in gone]
        found = [path for path, _ in load.files(present)]
        roots = [p.resolve() for p in present if p.is_dir()]
        with self.workspace.read() as db:
            rows = db.execute("SELECT source FROM documents WHERE collection_id = ?", (self.id(),)).fetchall()
        there = {str(path) for path in found}
        gone += [s for (s,) in rows if s not in there and any(Path(s).is_relative_to(root) for root in roots)]
        return found, gone

    def _raise_generation(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE collections SET generation = generation + 1 WHERE id = ?", (self.id(),))

    def _put_vectors(self, model: str, made: Mapping[str, np.ndarray]) -> None:
        with self.workspace.write() as db:
            vectors.put(db, model, made)
            self._raise_generation(db)

    def _count_pending(self, model: str) -> int:
        row = self._one(
            "SELECT count(DISTINCT text_hash) FROM passages p WHERE collection_id = ? AND NOT EXISTS"
            " (SELECT 1 FROM vectors v WHERE v.model = ? AND v.text_hash = p.text_hash)",
            self.id(),
            model,
        )
        return int(row[0]) if row else 0

    def _pending(self, model: str, pivot: str) -> dict[str, str]:
        """Text by hash for the next batch. It starts at ``pivot``, so that two processes rarely do the same work."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT DISTINCT p.text_hash, p.text, p.heading, p.metadata, d.title FROM passages p JOIN documents d"
                " ON d.id = p.document_id WHERE p.collection_id = ? AND NOT EXISTS"
                " (SELECT 1 FROM vectors v WHERE v.model = ? AND v.text_hash = p.text_hash)"
                " ORDER BY p.text_hash < ?, p.text_hash LIMIT ?",
                (self.id(), model, pivot, EMBED_BATCH),
            ).fetchall()
        return {
            row[
                "text_hash"
            ]: f"{split.context(row['title'], row['heading'], json.loads(row['metadata']))}\n{row['text']}"
            for row in rows
        }

    def _document_row(self, source: str) -> Any:
        return self._one("SELECT * FROM documents WHERE collection_id = ? AND source = ?", self.id(), source)

    def _one(self, sql: str, *values: Any) -> Any:
        with self.workspace.read() as db:
            return db.execute(sql, values).fetchone()


def _given(metadata_: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if metadata_ is None else metadata.checked(metadata_)


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


def _tell(progress: ProgressCallback | None, step: Progress) -> None:
    if progress is not None:
        progress(step)
