"""Passage numbers, ids and lengths: from memory while the collection's index is there too, else from SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TypeVar

from core.retrieval import segments
from core.retrieval.segment_views import View
from core.retrieval.vectors import chunks

T = TypeVar("T", bound=int | str)


class Names:
    """The passages of one collection as one transaction sees them. Those that are not there are left out."""

    def __init__(self, db: sqlite3.Connection, collection_id: int, view: View | None = None) -> None:
        self._db, self._collection_id = db, collection_id
        self._known = (view or segments.view(db, collection_id)).names(db, collection_id)

    def ids(self, numbers: Iterable[int]) -> dict[int, str]:
        """Ids by number, in the order of ``numbers``."""
        if self._known is None:
            return {number: id_ for number, (_, id_, _) in self._stored("number", numbers).items()}
        asked, found = list(numbers), dict[int, str]()
        for table, gone in self._known:
            known = table.ids
            found.update({n: known[n] for n in asked if n in known and n not in gone})
        return found if len(self._known) == 1 else {n: found[n] for n in asked if n in found}

    def numbers(self, ids: Iterable[str]) -> dict[str, int]:
        """Numbers by id, in the order of ``ids``."""
        if self._known is None:
            return {id_: number for id_, (number, _, _) in self._stored("id", ids).items()}
        asked, found = list(ids), dict[str, int]()
        for table, gone in self._known:
            known = table.numbers
            found.update({id_: known[id_] for id_ in asked if id_ in known and known[id_] not in gone})
        return found if len(self._known) == 1 else {id_: found[id_] for id_ in asked if id_ in found}

    def lengths(self, numbers: Iterable[int]) -> list[int]:
        """Characters of each passage."""
        if self._known is None:
            return [length for _, _, length in self._stored("number", numbers).values()]
        asked = list(numbers)
        return [t.lengths[n] for t, gone in self._known for n in asked if n in t.lengths and n not in gone]

    def _stored(self, column: str, values: Iterable[T]) -> dict[T, tuple[int, str, int]]:
        found: dict[T, tuple[int, str, int]] = {}
        asked = list(values)
        for some in chunks(asked, 500):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f'SELECT {column}, number, id, "end" - start FROM passages'
                f" WHERE +collection_id = ? AND {column} IN ({marks})",
                (self._collection_id, *some),
            )
            found.update((key, (number, id_, length)) for key, number, id_, length in rows)
        return {key: found[key] for key in asked if key in found}
