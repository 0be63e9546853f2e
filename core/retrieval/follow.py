"""Keeps a collection's vectors in memory in step with SQLite, reading only what changed since the last look."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.retrieval.memory import Memory
from core.retrieval.segments import snapshot
from core.retrieval.vectors import chunks
from core.workspace import recalled

if TYPE_CHECKING:
    import numpy as np

_ROWS = 10_000  # read at a time


class Allowed(Protocol):
    """The passages that a filter lets through, as numbers and as ids."""

    @property
    def numbers(self) -> np.ndarray: ...

    @property
    def ids(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Passage numbers, each once, best first, and their cosines with the question; mean and deviation at large."""

    numbers: np.ndarray
    cosines: np.ndarray
    spread: tuple[float, float] | None = None


class Followed:
    """The vectors of one collection and one model. Threads search at once; one of them brings it up to date."""

    def __init__(self, collection_id: int, model: str, dim: int) -> None:
        self.collection_id, self.model, self.memory = collection_id, model, Memory(dim)
        self._seen: int | None = None  # the last change that is in memory
        self._lock = threading.Lock()

    def search(
        self,
        db: sqlite3.Connection,
        vector: np.ndarray,
        top_k: int,
        *,
        also: np.ndarray,
        allowed: Allowed | None = None,
    ) -> Near:
        """The ``top_k`` nearest passages and those of the numbers ``also``, best first."""
        with snapshot(db):
            self._refresh(db)
            only = None if allowed is None else allowed.numbers
            return Near(*self.memory.search(vector, top_k, also=also, allowed=only))

    def _refresh(self, db: sqlite3.Connection) -> None:
        ((first, last),) = recalled(db, "SELECT (SELECT min(seq) FROM passage_changes), max(seq) FROM passage_changes")
        if last is None or last == self._seen:
            return
        with self._lock:
            seen = self._seen
            if seen is None or seen < first - 1:
                (count,) = db.execute(_COUNT, (self.collection_id,)).fetchone()
                self.memory.clear(count)
                self._put(db.execute(_ALL, (self.collection_id, self.model)))
            elif seen < last:
                self._look_again(db, seen)
            else:
                return  # another thread has seen a later state
            self._seen = last

    def _look_again(self, db: sqlite3.Connection, seen: int) -> None:
        import numpy as np

        sql = "SELECT DISTINCT number FROM passage_changes WHERE seq > ? AND collection_id = ?"
        changed = [row[0] for row in db.execute(sql, (seen, self.collection_id))]
        for some in chunks(changed, 500):
            marks = ",".join("?" * len(some))
            there = self._put(db.execute(_SOME.format(marks), (self.collection_id, *some, self.model)))
            gone = set(some) - there
            if gone:
                self.memory.drop(np.fromiter(gone, dtype=np.int64))

    def _put(self, rows: sqlite3.Cursor) -> set[int]:
        import numpy as np

        there: set[int] = set()
        while part := rows.fetchmany(_ROWS):
            numbers = np.fromiter((row[0] for row in part), dtype=np.int64, count=len(part))
            vectors = np.frombuffer(b"".join(row[1] for row in part), dtype=np.float16)
            self.memory.put(numbers, vectors.reshape(len(part), -1))
            there.update(numbers.tolist())
        return there


_COUNT = "SELECT count(*) FROM passages WHERE collection_id = ?"
# Sorted by text, so that the vectors, which lie in that order, are read from front to back.
_ALL = (
    "SELECT p.number, v.vector FROM (SELECT number, text_hash FROM passages WHERE collection_id = ?"
    " ORDER BY text_hash LIMIT -1) p CROSS JOIN vectors v WHERE v.model = ? AND v.text_hash = p.text_hash"
)
_SOME = (
    "SELECT p.number, v.vector FROM passages p JOIN vectors v ON v.text_hash = p.text_hash"
    " WHERE +p.collection_id = ? AND p.number IN ({}) AND v.model = ?"
)
