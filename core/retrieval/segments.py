"""Where the keyword leg's postings live: in the workspace's database, in segments that are written once.

A passage first stands among the fresh ones, one row each. Every ``FRESH`` of them become a segment, and every
``FANOUT`` segments of one size become the next larger one, so that each posting is rewritten about five times in
all and a query visits few segments. Everything happens inside the transaction that writes the documents: a kill
loses both or neither, and readers of any process see whole states only. Segments never change (deleted passages
are marked, and swept when a quarter is gone), so what a process has read of them it may keep.

Source: O'Neil et al., "The log-structured merge-tree", Acta Informatica 33, 1996; the marking is Lucene's.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.retrieval.postings import MOST, Postings, blocks, inverted, joined, merged, parsed

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
FRESH = 128  # passages that wait for a segment
FANOUT = 4
RESIDENT = 50_000  # passages of a collection whose postings are kept in memory, about 1 KB each
_SWEEP = 0.25  # share of deleted passages at which a segment is rewritten
_CACHED_BYTES = 256 * 2**20

Held = tuple["np.ndarray", "np.ndarray", int]  # ordinals and frequencies of one term, and the largest of these
_REMEMBERED = 8192  # terms of a resident collection whose postings need not be looked up again


class Segment:
    """A segment as it is in memory: what is needed at every query, and its postings when the collection is small."""

    __slots__ = (
        "__weakref__",
        "_ends",
        "_names",
        "_norms",
        "_sorter",
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
        self._names: list[tuple[int, str, int]] | None = None
        self._norms: tuple[tuple[float, float, float], np.ndarray, float] | None = None
        self._sorter: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def bytes(self) -> int:
        held = self.postings.bytes if self.postings is not None else 0
        ends = 8 * len(self.postings.hashes) if self.postings is not None else 0
        return held + ends + 20 * len(self.numbers) + 8 * len(self.firsts)

    def norms(self, average: float, k1: float, b: float) -> tuple[np.ndarray, float]:
        """BM25's length term of every passage, and the smallest of them."""
        key = (average, k1, b)
        known = self._norms
        if known is None or known[0] != key:
            values = (k1 * (1 - b) + (k1 * b / average) * self.lengths).astype("float32")
            known = self._norms = (key, values, float(values.min()))
        return known[1], known[2]

    def ordinals(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(positions in numbers, ordinals)`` of those passages of ``numbers`` that are in this segment."""
        import numpy as np

        if self._sorter is None:
            self._sorter = np.argsort(self.numbers, kind="stable")
        at = np.searchsorted(self.numbers, numbers, sorter=self._sorter)
        ordinals = self._sorter[np.minimum(at, len(self.numbers) - 1)]
        where = np.flatnonzero(self.numbers[ordinals] == numbers)
        return where, ordinals[where]

    def names(self, db: sqlite3.Connection, collection_id: int) -> list[tuple[int, str, int]]:
        """``(number, id, characters)`` of its passages; those deleted before the first look are missing."""
        if self._names is None:
            asked, found = self.numbers.tolist(), []
            for at in range(0, len(asked), 500):
                chunk = asked[at : at + 500]
                found += db.execute(
                    'SELECT number, id, "end" - start FROM passages'
                    f" WHERE +collection_id = ? AND number IN ({','.join('?' * len(chunk))})",
                    (collection_id, *chunk),
                ).fetchall()
            self._names = [tuple(row) for row in found]
        return self._names

    def lookup(self, db: sqlite3.Connection, terms: np.ndarray) -> list[Held | None]:
        """The postings of each of ``terms`` (hashes)."""
        import numpy as np

        if self.postings is not None:
            if self._ends is None:
                self._ends = np.cumsum(self.postings.counts, dtype=np.int64)
            return _looked_up(self.postings, terms, self._ends)
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
            for i, held in zip(mine, _looked_up(block, terms[mine], np.cumsum(block.counts)), strict=True):
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
        import numpy as np

        gone = int(np.isin(self.dead, ordinals, assume_unique=True).sum()) if len(self.dead) else 0
        return len(ordinals) - gone

    def names(self, db: sqlite3.Connection, collection_id: int) -> list[tuple[int, str, int]]:
        """``(number, id, characters)`` of those that are not deleted; a number may live on in another segment."""
        found = self.segment.names(db, collection_id)
        if not len(self.dead):
            return found
        gone = set(self.segment.numbers[self.dead].tolist())
        return [row for row in found if row[0] not in gone]


@dataclass(frozen=True, slots=True)
class Term:
    """A term in one view: how many passages hold it, and its postings in each part."""

    passages: int
    parts: tuple[Held | None, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The living passages of a view."""

    ids: dict[int, str]
    numbers: dict[str, int]
    lengths: dict[int, int]  # in characters


@dataclass(frozen=True, slots=True)
class View:
    """A collection's keyword index at one moment: the segments, the fresh passages as one more, and the statistics."""

    parts: tuple[Live, ...]
    passages: int
    average: float  # length of a passage, in terms
    resident: bool = False  # small enough that all of it is kept in memory
    _terms: dict[int, Term] = field(default_factory=dict)
    _table: list[Table] = field(default_factory=list)  # filled at the first look

    def terms(self, db: sqlite3.Connection, hashes: Sequence[int]) -> list[Term]:
        """Each of ``hashes``, which are distinct."""
        known = self._terms
        found = {hash_: known[hash_] for hash_ in hashes if hash_ in known}
        if missing := [hash_ for hash_ in hashes if hash_ not in found]:
            found.update(zip(missing, self._looked_up(db, missing), strict=True))
            if self.resident:
                if len(known) + len(missing) > _REMEMBERED:
                    known.clear()
                known.update((hash_, found[hash_]) for hash_ in missing)
        return [found[hash_] for hash_ in hashes]

    def _looked_up(self, db: sqlite3.Connection, hashes: Sequence[int]) -> list[Term]:
        import numpy as np

        asked = np.array(hashes, dtype=np.uint64)
        held = [part.segment.lookup(db, asked) for part in self.parts]
        return [
            Term(
                sum(part.living(postings[0]) for part, postings in zip(self.parts, lists, strict=True) if postings),
                lists,
            )
            for lists in (zip(*held, strict=True) if held else ((),) * len(hashes))
        ]

    def table(self, db: sqlite3.Connection, collection_id: int) -> Table | None:
        """The passages by name; ``None`` when they are too many to keep."""
        if not self.resident:
            return None
        if not self._table:
            rows = [row for part in self.parts for row in part.names(db, collection_id)]
            ids = {number: id_ for number, id_, _ in rows}
            lengths = {number: length for number, _, length in rows}
            self._table.append(Table(ids, {id_: number for number, id_ in ids.items()}, lengths))
        return self._table[0]


_segments: weakref.WeakValueDictionary[int, Segment] = weakref.WeakValueDictionary()
_views: OrderedDict[int, tuple[int, View]] = OrderedDict()
_lock = threading.Lock()


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Reads of the block see one state of the database: a merge of another process stays out of sight."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


def version(db: sqlite3.Connection, collection_id: int) -> str | None:
    """What the collection's index was made with, empty when it has none yet; ``None`` for an unknown collection."""
    row = db.execute(
        "SELECT k.version FROM collections c LEFT JOIN keyword_indexes k ON k.collection_id = c.id WHERE c.id = ?",
        (collection_id,),
    ).fetchone()
    return None if row is None else str(row[0] or "")


def create(db: sqlite3.Connection, collection_id: int, made_with: str) -> None:
    db.execute(
        "INSERT OR IGNORE INTO keyword_indexes (collection_id, key, version, stamp) VALUES (?, ?, ?, ?)",
        (collection_id, _random(), made_with, _random()),
    )


def drop(db: sqlite3.Connection, collection_id: int) -> None:
    for table in ("keyword_segments", "keyword_fresh", "keyword_indexes"):
        db.execute(f"DELETE FROM {table} WHERE collection_id = ?", (collection_id,))


def view(db: sqlite3.Connection, collection_id: int) -> View:
    """The index as this transaction sees it."""
    import numpy as np

    row = db.execute("SELECT key, stamp FROM keyword_indexes WHERE collection_id = ?", (collection_id,)).fetchone()
    if row is None:
        return View((), 0, 1.0)
    key, stamp = row
    with _lock:
        known = _views.get(key)
        if known is not None and known[0] == stamp:
            _views.move_to_end(key)
            return known[1]
    parts = _stored(db, collection_id)
    if resident := sum(map(len, parts)) <= RESIDENT:
        for part in parts:
            part.segment.postings = part.segment.load(db)
    fresh = _fresh(db, collection_id)
    if fresh is not None:
        parts.append(Live(fresh, np.empty(0, dtype=np.uint16)))
    passages = sum(map(len, parts))
    terms = sum(float(p.segment.lengths.sum() - p.segment.lengths[p.dead].sum()) for p in parts)
    average = max(1.0, terms / passages) if passages else 1.0
    found = View(tuple(sorted(parts, key=len)), passages, average, resident)
    _keep(key, stamp, found)
    return found


def add(
    db: sqlite3.Connection, collection_id: int, number: int, hashes: np.ndarray, frequencies: np.ndarray, length: int
) -> None:
    """Index passage ``number``: the hashes of its distinct terms and, for each, how often it occurs (tenths)."""
    db.execute(
        "INSERT INTO keyword_fresh (collection_id, number, length, hashes, frequencies) VALUES (?, ?, ?, ?, ?)",
        (collection_id, number, length, hashes.astype("<u8").tobytes(), frequencies.astype("u1").tobytes()),
    )
    (waiting,) = _changed(db, collection_id, 1)
    if waiting >= FRESH:
        _flush(db, collection_id)
        _compact(db, collection_id)


def remove(db: sqlite3.Connection, collection_id: int, number: int) -> None:
    import numpy as np

    key = (collection_id, number)
    if db.execute("DELETE FROM keyword_fresh WHERE collection_id = ? AND number = ?", key).rowcount:
        _changed(db, collection_id, -1)
        return
    for part in _stored(db, collection_id):
        _, ordinals = part.segment.ordinals(np.array([number]))
        gone = np.setdiff1d(ordinals, part.dead)
        if len(gone):
            dead = np.union1d(part.dead, gone).astype("<u2")
            db.execute("UPDATE keyword_segments SET dead = ? WHERE id = ?", (dead.tobytes(), part.segment.id))
            if len(dead) >= _SWEEP * len(part.segment):
                _merge(db, collection_id, [Live(part.segment, dead)])
            _changed(db, collection_id, 0)
            return


def scattered(db: sqlite3.Connection, collection_id: int) -> bool:
    """Whether what came since the last :func:`optimize` is so much that another one is worth it.

    A query visits every segment, so that one large and one small are faster than seven. Half as much again as the
    largest must have come: a passage is then rewritten a few times in all, however a collection grows.
    """
    rows = db.execute("SELECT passages FROM keyword_segments WHERE collection_id = ?", (collection_id,)).fetchall()
    sizes = [row[0] for row in rows if row[0] <= MOST // 2]
    return len(sizes) > 2 and 2 * (sum(sizes) - max(sizes)) >= max(sizes)


def optimize(db: sqlite3.Connection, collection_id: int) -> None:
    """As few segments as there can be, without deleted passages."""
    _flush(db, collection_id)
    group: list[Live] = []
    for part in sorted(_stored(db, collection_id), key=len):
        if group and sum(map(len, group)) + len(part) > MOST:
            _merge(db, collection_id, group)
            group = []
        group.append(part)
    if len(group) > 1 or any(len(part.dead) for part in group):
        _merge(db, collection_id, group)
    _changed(db, collection_id, 0)


def _changed(db: sqlite3.Connection, collection_id: int, fresh: int) -> tuple[int]:
    found: tuple[int] = db.execute(
        "UPDATE keyword_indexes SET stamp = ?, fresh = fresh + ? WHERE collection_id = ? RETURNING fresh",
        (_random(), fresh, collection_id),
    ).fetchone()
    return found


def _flush(db: sqlite3.Connection, collection_id: int) -> None:
    fresh = _fresh(db, collection_id)
    if fresh is None or fresh.postings is None:
        return
    _write(db, collection_id, fresh.numbers, fresh.lengths, fresh.postings)
    db.execute("DELETE FROM keyword_fresh WHERE collection_id = ?", (collection_id,))
    _changed(db, collection_id, -len(fresh))


def _compact(db: sqlite3.Connection, collection_id: int) -> None:
    """Merge segments of one size class until no class has ``FANOUT`` of them."""
    while True:
        classes: dict[int, list[Live]] = {}
        for part in _stored(db, collection_id):
            classes.setdefault(_size_class(len(part)), []).append(part)
        for parts in classes.values():
            group, size = [], 0
            for part in sorted(parts, key=len):
                if size + len(part) <= MOST:
                    group.append(part)
                    size += len(part)
            enough = 2 if 2 * min(map(len, parts)) * FANOUT > MOST else FANOUT
            if len(group) >= enough:
                _merge(db, collection_id, group[: max(FANOUT, enough)])
                break
        else:
            return


def _size_class(passages: int) -> int:
    found, size = 0, FRESH * FANOUT
    while passages >= size:
        found, size = found + 1, size * FANOUT
    return found


def _merge(db: sqlite3.Connection, collection_id: int, parts: Sequence[Live]) -> None:
    import numpy as np

    lives = [part.lives() for part in parts]
    if any(mask.any() for mask in lives):
        postings = merged([(part.segment.load(db), mask) for part, mask in zip(parts, lives, strict=True)])
        numbers = np.concatenate([p.segment.numbers[m] for p, m in zip(parts, lives, strict=True)])
        lengths = np.concatenate([p.segment.lengths[m] for p, m in zip(parts, lives, strict=True)])
        _write(db, collection_id, numbers, lengths, postings)
    db.executemany("DELETE FROM keyword_segments WHERE id = ?", [(part.segment.id,) for part in parts])


def _write(
    db: sqlite3.Connection, collection_id: int, numbers: np.ndarray, lengths: np.ndarray, postings: Postings
) -> None:
    import numpy as np

    cut = list(blocks(postings))
    first = 1 + (db.execute("SELECT max(number) FROM keyword_blocks").fetchone()[0] or 0)
    db.executemany("INSERT INTO keyword_blocks VALUES (?, ?)", [(first + i, data) for i, (_, data) in enumerate(cut)])
    db.execute(
        "INSERT INTO keyword_segments (id, collection_id, passages, numbers, lengths, firsts, first_block)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            _random(), collection_id, len(numbers), numbers.astype("<i8").tobytes(), lengths.astype("<u4").tobytes(),
            np.array([term for term, _ in cut], dtype="<u8").tobytes(), first,
        ),
    )  # fmt: skip


def _stored(db: sqlite3.Connection, collection_id: int) -> list[Live]:
    """The collection's segments; those this process has seen before are not read again."""
    import numpy as np

    parts = []
    rows = db.execute("SELECT id, dead FROM keyword_segments WHERE collection_id = ?", (collection_id,)).fetchall()
    for id_, dead in rows:
        segment = _segments.get(id_)
        if segment is None:
            row = db.execute(
                "SELECT numbers, lengths, firsts, first_block FROM keyword_segments WHERE id = ?", (id_,)
            ).fetchone()
            segment = Segment(
                id_,
                np.frombuffer(row[0], "<i8"),
                np.frombuffer(row[1], "<u4").astype(np.float32),
                np.frombuffer(row[2], "<u8"),
                row[3],
            )
            _segments[id_] = segment
        parts.append(Live(segment, np.frombuffer(dead, "<u2")))
    return parts


def _fresh(db: sqlite3.Connection, collection_id: int) -> Segment | None:
    """The fresh passages as a segment."""
    import numpy as np

    rows = db.execute(
        "SELECT number, length, hashes, frequencies FROM keyword_fresh WHERE collection_id = ? ORDER BY number",
        (collection_id,),
    ).fetchall()
    if not rows:
        return None
    hashes = np.frombuffer(b"".join(row[2] for row in rows), "<u8")
    frequencies = np.frombuffer(b"".join(row[3] for row in rows), "u1")
    postings = inverted(hashes, frequencies, [len(row[3]) for row in rows])
    numbers, lengths = np.array([r[0] for r in rows], "<i8"), np.array([r[1] for r in rows], np.float32)
    segment = Segment(0, numbers, lengths, postings.hashes[:0], 0)
    segment.postings = postings
    return segment


def _looked_up(postings: Postings, terms: np.ndarray, ends: np.ndarray) -> list[Held | None]:
    import numpy as np

    found: list[Held | None] = [None] * len(terms)
    if not len(postings.hashes):
        return found
    at = np.minimum(np.searchsorted(postings.hashes, terms), len(postings.hashes) - 1)
    there = np.flatnonzero(postings.hashes[at] == terms)
    if not len(there):
        return found
    for i in there.tolist():
        high = int(ends[at[i]])
        low = high - int(postings.counts[at[i]])
        frequencies = postings.frequencies[low:high]
        found[i] = postings.ordinals[low:high], frequencies, int(frequencies.max())
    return found


def _keep(key: int, stamp: int, found: View) -> None:
    """Remember ``found``; the views used longest ago go when all together are too large."""
    with _lock:
        _views[key] = (stamp, found)
        _views.move_to_end(key)
        sizes = {k: sum(part.segment.bytes for part in v.parts) for k, (_, v) in _views.items()}
        while len(_views) > 1 and sum(sizes.values()) > _CACHED_BYTES:
            gone, _ = _views.popitem(last=False)
            del sizes[gone]


def numbers_of(numbers: Iterable[int] | np.ndarray) -> np.ndarray:
    import numpy as np

    if isinstance(numbers, np.ndarray):
        return numbers.astype(np.int64)
    return np.fromiter(numbers, dtype=np.int64)


def _random() -> int:
    return secrets.randbits(62)
