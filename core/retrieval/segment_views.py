"""What a query reads of the keyword index: segments, and the view of a collection at one moment.

A segment keeps in memory what every query needs, and all its postings where the collection is small. A view never
changes, so threads share it, and what one query has looked up in it the next one finds there. How segments come
about is in :mod:`core.retrieval.segments`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.retrieval import passage_rows
from core.retrieval.places import Places
from core.retrieval.postings import TENTHS, Postings, joined, parsed
from core.retrieval.vectors import chunks
from core.types import Passage

if TYPE_CHECKING:
    import numpy as np

Placed = Sequence[tuple["np.ndarray", "np.ndarray"]]  # for each part of a view, see Live.places
SHOWN = 64 * 2**20  # bytes that a collection's passages may take, to be kept in memory as hits show them
_PASSAGE, _CHARACTER = 1024, 2  # bytes of a passage without its text, and of a character of it, at most as a rule
_AT_ONCE = 500  # passages read by one statement
_FIRST_LOOKS = 2  # searches of a segment that read the passages of their hits alone
_REMEMBERED = 8192  # terms of a resident collection whose postings need not be looked up again


@dataclass(slots=True, eq=False)
class Held:
    """The postings of one term in one part of a view."""

    ordinals: np.ndarray
    frequencies: np.ndarray
    peak: int  # the largest of the frequencies
    added: np.ndarray | None = None  # what each adds to the score of its passage, once that has been asked for


@dataclass(frozen=True, slots=True)
class Table:
    """What the passages of a segment are called, by ordinal; ``None`` and -1 where one was gone before the first look."""

    ids: list[str | None]
    lengths: np.ndarray  # in characters
    ordinals: dict[str, int]  # by id


class Segment:
    """A segment as it is in memory: what is needed at every query, and its postings when the collection is small."""

    __slots__ = (
        "__weakref__",
        "_ends",
        "_looks",
        "_names",
        "_norms",
        "_peaks",
        "_places",
        "_shown",
        "first_block",
        "firsts",
        "id",
        "lengths",
        "numbers",
        "postings",
    )

    def __init__(
        self, id_: int, numbers: np.ndarray, lengths: np.ndarray, firsts: np.ndarray, first_block: int
    ) -> None:
        self.id, self.numbers, self.lengths = id_, numbers, lengths
        self.firsts, self.first_block = firsts, first_block
        self.postings: Postings | None = None
        self._ends: np.ndarray | None = None  # of the postings of each term, when they are in memory
        self._peaks: np.ndarray | None = None  # the largest of their frequencies
        self._names: Table | None = None
        self._shown: list[Passage | None] | None = None  # by ordinal
        self._looks = 0  # at its passages
        self._norms: tuple[tuple[float, float, float], np.ndarray, float] | None = None
        self._places: Places | None = None  # ordinals by number

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def bytes(self) -> int:
        held = self.postings.bytes + 4 * len(self.postings.ordinals) if self.postings is not None else 0  # Held.added
        ends = 9 * len(self.postings.hashes) if self.postings is not None else 0
        kept = _size_shown(self._names) if self._shown is not None and self._names is not None else 0
        return held + ends + kept + 20 * len(self.numbers) + 8 * len(self.firsts)

    def norms(self, average: float, k1: float, b: float) -> tuple[np.ndarray, float]:
        """BM25's length term of every passage, in tenths as frequencies are, and the smallest of them."""
        key = (average, k1, b)
        known = self._norms
        if known is None or known[0] != key:
            values = (TENTHS * (k1 * (1 - b) + (k1 * b / average) * self.lengths)).astype("float32")
            known = self._norms = (key, values, float(values.min()))
        return known[1], known[2]

    def ordinals(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(positions in numbers, ordinals)`` of those passages of ``numbers`` that are in this segment."""
        if self._places is None:
            self._places = Places(self.numbers)
        return self._places.of(numbers)

    def names(self, db: sqlite3.Connection, collection_id: int) -> Table:
        """Its passages."""
        import numpy as np

        if self._names is None:
            asked = self.numbers.tolist()
            places = dict(zip(asked, range(len(asked)), strict=True))
            table = Table([None] * len(asked), np.full(len(asked), -1, np.int32), {})
            for at in range(0, len(asked), 500):
                chunk = asked[at : at + 500]
                for number, id_, characters in db.execute(
                    'SELECT number, id, "end" - start FROM passages'
                    f" WHERE +collection_id = ? AND number IN ({','.join('?' * len(chunk))})",
                    (collection_id, *chunk),
                ):
                    ordinal = places[number]
                    table.ids[ordinal], table.lengths[ordinal], table.ordinals[id_] = id_, characters, ordinal
            self._names = table
        return self._names

    def shown(self, db: sqlite3.Connection, collection_id: int, dead: np.ndarray) -> list[Passage | None]:
        """Its passages as hits show them, by ordinal; ``None`` for those that were ``dead`` when they were read.

        One that lives never changes (a document that does gets new passages); a dead one's number may be another's by
        now. Empty at the first looks: whoever searches once, or after each write, is not to wait for all of them.
        """
        self._looks += 1
        if self._shown is None and self._looks > _FIRST_LOOKS:
            places = dict(zip(self.numbers.tolist(), range(len(self.numbers)), strict=True))
            kept: list[Passage | None] = [None] * len(places)
            for ordinal in dead.tolist():
                del places[int(self.numbers[ordinal])]
            for some in chunks(places, _AT_ONCE):
                for number, passage in passage_rows.read(db, collection_id, "number", some):
                    kept[places[number]] = passage
            self._shown = kept
        return self._shown or []

    def lookup(self, db: sqlite3.Connection, terms: np.ndarray) -> list[Held | None]:
        """The postings of each of ``terms`` (hashes)."""
        import numpy as np

        if self.postings is not None:
            ends, peaks = self._ends, self._peaks
            if ends is None or peaks is None:
                self._ends, self._peaks = ends, peaks = _bounds(self.postings)
            return _looked_up(self.postings, terms, ends, peaks)
        found: list[Held | None] = [None] * len(terms)
        if not len(self.firsts):
            return found
        at = np.searchsorted(self.firsts, terms, side="right") - 1
        wanted = sorted({int(i) for i in at if i >= 0})
        marks = ",".join("?" * len(wanted))
        rows = db.execute(
            f"SELECT number, data FROM keyword_blocks WHERE number IN ({marks})", [self.first_block + i for i in wanted]
        )
        for number, data in rows:
            block, mine = parsed(data), np.flatnonzero(at == number - self.first_block)
            for i, held in zip(mine, _looked_up(block, terms[mine], *_bounds(block)), strict=True):
                found[i] = held
        return found

    def load(self, db: sqlite3.Connection) -> Postings:
        """All its postings."""
        if self.postings is not None:
            return self.postings
        last = self.first_block + len(self.firsts)
        rows = db.execute(
            "SELECT data FROM keyword_blocks WHERE number >= ? AND number < ? ORDER BY number", (self.first_block, last)
        )
        return joined([parsed(row[0]) for row in rows])


@dataclass(frozen=True, slots=True)
class Live:
    """A segment with its deleted ordinals at one moment, ascending."""

    segment: Segment
    dead: np.ndarray

    def __len__(self) -> int:
        return len(self.segment) - len(self.dead)

    def lives(self) -> np.ndarray:
        import numpy as np

        mask = np.ones(len(self.segment), dtype=bool)
        mask[self.dead] = False
        return mask

    def living(self, ordinals: np.ndarray) -> int:
        """How many of ``ordinals`` are not deleted."""
        if not len(self.dead):
            return len(ordinals)
        import numpy as np

        return len(ordinals) - int(np.isin(self.dead, ordinals, assume_unique=True).sum())

    def places(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(positions in numbers, ordinals)`` of the passages of ``numbers`` that are here and not deleted."""
        import numpy as np

        where, ordinals = self.segment.ordinals(numbers)
        if not len(self.dead):
            return where, ordinals
        lives = ~np.isin(ordinals, self.dead)
        return where[lives], ordinals[lives]

    def names(self, db: sqlite3.Connection, collection_id: int) -> Table:
        """The segment's passages, deleted ones too."""
        return self.segment.names(db, collection_id)


@dataclass(frozen=True, slots=True)
class Term:
    """A term in one view: how many passages hold it, and its postings in each part."""

    passages: int
    parts: tuple[Held | None, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A collection's keyword index at one moment: the segments, the fresh passages as one more, and the statistics."""

    parts: tuple[Live, ...]
    passages: int
    average: float  # length of a passage, in terms
    resident: bool = False  # small enough that all of it is kept in memory
    made_with: str = ""  # what terms it was made of, see core.retrieval.keyword.VERSION
    _terms: dict[int, Term] = field(default_factory=dict)
    _names: list[Table] = field(default_factory=list)  # filled at the first look
    _fits: list[bool] = field(default_factory=list)  # once: whether all its passages may be kept

    def terms(self, db: sqlite3.Connection, hashes: Sequence[int]) -> list[Term]:
        """Each of ``hashes``, which are distinct."""
        known = self._terms
        found = {hash_: term for hash_ in hashes if (term := known.get(hash_)) is not None}  # another thread may clear
        if missing := [hash_ for hash_ in hashes if hash_ not in found]:
            found.update(zip(missing, self._looked_up(db, missing), strict=True))
            if self.resident:
                if len(known) + len(missing) > _REMEMBERED:
                    known.clear()
                known.update((hash_, found[hash_]) for hash_ in missing)
        return [found[hash_] for hash_ in hashes]

    def _looked_up(self, db: sqlite3.Connection, hashes: Sequence[int]) -> list[Term]:
        import numpy as np

        asked, passages = np.array(hashes, dtype=np.uint64), [0] * len(hashes)
        held = [part.segment.lookup(db, asked) for part in self.parts]
        for part, lists in zip(self.parts, held, strict=True):
            for at, postings in enumerate(lists):
                if postings is not None:
                    passages[at] += part.living(postings.ordinals)
        of_terms = zip(*held, strict=True) if held else [()] * len(hashes)
        return [Term(count, lists) for count, lists in zip(passages, of_terms, strict=True)]

    def places(self, numbers: np.ndarray) -> Placed:
        """For each part ``(positions in numbers, ordinals)`` of those passages of ``numbers`` that are there."""
        return [part.places(numbers) for part in self.parts]

    def names(self, db: sqlite3.Connection, collection_id: int) -> list[Table] | None:
        """The passages of each part; ``None`` when they are too many to keep."""
        if not self.resident:
            return None
        if not self._names:
            self._names[:] = [part.names(db, collection_id) for part in self.parts]  # set whole: two threads may come
        return self._names

    def shown(
        self, db: sqlite3.Connection, collection_id: int, numbers: np.ndarray, places: Placed
    ) -> dict[int, Passage]:
        """Those of ``numbers`` that are there as hits show them, by number. They are shared: whoever is given them changes none."""
        asked, found = numbers.tolist(), dict[int, Passage]()
        if not self._fits:
            tables = self.names(db, collection_id)
            self._fits.append(tables is not None and sum(map(_size_shown, tables)) <= SHOWN)
        for part, (where, ordinals) in zip(self.parts, places, strict=True):
            if self._fits[0] and (kept := part.segment.shown(db, collection_id, part.dead)):
                for at, ordinal in zip(where.tolist(), ordinals.tolist(), strict=True):
                    if (passage := kept[ordinal]) is not None:
                        found[asked[at]] = passage
        found.update(passage_rows.read(db, collection_id, "number", [n for n in asked if n not in found]))
        return found


def _size_shown(table: Table) -> int:
    """Bytes that a segment's passages take in memory, about."""
    return _PASSAGE * len(table.lengths) + _CHARACTER * int(table.lengths.sum())


def _bounds(postings: Postings) -> tuple[np.ndarray, np.ndarray]:
    """Where the postings of each term end, and the largest of their frequencies. Shapes: ``(terms,)`` i8 and u1."""
    import numpy as np

    ends = np.cumsum(postings.counts, dtype=np.int64)
    if not len(ends):
        return ends, np.empty(0, np.uint8)
    return ends, np.maximum.reduceat(postings.frequencies, ends - postings.counts)


def _looked_up(postings: Postings, terms: np.ndarray, ends: np.ndarray, peaks: np.ndarray) -> list[Held | None]:
    if not len(postings.hashes):
        return [None] * len(terms)
    at = postings.hashes.searchsorted(terms).clip(max=len(postings.hashes) - 1)
    there, highs = postings.hashes[at] == terms, ends[at]
    columns = (there, highs - postings.counts[at], highs, peaks[at])
    return [
        Held(postings.ordinals[low:high], postings.frequencies[low:high], peak) if held else None
        for held, low, high, peak in zip(*(column.tolist() for column in columns), strict=True)
    ]
