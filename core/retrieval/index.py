"""A collection: sync files into it, search it. SQLite is the truth; vector indexes follow it.

Every file is one transaction (:mod:`core.retrieval.writing`), and from then on found by words. Vectors follow in
batches; what still lacks one is a query over the tables (:mod:`core.retrieval.pending`), so indexing goes on where a
killed process stopped, and two processes may index at once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.errors import NotFound, ProviderError, StoreUnreachable, TouchstoneError
from core.retrieval import (
    arrange,
    finding,
    keyword,
    load,
    metadata,
    pending,
    vocabulary,
)
from core.retrieval import journal as journals
from core.retrieval.allowed import AllowedCache
from core.retrieval.clean import clean
from core.retrieval.meaning import Meaning
from core.retrieval.options import SearchOptions, plain
from core.retrieval.records import CollectionInfo, DocumentInfo, FileResult, Found, Progress, SyncReport
from core.retrieval.rerank import FIRST, Rerankers, reranked
from core.retrieval.search import IndexFailed, VectorLeg
from core.retrieval.section import MOST as SECTION
from core.retrieval.section import Section, widened
from core.retrieval.vocabulary import Vocabulary
from core.retrieval.writing import Writer
from core.types import LOCAL, Caller, Hit, Passage
from core.workspace import Workspace

if TYPE_CHECKING:
    pass

ProgressCallback = Callable[[Progress], None]
# Texts, and characters, after which a call is full: enough for a local model to compute in bulk
# (core.providers.embedded.BULK_BYTES) and for a service to be sent several requests at once; little enough that
# progress moves and a kill loses seconds.
EMBED_BATCH, EMBED_CHARACTERS = 512, 16_000


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
        self._writer = Writer(workspace, name, caller)
        self._allowed, self._synonyms = allowed or AllowedCache(), synonyms

    # --- indexing ---------------------------------------------------------------------------------

    async def sync(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        progress: ProgressCallback | None = None,
        embed: bool = True,
        metadata: Mapping[str, Any] | None = None,
        verify: bool = False,
        columns: Mapping[str, str] | None = None,
    ) -> SyncReport:
        """Bring the collection in step with files, folders and pages (``https://…``) ``paths``.

        A file that looks as it did when it was last read (size, times, inode) is not opened; one that looks
        otherwise is unchanged when its bytes are. Documents whose file vanished from a given folder are removed.
        A file that cannot be read is reported as ``failed`` and the others go on; its older version stays. What
        happened to each file, and why, is kept in the journal (:meth:`journal`).

        Args:
            embed: also make the vectors; otherwise call :meth:`embed_pending` when there is time.
            metadata: what every one of these documents carries, beside the front matter of its file; ``None``
                leaves what was given before.
            verify: read every file, however it looks.
            columns: what the columns of CSV and JSON files are, such as ``{"title": "headline", "text": "body"}``;
                each row then becomes a section (see :data:`core.retrieval.formats.ROLES`).

        Raises:
            InputError: bad_metadata
            MissingFile: a path that is not there and was never indexed.
            StoreError: the workspace cannot be written.
        """
        started = time.perf_counter()
        given = _given(metadata)
        pages = [path for path in paths if isinstance(path, str) and path.startswith(("http://", "https://"))]
        local = [path for path in paths if path not in pages]
        found, gone, skipped = await asyncio.to_thread(self._writer.listed, local)
        results: list[FileResult] = []
        embedded = 0
        notices: tuple[str, ...] = ("stopped",)
        log = await asyncio.to_thread(journals.Journal, self.workspace, self._writer.created())
        try:
            same = {} if verify else await asyncio.to_thread(self._writer.looks_the_same, found, given, columns)
            for done, path in enumerate(found, 1):
                result = same.get(path)
                if result is None:
                    result = await asyncio.to_thread(self._writer.sync_file, path, given, log, columns)
                else:
                    log.note(result)
                results.append(result)
                _tell(progress, Progress("files", done, len(found), path.name))
            for page in pages:
                results.append(await asyncio.to_thread(self._writer.sync_page, page, given, log))
            for result in skipped:
                log.note(result)
                results.append(result)
            for source in gone:
                results.append(await asyncio.to_thread(self._writer.remove, source, log))
            embedded, notices = await self.embed_pending(progress=progress) if embed else (0, ())
        finally:
            await asyncio.to_thread(log.end, embedded, notices)
        changed = sum(r.passages for r in results if r.status in ("added", "updated"))
        return SyncReport(
            tuple(results), embedded, max(0, changed - embedded), time.perf_counter() - started, tuple(notices)
        )

    def journal(self, limit: int = 1) -> list[journals.Run]:
        """The last syncs, the newest first: what happened to each file, and why."""
        return journals.runs(self.workspace, self.id(), limit)

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
            raise load.too_large(name, len(data))
        source = clean(name).replace("\\", "/").rsplit("/", 1)[-1].strip() or "document.txt"
        result = await asyncio.to_thread(self._writer.store, data, source, title, _given(metadata))
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
        await asyncio.to_thread(self._writer.remove, row["source"])

    async def embed_pending(self, *, progress: ProgressCallback | None = None) -> tuple[int, tuple[str, ...]]:
        """Embed every passage that has no vector yet; ``(how many, notice codes)``. Safe to stop at any moment.

        When the embedding model fails the passages stay pending (keyword search finds them) and the notice is
        ``embedding_down``.
        """
        if not self.id():
            return 0, ()
        await asyncio.to_thread(self._writer.settle)
        if self._embedding is None:
            return 0, ()
        try:
            model = self._embedding()
        except TouchstoneError:
            return 0, ("embedding_down",)
        if await asyncio.to_thread(pending.nothing, self.workspace, self.id(), model.name):
            return 0, await asyncio.to_thread(self._apply, model, progress)
        embedded, total = 0, await asyncio.to_thread(self._count_pending, model.name)
        while waiting := await asyncio.to_thread(pending.waiting, self.workspace, self.id(), model.name):
            while waiting:
                batch = await asyncio.to_thread(
                    pending.batch, self.workspace, self.id(), model.name, waiting, EMBED_BATCH, EMBED_CHARACTERS
                )
                if not batch:
                    break  # another process was faster
                try:
                    made = await pending.made(self.workspace, model, batch)
                except ProviderError:
                    return embedded, ("embedding_down",)
                await asyncio.to_thread(pending.embedded, self.workspace, self.id(), model.name, made)
                embedded += len(batch)
                _tell(progress, Progress("vectors", min(embedded, total), total))
        await asyncio.to_thread(pending.record, self.workspace, self.id(), model.name)
        return embedded, await asyncio.to_thread(self._apply, model, progress)

    def _apply(self, model: EmbeddingModel, progress: ProgressCallback | None) -> tuple[str, ...]:
        """Bring the vector index in step. A server that is down leaves it behind; nothing is lost by that."""
        try:
            self._legs(self.id(), model).apply(lambda done, of: _tell(progress, Progress("index", done, of)))
        except StoreUnreachable:
            return ("index_unreachable",)
        return ()

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
        chosen = options or plain(top_k)
        asked = await self.query_vector(query, chosen)
        found = await asyncio.to_thread(self.find_with, query, asked, terms_from or query, self.deep(chosen))
        return await self.ordered(found, chosen)

    async def query_vector(self, query: str, options: SearchOptions | None = None) -> finding.QueryVector:
        """The question's vector, or the notice that there is none. Raises nothing: words go on without it."""
        if options is not None and options.mode == "keyword":
            return finding.QueryVector()
        return await finding.query_vector(self._embedding, query)

    def query_vector_now(self, query: str, options: SearchOptions) -> finding.QueryVector | None:
        """As :meth:`query_vector`; blocks. ``None`` where the model can be asked by way of an event loop alone."""
        if options.mode == "keyword":
            return finding.QueryVector()
        return finding.query_vector_now(self._embedding, query)

    def find_with(self, query: str, vector: finding.QueryVector, terms_from: str, options: SearchOptions) -> Found:
        """The fused candidates, with a vector that is already there; blocks."""
        try:
            return self._found(query, vector, terms_from, options)
        except IndexFailed as failed:
            assert vector.model is not None  # there was a leg to fail  # noqa: S101
            self.leg(vector.model).without_index(failed.error)
            return self._found(query, vector, terms_from, options)

    def _found(self, query: str, vector: finding.QueryVector, terms_from: str, options: SearchOptions) -> Found:
        with self.workspace.snapshot() as db:
            collection = self.id()
            asked = finding.Asked(query, vector, terms_from, options, self.vocabulary())
            given = self.workspace, collection, self._legs, asked, self._allowed, self.name
            if keyword.is_current(db, collection):  # as nearly always
                return finding.find(*given)
        with self.workspace.read() as db:
            keyword.make_current(db, collection)  # which may write
        return finding.find(*given)

    def deep(self, options: SearchOptions) -> SearchOptions:
        """``options`` with as many candidates as the reranker is shown, when there is one."""
        if self.reranker is None or options.rerank is False:
            return options
        return replace(options, top_k=max(options.top_k, FIRST))

    async def ordered(self, found: Found, options: SearchOptions) -> Found:
        """Fused candidates as hits: the reranker's order, then everything else that ``options`` ask for."""
        if options.rerank is not False:
            found = await reranked(found, self.reranker)
        if not (options.arranges or options.sentences):  # a cut is not worth a thread
            return arrange.arranged(self.workspace, found, options, None)
        return await asyncio.to_thread(self.arranged, found, options)

    def arranged(self, found: Found, options: SearchOptions) -> Found:
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
        return self._writer.id()

    def _count_pending(self, model: str) -> int:
        return pending.count(self.workspace, self.id(), model)

    def _one(self, sql: str, *values: Any) -> Any:
        with self.workspace.read() as db:
            return db.execute(sql, values).fetchone()


def _given(metadata_: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if metadata_ is None else metadata.checked(metadata_)


def _tell(progress: ProgressCallback | None, step: Progress) -> None:
    if progress is not None:
        progress(step)
