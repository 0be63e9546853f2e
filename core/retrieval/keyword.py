"""The keyword leg: BM25 over terms of our own making, exact and in the same transaction as the documents.

Each collection has its own index, so that term statistics never mix tenants or subjects. Scores are those of a
full scan; what is left out is only what cannot be among the best: once the terms that are still to come cannot
lift a new passage over the worst of the best so far, they are looked up for the candidates alone.

Source: Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with title and text
as weighted fields of one frequency; Turtle, Flood, "Query evaluation: strategies and optimizations", 1995
(MaxScore, term at a time).
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.retrieval import segments, split, tokens, vocabulary
from core.retrieval.largest import nth_largest
from core.retrieval.postings import TENTHS, hashed
from core.retrieval.segment_views import Held, Live, Term, View

if TYPE_CHECKING:
    import numpy as np

CONTEXT_WEIGHT = 0.7  # of title and headings against the passage's own text; chosen on tuning questions
K1, B = 1.2, 0.75
VERSION = f"{tokens.VERSION}.{segments.FORMAT}.{CONTEXT_WEIGHT}"
_SLACK = 1e-3  # of float32 sums, when a bound is compared with a score
_PATIENCE_S = 600.0  # for another thread or process that makes the index anew; far longer than for any other write


@dataclass(frozen=True, slots=True)
class Statistics:
    """What passages are scored by where it is not that of their own collection: idf by term, length of a passage."""

    idf: Mapping[str, float]
    average: float


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


def search(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Sequence[str],
    limit: int,
    *,
    allowed: Iterable[int] | np.ndarray | None = None,
    view: View | None = None,
) -> list[tuple[int, float]]:
    """``(passage number, score)`` of the best ``limit`` passages that hold any of ``terms``, best first.

    Args:
        allowed: the only passage numbers that may be found; statistics are those of the whole collection.
        view: the index as the transaction under way sees it (:func:`view`), where several things are asked of it.
    """
    numbers, found = best(db, collection_id, terms, limit, allowed=allowed, view=view)
    return list(zip(numbers.tolist(), found.tolist(), strict=True))


def best(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Sequence[str],
    limit: int,
    *,
    allowed: Iterable[int] | np.ndarray | None = None,
    view: View | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`search` as arrays: passage numbers and their scores, best first."""
    import numpy as np

    numbers, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    only = None if allowed is None else segments.numbers_of(allowed)
    view, held = _held(db, collection_id, terms, view)
    if not held or limit < 1:
        return numbers, scores
    weights = _weights(view, held)
    for i, part in enumerate(view.parts):  # small segments first: they set the bar
        bar = float(scores[-1]) if len(scores) == limit else 0.0
        lists = [term.parts[i] for term in held]
        found, values = _best_of_part(part, lists, weights, view.average, bar, limit, only)
        numbers, scores = np.concatenate([numbers, found]), np.concatenate([scores, values])
        order = np.lexsort((numbers, -scores))[:limit]
        numbers, scores = numbers[order], scores[order]
    return numbers, scores


