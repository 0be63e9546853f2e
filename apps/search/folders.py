"""Folders kept in step with the collection of a tenant: which, who added them, what happened to each file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apps.roots import inside, roots
from core.errors import NotAllowed, NotFound
from core.i18n import Phrase
from core.retrieval.journal import Run
from core.retrieval.records import DocumentInfo, Progress, SyncReport
from core.types import Caller, Passage

if TYPE_CHECKING:
    from apps.search.service import Search
    from core.retrieval.index import Index

Told = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and how many documents of the collection come from it."""

    path: Path
    by: str
    at: float
    documents: int


class Folders:
    """Those of a desk's workspace, by tenant. Whoever changes them needs the role ``admin``; all of the tenant search them."""

    def __init__(self, desk: Search) -> None:
        self._desk = desk

    def index(self, caller: Caller) -> Index:
        """The collection that they are read into: that of ``touchstone index``."""
        return self._desk.library.for_caller(caller).collection()

    def allowed(self, path: str, caller: Caller) -> Path:
        """``path`` in full, when the caller may have it read.

        Raises:
            NotAllowed: the caller is no admin.
            MissingFile: no such folder.
            InputError: folder_not_allowed, it is outside the folders of the setting ``retrieval.folders``.
        """
        _demand_admin(caller)
        return inside(path, self._desk.runtime.settings, needed_for="touchstone index")

    def roots(self) -> list[Path]:
        """The folders of the setting, in full; none: any."""
        return roots(self._desk.runtime.settings)

    def all(self, caller: Caller) -> list[Folder]:
        """By path."""
        with self._desk.runtime.workspace.read() as db:
            rows = db.execute(
                "SELECT path, added_by, at FROM search_folders WHERE tenant = ? ORDER BY path", (caller.tenant,)
            ).fetchall()
        sources = [Path(document.source) for document in self.documents(caller)] if rows else []
        return [
            Folder(Path(path), by, at, sum(source.is_relative_to(path) for source in sources)) for path, by, at in rows
        ]

    async def sync(self, path: str, caller: Caller, told: Told | None = None, *, verify: bool = False) -> SyncReport:
        """Bring the collection in step with the folder and remember it; the journal has a reason for each file.

        Args:
            verify: read every file anew, however it looks.

        Raises: as :meth:`allowed`, and what :meth:`core.retrieval.index.Index.sync` raises.
        """
        full = await asyncio.to_thread(self.allowed, path, caller)
        await asyncio.to_thread(self._remember, full, caller)
        report = await self.index(caller).sync([full], progress=told, verify=verify)
        await asyncio.to_thread(self._desk.saved.check_all, caller)
        return report

    async def forget(self, path: str, caller: Caller) -> int:
        """Take the folder off the list and its documents out of the collection; how many. The files stay.

        Raises:
            NotAllowed: the caller is no admin.
            NotFound: it is not on the list.
        """
        _demand_admin(caller)
        with self._desk.runtime.workspace.write() as db:
            if not db.execute(
                "DELETE FROM search_folders WHERE tenant = ? AND path = ?", (caller.tenant, path)
            ).rowcount:
                raise NotFound(kind="folder", value=path)
        index = self.index(caller)
        gone = [d for d in await asyncio.to_thread(index.documents) if Path(d.source).is_relative_to(path)]
        for document in gone:
            await index.remove(document.id)
        return len(gone)

    # --- what is in the collection ------------------------------------------------------------

    def documents(self, caller: Caller) -> list[DocumentInfo]:
        return self.index(caller).documents()

    def passages(self, document_id: str, caller: Caller) -> list[Passage]:
        """The passages of a document in its order, wherever the caller may search it."""
        for place in self._desk.places(caller):
            if found := place.index.passages(document_id):
                return found
        return []

    async def remove(self, document_id: str, caller: Caller) -> None:
        """Take one document out; a folder that still has its file brings it back at its next sync.

        Raises:
            NotAllowed, NotFound
        """
        _demand_admin(caller)
        await self.index(caller).remove(document_id)

    def journal(self, caller: Caller, limit: int = 1) -> list[Run]:
        """The last syncs, newest first, those of ``touchstone index`` too."""
        return self.index(caller).journal(limit)

    def _remember(self, path: Path, caller: Caller) -> None:
        with self._desk.runtime.workspace.write() as db:
            db.execute(
                "INSERT OR IGNORE INTO search_folders VALUES (?, ?, ?, ?)",
                (caller.tenant, str(path), caller.user, time.time()),
            )


def _demand_admin(caller: Caller) -> None:
    if "admin" not in caller.roles:
        raise NotAllowed(action=Phrase("search.action.folders"), role="admin")
