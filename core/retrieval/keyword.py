"""The keyword leg: BM25 in SQLite FTS5 over terms of our own making.

FTS5's tokenizers miss two-character Chinese words, so it gets terms instead of text: joined by spaces and
escaped to letters, digits and Han characters, which ``unicode61`` leaves alone. One FTS5 table per collection:
term statistics never mix tenants or subjects, and dropping a collection is dropping its table. Being in the
same database as the documents, it is committed with them and readable from every process.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Sequence

_PLAIN = re.compile(r"[0-9a-z\u3400-\u4dbf\u4e00-\u9fff]+")
CONTEXT_WEIGHT = 0.7  # of title and headings against the passage's own text; chosen on tuning questions


def create(db: sqlite3.Connection, collection_id: int) -> None:
    name = _table(collection_id)
    db.execute(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {name} USING fts5(context, body, "
        "tokenize=\"unicode61 remove_diacritics 0 tokenchars '_'\")"
    )
    db.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {name}_terms USING fts5vocab('{name}', 'row')")


def drop(db: sqlite3.Connection, collection_id: int) -> None:
    db.execute(f"DROP TABLE IF EXISTS {_table(collection_id)}_terms")
    db.execute(f"DROP TABLE IF EXISTS {_table(collection_id)}")


def add(db: sqlite3.Connection, collection_id: int, number: int, context: Iterable[str], body: Iterable[str]) -> None:
    """Index the terms of passage ``number``."""
    db.execute(
        f"INSERT INTO {_table(collection_id)} (rowid, context, body) VALUES (?, ?, ?)",
        (number, " ".join(map(escaped, context)), " ".join(map(escaped, body))),
    )


def remove(db: sqlite3.Connection, collection_id: int, number: int) -> None:
    db.execute(f"DELETE FROM {_table(collection_id)} WHERE rowid = ?", (number,))


def collections(db: sqlite3.Connection) -> list[int]:
    """The collections that have a keyword index, whether they still exist or not."""
    rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'keyword_[0-9]*'").fetchall()
    return sorted({int(name) for (found,) in rows if (name := found.removeprefix("keyword_")).isdigit()})


def numbers(db: sqlite3.Connection, collection_id: int) -> list[int]:
    """The passages that the keyword index of a collection holds."""
    return [row[0] for row in db.execute(f"SELECT rowid FROM {_table(collection_id)}")]


def search(db: sqlite3.Connection, collection_id: int, terms: Sequence[str], limit: int) -> list[tuple[int, float]]:
    """``(passage number, score)`` of the best ``limit`` passages that hold any of ``terms``, best first."""
    if not terms:
        return []
    query = " OR ".join(f'"{escaped(term)}"' for term in terms)
    name = _table(collection_id)
    rows = db.execute(
        f"SELECT rowid, -bm25({name}, {CONTEXT_WEIGHT}, 1.0) AS score FROM {name} WHERE {name} MATCH ? "
        "ORDER BY score DESC, rowid LIMIT ?",
        (query, limit),
    )
    return [(row[0], row[1]) for row in rows]


def document_frequency(db: sqlite3.Connection, collection_id: int, terms: Iterable[str]) -> dict[str, int]:
    """In how many passages each term occurs (context counts)."""
    name = f"{_table(collection_id)}_terms"
    found: dict[str, int] = {}
    for term in terms:
        row = db.execute(f"SELECT doc FROM {name} WHERE term = ?", (escaped(term),)).fetchone()
        found[term] = row[0] if row else 0
    return found


def idf(frequency: int, passages: int) -> float:
    """BM25's inverse document frequency, never below zero: how much a term tells in this collection."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def escaped(term: str) -> str:
    """``term`` in characters that FTS5's tokenizer keeps together; different terms stay different.

    >>> escaped("退货"), escaped("kt-210")
    ('退货', 'kt_2d_210')
    """
    return term if _PLAIN.fullmatch(term) else "".join(c if _PLAIN.fullmatch(c) else f"_{ord(c):x}_" for c in term)


def _table(collection_id: int) -> str:
    return f"keyword_{int(collection_id)}"
