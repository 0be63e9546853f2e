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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import MissingPackage, StoreDamaged, StoreUnreachable
from core.retrieval.seal import Seal
from core.retrieval.vectors import chunks

if TYPE_CHECKING:
    import numpy as np

BATCH = 250  # vectors per write; Chroma's throughput is flat between 100 and 300
_SEARCH_EF = 200  # breadth of the graph search; recall against exact search is tested


class ChromaStore:
    """One Chroma folder, or a Chroma server. Opens on first use, because importing chromadb takes two seconds."""

    def __init__(self, folder: Path, url: str = "", *, check: bool = True) -> None:
        """
        Args:
            url: of a Chroma server, such as ``http://127.0.0.1:8000``; empty for the folder.
            check: look at the folder's seal before it is opened.
        """
        self.folder, self.url = folder, url.rstrip("/")
        self.seal = Seal(folder) if check and not url else None
        self._client: Any = None
        self._lock = threading.RLock()

    @property
    def place(self) -> str:
        """Where the vectors lie: empty for the workspace's own folder."""
        return self.url

    def client(self) -> Any:
        """
        Raises:
            StoreDamaged: the folder's files are not those that were written; the server cannot be reached.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def index(self, name: str, dim: int) -> ChromaIndex:
        """The index ``name``, created when it is first written."""
        return ChromaIndex(self, name, dim)

    def names(self) -> list[str]:
        with self._lock:
            names: list[str] = []
            while page := self._page(len(names)):
                names += page
            return names

    def _page(self, offset: int) -> list[str]:
        return [found.name for found in self._call(lambda c: c.list_collections(limit=500, offset=offset))]

    def drop(self, name: str) -> None:
        with self._lock:
            if name in self.names():
                self._call(lambda c: c.delete_collection(name))

    def reopen(self) -> None:
        """Forget the open client: the next use sees what other processes have written. A server shows it anyway."""
        if not self.url:
            self.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """For the block this process is the only writer; afterwards the folder is closed and sealed."""
        if self.seal is None:
            yield
            return
        with self._lock:
            self.close()
            self.seal.check()
            self.seal.open()
        yield
        with self._lock:  # not after an error: what a writer left unfinished stays in doubt
            self.close()
            self.seal.close()

    def set_aside(self) -> Path | None:
        """Move the folder away, so that a new one begins; returns where the damaged one lies.

        ``None`` when there is nothing to move. A server's data are left alone.
        """
        with self._lock:
            self.close()
            if self.seal is not None:
                self.seal.forget()
            if self.url or not self.folder.exists():
                return None
            target = self.folder.with_name(f"{self.folder.name}-damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            while target.exists():
                target = target.with_name(f"{target.name}x")
            self.folder.rename(target)
            return target

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()
                if self.url:
                    _hang_up(client)

    def _call(self, work: Any) -> Any:
        return _translated(self.url or self.folder, lambda: work(self.client()))

    def _open(self) -> Any:
        try:
            import chromadb
            from chromadb.config import Settings
        except ModuleNotFoundError as error:
            raise MissingPackage(
                package="chromadb", needed_for="vector index", install='pip install "touchstone-llm"'
            ) from error
        logging.getLogger("chromadb.telemetry").setLevel(logging.CRITICAL)
        settings = Settings(anonymized_telemetry=False, allow_reset=False)
        if self.url:
            where = urlsplit(self.url)
            return _translated(
                self.url,
                lambda: chromadb.HttpClient(
                    host=where.hostname or "",
                    port=where.port or (443 if where.scheme == "https" else 80),
                    ssl=where.scheme == "https",
                    settings=settings,
                ),
            )
        if self.seal is not None:
            self.seal.check()
        self.folder.mkdir(parents=True, exist_ok=True)
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
        """
        Raises:
            StoreDamaged: it cannot be asked, or answers with fewer than there are.
        """
        here = self.count()
        if not here:
            return []
        wanted = min(top_k, here)
        found = self._call(
            lambda c: c.query(query_embeddings=vector.reshape(1, -1), n_results=wanted, include=["distances"])
        )
        if len(found["ids"][0]) < wanted:
            detail = f"{here} vectors are counted, {len(found['ids'][0])} of {wanted} found"
            raise StoreDamaged(path=str(self.store.url or self.store.folder), detail=detail)
        return [(id_, 1.0 - float(d)) for id_, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def count(self) -> int:
        """How many vectors there are; 0 for an index that was never written."""
        found = self._call(lambda c: c.count(), create=False)
        return 0 if found is None else int(found)

    def exists(self) -> bool:
        return self._call(lambda c: True, create=False) is not None

    def _call(self, work: Any, *, create: bool = True) -> Any:
        def on_collection() -> Any:
            collection = self._collection(create)
            return None if collection is None else work(collection)

        with self.store._lock:
            return _translated(self.store.url or self.store.folder, on_collection)

    def _collection(self, create: bool) -> Any:
        from chromadb.errors import NotFoundError

        if not create:
            try:
                return self.store.client().get_collection(self.name, embedding_function=None)
            except NotFoundError:
                return None
        return self.store.client().get_or_create_collection(
            self.name,
            configuration={"hnsw": {"space": "cosine", "ef_search": _SEARCH_EF}},
            embedding_function=None,
        )


def _hang_up(client: Any) -> None:
    """Close the connections of a server's client; Chroma itself leaves them open."""
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if session is not None:
            session.close()


def _translated(where: Path | str, work: Any) -> Any:
    """Run ``work``; what chromadb raises becomes ``StoreDamaged``, or ``StoreUnreachable`` of a server."""
    import sqlite3

    import httpx
    from chromadb.errors import ChromaError

    try:
        return work()
    except httpx.HTTPError as error:
        raise StoreUnreachable(path=str(where), detail=f"{type(error).__name__}: {error}") from error
    except (ChromaError, ValueError, RuntimeError, OSError, sqlite3.Error, AttributeError, KeyError) as error:
        lost = isinstance(where, str) and not isinstance(error, ChromaError)
        kind = StoreUnreachable if lost else StoreDamaged
        raise kind(path=str(where), detail=f"{type(error).__name__}: {error}") from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Chroma's Rust core gave up; no class of it can be imported
            raise StoreDamaged(path=str(where), detail=f"panic: {error}") from error
        raise
