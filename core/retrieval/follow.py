"""Keeps a collection's vectors in memory in step with SQLite, reading only what changed since the last look."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from core.retrieval.memory import Memory
from core.retrieval.names import Names
from core.retrieval.segments import snapshot
from core.retrieval.vectors import chunks

if TYPE_CHECKING:
    import numpy as np

Found = tuple[dict[str, float], tuple[float, float] | None]
_ROWS = 10_000  # read at a time


class Allowed(Protocol):
    """The passages that a filter lets through, as numbers and as ids."""

    @property
    def numbers(self) -> np.ndarray: ...

    @property
    def ids(self) -> frozenset[str]: ...


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
        also: Mapping[str, float] = {},
        allowed: Allowed | None = None,
    ) -> Found:
        """Cosines by passage id of the ``top_k`` nearest and of those in ``also``, and mean and deviation at large."""
        with snapshot(db):
            self._refresh(db)
            only = None if allowed is None else allowed.numbers
            near, spread = self.memory.search(vector, top_k, allowed=only)
            names = Names(db, self.collection_id)
            ids = names.ids(number for number, _ in near)
            found = {ids[number]: score for number, score in near if number in ids}
            rest = names.numbers(id_ for id_ in also if id_ not in found)
            scores = self.memory.scores(vector, rest.values())
        found.update((id_, scores[number]) for id_, number in rest.items() if number in scores)
        return found, spread

    def _refresh(self, db: sqlite3.Connection) -> None:
        first, last = db.execute(
            "SELECT (SELECT min(seq) FROM passage_changes), max(seq) FROM passage_changes"
        ).fetchone()
        if last is None or last == self._seen:
            return
        with self._lock:
            seen = self._seen
            if seen is None or seen < first - 1:
                self.memory.clear()
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


# Sorted by text, so that the vectors, which lie in that order, are read from front to back.
_ALL = (
    "SELECT p.number, v.vector FROM (SELECT number, text_hash FROM passages WHERE collection_id = ?"
    " ORDER BY text_hash LIMIT -1) p CROSS JOIN vectors v WHERE v.model = ? AND v.text_hash = p.text_hash"
)
_SOME = (
    "SELECT p.number, v.vector FROM passages p JOIN vectors v ON v.text_hash = p.text_hash"
    " WHERE +p.collection_id = ? AND p.number IN ({}) AND v.model = ?"
)
