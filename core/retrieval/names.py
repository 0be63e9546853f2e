"""Passage numbers, ids and lengths: from memory while the collection's index is there too, else from SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from core.retrieval import segments
from core.retrieval.segment_views import Placed, View
from core.retrieval.vectors import chunks

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T", bound=int | str)


class Names:
    """The passages of one collection as one transaction sees them."""

    def __init__(self, db: sqlite3.Connection, collection_id: int, view: View | None = None) -> None:
        self._db, self._collection_id = db, collection_id
        self._view = view or segments.view(db, collection_id)
        self._tables = self._view.names(db, collection_id)

    def ids(self, numbers: np.ndarray) -> list[str | None]:
        """The id of each of ``numbers``; ``None`` where there is no such passage."""
        if self._tables is None:
            known = self._stored("number", numbers.tolist())
            return [known[number][1] if number in known else None for number in numbers.tolist()]
        found: list[str | None] = [None] * len(numbers)
        for part, table in zip(self._view.parts, self._tables, strict=True):
            where, ordinals = part.places(numbers)
            for at, ordinal in zip(where.tolist(), ordinals.tolist(), strict=True):
                found[at] = table.ids[ordinal]
        return found

    def lengths(self, numbers: np.ndarray, places: Placed | None = None) -> np.ndarray:
        """Characters of each passage; -1 where there is none.

        Args:
            places: of these numbers in the view, where they are known.
        """
        import numpy as np

        found = np.full(len(numbers), -1, np.int64)
        if self._tables is None:
            known = self._stored("number", numbers.tolist())
            found[:] = [known[number][2] if number in known else -1 for number in numbers.tolist()]
            return found
        for (where, ordinals), table in zip(places or self._view.places(numbers), self._tables, strict=True):
            found[where] = table.lengths[ordinals]
        return found

    def numbers(self, ids: Iterable[str]) -> dict[str, int]:
        """Numbers by id, in the order of ``ids``; those that are not there are left out."""
        asked, found = list(ids), dict[str, int]()
        if self._tables is None:
            return {id_: number for id_, (number, _, _) in self._stored("id", asked).items()}
        for part, table in zip(self._view.parts, self._tables, strict=True):
            dead, numbers = set(part.dead.tolist()), part.segment.numbers
            places = ((id_, table.ordinals.get(id_)) for id_ in asked)
            found.update((id_, int(numbers[at])) for id_, at in places if at is not None and at not in dead)
        return {id_: found[id_] for id_ in asked if id_ in found}

    def _stored(self, column: str, asked: Sequence[T]) -> dict[T, tuple[int, str, int]]:
        found: dict[T, tuple[int, str, int]] = {}
        for some in chunks(asked, 500):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f'SELECT {column}, number, id, "end" - start FROM passages'
                f" WHERE +collection_id = ? AND {column} IN ({marks})",
                (self._collection_id, *some),
            )
            found.update((key, (number, id_, length)) for key, number, id_, length in rows)
        return {key: found[key] for key in asked if key in found}