def scores(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Sequence[str],
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
    found = scored(db, collection_id, terms, segments.numbers_of(asked), view=view, statistics=statistics)
    return dict(zip(asked, found.tolist(), strict=True))


def scored(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Sequence[str],
    numbers: np.ndarray,
    *,
    view: View | None = None,
    statistics: Statistics | None = None,
) -> np.ndarray:
    """:func:`scores` as an array, in the order of ``numbers``, which are distinct."""
    import numpy as np

    found = np.zeros(len(numbers), np.float32)
    view, held = _held(db, collection_id, terms, view) if len(numbers) else (None, [])
    if view is not None and held:
        weights, average = _weights(view, held), view.average
        if statistics is not None:
            weights = [statistics.idf[term] * (K1 + 1) for term in dict.fromkeys(terms)]
            average = statistics.average
        each = np.array(weights, np.float32)[:, None]
        for i, part in enumerate(view.parts):
            where, ordinals = part.places(numbers)
            norms, _ = part.segment.norms(average, K1, B)
            times = _frequencies([term.parts[i] for term in held], ordinals)
            found[where] = _parts(each, times, norms[ordinals]).sum(axis=0)
    return _rounded(found)


def matched(
    db: sqlite3.Connection,
    collection_id: int,
    terms: Sequence[str],
    numbers: Iterable[int],
    *,
    view: View | None = None,
) -> dict[int, tuple[str, ...]]:
    """Which of ``terms`` each passage of ``numbers`` holds, context included, in the order of ``terms``."""
    asked, distinct = list(dict.fromkeys(numbers)), list(dict.fromkeys(terms))
    found: dict[int, list[str]] = {number: [] for number in asked}
    view, held = _held(db, collection_id, distinct, view) if asked else (None, [])
    if view is not None:
        wanted = segments.numbers_of(asked)
        for i, part in enumerate(view.parts):
            where, ordinals = part.places(wanted)
            at, term = _frequencies([term.parts[i] for term in held], ordinals).T.nonzero()
            for place, name in zip(where[at].tolist(), term.tolist(), strict=True):
                found[asked[place]].append(distinct[name])
    return {number: tuple(there) for number, there in found.items()}


def document_frequency(
    db: sqlite3.Connection, collection_id: int, terms: Iterable[str], *, view: View | None = None
) -> dict[str, int]:
    """In how many passages each term occurs (context counts)."""
    distinct = list(dict.fromkeys(terms))
    _, held = _held(db, collection_id, distinct, view)
    return {name: term.passages for name, term in zip(distinct, held, strict=True)}


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


def idf(frequency: int, passages: int) -> float:
    """BM25's inverse document frequency, never below zero: how much a term tells in this collection."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def view(db: sqlite3.Connection, collection_id: int) -> View:
    """The index as this transaction sees it; made anew first when it is of another format."""
    found = segments.view(db, collection_id)
    if found.made_with == VERSION:
        return found
    make_current(db, collection_id)
    return segments.view(db, collection_id)


def _held(
    db: sqlite3.Connection, collection_id: int, terms: Sequence[str], known: View | None
) -> tuple[View, list[Term]]:
    """The index, and each of the distinct ``terms`` in it."""
    hashes = [hashed(term) for term in dict.fromkeys(terms)]
    if known is not None:
        return known, known.terms(db, hashes)
    make_current(db, collection_id)
    with segments.snapshot(db):
        known = segments.view(db, collection_id)
        return known, known.terms(db, hashes)


def _weights(view: View, held: Sequence[Term]) -> list[float]:
    return [idf(term.passages, view.passages) * (K1 + 1) for term in held]


def _best_of_part(
    part: Live,
    lists: Sequence[Held | None],
    weights: Sequence[float],
    average: float,
    bar: float,
    limit: int,
    only: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and scores of the passages of one segment that may be among the best; ``bar`` is what they must reach."""
    import numpy as np

    norms, least = part.segment.norms(average, K1, B)
    there = [(w, *p) for w, p in zip(weights, lists, strict=True) if p is not None]
    bounds = [w * peak / (peak + TENTHS * least) for w, _, _, peak in there]
    order = sorted(range(len(there)), key=lambda i: -bounds[i])
    rest = [0.0] * (len(order) + 1)  # what the terms from here on can add at most
    for i in range(len(order) - 1, -1, -1):
        rest[i] = rest[i + 1] + bounds[order[i]]
    sums, done = np.zeros(len(part.segment), np.float32), 0
    while done < len(order) and rest[done] >= bar - _SLACK:
        weight, ordinals, frequencies, _ = there[order[done]]
        np.add.at(
            sums, ordinals, _parts(np.float32(weight), frequencies, norms.take(ordinals))
        )  # four times as fast as +=
        done += 1
    if only is not None:
        mask = np.zeros(len(sums), bool)
        mask[part.segment.ordinals(only)[1]] = True
        sums[~mask] = 0
    sums[part.dead] = 0
    candidates = np.flatnonzero(sums > max(0.0, bar - rest[done] - _SLACK))
    for i in range(done, len(order)):
        weight, ordinals, frequencies, _ = there[order[i]]
        at, hit = _positions(ordinals, candidates)
        sums[candidates[hit]] += _parts(np.float32(weight), frequencies[at], norms[candidates[hit]])
        candidates = candidates[sums[candidates] >= bar - rest[i + 1] - _SLACK]
    found = sums[candidates]
    if len(found) > limit:  # first those that rounding may put among the best, for rounding thousands takes longer
        kept = np.flatnonzero(found >= nth_largest(found, limit) - _SLACK)
        candidates, found = candidates[kept], _rounded(found[kept])
        kept = np.flatnonzero(found >= nth_largest(found, limit))
        return part.segment.numbers[candidates[kept]], found[kept]
    found = _rounded(found)
    return part.segment.numbers[candidates], found


def _parts(weight: np.ndarray | np.float32, frequencies: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """What a term adds to passages that hold it so often."""
    import numpy as np

    times = frequencies.astype(np.float32)
    bottom = norms * np.float32(TENTHS) + times
    times *= weight
    times /= bottom
    return times


def _frequencies(held: Sequence[Held | None], ordinals: np.ndarray) -> np.ndarray:
    """How often each term occurs in each of these passages, in tenths. Shape: ``(len(held), len(ordinals))`` u1."""
    import numpy as np

    found, wanted = np.zeros((len(held), len(ordinals)), np.uint8), ordinals.astype(np.uint16)
    for row, postings in zip(found, held, strict=True):
        if postings is not None:
            at = postings[0].searchsorted(wanted)
            there = postings[0].take(at, mode="clip") == wanted
            np.multiply(postings[1].take(at, mode="clip"), there, out=row)
    return found


def _positions(ordinals: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in ``ordinals`` (ascending) those of ``wanted`` stand, and which of ``wanted`` do."""
    import numpy as np

    wanted = wanted.astype(ordinals.dtype)
    at = np.searchsorted(ordinals, wanted)
    hit = np.flatnonzero(ordinals[np.minimum(at, len(ordinals) - 1)] == wanted)
    return at[hit], hit


def _rounded(scores: np.ndarray) -> np.ndarray:
    """Scores without the noise of the order in which they were summed, so that equal passages stay equal."""
    import numpy as np

    return np.round(scores, 4)


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
