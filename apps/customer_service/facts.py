"""What a customer agreed to have remembered: the accounts they proved, to choose from in their next conversation.

Without their yes nothing is kept, and a no deletes what was. A fact is offered and never taken for granted: its account has to be proved
again before anything of it is told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.types import Caller
from core.workspace import Workspace

CONSENT = "support_remember"  # the preference in which a person agrees
MOST = 5  # values of a slot that are kept, the newest


class Facts:
    """The facts of all customers of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def agrees(self, caller: Caller) -> bool:
        with self._workspace.read() as db:
            row = db.execute(
                "SELECT 1 FROM preferences WHERE tenant=? AND user=? AND name=? AND value='yes'",
                (caller.tenant, caller.user, CONSENT),
            ).fetchone()
        return row is not None

    def agree(self, caller: Caller, yes: bool) -> None:
        """Let what the caller proves be remembered, or forget it."""
        who = (caller.tenant, caller.user)
        with self._workspace.write() as db:
            db.execute(
                "INSERT INTO preferences (tenant, user, name, value) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (tenant, user, name) DO UPDATE SET value=excluded.value",
                (*who, CONSENT, "yes" if yes else "no"),
            )
            if not yes:
                db.execute("DELETE FROM support_facts WHERE tenant=? AND user=?", who)

    def note(self, caller: Caller, slot: str, value: str) -> None:
        """Remember ``value``, if the caller agreed."""
        who = (caller.tenant, caller.user)
        with self._workspace.write() as db:  # one transaction, so that a no given meanwhile holds
            db.execute(
                "INSERT INTO support_facts (tenant, user, slot, value, at) SELECT tenant, user, ?, ?, ? FROM preferences"
                " WHERE tenant=? AND user=? AND name=? AND value='yes'"
                " ON CONFLICT (tenant, user, slot, value) DO UPDATE SET at=excluded.at",
                (slot, value, time.time(), *who, CONSENT),
            )
            db.execute(
                "DELETE FROM support_facts WHERE tenant=? AND user=? AND slot=? AND value NOT IN (SELECT value"
                " FROM support_facts WHERE tenant=? AND user=? AND slot=? ORDER BY at DESC, value LIMIT ?)",
                (*who, slot, *who, slot, MOST),
            )

    def of(self, caller: Caller, slot: str | None = None) -> Sequence[str]:
        """The values of ``slot``, or of all slots, newest first."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT value FROM support_facts WHERE tenant=? AND user=? AND slot=coalesce(?, slot) ORDER BY at DESC, value",
                (caller.tenant, caller.user, slot),
            ).fetchall()
        return [row["value"] for row in rows]
