"""Who called which tool with what, and what came of it. One row for each call, in the workspace.

A row that is ``done`` (or ``started``, for a tool with a system of its own) holds its idempotency key: a second call
with the key finds it. A refusal and a failure hold nothing, for nothing was done.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Literal

from core.errors import TouchstoneError
from core.transcripts import clean, error_text, error_to_json
from core.types import Caller
from core.workspace import Workspace

Outcome = Literal["started", "done", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave. ``replayed``: the call with this key was done before; nothing was done now."""

    tool: str
    value: Any
    entry: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A row of the journal. Times are seconds since the epoch."""

    id: int
    tool: str
    permission: str
    arguments: Mapping[str, Any]
    outcome: Outcome
    result: Any
    error: Mapping[str, Any] | None
    key: str | None
    conversation_id: str | None
    user: str
    started_at: float
    ended_at: float | None

    def said(self, language: str) -> str:
        """Why it was refused or failed, in ``language``; empty when it was done."""
        return error_text(self.error, language) if self.error else ""


class Journal:
    """The journal of one workspace. Reading names the caller; writing happens inside a transaction of the call."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def entries(
        self,
        caller: Caller,
        *,
        conversation_id: str | None = None,
        tool: str | None = None,
        outcome: Outcome | None = None,
        since: float = 0.0,
        limit: int = 100,
    ) -> list[JournalEntry]:
        """The caller's calls, newest first."""
        where, values = "tenant=? AND user=? AND started_at>=?", [caller.tenant, caller.user, since]
        for column, value in (("conversation_id", conversation_id), ("tool", tool), ("outcome", outcome)):
            if value is not None:
                where += f" AND {column}=?"
                values.append(value)
        with self._workspace.read() as db:
            rows = db.execute(
                f"SELECT * FROM tool_calls WHERE {where} ORDER BY id DESC LIMIT ?", (*values, limit)
            ).fetchall()
        return [_entry(row) for row in rows]


def holder(db: sqlite3.Connection, caller: Caller, key: str) -> JournalEntry | None:
    """The call that holds an idempotency key."""
    row = db.execute(
        "SELECT * FROM tool_calls WHERE tenant=? AND user=? AND key=? AND outcome IN ('started', 'done')",
        (caller.tenant, caller.user, key),
    ).fetchone()
    return _entry(row) if row else None


def noted(
    db: sqlite3.Connection,
    caller: Caller,
    *,
    tool: str,
    permission: str,
    arguments: Mapping[str, Any],
    outcome: Outcome,
    started_at: float,
    key: str | None = None,
    conversation_id: str | None = None,
    result: str | None = None,
    error: TouchstoneError | None = None,
) -> int:
    """Write a row. Raises ``sqlite3.IntegrityError`` when another call holds the key."""
    row = db.execute(
        "INSERT INTO tool_calls (tenant, user, conversation_id, tool, permission, arguments, outcome, result, error, key,"
        " started_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            caller.tenant,
            caller.user,
            conversation_id,
            tool,
            permission,
            written(arguments),
            outcome,
            result,
            error_to_json(error) if error else None,
            key,
            started_at,
            None if outcome == "started" else time.time(),
        ),
    )
    return row.lastrowid or 0


def ended(
    db: sqlite3.Connection, entry: int, outcome: Outcome, result: str | None, error: TouchstoneError | None
) -> None:
    """Close a row that was ``started``."""
    db.execute(
        "UPDATE tool_calls SET outcome=?, result=?, error=?, ended_at=? WHERE id=?",
        (outcome, result, error_to_json(error) if error else None, time.time(), entry),
    )


def written(value: Any) -> str:
    """``value`` as JSON; a date as ISO text, a dataclass as an object."""
    return clean(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value.isoformat()


def _entry(row: sqlite3.Row) -> JournalEntry:
    return JournalEntry(
        id=row["id"],
        tool=row["tool"],
        permission=row["permission"],
        arguments=json.loads(row["arguments"]),
        outcome=row["outcome"],
        result=json.loads(row["result"]) if row["result"] else None,
        error=json.loads(row["error"]) if row["error"] else None,
        key=row["key"],
        conversation_id=row["conversation_id"],
        user=row["user"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
