"""A domain's database as JSON records in the workspace, each beside what it was at first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ToolRefused

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A record that is not what it was; ``before`` is ``None`` for a new one."""

    kind: str
    id: str
    before: Record | None
    after: Record


def create(db: sqlite3.Connection, records: Mapping[str, Mapping[str, Record]]) -> None:
    """A table of ``records``: kind → id → record."""
    db.execute("CREATE TABLE tau (kind TEXT, id TEXT, body TEXT, first TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID")
    rows = [(kind, id_, text, text) for kind, all_ in records.items() for id_, text in _texts(all_)]
    db.executemany("INSERT INTO tau VALUES (?, ?, ?, ?)", rows)


def look(db: sqlite3.Connection, kind: str, id_: str) -> Record | None:
    row = db.execute("SELECT body FROM tau WHERE kind=? AND id=?", (kind, id_)).fetchone()
    found: Record | None = json.loads(row[0]) if row else None
    return found


def find(db: sqlite3.Connection, kind: str, id_: str) -> Record:
    """
    Raises:
        ToolRefused: there is none.
    """
    if (found := look(db, kind, id_)) is None:
        raise ToolRefused(detail=f"there is nothing called '{id_}' among the {kind}")
    return found


def every(db: sqlite3.Connection, kind: str) -> Iterable[Record]:
    return (json.loads(row[0]) for row in db.execute("SELECT body FROM tau WHERE kind=? ORDER BY id", (kind,)))


def put(db: sqlite3.Connection, kind: str, id_: str, record: Record) -> None:
    db.execute(
        "INSERT INTO tau (kind, id, body) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body=excluded.body",
        (kind, id_, _text(record)),
    )


def changes(db: sqlite3.Connection) -> list[Change]:
    rows = db.execute("SELECT kind, id, first, body FROM tau WHERE first IS NULL OR body<>first ORDER BY kind, id")
    return [
        Change(kind, id_, json.loads(first) if first else None, json.loads(body)) for kind, id_, first, body in rows
    ]


def restore(db: sqlite3.Connection) -> None:
    """Everything as at first."""
    db.execute("DELETE FROM tau WHERE first IS NULL")
    db.execute("UPDATE tau SET body=first WHERE body<>first")


def _texts(records: Mapping[str, Record]) -> Iterable[tuple[str, str]]:
    return ((id_, _text(record)) for id_, record in records.items())


def _text(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True)
