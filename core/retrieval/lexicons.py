"""The lexicons of collections, made in the background: a search never waits for one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from core.retrieval import keyword, tokens
from core.retrieval.index import Index
from core.retrieval.lexicon import Lexicon
from core.workspace import Workspace

MOST = 20_000  # passages
KEPT = 16  # lexicons in memory
_Key = tuple[tuple[int, int], ...]  # id and generation of each collection


class Lexicons:
    """Threads may share it. A lexicon is made anew when one of its collections has changed."""

    def __init__(self, most: int = MOST) -> None:
        """
        Args:
            most: passages that are read, the newest first; some thousand take a second.
        """
        self._most = most
        self._made: OrderedDict[_Key, Future[Lexicon]] = OrderedDict()
        self._lock = threading.Lock()
        self._maker = ThreadPoolExecutor(1, "touchstone-lexicon")

    def of(self, indexes: Sequence[Index], *, wait_s: float | None = 0.0) -> Lexicon | None:
        """The words of all ``indexes``, which share a workspace; ``None`` while they are being read.

        Meanwhile the lexicon of the same collections as they were is given, when there is one.

        Args:
            wait_s: for how long to wait for those as they are; ``None`` waits to the end.
        """
        workspace, ids = indexes[0].workspace, sorted(index.id() for index in indexes)
        marks = ",".join("?" * len(ids))
        with workspace.read() as db:
            rows = db.execute(f"SELECT id, generation FROM collections WHERE id IN ({marks}) ORDER BY id", ids)
            key = tuple((row[0], row[1]) for row in rows)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._maker.submit(_read, workspace, ids, self._most)
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            made = self._made[key]
            older = [f for k, f in self._made.items() if [id_ for id_, _ in k] == ids and f is not made and f.done()]
        try:
            return made.result(wait_s)
        except TimeoutError:
            return older[-1].result() if older else None

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


def _read(workspace: Workspace, ids: Sequence[int], most: int) -> Lexicon:
    marks = ",".join("?" * len(ids))
    with workspace.read() as db:
        rows = db.execute(
            "SELECT d.title, p.heading, p.text FROM passages p JOIN documents d ON d.id = p.document_id"
            f" WHERE p.collection_id IN ({marks}) ORDER BY p.number DESC LIMIT {most}",
            list(ids),
        ).fetchall()
    return Lexicon("\n".join(part for part in row if part) for row in rows)
