"""A person is deleted from every table there is, also from one that a later migration adds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from core.erasure import NAMELESS, NOBODY, erase, persons
from core.types import Caller
from core.workspace import Workspace

ANN, BOB, OTHER = Caller("a", "ann"), Caller("a", "bob"), Caller("b", "ann")  # two customers, and a namesake elsewhere


def filled(db: sqlite3.Connection, table: str, who: Caller, number: int) -> None:
    """Put a row of ``who`` into ``table``, whatever its other columns are."""
    row: dict[str, object] = {}
    for column in db.execute(f'PRAGMA table_info("{table}")'):
        kind = column["type"].partition("(")[0].upper()
        row[column["name"]] = number if kind in ("INTEGER", "REAL") else f"{table}{number}"
    row |= {"tenant": who.tenant, "user": who.user}
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(row.values()))


def test_every_table_with_a_person_is_emptied_of_one_and_of_nobody_else(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    db = workspace.connection()
    db.execute("PRAGMA foreign_keys=OFF")
    db.execute("PRAGMA ignore_check_constraints=ON")
    db.execute("CREATE TABLE added_later (tenant TEXT, user TEXT, said TEXT)")
    with workspace.write() as db:
        tables = persons(db)
        for table in tables:
            for number, who in enumerate((ANN, BOB, OTHER), 1):
                filled(db, table, who, number)
    found = erase(workspace, ANN)
    assert set(found) == set(tables) >= NAMELESS | {"conversations", "messages", "tool_calls", "added_later"}
    assert set(found.values()) == {1}
    for table in tables:
        left = sorted(tuple(row) for row in db.execute(f'SELECT tenant, user FROM "{table}"'))
        kept = [("a", NOBODY)] if table in NAMELESS else []
        assert left == [*kept, ("a", "bob"), ("b", "ann")], table
    assert erase(workspace, ANN) == {}
    workspace.close()


def test_no_table_names_a_user_without_a_tenant(tmp_path: Path) -> None:
    """Its rows could be anybody's of that name, so they would never be found."""
    workspace = Workspace.open(tmp_path)
    db = workspace.connection()
    tables = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    with_user = {t for t in tables if any(c["name"] == "user" for c in db.execute(f'PRAGMA table_info("{t}")'))}
    assert with_user == set(persons(db))
    workspace.close()
