"""The past as if it were live: a clock that goes on step by step, and at each step what was known and said by then.

The alerts of the whole span are worked out once. Those up to a time are the same whether or not anything came after it
(tests/apps/financial_sentiment/test_point_in_time.py), so a step only shows more of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.financial_sentiment.alerts import Alert, Rule
from apps.financial_sentiment.items import Mood, Stored
from core.errors import InputError
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk

HOUR = 3600.0
STEPS_H = (1, 6, 24)
MOST_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Frame:
    """What a step brought: items that came since the step before, and alerts; both in the order in which they came.

    ``items_before`` and ``alerts_before`` count those of earlier steps.
    """

    number: int
    at: float
    items: tuple[tuple[Stored, tuple[Mood, ...]], ...]
    alerts: tuple[Alert, ...]
    items_before: int
    alerts_before: int


@dataclass(frozen=True, slots=True)
class Rerun:
    """A span of time in steps; made by :func:`rerun`. Moods as the head judged them: corrections came later."""

    caller: Caller
    begin: float
    end: float
    step_s: float
    moods: tuple[Mood, ...]  # of the span, by when they were seen
    alerts: tuple[Alert, ...]  # oldest first

    @property
    def steps(self) -> int:
        return max(1, int(-(-(self.end - self.begin) // self.step_s)))

    def clock(self, number: int) -> float:
        """The time after ``number`` steps."""
        return min(self.end, self.begin + number * self.step_s)

    def fired(self, number: int) -> tuple[Alert, ...]:
        """All alerts by then, oldest first."""
        return self.alerts[: bisect_right(self.alerts, self.clock(number), key=lambda a: a.at)]

    def frame(self, desk: Desk, number: int) -> Frame:
        """Step ``number``, from 1."""
        before, now = self.clock(number - 1), self.clock(number)
        first = 0 if number == 1 else bisect_right(self.moods, before, key=lambda m: m.seen_at)
        last = bisect_right(self.moods, now, key=lambda m: m.seen_at)
        by_item: dict[int, list[Mood]] = {}
        for mood in self.moods[first:last]:
            by_item.setdefault(mood.item_id, []).append(mood)
        known = desk.items.get(self.caller, by_item)
        fired = len(self.fired(number - 1)) if number > 1 else 0
        return Frame(
            number, now, tuple((known[id_], tuple(moods)) for id_, moods in by_item.items()),
            self.fired(number)[fired:], len({m.item_id for m in self.moods[:first]}), fired,
        )  # fmt: skip


def rerun(
    desk: Desk,
    caller: Caller = LOCAL,
    *,
    begin: float,
    end: float,
    step_s: float = 6 * HOUR,
    rules: Sequence[Rule] | None = None,
) -> Rerun:
    """Prepare a replay of the news seen between two times, by the caller's rules or by others.

    Raises:
        InputError: (``bad_value``) the end is not after the begin, or there would be more than 20,000 steps.
    """
    if end <= begin:
        raise InputError(reason="bad_value", name="end", value=f"{end:.0f}", allowed=f"> {begin:.0f}")
    if step_s <= 0 or (end - begin) / step_s > MOST_STEPS:
        raise InputError(reason="bad_value", name="step", value=step_s, allowed=f"{(end - begin) / MOST_STEPS:.0f} … s")
    found = [m for m in desk.items.moods(caller, end, history=True) if m.seen_at >= begin]
    found.sort(key=lambda m: (m.seen_at, m.item_id, m.company))
    alerts = desk.alerts(caller, at=end, since=begin, using=rules)
    return Rerun(caller, begin, end, step_s, tuple(found), tuple(alerts[::-1]))
