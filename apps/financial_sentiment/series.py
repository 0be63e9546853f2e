"""A company's mood and news volume over time: pure functions of what was known at a time.

The index at ``t`` is the mean mood of the items up to then, each weighing half as much after every half-life, drawn
to 0 by a prior of one neutral item, so that a single headline does not make a trend. Volume is judged against the
company's own past: how likely is so much news in a day if it came at the rate of the four weeks before (Poisson)?
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.financial_sentiment.items import Mood

DAY = 86_400.0
HALF_LIFE_S = 3 * DAY
PRIOR = 1.0  # neutral items that every index begins with
PRIOR_VARIANCE = 0.2  # of their moods
BASELINE_DAYS = 28
LEAST_DAYS = 7  # of the baseline that count at least, however short the past is
RATE_PRIOR = 0.15  # items a day that nobody is surprised by
_FORGOTTEN = 30  # half-lives after which an item weighs nothing


@dataclass(frozen=True, slots=True)
class Index:
    """Mood from -1 to 1; ``deviation`` is its standard error; ``weight`` the items it rests on, decayed.

    ``dispersion`` is how far apart the moods of the items are, or those of a group's members: their standard deviation, each
    counting as it counts in the index.
    """

    mood: float
    deviation: float
    weight: float
    dispersion: float = 0.0

    @property
    def known(self) -> float:
        """How much of it rests on news and not on the prior, 0 to 1."""
        return self.weight / (self.weight + PRIOR)


def index(moods: Sequence[Mood], at: float, *, half_life_s: float = HALF_LIFE_S) -> Index:
    """The mood at ``at`` of items that were known then.

    >>> index([], 0.0)
    Index(mood=0.0, deviation=0.4472135954999579, weight=0.0, dispersion=0.0)
    """
    whole = squares = total = 0.0
    for mood in moods:
        age = (at - mood.moment) / half_life_s
        if age < 0 or age > _FORGOTTEN or mood.seen_at > at:
            continue
        weight = 0.5**age
        whole += weight
        total += weight * mood.mood
        squares += weight * mood.mood**2
    mean = total / (whole + PRIOR)
    variance = max(0.0, (squares + PRIOR * PRIOR_VARIANCE) / (whole + PRIOR) - mean**2)
    apart = max(0.0, squares / whole - (total / whole) ** 2) if whole else 0.0
    return Index(mean, math.sqrt(variance / (whole + PRIOR)), whole, math.sqrt(apart))


def together(members: Sequence[tuple[float, Index]]) -> Index:
    """The index of a group from the ``(weight, index)`` of its members.

    A member counts by its weight times how much is known of it, so that a company without news draws nothing to 0;
    the index's ``weight`` is that of all its members' news.

    >>> round(together([(3.0, Index(0.5, 0.1, 1e9)), (1.0, Index(-0.5, 0.1, 1e9)), (9.0, index([], 0.0))]).mood, 6)
    0.25
    """
    counted = [(share * found.known, found) for share, found in members]
    whole = sum(count for count, _ in counted)
    if not whole:
        return index([], 0.0)
    mood = sum(count * found.mood for count, found in counted) / whole
    deviation = math.sqrt(sum((count * found.deviation) ** 2 for count, found in counted)) / whole
    apart = sum(count * (found.mood - mood) ** 2 for count, found in counted) / whole
    return Index(mood, deviation, sum(found.weight for _, found in counted), math.sqrt(apart))


def group_index(moods: Sequence[Mood], at: float, weights: Mapping[str, float]) -> Index:
    """The index at ``at`` of the companies of ``weights``."""
    by_company: dict[str, list[Mood]] = defaultdict(list)
    for mood in moods:
        by_company[mood.company].append(mood)
    return together([(share, index(by_company[company], at)) for company, share in weights.items()])


@dataclass(frozen=True, slots=True)
class Volume:
    """``count`` items in the day before a time; ``expected`` by the weeks before; ``p`` of so many or more by chance."""

    count: int
    expected: float
    p: float


def volume(moods: Sequence[Mood], at: float) -> Volume:
    """News of the last 24 hours beside the ``BASELINE_DAYS`` before them. Counts when items were seen, each once.

    The past begins with the first item of those weeks: what was not read yet is no silence.
    """
    begin, today = at - DAY * (BASELINE_DAYS + 1), at - DAY
    seen = {mood.item_id: mood.seen_at for mood in moods if begin < mood.seen_at <= at}.values()
    before = [moment for moment in seen if moment <= today]
    count = len(seen) - len(before)
    days = max(LEAST_DAYS, (today - min(before)) / DAY) if before else BASELINE_DAYS
    expected = len(before) / days + RATE_PRIOR
    return Volume(count, expected, at_least(count, expected))


def at_least(count: int, rate: float) -> float:
    """P(X >= count) for a Poisson of ``rate``.

    >>> round(at_least(2, 1.0), 4)
    0.2642
    """
    term, below = math.exp(-rate), 0.0
    for k in range(count):
        below += term
        term *= rate / (k + 1)
    return max(0.0, 1.0 - below)


@dataclass(frozen=True, slots=True)
class Day:
    """A day that ends at ``at``: the index then, the day's items by label, and how new they are on average, where that is
    known and there were some (see :mod:`apps.financial_sentiment.novelty`)."""

    at: float
    index: Index
    positive: int
    neutral: int
    negative: int
    novelty: float | None = None

    @property
    def count(self) -> int:
        return self.positive + self.neutral + self.negative


def days(
    moods: Sequence[Mood],
    at: float,
    count: int,
    *,
    weights: Mapping[str, float] | None = None,
    novelty: Mapping[int, float] | None = None,
) -> list[Day]:
    """The ``count`` days up to ``at``, oldest first; each knows only what was seen by its end.

    Args:
        weights: of a group's companies; an item counts for each of them that it names.
        novelty: of items, by their id.
    """
    found = []
    for number in range(count - 1, -1, -1):
        end = at - number * DAY
        today = [m for m in moods if end - DAY < m.moment <= end and m.seen_at <= end]
        labels = [m.label for m in today]
        new = [novelty[id_] for id_ in {m.item_id for m in today} if id_ in novelty] if novelty else []
        now = index(moods, end) if weights is None else group_index(moods, end, weights)
        good, plain, bad = (labels.count(name) for name in ("positive", "neutral", "negative"))
        # A set has its order from the ids: only a sum without rounding is the same for the same news.
        found.append(Day(end, now, good, plain, bad, math.fsum(new) / len(new) if new else None))
    return found
