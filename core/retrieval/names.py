"""Passage numbers, ids and lengths: from memory while the collection's index is there too, else from SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TypeVar

from core.retrieval import segments
from core.retrieval.vectors import chunks

T = TypeVar("T", bound=int | str)


class Names:
    """The passages of one collection as one transaction sees them. Those that are not there are left out."""

    def __init__(self, db: sqlite3.Connection, collection_id: int, view: segments.View | None = None) -> None:
        self._db, self._collection_id = db, collection_id
        self._table = (view or segments.view(db, collection_id)).table(db, collection_id)

    def ids(self, numbers: Iterable[int]) -> dict[int, str]:
        """Ids by number, in the order of ``numbers``."""
        if self._table is None:
            return {number: id_ for number, (_, id_, _) in self._stored("number", numbers).items()}
        known = self._table.ids
        return {number: known[number] for number in numbers if number in known}

    def numbers(self, ids: Iterable[str]) -> dict[str, int]:
        """Numbers by id, in the order of ``ids``."""
        if self._table is None:
            return {id_: number for id_, (number, _, _) in self._stored("id", ids).items()}
        known = self._table.numbers
        return {id_: known[id_] for id_ in ids if id_ in known}

    def lengths(self, numbers: Iterable[int]) -> list[int]:
        """Characters of each passage."""
        if self._table is None:
            return [length for _, _, length in self._stored("number", numbers).values()]
        known = self._table.lengths
        return [known[number] for number in numbers if number in known]

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
