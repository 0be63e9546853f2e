"""Deletes a person: whatever a workspace keeps under their tenant and user, of every app, in one transaction.

Each table with the columns ``tenant`` and ``user`` holds what is a person's, and so does what refers to its rows; a table
that is added later is not forgotten. Of the tables in :data:`NAMELESS` the rows stay, because others need them, as nobody's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from core.types import Caller
from core.workspace import Workspace

NAMELESS = frozenset(
    {
        "calls",  # what models cost; without texts
        "documents",  # of collections that the tenant shares
        "news_journal",  # what was done about alerts
        "support_policies",  # versions of a policy, with a way back
    }
)
NOBODY = ""


def erase(workspace: Workspace, caller: Caller) -> Mapping[str, int]:
    """Delete all rows of ``caller``, and overwrite what they said in the database file.

    Backups that were made before are not touched, nor are files that were exported.

    Returns:
        How many rows of each table were deleted, or are nobody's now; tables without any are left out.
    """
    who = (caller.tenant, caller.user)
    found: dict[str, int] = {}
    with overwriting(workspace), workspace.write() as db:
        tables = persons(db)
        for table in tables:
            found[table] = db.execute(f'SELECT count(*) FROM "{table}" WHERE tenant=? AND user=?', who).fetchone()[0]
        for table in tables:
            if table in NAMELESS:
                db.execute(f'UPDATE "{table}" SET user=? WHERE tenant=? AND user=?', (NOBODY, *who))
            else:
                db.execute(f'DELETE FROM "{table}" WHERE tenant=? AND user=?', who)
    with workspace.read() as db:  # the log still has the old pages; while somebody reads them it goes at a later time
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {table: count for table, count in found.items() if count}


def persons(db: sqlite3.Connection) -> list[str]:
    """The tables whose rows are a person's."""
    tables = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
    columns = {table: {row["name"] for row in db.execute(f'PRAGMA table_info("{table}")')} for table in tables}
    return [table for table in tables if {"tenant", "user"} <= columns[table]]


@contextmanager
def overwriting(workspace: Workspace) -> Iterator[None]:
    """Let this thread's connection overwrite what it deletes, which costs writes and is off by default."""
    with workspace.read() as db:
        before = db.execute("PRAGMA secure_delete").fetchone()[0]
        db.execute("PRAGMA secure_delete=ON")
    try:
        yield
    finally:
        with workspace.read() as db:
            db.execute(f"PRAGMA secure_delete={before}")
