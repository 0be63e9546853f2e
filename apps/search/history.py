"""What a person searched for, newest first; theirs alone, to be cleared and to be switched off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from apps.search.query import Query
from core.types import Caller
from core.workspace import Workspace

KEPT = 200  # of one person
PAUSE_S = 20.0  # a query that goes on from the one before within this time is the same one, still being typed
_SWITCH = "search_history"


@dataclass(frozen=True, slots=True)
class Asked:
    """A search and how many passages it found."""

    query: Query
    at: float
    hits: int


@dataclass(frozen=True, slots=True)
class History:
    workspace: Callable[[], Workspace]

    def add(self, query: Query, hits: int, caller: Caller, now: float | None = None) -> None:
        """Keep a search, in place of its beginnings when it was typed letter by letter; nothing when switched off."""
        moment = time.time() if now is None else now
        who, data = (caller.tenant, caller.user), json.dumps(query.as_data(), ensure_ascii=False)
        with self.workspace().read() as db:
            last = db.execute(
                "SELECT id, query, at FROM search_history WHERE tenant = ? AND user = ? ORDER BY id DESC LIMIT 1", who
            ).fetchone()
        if last is not None and last["query"] == data:
            return
        if not self.on(caller):
            return
        with self.workspace().write() as db:
            if (
                last is not None
                and moment - last["at"] < PAUSE_S
                and _goes_on(json.loads(last["query"])["text"], query.text)
            ):
                db.execute("DELETE FROM search_history WHERE id = ?", (last["id"],))
            db.execute(
                "INSERT INTO search_history (tenant, user, query, at, hits) VALUES (?, ?, ?, ?, ?)",
                (*who, data, moment, hits),
            )
            db.execute(
                "DELETE FROM search_history WHERE tenant = ? AND user = ? AND id <= (SELECT id FROM search_history"
                " WHERE tenant = ? AND user = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (*who, *who, KEPT),
            )

    def all(self, caller: Caller, limit: int = KEPT) -> list[Asked]:
        with self.workspace().read() as db:
            rows = db.execute(
                "SELECT query, at, hits FROM search_history WHERE tenant = ? AND user = ? ORDER BY id DESC LIMIT ?",
                (caller.tenant, caller.user, limit),
            ).fetchall()
        return [Asked(Query.of_data(json.loads(row["query"])), row["at"], row["hits"]) for row in rows]

    def clear(self, caller: Caller) -> None:
        with self.workspace().write() as db:
            db.execute("DELETE FROM search_history WHERE tenant = ? AND user = ?", (caller.tenant, caller.user))

    def on(self, caller: Caller) -> bool:
        """Whether searches are kept; they are until somebody switches it off."""
        with self.workspace().read() as db:
            row = db.execute(
                "SELECT value FROM preferences WHERE tenant = ? AND user = ? AND name = ?",
                (caller.tenant, caller.user, _SWITCH),
            ).fetchone()
        return row is None or row["value"] != "off"

    def switch(self, on: bool, caller: Caller) -> None:
        """Keep searches from now on, or keep none; those that are kept already stay until they are cleared."""
        with self.workspace().write() as db:
            db.execute(
                "INSERT OR REPLACE INTO preferences (tenant, user, name, value) VALUES (?, ?, ?, ?)",
                (caller.tenant, caller.user, _SWITCH, "on" if on else "off"),
            )


def _goes_on(before: str, now: str) -> bool:
    return before != now and (now.startswith(before) or before.startswith(now))
