"""What one person uploads and nobody else finds: a collection of the caller's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from apps.background import Embedder
from core.errors import InputError
from core.providers.sync import run
from core.retrieval.index import Index
from core.retrieval.library import Library
from core.retrieval.records import DocumentInfo, FileResult, Progress
from core.types import Caller

LIMIT_MB = 20
SUPPORT, SEARCH = "uploads", "search"
PREFIXES = (SUPPORT, SEARCH)  # of all apps in which people upload


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of every caller. ``prefix`` begins the names of the collections, ``most`` is for one caller.

    ``library`` is asked for each time: a runtime that was reloaded has another.
    """

    library: Callable[[], Library]
    embedder: Embedder
    prefix: str
    most: int

    def index(self, caller: Caller) -> Index:
        """The caller's collection; a collection's name alone would be shared by the users of a tenant."""
        return self.library().for_caller(caller).collection(collection_of(self.prefix, caller))

    def add(self, name: str, data: bytes, caller: Caller) -> FileResult:
        """Add a document; one of the same name is replaced. Words find it at once, its vectors follow.

        Raises:
            InputError: no text in it, not a supported kind, too large, or too many documents.
        """
        index = self.index(caller)
        if len(data) > LIMIT_MB * 2**20:
            raise InputError(reason="file_too_large", name=name, size_mb=round(len(data) / 2**20, 1), limit_mb=LIMIT_MB)
        if len(index.documents()) >= self.most:
            raise InputError(reason="too_many_documents", limit=self.most)
        result = run(index.add_bytes(data, name, embed=False))
        self.embedder.start(index)
        return result

    def documents(self, caller: Caller) -> list[DocumentInfo]:
        """Newest first."""
        return sorted(self.index(caller).documents(), key=lambda document: -document.updated_at)

    def remove(self, document_id: str, caller: Caller) -> None:
        """
        Raises:
            NotFound: the caller has uploaded no such document.
        """
        run(self.index(caller).remove(document_id))

    def embedding(self, caller: Caller) -> Progress | None:
        """How far the vectors are; ``None`` when none are being made."""
        return self.embedder.progress(self.index(caller))


def collection_of(prefix: str, caller: Caller) -> str:
    """The name of a caller's collection."""
    return f"{prefix}-{hashlib.sha256(caller.user.encode()).hexdigest()[:16]}"
