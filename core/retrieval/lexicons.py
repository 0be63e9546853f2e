"""The lexicons of collections, made in the background: a search never waits for one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from core.retrieval import keyword, tokens
from core.retrieval.index import Index
from core.retrieval.lexicon import Lexicon, Together, Words
from core.workspace import Workspace

MOST = 20_000  # passages of a collection
KEPT = 60_000  # passages whose lexicons stay in memory, 5 KB each
_Key = tuple[int, int]  # id and generation of a collection


class Lexicons:
    """Threads may share it. A lexicon is made anew when its collection has changed, and shared by all who search it."""

    def __init__(self, most: int = MOST) -> None:
        """
        Args:
            most: passages that are read of each collection, the newest first; some thousand take a second.
        """
        self._most = most
        self._made: OrderedDict[_Key, Future[Lexicon]] = OrderedDict()
        self._lock = threading.Lock()
        self._maker = ThreadPoolExecutor(1, "touchstone-lexicon")

    def of(self, indexes: Sequence[Index], *, wait_s: float | None = 0.0) -> Words | None:
        """The words of all ``indexes``, which share a workspace; ``None`` while those of one are being read.

        Meanwhile the lexicon of a collection as it was is given, when there is one.

        Args:
            wait_s: for how long to wait for those as they are; ``None`` waits to the end.
        """
        workspace, ids = indexes[0].workspace, sorted({index.id() for index in indexes})
        marks = ",".join("?" * len(ids))
        with workspace.read() as db:
            rows = db.execute(f"SELECT id, generation FROM collections WHERE id IN ({marks}) ORDER BY id", ids)
            keys = [(row[0], row[1]) for row in rows]
        with self._lock:
            made = [self._asked(workspace, key) for key in keys]
        wait(made, wait_s)
        found = [future.result() if future.done() else self._older(key) for key, future in zip(keys, made, strict=True)]
        parts = [lexicon for lexicon in found if lexicon is not None]
        if len(parts) < len(found):
            return None
        return parts[0] if len(parts) == 1 else Together(parts)

    def _asked(self, workspace: Workspace, key: _Key) -> Future[Lexicon]:
        if key not in self._made:
            self._made[key] = self._maker.submit(_read, workspace, key[0], self._most)
        self._made.move_to_end(key)
        room = KEPT
        for known, future in reversed(list(self._made.items())):
            room -= future.result().passages if future.done() and not future.exception() else 0
            if room < 0 and known != key:
                del self._made[known]
        return self._made[key]

    def _older(self, key: _Key) -> Lexicon | None:
        """The collection as it was, as far as is known."""
        with self._lock:
            known = [f for k, f in self._made.items() if k[0] == key[0] and k != key and f.done() and not f.exception()]
        return known[-1].result() if known else None

    def close(self) -> None:
        self._maker.shutdown(cancel_futures=True)


def unknown(indexes: Sequence[Index], query: str) -> frozenset[str]:
    """The terms of ``query`` that no passage of ``indexes`` holds: without one there is no slip to look for."""
    terms = tokens.query_terms(query)
    known: set[str] = set()
    with indexes[0].workspace.read() as db:
        for index in indexes:
            known |= {term for term, count in keyword.document_frequency(db, index.id(), terms).items() if count}
    return frozenset(terms) - known


def _read(workspace: Workspace, collection: int, most: int) -> Lexicon:
    with workspace.read() as db:
        rows = db.execute(
            "SELECT d.title, p.heading, p.text FROM passages p JOIN documents d ON d.id = p.document_id"
            f" WHERE p.collection_id = ? ORDER BY p.number DESC LIMIT {most}",
            (collection,),
        ).fetchall()
    return Lexicon("\n".join(part for part in row if part) for row in rows)
