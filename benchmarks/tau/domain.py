"""A domain opened over a workspace, and the calls of one conversation in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.tau import airline, records, retail
from core.tools import ToolResult, Tools
from core.types import Caller
from core.workspace import Workspace

NOBODY = ""
DOMAINS = {"retail": retail, "airline": airline}
_keys = itertools.count()


@dataclass(frozen=True, slots=True)
class Domain:
    """Tools over the database of one domain."""

    name: str
    workspace: Workspace
    tools: Tools

    def call(
        self, customer: str, name: str, arguments: Mapping[str, Any], *, confirmed: bool = True, key: str | None = None
    ) -> ToolResult:
        """One call for the customer of the conversation. A write that the customer has not confirmed is not allowed."""
        allowed = frozenset({"read", "write"}) if confirmed else frozenset({"read"})
        turn = self.tools.turn(Caller("tau", customer, frozenset()), allowed=allowed, steps=1)  # type: ignore[arg-type]
        return turn.call(name, arguments, key=key or f"{self.name}-{next(_keys)}")

    def owner(self, arguments: Mapping[str, Any]) -> str:
        """Whose record a call is about; nobody's when it is about no record, or one that is not there."""
        if "user_id" in arguments:
            return str(arguments["user_id"])
        with self.workspace.read() as db:
            for name, kind in (("order_id", "orders"), ("reservation_id", "reservations")):
                if name in arguments:
                    row = records.look(db, kind, arguments[name])
                    return str(row["user_id"]) if row else NOBODY
        return NOBODY

    def changes(self) -> list[records.Change]:
        with self.workspace.read() as db:
            return records.changes(db)

    def restore(self) -> None:
        with self.workspace.write() as db:
            records.restore(db)


@contextmanager
def opened(name: str, data: Mapping[str, Mapping[str, records.Record]]) -> Iterator[Domain]:
    """The domain with ``data`` (see its ``load``) in a workspace of its own."""
    with TemporaryDirectory() as home:
        workspace = Workspace.open(Path(home))
        try:
            with workspace.write() as db:
                records.create(db, data)
            yield Domain(name, workspace, Tools(DOMAINS[name].TOOLS, workspace))
        finally:
            workspace.close()


def tasks(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "tasks.json").read_text("utf-8"))
    return found
