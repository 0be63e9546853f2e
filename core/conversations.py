"""Conversations kept in the workspace: messages with their sources, feedback, export.

One store for every app. Each call names its :class:`~core.types.Caller`, and each statement carries the
caller's tenant and user, so that nobody sees or changes another's conversation. A streamed answer is a
:class:`Draft`: what is shown is stored first, so a killed process loses nothing that was on a screen.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from core.errors import InputError, NotFound, TouchstoneError
from core.i18n import Phrase
from core.processes import alive, host, process_start
from core.transcripts import (
    Conversation,
    Feedback,
    Format,
    State,
    StoredMessage,
    answer_to_json,
    as_json,
    as_markdown,
    card_to_json,
    clean,
    error_to_json,
    notices_to_json,
)
from core.types import Answer, Caller
from core.workspace import Workspace

TITLE_LIMIT = 120  # characters
SILENCE_S = 60.0  # a writer on another machine counts as gone after this many seconds without a sign of life

_TOKEN = secrets.token_hex(4)  # tells this process from an earlier one that had the same number
_active: set[tuple[str, int]] = set()  # (database, message) of every draft that this process is writing


class Conversations:
    """The conversations of one app."""

    def __init__(self, workspace: Workspace, app: str) -> None:
        self._workspace = workspace
        self.app = app

    # --- conversations ------------------------------------------------------------------------

    def create(self, caller: Caller, title: str = "") -> Conversation:
        now = time.time()
        made = Conversation(secrets.token_urlsafe(9), _title(title), now, now)
        with self._workspace.write() as db:
            db.execute(
                "INSERT INTO conversations (id, app, tenant, user, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (made.id, self.app, caller.tenant, caller.user, made.title, now, now),
            )
        return made

    def get(self, caller: Caller, conversation_id: str) -> Conversation:
        """The caller's conversation.

        Raises:
            NotFound: there is none with this id, or it is another's; the two look the same.
        """
        with self._workspace.read() as db:
            row = db.execute(
                f"SELECT {_CONVERSATION} FROM conversations WHERE id=? AND app=? AND tenant=? AND user=?",
                (clean(conversation_id), self.app, caller.tenant, caller.user),
            ).fetchone()
        if row is None:
            raise NotFound(kind=Phrase("word.conversation"), value=conversation_id)
        return Conversation(*row)

    def recent(self, caller: Caller, query: str = "", *, limit: int = 30, offset: int = 0) -> list[Conversation]:
        """The caller's conversations, last used first; with ``query``, those whose title or text contains it."""
        where, values = "app=? AND tenant=? AND user=?", [self.app, caller.tenant, caller.user]
        if words := clean(query).strip():
            pattern = "%" + re.sub(r"([%_\\])", r"\\\1", words) + "%"
            where += (
                r" AND (title LIKE ? ESCAPE '\' OR EXISTS (SELECT 1 FROM messages"
                r" WHERE conversation_id=conversations.id AND text LIKE ? ESCAPE '\'))"
            )
            values += [pattern, pattern]
        with self._workspace.read() as db:
            rows = db.execute(
                f"SELECT {_CONVERSATION} FROM conversations WHERE {where} ORDER BY updated_at DESC, id LIMIT ? OFFSET ?",
                (*values, limit, offset),
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def rename(self, caller: Caller, conversation_id: str, title: str) -> None:
        """Give a new title.

        Raises:
            InputError: the title is empty.
        """
        if not (title := _title(title)):
            raise InputError(reason="empty_title")
        self._change(caller, conversation_id, "UPDATE conversations SET title=? WHERE", title)

    def delete(self, caller: Caller, conversation_id: str) -> None:
        """Delete the conversation with its messages and feedback."""
        self._change(caller, conversation_id, "DELETE FROM conversations WHERE")

    def _change(self, caller: Caller, conversation_id: str, statement: str, *values: str) -> None:
        with self._workspace.write() as db:
            owned = (clean(conversation_id), self.app, caller.tenant, caller.user)
            changed = db.execute(f"{statement} id=? AND app=? AND tenant=? AND user=?", (*values, *owned)).rowcount
        if not changed:
            raise NotFound(kind=Phrase("word.conversation"), value=conversation_id)

    # --- messages -----------------------------------------------------------------------------

    def messages(
        self, caller: Caller, conversation_id: str, *, limit: int = 30, before: int | None = None
    ) -> list[StoredMessage]:
        """The newest ``limit`` messages (older than message ``before``), oldest first.

        An answer that a dead process left unfinished comes back as ``stopped``.
        """
        self.get(caller, conversation_id)
        with self._workspace.read() as db:
            rows = db.execute(
                f"{_MESSAGE} WHERE m.conversation_id=? AND m.tenant=? AND m.user=? AND m.id < ? ORDER BY m.id DESC LIMIT ?",
                (clean(conversation_id), caller.tenant, caller.user, before or 1 << 62, limit),
            ).fetchall()
        return [self._message(row) for row in reversed(rows)]

    def message(self, caller: Caller, message_id: int) -> StoredMessage:
        """One message of the caller in this app, or ``NotFound``."""
        with self._workspace.read() as db:
            row = db.execute(
                f"{_MESSAGE} JOIN conversations AS c ON c.id=m.conversation_id"
                " WHERE m.id=? AND m.tenant=? AND m.user=? AND c.app=?",
                (message_id, caller.tenant, caller.user, self.app),
            ).fetchone()
        if row is None:
            raise NotFound(kind=Phrase("word.message"), value=message_id)
        return self._message(row)

    def ask(self, caller: Caller, conversation_id: str, question: str, *, trace_id: str | None = None) -> Draft:
        """Store a question and begin its answer, in one transaction. An untitled conversation takes its title."""
        question = clean(question)
        now = time.time()
        with self._workspace.write() as db:
            self._touch(db, caller, conversation_id, now, question)
            asked = db.execute(
                "INSERT INTO messages (conversation_id, tenant, user, role, state, text, at, trace_id)"
                " VALUES (?, ?, ?, 'user', 'done', ?, ?, ?)",
                (conversation_id, caller.tenant, caller.user, question, now, trace_id),
            ).lastrowid
            return self._begin(db, caller, conversation_id, asked, now, trace_id)

    def say(
        self,
        caller: Caller,
        conversation_id: str,
        role: Literal["user", "assistant", "agent"],
        text: str,
        *,
        card: Mapping[str, Any] | None = None,
    ) -> int:
        """Store a message that is whole and replies to no question; gives its id.

        ``caller`` is the owner of the conversation, whoever speaks.
        """
        now = time.time()
        with self._workspace.write() as db:
            self._touch(db, caller, conversation_id, now, text if role == "user" else "")
            row = db.execute(
                "INSERT INTO messages (conversation_id, tenant, user, role, state, text, at, card)"
                " VALUES (?, ?, ?, ?, 'done', ?, ?, ?)",
                (
                    conversation_id,
                    caller.tenant,
                    caller.user,
                    role,
                    clean(text),
                    now,
                    card_to_json(card) if card else None,
                ),
            )
        return row.lastrowid or 0

    def again(self, caller: Caller, question_id: int, *, trace_id: str | None = None) -> tuple[str, Draft]:
        """Drop the answer to a question and begin a new one; gives the question and the draft."""
        asked = self.message(caller, question_id)
        now = time.time()
        with self._workspace.write() as db:
            self._touch(db, caller, asked.conversation_id, now, asked.text)
            db.execute(
                "DELETE FROM messages WHERE reply_to=? AND tenant=? AND user=?",
                (question_id, caller.tenant, caller.user),
            )
            return asked.text, self._begin(db, caller, asked.conversation_id, question_id, now, trace_id)

    def _touch(self, db: sqlite3.Connection, caller: Caller, conversation_id: str, now: float, question: str) -> None:
        changed = db.execute(
            "UPDATE conversations SET updated_at=?, title=CASE title WHEN '' THEN ? ELSE title END"
            " WHERE id=? AND app=? AND tenant=? AND user=?",
            (now, _title(question)[:60], conversation_id, self.app, caller.tenant, caller.user),
        ).rowcount
        if not changed:
            raise NotFound(kind=Phrase("word.conversation"), value=conversation_id)

    def _begin(
        self,
        db: sqlite3.Connection,
        caller: Caller,
        conversation_id: str,
        question_id: int | None,
        now: float,
        trace_id: str | None,
    ) -> Draft:
        row = db.execute(
            "INSERT INTO messages (conversation_id, tenant, user, role, state, text, at, reply_to, writer, beat_at, trace_id)"
            " VALUES (?, ?, ?, 'assistant', 'streaming', '', ?, ?, ?, ?, ?)",
            (conversation_id, caller.tenant, caller.user, now, question_id, _writer(), now, trace_id),
        )
        return Draft(self._workspace, conversation_id, question_id or 0, row.lastrowid or 0)

    def _message(self, row: sqlite3.Row) -> StoredMessage:
        state = row["state"]
        if state == "streaming" and not _alive(row["writer"], row["beat_at"], (str(self._workspace.path), row["id"])):
            state = "stopped"
        return StoredMessage(
            id=row["id"],
            conversation_id=row["conversation_id"],
            role=row["role"],
            state=state,
            text=row["text"],
            at=row["at"],
            reply_to=row["reply_to"],
            trace_id=row["trace_id"],
            model=row["model"],
            prompt=row["prompt"],
            notices=json.loads(row["notices"]) if row["notices"] else {},
            error=json.loads(row["error"]) if row["error"] else None,
            up=None if row["thumb"] is None else bool(row["thumb"]),
            comment=row["comment"] or "",
            answer_json=row["answer"],
            card=json.loads(row["card"]) if row["card"] else None,
        )

    # --- feedback -----------------------------------------------------------------------------

    def rate(self, caller: Caller, message_id: int, up: bool | None, comment: str = "") -> None:
        """Keep a thumb on an answer; ``None`` takes it back. A later one replaces an earlier one."""
        rated = self.message(caller, message_id)
        if rated.role != "assistant":
            raise NotFound(kind=Phrase("word.answer"), value=message_id)
        with self._workspace.write() as db:
            db.execute("DELETE FROM feedback WHERE message_id=?", (message_id,))
            if up is not None:
                db.execute(
                    "INSERT INTO feedback (message_id, app, tenant, user, thumb, comment, trace_id, model, prompt, at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        message_id,
                        self.app,
                        caller.tenant,
                        caller.user,
                        int(up),
                        clean(comment).strip()[:2000],
                        rated.trace_id,
                        rated.model,
                        rated.prompt,
                        time.time(),
                    ),
                )

    def feedback(self, caller: Caller, *, limit: int = 100) -> list[Feedback]:
        """The caller's own thumbs, newest first."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT f.message_id, m.conversation_id, f.thumb, f.comment, f.trace_id, f.model, f.prompt, f.at"
                " FROM feedback AS f JOIN messages AS m ON m.id=f.message_id"
                " WHERE f.app=? AND f.tenant=? AND f.user=? ORDER BY f.at DESC LIMIT ?",
                (self.app, caller.tenant, caller.user, limit),
            ).fetchall()
        return [replace(Feedback(*row), up=bool(row["thumb"])) for row in rows]

    # --- export -------------------------------------------------------------------------------

    def export(self, caller: Caller, conversation_id: str, form: Format, language: str = "en") -> str:
        """The whole conversation as Markdown to read or as JSON to keep."""
        if form not in get_args(Format):
            raise InputError(reason="bad_value", name="form", value=form, allowed=", ".join(get_args(Format)))
        conversation = self.get(caller, conversation_id)
        turns = self.messages(caller, conversation_id, limit=-1)
        if form == "json":
            return as_json(self.app, conversation, turns)
        return as_markdown(conversation, turns, language)


class Draft:
    """An answer being written. Leave it through ``finish``; one that is only abandoned is shown as stopped."""

    def __init__(self, workspace: Workspace, conversation_id: str, question_id: int, message_id: int) -> None:
        self.conversation_id = conversation_id
        self.question_id = question_id
        self.message_id = message_id
        self._workspace = workspace
        self._key = (str(workspace.path), message_id)
        _active.add(self._key)

    def write(self, text: str, answer: Answer | None = None) -> None:
        """Store the text so far (and the sources known so far). Call it before the text is shown."""
        with self._workspace.write() as db:
            db.execute(
                "UPDATE messages SET text=?, beat_at=?, answer=coalesce(?, answer) WHERE id=? AND state='streaming'",
                (clean(text), time.time(), answer_to_json(answer) if answer else None, self.message_id),
            )

    def finish(
        self,
        state: State,
        text: str,
        *,
        answer: Answer | None = None,
        error: TouchstoneError | None = None,
        notices: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        card: Mapping[str, Any] | None = None,
    ) -> None:
        """Store the end of the answer: ``done``, ``stopped`` by the reader, or ``failed`` with its error.

        ``notices`` are the parameters of ``answer.notices`` by code; ``card`` is what the app shows beside the text.
        """
        said = {code: notices.get(code, {}) for code in answer.notices} if answer else {}
        try:
            with self._workspace.write() as db:
                db.execute(
                    "UPDATE messages SET state=?, text=?, writer=NULL, beat_at=?, answer=coalesce(?, answer),"
                    " notices=?, model=?, prompt=?, error=?, card=? WHERE id=? AND state='streaming'",
                    (
                        state,
                        clean(text),
                        time.time(),
                        answer_to_json(answer) if answer else None,
                        notices_to_json(said) if said else None,
                        answer.model if answer else None,
                        answer.prompt if answer else None,
                        error_to_json(error) if error else None,
                        card_to_json(card) if card else None,
                        self.message_id,
                    ),
                )
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go without storing anything more."""
        _active.discard(self._key)

    __del__ = abandon


# --- small parts ----------------------------------------------------------------------------------

_CONVERSATION = "id, title, created_at, updated_at"
_MESSAGE = "SELECT m.*, f.thumb, f.comment FROM messages AS m LEFT JOIN feedback AS f ON f.message_id=m.id"


def _title(text: str) -> str:
    return " ".join(clean(text[: 4 * TITLE_LIMIT]).split())[:TITLE_LIMIT]


def _writer() -> str:
    return f"{host()}/{os.getpid()}/{process_start(os.getpid())}/{_TOKEN}"


def _alive(writer: str | None, beat_at: float | None, key: tuple[str, int]) -> bool:
    """Whether the process that streams a message is still at it."""
    if writer is None:
        return False
    if writer == _writer():
        return key in _active
    on, pid, started, _ = writer.rsplit("/", 3) if writer.count("/") >= 3 else ("", "0", "", "")
    if alive(on, int(pid), started) is False or (on == host() and int(pid) == os.getpid()):
        return False
    return time.time() - (beat_at or 0.0) < SILENCE_S
