"""The keyword leg: BM25 over terms of our own making, exact and in the same transaction as the documents.

Each collection has its own index, so that term statistics never mix tenants or subjects. How passages are scored is
in :mod:`core.retrieval.bm25`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.retrieval import segments, split, tokens, vocabulary
from core.retrieval.bm25 import Statistics, Terms
from core.retrieval.postings import TENTHS, hashed
from core.retrieval.segment_views import View

if TYPE_CHECKING:
    import numpy as np

CONTEXT_WEIGHT = 0.7  # of title and headings against the passage's own text; chosen on tuning questions
VERSION = f"{tokens.VERSION}.{segments.FORMAT}.{CONTEXT_WEIGHT}"
_PATIENCE_S = 600.0  # for another thread or process that makes the index anew; far longer than for any other write


def create(db: sqlite3.Connection, collection_id: int) -> None:
    segments.create(db, collection_id, VERSION)


def drop(db: sqlite3.Connection, collection_id: int) -> None:
    segments.drop(db, collection_id)


def add(db: sqlite3.Connection, collection_id: int, number: int, context: Iterable[str], body: Iterable[str]) -> None:
    """Index the terms of passage ``number``."""
    import numpy as np

    title, text = Counter(context), Counter(body)
    counts = {term: TENTHS * count for term, count in text.items()}
    for term, count in title.items():
        counts[term] = counts.get(term, 0) + round(CONTEXT_WEIGHT * TENTHS * count)
    hashes = np.array([hashed(term) for term in counts], dtype=np.uint64)
    frequencies = np.minimum(np.array(list(counts.values()), dtype=np.int64), 255)
    segments.add(db, collection_id, number, hashes, frequencies, title.total() + text.total())


def remove(db: sqlite3.Connection, collection_id: int, number: int) -> None:
    segments.remove(db, collection_id, number)


def settle(db: sqlite3.Connection, collection_id: int) -> None:
    """After a batch of changes: put the index together where it has become many pieces."""
    if segments.scattered(db, collection_id):
        segments.optimize(db, collection_id)


def terms_in(db: sqlite3.Connection, collection_id: int, terms: Iterable[str], *, view: View | None = None) -> Terms:
    """``terms`` as the collection's index holds them.

    Args:
        view: the index as the transaction under way sees it (:func:`view`), where several things are asked of it.
    """
    if view is not None:
        return Terms(db, view, terms)
    make_current(db, collection_id)
    with segments.snapshot(db):
        return Terms(db, segments.view(db, collection_id), terms)


def search(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Iterable[str],
    limit: int,
    *,
    allowed: Iterable[int] | np.ndarray | None = None,
) -> list[tuple[int, float]]:
    """``(passage number, score)`` of the best ``limit`` passages that hold any of ``terms``, best first.

    Args:
        allowed: the only passage numbers that may be found; statistics are those of the whole collection.
    """
    only = None if allowed is None else segments.numbers_of(allowed)
    numbers, found = terms_in(db, collection_id, terms).best(limit, allowed=only)
    return list(zip(numbers.tolist(), found.tolist(), strict=True))


def scores(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Iterable[str],
    numbers: Iterable[int],
    *,
    view: View | None = None,
    statistics: Statistics | None = None,
) -> dict[int, float]:
    """The exact score of each passage of ``numbers``, on the scale of :func:`search`; 0.0 where no term occurs.

    Args:
        statistics: those of several collections together, in place of this one's.
    """
    asked = list(dict.fromkeys(numbers))
    held = terms_in(db, collection_id, terms, view=view)
    return dict(zip(asked, held.scores(segments.numbers_of(asked), statistics=statistics).tolist(), strict=True))


def document_frequency(
    db: sqlite3.Connection, collection_id: int, terms: Iterable[str], *, view: View | None = None
) -> dict[str, int]:
    """In how many passages each term occurs (context counts)."""
    return terms_in(db, collection_id, terms, view=view).frequency()


def passages(db: sqlite3.Connection, collection_id: int) -> int:
    """How many passages are indexed."""
    make_current(db, collection_id)
    with segments.snapshot(db):
        return segments.view(db, collection_id).passages


def collections(db: sqlite3.Connection) -> list[int]:
    """The collections that have a keyword index; it goes with its collection, by foreign key."""
    return [row[0] for row in db.execute("SELECT collection_id FROM keyword_indexes ORDER BY collection_id")]


def numbers(db: sqlite3.Connection, collection_id: int) -> list[int]:
    """The passages that are indexed, ascending: what a check of the store compares with the documents' own."""
    make_current(db, collection_id)
    with segments.snapshot(db):
        parts = segments.view(db, collection_id).parts
    return sorted(int(number) for part in parts for number in part.segment.numbers[part.lives()])


def is_current(db: sqlite3.Connection, collection_id: int) -> bool:
    """Whether there is an index, and of this format; :func:`make_current` sees to it otherwise."""
    return segments.view(db, collection_id).made_with == VERSION


def view(db: sqlite3.Connection, collection_id: int) -> View:
    """The index as this transaction sees it; made anew first when it is of another format."""
    found = segments.view(db, collection_id)
    if found.made_with == VERSION:
        return found
    make_current(db, collection_id)
    return segments.view(db, collection_id)


def make_current(db: sqlite3.Connection, collection_id: int) -> None:
    """Make the index anew when it was made with other tokens or stands in an older format.

    Whoever else is at it is waited for: without the index there is nothing to find.

    Raises:
        sqlite3.OperationalError: the database stayed locked.
    """
    if segments.version(db, collection_id) in (VERSION, None):
        return
    if db.in_transaction:
        rebuild(db, collection_id)
        return
    if not _begun(db, collection_id):
        return
    try:
        if segments.version(db, collection_id) not in (VERSION, None):  # another may have been faster
            rebuild(db, collection_id)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _begun(db: sqlite3.Connection, collection_id: int) -> bool:
    """Begin to write; false when another has made the index current meanwhile.

    A rebuild may take longer than a connection waits for a lock, and a search that gave up then would be lost.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            if segments.version(db, collection_id) in (VERSION, None):
                return False
        else:
            return True


def rebuild(db: sqlite3.Connection, collection_id: int) -> None:
    """Index all passages of the collection from their stored text, inside the caller's transaction."""
    drop(db, collection_id)
    drop_first_format(db, collection_id)
    create(db, collection_id)
    owner = db.execute("SELECT tenant, name FROM collections WHERE id = ?", (collection_id,)).fetchone()
    words = vocabulary.of(db, owner["tenant"], owner["name"]) if owner is not None else vocabulary.EMPTY
    rows = db.execute(
        "SELECT p.number, p.text, p.heading, p.metadata, d.title FROM passages p JOIN documents d"
        " ON d.id = p.document_id WHERE p.collection_id = ? ORDER BY p.number",
        (collection_id,),
    )
    for row in rows:
        context = split.context(row["title"], row["heading"], json.loads(row["metadata"]))
        add(db, collection_id, row["number"], words.terms(context), words.terms(row["text"]))


def first_format(db: sqlite3.Connection) -> list[int]:
    """The collections, there or not, with a full-text table as indexes were made at first. Nothing reads it."""
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'keyword_[0-9]*'")
    return sorted(int(name) for (found,) in names if (name := found.removeprefix("keyword_")).isdigit())


def drop_first_format(db: sqlite3.Connection, collection_id: int) -> None:
    for name in (f"keyword_{int(collection_id)}_terms", f"keyword_{int(collection_id)}"):
        db.execute(f"DROP TABLE IF EXISTS {name}")
