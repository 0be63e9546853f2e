"""Conversations handed over to a person: the cases, and what the person is told.

A case is open while it is ``waiting`` or ``taken``; a conversation has at most one. While one is taken, or waits within
business hours, the assistant is silent. Every call names its caller; a customer sees their own case, an agent those of
the tenant.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import NotFound
from core.tools.journal import written
from core.transcripts import StoredMessage
from core.types import Caller, Language
from core.workspace import Workspace

Cause = Literal["asked", "rule", "frustration", "misses", "tool_failure"]
CaseState = Literal["waiting", "taken", "closed"]
_TRIED = 4  # sources told to the person


@dataclass(frozen=True, slots=True)
class Case:
    """``brief``: see :func:`brief_of`. ``after_hours``: nobody was there, so a ticket was opened and a reply promised."""

    id: int
    user: str
    conversation_id: str
    cause: Cause
    state: CaseState
    after_hours: bool
    ticket: str | None
    language: Language
    intent: str | None
    brief: Mapping[str, Any]
    agent: str | None
    created_at: float
    taken_at: float | None
    closed_at: float | None

    @property
    def silences(self) -> bool:
        """Whether the assistant keeps quiet."""
        return self.state == "taken" or (self.state == "waiting" and not self.after_hours)


class Cases:
    """The cases of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def open(
        self,
        caller: Caller,
        conversation_id: str,
        *,
        cause: Cause,
        language: Language,
        intent: str | None,
        brief: Mapping[str, Any],
        after_hours: bool = False,
    ) -> Case:
        """Open a case for the caller's conversation; the open one when there is one already."""
        with self._workspace.write() as db:
            db.execute(
                "INSERT INTO desk_cases (tenant, user, conversation_id, cause, state, after_hours, language, intent,"
                " brief, created_at) VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    caller.tenant,
                    caller.user,
                    conversation_id,
                    cause,
                    int(after_hours),
                    language,
                    intent,
                    written(brief),
                    time.time(),
                ),
            )
            row = db.execute(_OPEN, (caller.tenant, conversation_id)).fetchone()
        return _case(row)

    def set_ticket(self, case: Case, ticket: str) -> None:
        with self._workspace.write() as db:
            db.execute("UPDATE desk_cases SET ticket=? WHERE id=?", (ticket, case.id))

    def of_conversation(self, caller: Caller, conversation_id: str) -> Case | None:
        """The open case of a conversation of the caller's tenant."""
        with self._workspace.read() as db:
            row = db.execute(_OPEN, (caller.tenant, conversation_id)).fetchone()
        return _case(row) if row else None

    def get(self, caller: Caller, case_id: int) -> Case:
        """
        Raises:
            NotFound: the tenant has no such case.
        """
        with self._workspace.read() as db:
            row = db.execute("SELECT * FROM desk_cases WHERE tenant=? AND id=?", (caller.tenant, case_id)).fetchone()
        if row is None:
            raise NotFound(kind="case", value=case_id)
        return _case(row)

    def queue(self, caller: Caller, *states: CaseState, limit: int = 50) -> list[Case]:
        """Cases of the tenant, those that wait longest first; by default the open ones."""
        wanted = states or ("waiting", "taken")
        marks = ", ".join("?" * len(wanted))
        with self._workspace.read() as db:
            rows = db.execute(
                f"SELECT * FROM desk_cases WHERE tenant=? AND state IN ({marks})"
                " ORDER BY state='taken', created_at, id LIMIT ?",
                (caller.tenant, *wanted, limit),
            ).fetchall()
        return [_case(row) for row in rows]

    def between(self, caller: Caller, since: float, until: float) -> list[Case]:
        """The cases of the tenant that were opened in a period, whatever became of them."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT * FROM desk_cases WHERE tenant=? AND created_at>=? AND created_at<? ORDER BY created_at, id",
                (caller.tenant, since, until),
            ).fetchall()
        return [_case(row) for row in rows]

    def take(self, caller: Caller, case_id: int) -> bool:
        """Take a waiting case; ``False`` when somebody else was quicker. One's own stays one's own."""
        with self._workspace.write() as db:
            db.execute(
                "UPDATE desk_cases SET state='taken', agent=?, taken_at=? WHERE tenant=? AND id=? AND state='waiting'",
                (caller.user, time.time(), caller.tenant, case_id),
            )
            row = db.execute(
                "SELECT agent, state FROM desk_cases WHERE tenant=? AND id=?", (caller.tenant, case_id)
            ).fetchone()
        return row is not None and row["state"] == "taken" and row["agent"] == caller.user

    def close(self, caller: Caller, case_id: int) -> bool:
        """Close an open case; ``False`` when it was closed before."""
        with self._workspace.write() as db:
            changed = db.execute(
                "UPDATE desk_cases SET state='closed', closed_at=? WHERE tenant=? AND id=? AND state<>'closed'",
                (time.time(), caller.tenant, case_id),
            ).rowcount
        return bool(changed)


_OPEN = "SELECT * FROM desk_cases WHERE tenant=? AND conversation_id=? AND state IN ('waiting', 'taken')"


def _case(row: sqlite3.Row) -> Case:
    return Case(
        id=row["id"],
        user=row["user"],
        conversation_id=row["conversation_id"],
        cause=row["cause"],
        state=row["state"],
        after_hours=bool(row["after_hours"]),
        ticket=row["ticket"],
        language=row["language"],
        intent=row["intent"],
        brief=json.loads(row["brief"]),
        agent=row["agent"],
        created_at=row["created_at"],
        taken_at=row["taken_at"],
        closed_at=row["closed_at"],
    )


def brief_of(
    messages: Sequence[StoredMessage],
    *,
    intent: str | None,
    slots: Mapping[str, Any],
    proved: Sequence[str],
    said: str,
) -> dict[str, Any]:
    """What a person needs at a glance: first and last words of the customer, what was tried, what is known.

    ``tried`` are the documents that answers were made of or that came nearest, newest first, with the best quote.
    """
    asked = [turn.text for turn in messages if turn.role == "user"]
    tried: dict[str, dict[str, Any]] = {}
    for turn in reversed(messages):
        answer = turn.answer()
        for citation in answer.citations if answer else ():
            tried.setdefault(citation.title, {"title": citation.title, "quote": citation.quote, "mode": answer.mode})  # type: ignore[union-attr]  # there is one
    return {
        "first": asked[0] if asked else said,
        "last": said,
        "turns": len(asked),
        "intent": intent,
        "slots": dict(slots),
        "proved": list(proved),
        "tried": list(tried.values())[:_TRIED],
    }
