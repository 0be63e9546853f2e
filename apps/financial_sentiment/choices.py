"""What a tenant chose: alert rules, quiet hours, notes on licences of sources; and which alerts were handed over already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from apps.financial_sentiment import alerts, notices
from apps.financial_sentiment.alerts import Alert, Rule
from apps.financial_sentiment.journal import key
from apps.financial_sentiment.notices import Quiet
from core.types import Caller
from core.workspace import Workspace

LICENCE_LIMIT = 200


class Choices:
    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def rules(self, caller: Caller) -> list[Rule]:
        """The tenant's rules, or those that ship."""
        told = self._get(caller, "rules")
        return alerts.shipped() if told is None else alerts.read(json.dumps(told, ensure_ascii=False), "rules")

    def save_rules(self, caller: Caller, rules: Sequence[Rule] | None) -> None:
        """Use these rules from now on, for the past too; with ``None`` those that ship.

        Raises:
            InputError: a rule has a value that is not allowed, or an id comes twice.
        """
        rows = None if rules is None else [alerts.as_row(rule) for rule in rules]
        if rows is not None:
            alerts.read(json.dumps(rows, ensure_ascii=False), "rules")
        self._put(caller, "rules", rows)

    def quiet(self, caller: Caller) -> Quiet | None:
        told = self._get(caller, "quiet")
        return None if told is None else notices.read(told)

    def save_quiet(self, caller: Caller, quiet: Quiet | None) -> bool:
        """Whether that changed anything."""
        told = None if quiet is None else asdict(quiet)
        if told == self._get(caller, "quiet"):
            return False
        self._put(caller, "quiet", told)
        return True

    def licences(self, caller: Caller) -> dict[str, str]:
        """What was noted of sources' licences, by the name of the source."""
        told = self._get(caller, "licences")
        return dict(told or {})

    def save_licence(self, caller: Caller, source: str, note: str) -> None:
        """Note under which licence a source's items may be used; an empty note is forgotten."""
        notes = {**self.licences(caller), source: " ".join(note.split())[:LICENCE_LIMIT]}
        self._put(caller, "licences", {name: said for name, said in notes.items() if said} or None)

    def unsent(self, caller: Caller, channel: str, listed: Sequence[Alert]) -> list[Alert]:
        """Those of ``listed`` that were not handed over on ``channel``."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT rule, subject, at FROM news_notices WHERE tenant = ? AND channel = ?", (caller.tenant, channel)
            ).fetchall()
        sent = {tuple(row) for row in rows}
        return [alert for alert in listed if key(alert) not in sent]

    def sent(self, caller: Caller, channel: str, listed: Sequence[Alert], at: float) -> None:
        with self.workspace.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO news_notices VALUES (?, ?, ?, ?, ?, ?)",
                [(caller.tenant, channel, *key(alert), at) for alert in listed],
            )

    def _get(self, caller: Caller, name: str) -> Any:
        with self.workspace.read() as db:
            row = db.execute(
                "SELECT value FROM news_choices WHERE tenant = ? AND name = ?", (caller.tenant, name)
            ).fetchone()
        return None if row is None else json.loads(row["value"])

    def _put(self, caller: Caller, name: str, value: Any) -> None:
        with self.workspace.write() as db:
            if value is None:
                db.execute("DELETE FROM news_choices WHERE tenant = ? AND name = ?", (caller.tenant, name))
            else:
                db.execute(
                    "INSERT INTO news_choices VALUES (?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value",
                    (caller.tenant, name, json.dumps(value, ensure_ascii=False)),
                )
