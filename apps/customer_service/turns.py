"""What became of each message to the assistant, and of each part of one that asks several things: the manager's figures
are made of it.

The texts of messages are in their table; a row goes with its conversation.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.types import Caller, Language
from core.workspace import Workspace

# said: a step on the way, such as a question for a value; done: a tool did it; handed_over: to a person
Outcome = Literal["answered", "refused", "said", "done", "handed_over", "small_talk", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A message, or of one that asks several things the part ``part``, from 0.

    ``first_s``: seconds until the first words of the answer. ``thumb`` is the customer's, where there is one.
    """

    question_id: int
    conversation_id: str
    user: str
    at: float
    language: Language
    intent: str | None
    outcome: Outcome
    first_s: float | None
    thumb: bool | None = None
    text: str = ""
    part: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one of several things that a message asks."""

    text: str
    intent: str | None
    probability: float | None
    outcome: Outcome


@dataclass(slots=True)
class Noting:
    """A turn under way: filled in as it goes on, written once at its end. ``parts`` where it has more than one."""

    began: float
    language: Language = "en"
    intent: str | None = None
    probability: float | None = None
    outcome: Outcome = "answered"
    first_s: float | None = None
    kept: bool = False
    parts: list[Part] = field(default_factory=list)

    def spoke(self) -> None:
        """The first words are there."""
        if self.first_s is None:
            self.first_s = time.monotonic() - self.began

    def begin(self) -> None:
        """Forget what was understood and what became of the part before."""
        self.intent, self.probability, self.outcome = None, None, "answered"

    def part(self, text: str) -> None:
        """Note as one of several what was filled in last."""
        self.parts.append(Part(text, self.intent, self.probability, self.outcome))


class Turns:
    """The turns of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def note(self, caller: Caller, conversation_id: str, question_id: int, noting: Noting) -> None:
        """Keep a turn; that of a question asked again takes the place of the first. One that is deleted is not kept."""
        row = (noting.language, noting.intent, noting.probability, noting.outcome, noting.first_s)
        with self._workspace.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO support_turns (question_id, conversation_id, tenant, user, at, language, intent,"
                " probability, outcome, first_s) SELECT id, ?, tenant, user, at, ?, ?, ?, ?, ? FROM messages"
                " WHERE id=? AND tenant=? AND user=?",
                (conversation_id, *row, question_id, caller.tenant, caller.user),
            )
            db.execute("DELETE FROM support_turn_parts WHERE question_id=?", (question_id,))
            db.executemany(
                "INSERT INTO support_turn_parts (question_id, part, text, intent, probability, outcome)"
                " SELECT question_id, ?, ?, ?, ?, ? FROM support_turns WHERE question_id=?",
                [
                    (number, part.text, part.intent, part.probability, part.outcome, question_id)
                    for number, part in enumerate(noting.parts)
                ],
            )

    def between(self, tenant: str, since: float, until: float, *, texts: bool = False) -> list[Turn]:
        """The turns of all customers of a tenant, oldest first, each part by itself; with ``texts``, what was asked too."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT t.question_id, t.conversation_id, t.user, t.at, t.language, t.first_s, f.thumb AS thumb,"
                " ifnull(p.part, 0) AS part, ifnull(p.outcome, t.outcome) AS outcome,"
                " iif(p.part IS NULL, t.intent, p.intent) AS intent"
                + (", ifnull(p.text, q.text) AS text" if texts else "")
                + " FROM support_turns AS t LEFT JOIN support_turn_parts AS p ON p.question_id=t.question_id"
                " LEFT JOIN messages AS a ON a.reply_to=t.question_id AND a.conversation_id=t.conversation_id"
                " LEFT JOIN feedback AS f ON f.message_id=a.id"
                + (" JOIN messages AS q ON q.id=t.question_id" if texts else "")
                + " WHERE t.tenant=? AND t.at>=? AND t.at<? ORDER BY t.at, t.question_id, part",
                (tenant, since, until),
            ).fetchall()
        return [_turn(row, texts) for row in rows]


def _turn(row: sqlite3.Row | Mapping[str, Any], texts: bool) -> Turn:
    return Turn(
        question_id=row["question_id"],
        conversation_id=row["conversation_id"],
        user=row["user"],
        at=row["at"],
        language=row["language"],
        intent=row["intent"],
        outcome=row["outcome"],
        first_s=row["first_s"],
        thumb=None if row["thumb"] is None else bool(row["thumb"]),
        text=row["text"] if texts else "",
        part=row["part"],
    )
