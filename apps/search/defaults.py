"""How searches of a tenant are made where nobody chooses otherwise: a setting with its history."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.search.query import Query
from core.types import Caller
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the setting. ``forced``: it was worse by measurement, or not measured. ``figures`` are before and after."""

    query: Query
    by: str
    at: float
    forced: bool
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Defaults:
    """Those of a workspace, by tenant."""

    workspace: Callable[[], Workspace]

    def query(self, caller: Caller) -> Query:
        """The setting in use as a query without words."""
        changes = self.changes(caller, 1)
        return changes[0].query if changes else Query("")

    def changes(self, caller: Caller, limit: int = 10) -> list[Change]:
        """The newest first."""
        with self.workspace().read() as db:
            rows = db.execute(
                "SELECT setting, changed_by, at, forced, figures FROM search_defaults WHERE tenant = ? ORDER BY id DESC LIMIT ?",
                (caller.tenant, limit),
            ).fetchall()
        return [
            Change(Query.of_data(json.loads(setting)), by, at, bool(forced), json.loads(figures))
            for setting, by, at, forced, figures in rows
        ]

    def set(self, query: Query, caller: Caller, *, forced: bool, figures: Mapping[str, Any]) -> None:
        """Take the setting of ``query`` from now on; whether it is good enough is judged before."""
        setting = json.dumps(query.setting(), ensure_ascii=False)
        with self.workspace().write() as db:
            db.execute(
                "INSERT INTO search_defaults (tenant, setting, changed_by, at, forced, figures) VALUES (?, ?, ?, ?, ?, ?)",
                (caller.tenant, setting, caller.user, time.time(), forced, json.dumps(figures)),
            )
