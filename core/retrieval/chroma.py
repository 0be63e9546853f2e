"""Chroma as the vector index of large collections: written by one process at a time, rebuilt from SQLite at will.

Facts this is built on (chromadb 1.5.9, measured): several writer processes lose vectors without an error; a
client does not see what another process wrote until it is reopened; ``add`` keeps the old vector of an existing
id; the default distance is squared L2. So writes happen under a lease (:mod:`core.retrieval.lease`), readers
reopen when the index generation in SQLite moved, ``upsert`` is used, and the space is cosine by name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import MissingPackage, StoreDamaged
from core.retrieval.vectors import chunks

if TYPE_CHECKING:
    import numpy as np

BATCH = 250  # vectors per write; Chroma's throughput is flat between 100 and 300
_SEARCH_EF = 200  # breadth of the graph search; recall against exact search is tested


class ChromaStore:
    """One Chroma folder. Opens on first use, because importing chromadb takes two seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._client: Any = None
        self._lock = threading.RLock()

    def client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def index(self, name: str, dim: int) -> ChromaIndex:
        """The index ``name``, created when it is not there."""
        return ChromaIndex(self, name, dim)

    def names(self) -> list[str]:
        with self._lock:
            return _translated(self.folder, lambda: [c.name for c in self.client().list_collections()])

    def drop(self, name: str) -> None:
        with self._lock:
            if name in self.names():
                _translated(self.folder, lambda: self.client().delete_collection(name))

    def reopen(self) -> None:
        """Forget the open client: the next use sees what other processes have written."""
        self.close()

    def set_aside(self) -> Path:
        """Move the folder away, so that a new one begins; returns where the damaged one lies."""
        with self._lock:
            self.close()
            target = self.folder.with_name(f"{self.folder.name}-damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            self.folder.rename(target)
            return target

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()

    def _open(self) -> Any:
        try:
            import chromadb
            from chromadb.config import Settings
        except ModuleNotFoundError as error:
            raise MissingPackage(
                package="chromadb", needed_for="vector index", install='pip install "touchstone-llm"'
            ) from error
        logging.getLogger("chromadb.telemetry").setLevel(logging.CRITICAL)
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(anonymized_telemetry=False, allow_reset=False)
        return _translated(self.folder, lambda: chromadb.PersistentClient(path=str(self.folder), settings=settings))


class ChromaIndex:
    """One Chroma collection as a :class:`~core.retrieval.vectors.VectorIndex`."""

    def __init__(self, store: ChromaStore, name: str, dim: int) -> None:
        self.store, self.name, self.dim = store, name, dim

    def upsert(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        for rows in chunks(map(str, range(len(ids))), BATCH):
            a, b = int(rows[0]), int(rows[-1]) + 1
            self._call(lambda c, a=a, b=b: c.upsert(ids=list(ids[a:b]), embeddings=vectors[a:b]))

    def delete(self, ids: Sequence[str]) -> None:
        for chunk in chunks(ids, BATCH):
            self._call(lambda c, chunk=chunk: c.delete(ids=chunk))

    def search(self, vector: np.ndarray, top_k: int) -> list[tuple[str, float]]:
        here = self.count()
        if not here:
            return []
        found = self._call(
            lambda c: c.query(query_embeddings=vector.reshape(1, -1), n_results=min(top_k, here), include=["distances"])
        )
        return [(id_, 1.0 - float(d)) for id_, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def count(self) -> int:
        return int(self._call(lambda c: c.count()))

    def _call(self, work: Any) -> Any:
        with self.store._lock:
            return _translated(self.store.folder, lambda: work(self._collection()))

    def _collection(self) -> Any:
        return self.store.client().get_or_create_collection(
            self.name,
            configuration={"hnsw": {"space": "cosine", "ef_search": _SEARCH_EF}},
            embedding_function=None,
        )


def _translated(folder: Path, work: Any) -> Any:
    """Run ``work``; what chromadb raises becomes ``StoreDamaged``."""
    import sqlite3

    from chromadb.errors import ChromaError

    try:
        return work()
    except (ChromaError, ValueError, RuntimeError, OSError, sqlite3.Error, AttributeError, KeyError) as error:
        raise StoreDamaged(path=str(folder), detail=f"{type(error).__name__}: {error}") from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Chroma's Rust core gave up; no class of it can be imported
            raise StoreDamaged(path=str(folder), detail=f"panic: {error}") from error
        raise
