"""Where numbers stand in an array: by a table where they lie close together, as those of passages do, else by bisection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_LOOSE = 4  # entries of a table for each number that stands in it, at most
_LEAST = 1024  # entries that are always worth a table


class Places:
    """The places of distinct ``numbers``, looked up many times. Never changes.

    Args:
        places: of each number; its own position when not given.
    """

    def __init__(self, numbers: np.ndarray, places: np.ndarray | None = None) -> None:
        import numpy as np

        if places is None:
            places = np.arange(len(numbers))
        self._table: np.ndarray | None = None
        if not len(numbers):
            self._first, self._table = 0, np.full(1, -1, np.int32)
            return
        self._first = int(numbers.min()) - 1  # one entry on either side says -1 for whatever lies outside
        span = int(numbers.max()) - self._first + 2
        if span <= max(_LEAST, _LOOSE * len(numbers)):
            self._table = np.full(span, -1, np.int32)
            self._table[numbers - self._first] = places
            return
        order = np.argsort(numbers, kind="stable")
        self._numbers, self._places = numbers[order], places[order]

    def of(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(positions in wanted, places)`` of those numbers of ``wanted`` that stand somewhere."""
        if self._table is not None:
            places = self._table.take(wanted - self._first, mode="clip")
            where = (places >= 0).nonzero()[0]
            return where, places[where]
        at = self._numbers.searchsorted(wanted)
        where = (self._numbers.take(at, mode="clip") == wanted).nonzero()[0]
        return where, self._places[at[where]]
