"""Calling tools: arguments checked, permission asked, every call journalled, every write done once.

A write through the given connection is one transaction with its journal row, so a killed process has done either both
or nothing, and a call with the same key afterwards does it or finds it done. A write in a system of its own is
journalled as ``started`` first; when a process dies in between nobody here can know whether it was done, and the next
call with the key says so instead of guessing, unless the tool takes the key along (:data:`Idempotency`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.errors import NotAllowed, StepLimit, ToolError, ToolFailed, ToolRefused, TouchstoneError, UnknownName
from core.i18n import Phrase
from core.tools.definition import Idempotency, Permission, ToolDefinition
from core.tools.journal import JournalEntry, ToolResult, ended, holder, noted, written
from core.types import Caller, Tool
from core.workspace import Workspace

STEPS = 8  # calls of one turn
log = logging.getLogger(__name__)


class Tools:
    """A set of tools over one workspace."""

    def __init__(self, tools: Iterable[ToolDefinition], workspace: Workspace) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self.workspace = workspace

    def __iter__(self) -> Iterator[ToolDefinition]:
        return iter(self._tools.values())

    def __getitem__(self, name: str) -> ToolDefinition:
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownName(kind="tool", value=name, allowed=", ".join(self._tools) or "–") from None

    def offered(self, *permissions: Permission) -> tuple[Tool, ...]:
        """The tools of these permissions for ``Options.tools``; by default those that only read."""
        return tuple(tool.offered() for tool in self if tool.permission in (permissions or ("read",)))

    def turn(
        self,
        caller: Caller,
        *,
        conversation_id: str | None = None,
        allowed: frozenset[Permission] = frozenset({"read"}),
        steps: int = STEPS,
    ) -> ToolTurn:
        """The calls of one turn of a conversation."""
        return ToolTurn(self, caller, conversation_id, allowed, steps)


class ToolTurn:
    """May call at most ``steps`` tools, and only with the ``allowed`` permissions."""

    def __init__(
        self, tools: Tools, caller: Caller, conversation_id: str | None, allowed: frozenset[Permission], steps: int
    ) -> None:
        self._tools = tools
        self._caller = caller
        self._conversation_id = conversation_id
        self._allowed = allowed
        self._steps = steps
        self.taken = 0

    def call(self, name: str, arguments: Mapping[str, Any] | str, *, key: str | None = None) -> ToolResult:
        """Call a tool. ``arguments`` is a mapping or the JSON text of one.

        Args:
            key: stands for one write; required for a write. With a key that was done the first result comes back.

        Raises:
            UnknownName: there is no such tool.
            StepLimit: the turn has taken its steps.
            NotAllowed: the turn may not write.
            BadArguments: the arguments are not allowed.
            ToolRefused: the tool's own rules forbid it; nothing was done.
            ToolFailed: the tool broke, or it is not known whether an earlier call with ``key`` was done.
        """
        tool = self._tools[name]
        if self.taken >= self._steps:
            raise StepLimit(limit=self._steps, tool=name)
        self.taken += 1
        started, raw = time.time(), arguments if isinstance(arguments, Mapping) else {"json": str(arguments)[:2000]}
        try:
            if tool.permission not in self._allowed:
                raise NotAllowed(action=Phrase("tools.action", tool=name), role=tool.permission)
            values = tool.checked(arguments)
        except TouchstoneError as error:
            self._note(tool, raw, "refused", started, error=error)
            raise
        if tool.permission == "read":
            return self._read(tool, values, started)
        if not key:
            raise ValueError(f"a call of {name} writes and needs a key")
        return self._written(tool, values, key, started)

    def _read(self, tool: ToolDefinition, values: Mapping[str, Any], started: float) -> ToolResult:
        try:
            with self._tools.workspace.snapshot() as db:
                db.execute("PRAGMA query_only=ON")
                try:
                    value = tool.run(values, db=db, caller=self._caller, key="")
                finally:
                    db.execute("PRAGMA query_only=OFF")
            text = written(value)
        except ToolRefused as error:
            self._note(tool, values, "refused", started, error=error)
            raise
        except Exception as error:
            raise self._failed(tool, values, started, error) from error
        entry = self._note(tool, values, "done", started, result=text)
        return ToolResult(tool.name, json.loads(text), entry)

    def _written(self, tool: ToolDefinition, values: Mapping[str, Any], key: str, started: float) -> ToolResult:
        apart = not tool.in_transaction
        entry = 0
        try:
            with self._tools.workspace.write() as db:
                earlier = holder(db, self._caller, key)
                if earlier is not None:
                    pass
                elif apart:
                    entry = self._row(db, tool, values, "started", started, key=key)
                else:
                    value = tool.run(values, db=db, caller=self._caller, key=key)
                    text = written(value)
                    entry = self._row(db, tool, values, "done", started, key=key, result=text)
        except ToolError as error:
            if not isinstance(error, ToolFailed):  # a failure is journalled where it is made
                self._note(tool, values, "refused", started, key=key, error=error)
            raise
        except Exception as error:
            raise self._failed(tool, values, started, error, key=key) from error
        if earlier is not None:
            return self._again(tool, earlier, values, key)
        if apart:
            return self._outside(tool, values, key, entry)
        return ToolResult(tool.name, json.loads(text), entry)

    def _again(self, tool: ToolDefinition, earlier: JournalEntry, values: Mapping[str, Any], key: str) -> ToolResult:
        if earlier.outcome == "done":
            return ToolResult(tool.name, earlier.result, earlier.id, replayed=True)
        if Idempotency in tool.given.values():  # its own system knows the key
            return self._outside(tool, values, key, earlier.id)
        raise ToolFailed(reason="unknown_outcome", tool=tool.name, key=key)

    def _outside(self, tool: ToolDefinition, values: Mapping[str, Any], key: str, entry: int) -> ToolResult:
        """The call of a tool with a system of its own; its row is ``started``."""
        try:
            text = written(tool.run(values, db=self._tools.workspace.connection(), caller=self._caller, key=key))
        except ToolRefused as error:
            with self._tools.workspace.write() as db:
                ended(db, entry, "refused", None, error)
            raise
        except Exception as error:
            # Whether it was done is not known: the row stays `started` and holds its key.
            log.exception("tool %s failed", tool.name)
            raise ToolFailed(tool=tool.name, detail=type(error).__name__) from error
        with self._tools.workspace.write() as db:
            ended(db, entry, "done", text, None)
        return ToolResult(tool.name, json.loads(text), entry)

    def _failed(
        self,
        tool: ToolDefinition,
        values: Mapping[str, Any],
        started: float,
        error: Exception,
        *,
        key: str | None = None,
    ) -> ToolFailed:
        """Journal a failure; the customer is told that it failed, the log has the details."""
        log.error("tool %s failed", tool.name, exc_info=error)
        failed = ToolFailed(tool=tool.name, detail=type(error).__name__)
        self._note(tool, values, "failed", started, key=key, error=failed)
        return failed

    def _note(self, tool: ToolDefinition, values: Mapping[str, Any], outcome: Any, started: float, **more: Any) -> int:
        with self._tools.workspace.write() as db:
            return self._row(db, tool, values, outcome, started, **more)

    def _row(
        self, db: Any, tool: ToolDefinition, values: Mapping[str, Any], outcome: Any, started: float, **more: Any
    ) -> int:
        return noted(
            db,
            self._caller,
            tool=tool.name,
            permission=tool.permission,
            arguments=values,
            outcome=outcome,
            started_at=started,
            conversation_id=self._conversation_id,
            **more,
        )
