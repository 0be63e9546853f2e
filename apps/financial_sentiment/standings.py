"""How a company or a group stands at a time: pure functions of the moods that were known then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.financial_sentiment import series
from apps.financial_sentiment.companies import Company, Dictionary
from apps.financial_sentiment.groups import Group
from apps.financial_sentiment.items import Mood
from apps.financial_sentiment.series import DAY, Day, Index


@dataclass(frozen=True, slots=True)
class Standing:
    """A company at a time. ``change`` is the index now minus that of ``days`` before; ``last`` are daily figures."""

    company: Company
    index: Index
    change: float
    items: int
    last: tuple[Day, ...]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A company of a group. ``share`` is its part of the group's weight, ``part`` what it adds to the group's mood."""

    company: Company
    share: float
    index: Index
    part: float
    items: int


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """A group at a time, like a :class:`Standing`; ``items`` counts an item once, whichever members it names.

    ``index.dispersion`` is that of its members' moods.
    """

    group: Group
    index: Index
    change: float
    items: int
    last: tuple[Day, ...]
    members: tuple[Member, ...]


def standing(company: Company, moods: Sequence[Mood], at: float, *, days: int, change_days: int) -> Standing:
    recent = [m for m in moods if m.moment > at - days * DAY]
    now = series.index(moods, at)
    events = [kind for m in reversed(recent) if m.label == "negative" for kind, _, _ in m.events]
    return Standing(
        company, now, now.mood - series.index(moods, at - change_days * DAY).mood, len(recent),
        tuple(series.days(moods, at, days)), tuple(dict.fromkeys(events)),
    )  # fmt: skip


def group_standing(
    group: Group,
    by_company: Mapping[str, Sequence[Mood]],
    dictionary: Dictionary,
    at: float,
    *,
    days: int,
    change_days: int,
) -> GroupStanding:
    moods = [mood for company in group.weights for mood in by_company.get(company, ())]
    indexes = {company: series.index(by_company.get(company, ()), at) for company in group.weights}
    counted = {id_: group.weights[id_] * index.known for id_, index in indexes.items()}
    whole = sum(counted.values()) or 1.0
    now = series.together([(group.weights[id_], index) for id_, index in indexes.items()])
    recent = {id_: [m for m in by_company.get(id_, ()) if m.moment > at - days * DAY] for id_ in group.weights}
    members = [
        Member(dictionary.companies[id_], group.share(id_), index, counted[id_] * index.mood / whole, len(recent[id_]))
        for id_, index in indexes.items()
    ]
    before = series.group_index(moods, at - change_days * DAY, group.weights)
    return GroupStanding(
        group, now, now.mood - before.mood,
        len({m.item_id for listed in recent.values() for m in listed}),
        tuple(series.days(moods, at, days, weights=group.weights)),
        tuple(sorted(members, key=lambda m: (-abs(m.part), -m.share, m.company.id))),
    )  # fmt: skip
