"""When alerts are handed over: at once, or, in quiet hours and while a market is closed, together when these end.

Which alerts there are never depends on quiet hours, only when somebody is told. A notice of a time follows from the
alerts up to then and from nothing later.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.financial_sentiment import market
from apps.financial_sentiment.alerts import Alert
from core.errors import InputError

LONGEST_S = 30 * 86_400.0  # no exchange is closed for longer
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Quiet:
    """Every day from ``begin`` to ``end`` by the clock of ``zone``; may run over midnight. With a ``market`` also as
    long as that exchange is closed; then ``begin`` and ``end`` may both be empty.

    Raises:
        InputError: (``bad_value``) not a time of day, no such zone or exchange, or begin and end are the same.
        MissingPackage: a market is given and exchange_calendars is not installed.
    """

    begin: str = "22:00"
    end: str = "07:00"
    zone: str = "Asia/Shanghai"
    market: str = ""

    def __post_init__(self) -> None:
        if self.market:
            market.sessions(self.market)
        if self.begin or self.end or not self.market:
            self._check_clock()
        if self.market and self.begin:
            latest = market.sessions(self.market)[0][-60]
            if (self.until(latest) or latest) - latest > LONGEST_S:
                allowed = f"not all of {self.market}'s hours"
                raise InputError(reason="bad_value", name="quiet", value=f"{self.begin} – {self.end}", allowed=allowed)

    def _check_clock(self) -> None:
        for name in ("begin", "end"):
            if not _CLOCK.fullmatch(getattr(self, name)):
                raise InputError(reason="bad_value", name=name, value=getattr(self, name), allowed="00:00 … 23:59")
        if self.begin == self.end:
            raise InputError(reason="bad_value", name="end", value=self.end, allowed=f"≠ {self.begin}")
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            allowed = "Asia/Shanghai, Asia/Hong_Kong, America/New_York, UTC …"
            raise InputError(reason="bad_value", name="zone", value=self.zone, allowed=allowed) from None

    def until(self, moment: float) -> float | None:
        """When the quiet hours end in which ``moment`` lies; ``None`` outside of them.

        >>> Quiet("22:00", "07:00", "UTC").until(23 * 3600.0) / 3600
        31.0
        """
        end = moment
        while (later := self._clock_until(end) or self._market_until(end)) is not None and later > end:
            end = later  # a market may open within the hours, and hours may end before it opens
        return end if end > moment else later

    def _market_until(self, moment: float) -> float | None:
        return market.opens(self.market, moment) if self.market else None

    def _clock_until(self, moment: float) -> float | None:
        if not self.begin:
            return None
        zone = ZoneInfo(self.zone)
        local = datetime.fromtimestamp(moment, zone)
        clock = f"{local:%H:%M}"
        over_midnight = self.begin > self.end
        if over_midnight:
            if self.end <= clock < self.begin:
                return None
            ends_on = local.date() + timedelta(days=clock >= self.begin)
        else:
            if not self.begin <= clock < self.end:
                return None
            ends_on = local.date()
        hour, minute = (int(part) for part in self.end.split(":"))
        end = datetime(ends_on.year, ends_on.month, ends_on.day, hour, minute, tzinfo=zone).astimezone(UTC).timestamp()
        return max(end, moment)  # a clock that is set forward may skip the end


def read(told: Mapping[str, Any]) -> Quiet:
    """
    Raises:
        InputError: as :class:`Quiet`, or an unknown field.
    """
    if not set(told) <= set(Quiet.__slots__):
        raise InputError(reason="bad_value", name="quiet", value=", ".join(told), allowed=", ".join(Quiet.__slots__))
    return Quiet(**{name: str(value) for name, value in told.items()})


@dataclass(frozen=True, slots=True)
class Notice:
    """What is handed over at ``at``: one alert, or, when ``gathered``, those of the quiet hours that end then."""

    at: float
    alerts: tuple[Alert, ...]
    gathered: bool = False


def notices(alerts: Sequence[Alert], quiet: Quiet | None, until: float) -> tuple[list[Notice], list[Alert]]:
    """The notices up to a time, oldest first, and the alerts that still wait for the quiet hours to end."""
    found: list[Notice] = []
    held: dict[float, list[Alert]] = defaultdict(list)
    for alert in sorted((a for a in alerts if a.at <= until), key=lambda a: a.at):
        end = quiet.until(alert.at) if quiet else None
        if end is None:
            found.append(Notice(alert.at, (alert,)))
        else:
            held[end].append(alert)
    found += [Notice(end, tuple(listed), gathered=True) for end, listed in held.items() if end <= until]
    waiting = [alert for end, listed in held.items() if end > until for alert in listed]
    return sorted(found, key=lambda notice: notice.at), waiting
