"""What people's corrections say of the head in use, and which items are worth a person's look next.

The head is compared with the last word of people on what they corrected or confirmed: not a fair sample of the news, for
people look where something seems wrong. It is told as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.financial_sentiment.items import Mood, Stored
from apps.financial_sentiment.series import DAY
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk

BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)  # where the bins of probability begin
BACK_S = 14 * DAY


@dataclass(frozen=True, slots=True)
class Checked:
    """What the head says of an item and a company, and what a person said."""

    item: Stored
    mood: Mood
    label: str

    @property
    def right(self) -> bool:
        return self.mood.label == self.label


@dataclass(frozen=True, slots=True)
class Bin:
    """Judgments whose probability is ``low`` or more: how sure the head was, and how often it was right."""

    low: float
    count: int
    probability: float
    right: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A judgment that the head was unsure of and that nobody has looked at."""

    item: Stored
    mood: Mood


def checked(desk: Desk, caller: Caller = LOCAL, *, at: float) -> list[Checked]:
    """Everything that was corrected or confirmed by ``at``, the newest last; what the head says of it by itself."""
    said = desk.items.corrected(caller, at)
    judged = {(m.item_id, m.company): m for m in desk.items.moods(caller, at, history=True)}
    items = desk.items.get(caller, [item_id for item_id, _ in said])
    return [
        Checked(items[item_id], judged[item_id, company], label)
        for (item_id, company), label in said.items()
        if (item_id, company) in judged
    ]


def bins(listed: Sequence[Checked]) -> list[Bin]:
    """How sure the head was against how often it was right; a bin without judgments is left out."""
    ends = [*BINS[1:], 1.01]
    found = []
    for low, high in zip(BINS, ends, strict=True):
        inside = [c for c in listed if low <= c.mood.probability < high]
        if inside:
            sure = sum(c.mood.probability for c in inside) / len(inside)
            found.append(Bin(low, len(inside), sure, sum(c.right for c in inside) / len(inside)))
    return found


def waiting(desk: Desk, caller: Caller = LOCAL, *, at: float, limit: int = 8) -> list[Waiting]:
    """The judgments of the last fourteen days that the head was least sure of, without those a person has seen.

    Of one item only the least sure judgment is given, so that a list of many companies does not fill the queue.
    """
    seen = set(desk.items.corrected(caller, at))
    moods = [m for m in desk.items.moods(caller, at, since=at - BACK_S) if (m.item_id, m.company) not in seen]
    least: dict[int, Mood] = {}
    for mood in sorted(moods, key=lambda m: (m.probability, -m.moment, m.item_id)):
        least.setdefault(mood.item_id, mood)
        if len(least) == limit:
            break
    items = desk.items.get(caller, least)
    return [Waiting(items[item_id], mood) for item_id, mood in least.items()]
