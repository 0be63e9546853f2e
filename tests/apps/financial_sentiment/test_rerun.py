"""Replays: archives apart from the desk's news, and each step shows what was known and said by then."""

from __future__ import annotations

import pytest

from apps.financial_sentiment import Desk, NewsItem
from apps.financial_sentiment.alerts import Rule
from apps.financial_sentiment.archives import Archives, home, inside
from apps.financial_sentiment.companies import Company
from apps.financial_sentiment.rerun import HOUR, rerun
from apps.financial_sentiment.sources import parse
from core.errors import InputError, NotFound
from core.types import LOCAL, Caller
from tests.apps.financial_sentiment.conftest import NOW

CSV = """title,published
Tesla recalls cars,2026-03-02T08:00:00
Quorvane opens a mine,2026-03-02T09:00:00
Ford recalls trucks,2026-03-03T08:00:00
,2026-03-03T08:00:00
"""


def test_an_archive_is_apart_and_knows_the_desks_companies_and_rules(desk: Desk) -> None:
    archives = Archives(desk)
    desk.add_companies([Company("q", "", "Quorvane")])
    desk.save_rules([Rule("recall", "event", kinds=("product_safety",), cooldown_h=0)])
    desk.save_portfolio("Mine", {"q": 1})
    made = archives.add("  March  2026 ", [parse("a.csv", CSV.encode())])
    assert (made.added.new, len(made.refused)) == (3, 1)
    (kept,) = archives.all()
    assert (kept.name, kept.items, (kept.last or 0) - (kept.first or 0)) == ("March 2026", 3, 24 * HOUR)
    assert desk.items.latest(LOCAL) is None, "the desk's own news is as it was"
    assert not desk.troubles.all(LOCAL)
    there = inside(LOCAL, "March 2026")
    assert home(there) == LOCAL
    assert [s.company.id for s in desk.companies(there, at=kept.last)] == ["ford", "q", "tesla"]
    assert [a.subject for a in desk.alerts(there, at=kept.last)] == ["ford", "tesla"]
    assert "portfolio:Mine" in {s.group.id for s in desk.group_standings(there, at=kept.last)}
    assert not archives.all(Caller(tenant="another"))
    for name in ("", "x" * 81):
        with pytest.raises(InputError):
            archives.add(name, [parse("a.csv", CSV.encode())])
    archives.delete("March 2026")
    with pytest.raises(InputError):
        archives.add("Nothing", [])
    assert not archives.all(), "what brought nothing is not listed"
    assert not desk.companies(there, at=kept.last)
    with pytest.raises(NotFound):
        archives.delete("March 2026")


def test_every_step_shows_what_a_desk_of_that_time_would(desk: Desk) -> None:
    desk.save_rules([
        Rule("recall", "event", kinds=("product_safety",), cooldown_h=0),
        Rule("two", "burst", least=2, p_below=0.3, cooldown_h=5),
    ])  # fmt: skip
    hours = (0, 0.5, 3, 3, 10, 11.5)
    names = ("Tesla", "Ford", "Tesla", "Ford", "Tesla", "Tesla")
    desk.add([
        NewsItem(f"{name} recalls model {n}", seen_at=NOW + hour * HOUR)
        for n, (hour, name) in enumerate(zip(hours, names, strict=True))
    ])  # fmt: skip
    made = rerun(desk, begin=NOW, end=NOW + 12 * HOUR, step_s=5 * HOUR)
    assert made.steps == 3
    frames = [made.frame(desk, number) for number in range(1, made.steps + 1)]
    assert [len(f.items) for f in frames] == [4, 1, 1]
    assert [(f.items_before, f.alerts_before) for f in frames] == [(0, 0), (4, 6), (5, 8)]
    for number, frame in enumerate(frames, 1):
        assert frame.at == made.clock(number)
        live = desk.alerts(at=frame.at, since=NOW)[::-1]
        assert list(made.fired(number)) == live, "as a desk says that looks at that time"
        assert list(made.fired(number)[frame.alerts_before :]) == list(frame.alerts)
    with pytest.raises(InputError):
        rerun(desk, begin=NOW, end=NOW)
    with pytest.raises(InputError):
        rerun(desk, begin=0, end=NOW, step_s=1)
