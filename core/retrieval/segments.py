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
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from core.retrieval.postings import MOST, Postings, blocks, inverted, merged
from core.retrieval.segment_views import Live, Segment, View
from core.workspace import recalled

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
FRESH = 128  # passages that wait for a segment
FANOUT = 4
RESIDENT = 150_000  # passages of a collection whose postings and names are kept in memory, about 1 KB each
_SWEEP = 0.25  # share of deleted passages at which a segment is rewritten
_CACHED_BYTES = 256 * 2**20

_segments: weakref.WeakValueDictionary[int, Segment] = weakref.WeakValueDictionary()
_views: OrderedDict[int, tuple[int, View]] = OrderedDict()
_lock = threading.Lock()


def snapshot(db: sqlite3.Connection) -> AbstractContextManager[None]:
    """Reads of the block see one state of the database: a merge of another process stays out of sight."""
    return nullcontext() if db.in_transaction else _one_state(db)


@contextmanager
def _one_state(db: sqlite3.Connection) -> Iterator[None]:
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

    rows = recalled(db, "SELECT key, stamp, version FROM keyword_indexes WHERE collection_id = ?", collection_id)
    if not rows:
        return View((), 0, 1.0)
    key, stamp, made_with = rows[0]
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
    found = View(tuple(sorted(parts, key=len)), passages, average, resident, made_with)
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
