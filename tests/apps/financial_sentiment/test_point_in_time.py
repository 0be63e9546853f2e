"""Nothing looks ahead: a desk that has seen everything tells of a time what one tells that has seen no more than that."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.financial_sentiment import Desk, NewsItem, alerts, series
from apps.financial_sentiment.alerts import Rule
from apps.financial_sentiment.brief import brief
from apps.financial_sentiment.delivery import Delivery
from apps.financial_sentiment.digest import plain
from apps.financial_sentiment.groups import Group
from apps.financial_sentiment.items import Mood
from apps.financial_sentiment.notices import Quiet
from core.types import Caller

DAY, HOUR = series.DAY, 3600.0
BEGIN = 1_780_000_000.0
TITLES = (
    "{} shares plunge after recall", "{} profit soars to record", "{} and {} sign a supply deal", "{} under investigation for fraud",
    "{} holds its annual meeting", "{}股价大跌，被立案调查", "{}净利润大增，超出预期",
)  # fmt: skip
NAMES = ("Tesla", "Nvidia", "Apple", "Boeing", "Ford")
RULES = [
    *alerts.shipped(),
    Rule("group burst", "burst", least=2, p_below=0.3, cooldown_h=6, scope="group"),
    Rule("group fall", "mood_below", level=-0.05, weight=0.5, cooldown_h=1, scope="group"),
    Rule("group event", "event", kinds=("fraud", "product_safety"), cooldown_h=5, scope="group"),
    Rule("moved", "change", level=-0.2, weight=0.3, days=3, cooldown_h=2),
    Rule("group moved", "change", level=0.1, weight=0.3, days=2.5, cooldown_h=1, scope="group"),
    Rule("of mine", "mood_above", level=0.1, weight=0.3, cooldown_h=2, only=("portfolio:Mine",)),
]
tenants = itertools.count()

hours = st.floats(0, 30 * 24).map(lambda h: round(h, 2))
one = st.tuples(
    hours,  # when it was seen
    st.one_of(st.none(), st.floats(-30, 200)),  # how many hours before that it says it was published
    st.integers(0, 12),  # its name with the source: the same again is a version of it
    st.sampled_from(TITLES),
    st.permutations(NAMES[:3]).map(lambda found: (*found, *NAMES[3:])),
    st.integers(0, 1),  # makes words differ; equal ones are copies
)


def item(drawn: tuple[Any, ...]) -> NewsItem:
    seen, before, name, title, names, number = drawn
    at = BEGIN + seen * HOUR
    published = None if before is None else at - before * HOUR
    text = title.format(*names) + (f" in plant {number}" if number else "")
    return NewsItem(text, source=f"s{name % 3}", external_id=str(name), seen_at=at, published_at=published)


def figures(desk: Desk, caller: Caller, at: float) -> list[Any]:
    """Everything that the desk tells of a time, with items named by what they are and not by their number."""
    with desk.runtime.workspace.read() as db:
        rows = db.execute(
            "SELECT id, source, external_id, seen_at, title FROM news_items WHERE tenant = ?", (caller.tenant,)
        )
        named = {row["id"]: tuple(row)[1:] for row in rows}

    def shown(found: list[alerts.Alert]) -> list[Any]:
        return [{**asdict(a), "evidence": [named[id_] for id_ in a.evidence]} for a in found]

    standings = desk.companies(caller, at=at)
    told, waiting = Delivery(desk).notices(caller, at=at, since=BEGIN)
    return [
        standings,
        [desk.timeline(s.company.id, caller, at=at, days=9) for s in standings],
        desk.group_standings(caller, at=at),
        desk.group_timeline("portfolio:Mine", caller, at=at, days=9),
        shown(desk.alerts(caller, at=at, since=BEGIN)),
        [(n.at, n.gathered, shown(list(n.alerts))) for n in told],
        shown(waiting),
        [
            [(named[r.item.id], r.mood.label, r.mood.moment, [named[c.id] for c in r.copies]) for r in found]
            for s in standings
            if (found := desk.reported(s.company.id, caller, at=at))
        ],
        plain(brief(desk, caller, at=at), {}, "en"),
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(one, min_size=1, max_size=25), until=hours)
def test_figures_of_a_time_do_not_know_what_came_later(
    desk: Desk, history: list[tuple[Any, ...]], until: float
) -> None:
    at = BEGIN + until * HOUR
    items = [item(drawn) for drawn in history]
    told = []
    for known in (items, [i for i in items if (i.seen_at or 0) <= at]):
        caller = Caller(tenant=f"t{next(tenants)}")
        desk.save_portfolio("Mine", {"tesla": 2, "nvidia": 1, "ford": 1}, caller)
        desk.save_rules(RULES, caller)
        Delivery(desk).save_quiet(Quiet("20:00", "07:30", "Asia/Shanghai"), caller)
        desk.add(known, caller)
        told.append(figures(desk, caller, at))
    assert told[0] == told[1]


moods = st.builds(
    lambda number, company, seen, delay, value, events, lives: Mood(
        number, company, "positive" if value > 0.3 else "negative" if value < -0.3 else "neutral", abs(value), value,
        (0, 1), (), (("fraud", 0, 1),) if events else (), (seen - delay) * HOUR, seen * HOUR,
        (seen + lives) * HOUR if lives else float("inf"),
    ),
    st.integers(1, 10**6), st.sampled_from("abc"), st.floats(0, 900), st.floats(0, 60), st.floats(-1, 1), st.booleans(),
    st.one_of(st.none(), st.floats(0.1, 90)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(known=st.lists(moods, max_size=40, unique_by=lambda m: m.item_id), until=st.floats(0, 900))
def test_alerts_up_to_a_time_begin_those_up_to_a_later_one(known: list[Mood], until: float) -> None:
    group = Group("portfolio", "Mine", {"a": 1.0, "b": 2.0})
    whole = replayed(known, 10_000 * HOUR, group)
    at = until * HOUR
    assert replayed([m for m in known if m.seen_at <= at], at, group) == [a for a in whole if a.at <= at]
    assert replayed(known, at, group) == [a for a in whole if a.at <= at], "what it is given too much is not looked at"


def replayed(known: list[Mood], until: float, group: Group) -> list[alerts.Alert]:
    return alerts.replay(known, RULES, since=0, until=until, groups=[group])


@settings(max_examples=60, deadline=None)
@given(known=st.lists(moods, max_size=40), until=st.floats(0, 900))
def test_series_up_to_a_time_do_not_know_what_came_later(known: list[Mood], until: float) -> None:
    at = until * HOUR
    then = [m for m in known if m.seen_at <= at]
    weights = {"a": 1.0, "b": 2.0}
    figure: list[Callable[[list[Mood]], object]] = [
        lambda m: series.index(m, at),
        lambda m: series.volume(m, at),
        lambda m: series.group_index(m, at, weights),
        lambda m: series.days(m, at, 5),
        lambda m: series.days(m, at, 5, weights=weights),
    ]
    for made in figure:
        assert made(known) == made(then)


def test_the_ids_of_news_change_no_figure() -> None:
    shares = (0.1, 0.2, 0.3, 0.7, 0.6)

    def told(ids: tuple[int, ...]) -> float | None:
        known = [Mood(id_, "a", "neutral", 0.0, 0.0, (0, 1), (), (), 0.0, 0.0, float("inf")) for id_ in ids]
        return series.days(known, 0.0, 1, novelty=dict(zip(ids, shares, strict=True)))[0].novelty

    assert len({told(ids) for ids in itertools.permutations((1, 9, 17, 33, 41))}) == 1
