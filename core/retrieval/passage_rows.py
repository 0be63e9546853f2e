"""What a hit shows: a passage as its row in the tables, joined with its document's title, source and metadata."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from core.types import Passage

Row = tuple[Any, ...]  # number, the values of a Passage up to its language, metadata of the document and its own
_NO_METADATA = "{}"


def rows_of(db: sqlite3.Connection, collection: int, column: str, keys: Sequence[str] | Sequence[int]) -> Iterator[Row]:
    """The passages with these keys, by ``id`` or ``number``, in no order; only those of ``collection``."""
    if not keys:
        return iter(())
    marks = ",".join("?" * len(keys))
    found = db.cursor()
    found.row_factory = None  # by place, not by name: half of what it costs to take a row apart
    return found.execute(
        'SELECT p.number, p.id, p.document_id, p.text, d.title, d.source, p.position, p.start, p."end", p.heading, p.page,'
        " p.language, d.metadata, p.metadata FROM passages p"
        " JOIN documents d INDEXED BY documents_shown ON d.id = p.document_id"  # never behind a document's whole text
        f" WHERE +p.collection_id = ? AND p.{column} IN ({marks})",  # +: by key, never through the whole collection
        (collection, *keys),
    )


def passage(row: Row) -> Passage:
    """A passage with metadata of its own, which whoever is given it may change."""
    return Passage(*(*row[1:12], merged(row[12], row[13])))


def merged(document: str, own: str) -> dict[str, Any]:
    """The metadata of a document and of a passage of it, as they are stored; the passage's own keys win."""
    return {} if document == own == _NO_METADATA else json.loads(document) | json.loads(own)  # most have none
