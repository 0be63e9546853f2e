"""Which embedding model serves a workspace: the one in the settings, until a migration chose another.

The newest word counts: once the settings name another model than they did at the time of the choice, they win.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

from core.workspace import Workspace

_FACT = "embedding"


@dataclass(frozen=True, slots=True)
class Choice:
    """``model`` in place of ``previous``, made while the settings named ``setting``."""

    model: str
    previous: str
    setting: str
    at: float


def serving(workspace: Workspace, setting: str) -> str:
    """The name of the model that serves while the settings name ``setting``."""
    made = current(workspace)
    return made.model if made is not None and setting in (made.setting, made.model) else setting


def current(workspace: Workspace) -> Choice | None:
    """The last choice, in force or not."""
    with workspace.read() as db:
        row = db.execute("SELECT value FROM facts WHERE name = ?", (_FACT,)).fetchone()
    return Choice(**json.loads(row[0])) if row is not None else None


def choose(workspace: Workspace, model: str, *, previous: str, setting: str) -> Choice:
    """From the next question on ``model`` serves."""
    made = Choice(model, previous, setting, time.time())
    with workspace.write() as db:
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_FACT, json.dumps(asdict(made))))
    return made
