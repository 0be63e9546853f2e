"""The passages of a collection that a filter lets through: what both legs are restricted to before they rank."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.retrieval import filters

if TYPE_CHECKING:
    import numpy as np

_KEPT = 16  # answers of filters in memory


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """Passages that may be found. ``numbers`` ascend; ``ids`` are the same passages."""

    numbers: np.ndarray
    ids: frozenset[str]

    def __len__(self) -> int:
        return len(self.ids)


class AllowedCache:
    """Filters' answers by collection and generation: the same filter asked again costs nothing until a write."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[int, int, str, str], Allowed] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, db: sqlite3.Connection, collection: int, where: filters.Filter) -> Allowed:
        """The passages of ``collection`` that ``where`` lets through."""
        row = db.execute("SELECT generation FROM collections WHERE id = ?", (collection,)).fetchone()
        sql, values = filters.compiled(where)
        key = (collection, row[0] if row else 0, sql, repr(values))
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        found = allowed(db, collection, where)
        with self._lock:
            self._answers[key] = found
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return found


def allowed(db: sqlite3.Connection, collection: int, where: filters.Filter) -> Allowed:
    """The passages of ``collection`` that ``where`` lets through."""
    import numpy as np

    sql, values = filters.compiled(where)
    rows = db.execute(
        "SELECT p.number, p.id FROM passages p JOIN documents d ON d.id = p.document_id"
        f" WHERE p.collection_id = ? AND {sql} ORDER BY p.number",
        (collection, *values),
    ).fetchall()
    return Allowed(np.array([row[0] for row in rows], dtype=np.int64), frozenset(row[1] for row in rows))


def lets_through(db: sqlite3.Connection, collection: int, passage_id: str, where: filters.Filter) -> bool:
    """Whether ``where`` lets one passage through."""
    sql, values = filters.compiled(where)
    row = db.execute(
        "SELECT 1 FROM passages p JOIN documents d ON d.id = p.document_id"
        f" WHERE p.collection_id = ? AND p.id = ? AND {sql}",
        (collection, passage_id, *values),
    ).fetchone()
    return row is not None
