"""The day's brief as data: who moved most, the sentences that say why, and the alerts; :mod:`.digest` puts it into words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.series import DAY
from apps.financial_sentiment.standings import Standing
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk, Reported


@dataclass(frozen=True, slots=True)
class Brief:
    """Per company its standing and the sentences that say why, each with its item; of all companies, or of the members of
    ``group``, an id."""

    at: float
    standings: tuple[tuple[Standing, tuple[Reported, ...]], ...]
    alerts: tuple[Alert, ...]
    group: str = ""


def brief(
    desk: Desk, caller: Caller = LOCAL, *, at: float | None = None, group: str = "", most: int = 6, quotes: int = 3
) -> Brief:
    """The brief of the 24 hours up to ``at``: companies that were named, the biggest moves first.

    Args:
        group: the id of a portfolio or a sector (``portfolio:Cars``): only its members and alerts count.

    Raises:
        NotFound: no group has this id.
    """
    at = time.time() if at is None else at
    members = desk.group(group, caller).weights if group else None
    standings = [
        s
        for s in desk.companies(caller, at=at, days=7, change_days=1)
        if s.last[-1].count and (members is None or s.company.id in members)
    ]
    standings.sort(key=lambda s: (-abs(s.change), s.company.id))
    told = []
    for moved in standings[:most]:
        listed = desk.reported(moved.company.id, caller, at=at, since=at - DAY)
        clearest = sorted(listed, key=lambda r: -abs(r.mood.mood))[:quotes]
        told.append((moved, tuple(clearest)))
    found = desk.alerts(caller, at=at, since=at - DAY)
    if members is not None:
        found = [a for a in found if (a.subject == group if a.scope == "group" else a.subject in members)]
    return Brief(at, tuple(told), tuple(found), group)
