"""The alerts with what people did about them: seen to, muted; nothing of it changes which alerts there are."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.journal import Entry, Mute, State
from apps.financial_sentiment.series import DAY
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk


class Inbox:
    """The inbox of a desk. What people do counts from now on; the past shows alerts as they stood then."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def listed(
        self, caller: Caller = LOCAL, *, at: float | None = None, since: float | None = None
    ) -> list[tuple[Alert, State]]:
        """The alerts of the last thirty days, newest first, each with how it stands."""
        at = time.time() if at is None else at
        standing = self.desk.journal.standing(caller, at)
        return [(alert, standing.state(alert)) for alert in self.desk.alerts(caller, at=at, since=since)]

    def acknowledge(self, alerts: Iterable[Alert], caller: Caller = LOCAL, *, note: str = "") -> None:
        """Say that somebody has seen to these alerts."""
        self.desk.journal.acknowledge(caller, alerts, time.time(), note=note)

    def reopen(self, alerts: Iterable[Alert], caller: Caller = LOCAL) -> None:
        self.desk.journal.reopen(caller, alerts, time.time())

    def mute(self, alert: Alert, caller: Caller = LOCAL, *, days: float, all_rules: bool = False) -> None:
        """Hand over no more alerts of this rule, or of any, about the alert's subject for so long.

        Raises:
            InputError: (``bad_value``) not more than 0, or more than 366 days.
        """
        now = time.time()
        subject = f"{alert.scope}:{alert.subject}"
        self.desk.journal.mute(caller, subject, now, until=now + days * DAY, rule="" if all_rules else alert.rule)

    def unmute(self, mute: Mute, caller: Caller = LOCAL) -> None:
        self.desk.journal.unmute(caller, mute.subject, time.time(), rule=mute.rule)

    def mutes(self, caller: Caller = LOCAL, *, at: float | None = None) -> tuple[Mute, ...]:
        """The mutes that are on."""
        at = time.time() if at is None else at
        return self.desk.journal.standing(caller, at).muted_now(at)

    def log(self, caller: Caller = LOCAL, *, at: float | None = None, limit: int = 100) -> list[Entry]:
        """What people did, the newest first: alerts, rules and quiet hours."""
        return self.desk.journal.entries(caller, time.time() if at is None else at, limit=limit)
