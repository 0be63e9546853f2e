"""Handing alerts over: what a channel has not had yet, when quiet hours allow, without what somebody muted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.notices import LONGEST_S, Notice, Quiet, notices
from apps.financial_sentiment.series import DAY
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk


class Delivery:
    """The delivery of a desk's alerts."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def notices(
        self, caller: Caller = LOCAL, *, at: float | None = None, since: float | None = None
    ) -> tuple[list[Notice], list[Alert]]:
        """When the alerts since ``since`` are handed over, and those that quiet hours hold; without those that are muted.

        Args:
            since: by default a day before, or as long as the market of the quiet hours may be closed.
        """
        at = time.time() if at is None else at
        since = at - self._longest(caller, DAY) if since is None else since
        standing = self.desk.journal.standing(caller, at)
        listed = [a for a in self.desk.alerts(caller, at=at, since=since) if standing.state(a) != "muted"]
        return notices(listed, self.quiet(caller), at)

    def hand_over(
        self, to: Callable[[Notice], None], caller: Caller = LOCAL, *, channel: str, at: float | None = None
    ) -> int:
        """Give ``to`` the notices of the last two days that ``channel`` has not had; returns how many.

        A notice is kept as handed over after ``to`` returned, so one during which the process dies comes again.
        """
        at = time.time() if at is None else at
        due, _ = self.notices(caller, at=at, since=at - self._longest(caller, 2 * DAY))
        count = 0
        for notice in due:
            if notice.at < at - 2 * DAY:
                continue
            if new := tuple(self.desk.choices.unsent(caller, channel, notice.alerts)):
                to(replace(notice, alerts=new))
                self.desk.choices.sent(caller, channel, new, at)
                count += 1
        return count

    def quiet(self, caller: Caller = LOCAL) -> Quiet | None:
        """The hours in which alerts are gathered instead of handed over one by one."""
        return self.desk.choices.quiet(caller)

    def save_quiet(self, hours: Quiet | None, caller: Caller = LOCAL) -> None:
        if not self.desk.choices.save_quiet(caller, hours):
            return
        told = f"{hours.begin} – {hours.end} {hours.zone} {hours.market}" if hours else ""
        self.desk.journal.note(caller, "quiet" if hours else "quiet_off", time.time(), told)

    def _longest(self, caller: Caller, otherwise: float) -> float:
        quiet = self.quiet(caller)
        return LONGEST_S if quiet and quiet.market else otherwise
