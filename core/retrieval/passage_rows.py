"""Passages as hits show them: their rows in the tables, joined with title, source and metadata of their documents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from core.types import Passage

_NO_METADATA = "{}"


def read(
    db: sqlite3.Connection, collection: int, column: str, keys: Sequence[str] | Sequence[int]
) -> Iterator[tuple[int, Passage]]:
    """Passages with their numbers, by ``id`` or ``number``, in no order; only those of ``collection``."""
    if not keys:
        return
    marks = ",".join("?" * len(keys))
    rows = db.cursor()
    rows.row_factory = None  # by place, not by name: half of what it costs to take a row apart
    rows.execute(
        'SELECT p.number, p.id, p.document_id, p.text, d.title, d.source, p.position, p.start, p."end", p.heading, p.page,'
        " p.language, d.metadata, p.metadata FROM passages p"
        " JOIN documents d INDEXED BY documents_shown ON d.id = p.document_id"  # never behind a document's whole text
        f" WHERE +p.collection_id = ? AND p.{column} IN ({marks})",  # +: by key, never through the whole collection
        (collection, *keys),
    )
    for row in rows:
        yield row[0], Passage(*(*row[1:12], metadata(row[12], row[13])))


def metadata(document: str, own: str) -> dict[str, Any]:
    """The metadata of a document and of a passage of it, as they are stored; the passage's own keys win."""
    return {} if document == own == _NO_METADATA else json.loads(document) | json.loads(own)  # most have none
