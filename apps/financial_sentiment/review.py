"""What people's corrections say of the head in use, and which items are worth a person's look next.

The head is compared with the last word of people on what they corrected or confirmed: not a fair sample of the news, for
people look where something seems wrong. It is told as that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.financial_sentiment import zh_rows
from apps.financial_sentiment.items import Mood, Stored
from apps.financial_sentiment.series import DAY
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk
    from core.evaluation.results import Evaluation

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


def bins(listed: Iterable[tuple[float, bool]]) -> list[Bin]:
    """How sure the head was against how often it was right; a bin without judgments is left out.

    >>> [(b.low, b.count, b.right) for b in bins([(0.55, True), (0.95, True), (0.99, False)])]
    [(0.5, 1, 1.0), (0.9, 2, 0.5)]
    """
    known = list(listed)
    ends = [*BINS[1:], 1.01]
    found = []
    for low, high in zip(BINS, ends, strict=True):
        inside = [(sure, right) for sure, right in known if low <= sure < high]
        if inside:
            mean = sum(sure for sure, _ in inside) / len(inside)
            found.append(Bin(low, len(inside), mean, sum(right for _, right in inside) / len(inside)))
    return found


def measured(desk: Desk) -> tuple[Evaluation, list[Bin]]:
    """The head in use on the frozen Chinese test set of this project, which no head was trained on or chosen by."""
    import numpy as np

    from apps.financial_sentiment.evaluate import Output, evaluation
    from apps.financial_sentiment.vectors import Vectors, embedded
    from core.providers.sync import run

    rows, head = zh_rows.test_rows(), desk.head()
    vectors = np.empty((len(rows), 0), np.float32)
    if head.embedding:
        store = Vectors(desk.runtime.workspace)
        vectors = run(embedded([row.masked.spoken for row in rows], desk.runtime.embedding(), store=store))
    judged = head.judge([row.masked for row in rows], vectors)
    made = evaluation(
        "zh", str(head.about.get("version", "")), rows, [Output(j.label, j.probability) for j in judged], "test"
    )
    return made, bins((j.probability, j.label == row.label) for j, row in zip(judged, rows, strict=True))


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
