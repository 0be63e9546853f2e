"""When people are there, in their own time zone, and when they are there next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Span = tuple[time, time]  # opens, closes; closing at midnight is 00:00


@dataclass(frozen=True, slots=True)
class Hours:
    """``week`` holds the spans of each weekday (Monday is 0); no span, no service. Without a week it is always open."""

    zone: str = "UTC"
    week: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)
    closed: frozenset[date] = frozenset()

    def is_open(self, at: float) -> bool:
        """``at`` is seconds since the epoch."""
        if not self.week:
            return True
        here = datetime.fromtimestamp(at, ZoneInfo(self.zone))
        return any(start <= here < end for start, end in self._spans(here.date()))

    def next_open(self, at: float) -> datetime:
        """When it opens next, in its own zone; now when it is open. At most a year is looked ahead."""
        here = datetime.fromtimestamp(at, ZoneInfo(self.zone))
        if self.is_open(at):
            return here
        for ahead in range(366):
            for start, _ in self._spans(here.date() + timedelta(days=ahead)):
                if start > here:
                    return start
        raise ValueError("the hours have no open day in a year")

    def _spans(self, day: date) -> list[tuple[datetime, datetime]]:
        if day in self.closed:
            return []
        zone, found = ZoneInfo(self.zone), []
        for opens, closes in sorted(self.week.get(day.weekday(), ())):
            last = day + timedelta(days=1) if closes <= opens else day  # it may close after midnight
            found.append((datetime.combine(day, opens, zone), datetime.combine(last, closes, zone)))
        if self._runs_over(day - timedelta(days=1)):
            previous = day - timedelta(days=1)
            found += [
                (datetime.combine(previous, o, zone), datetime.combine(day, c, zone))
                for o, c in self.week[previous.weekday()]
                if c <= o
            ]
        return sorted(found)

    def _runs_over(self, day: date) -> bool:
        return day not in self.closed and any(closes <= opens for opens, closes in self.week.get(day.weekday(), ()))
