"""Sectors and portfolios, rules for them, quiet hours, and what is handed over when."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.financial_sentiment import Desk, NewsItem, alerts, groups, notices, series
from apps.financial_sentiment.alerts import Alert, Rule
from apps.financial_sentiment.companies import Company, Dictionary
from apps.financial_sentiment.delivery import Delivery
from apps.financial_sentiment.notices import Notice, Quiet
from core.errors import InputError, NotFound
from core.types import LOCAL, Caller
from tests.apps.financial_sentiment.conftest import NOW
from tests.apps.financial_sentiment.test_desk import mood

DAY, HOUR = series.DAY, 3600.0
KNOWN = Dictionary(
    [
        Company("a", "甲公司", "Alpha Corp", codes=("600519.SH",), sector="energy"),
        Company("b", "乙公司", "Beta Corp", aliases=("Twin",), sector="energy"),
        Company("c", "丙公司", "Gamma Corp", aliases=("Twin",), sector="finance"),
    ]
)


def test_sectors_come_from_the_dictionary() -> None:
    found = groups.sectors(KNOWN)
    assert [(g.id, set(g.weights)) for g in found] == [("sector:energy", {"a", "b"}), ("sector:finance", {"c"})]


def test_portfolios_are_read_by_id_name_or_code_and_bad_rows_refused() -> None:
    text = "portfolio,company,weight\nMine,600519.SH,60%\nMine,乙公司,30\nMine,b,10\nOther,gamma corp,\nMine,nobody,1\nMine,c,-1\nMine,Twin,1\n,c,1\n"
    made, refused = groups.parse(text, "p.csv", KNOWN)
    assert [(g.name, dict(g.weights)) for g in made] == [("Mine", {"a": 60, "b": 40}), ("Other", {"c": 1})]
    assert [r.where for r in refused] == ["p.csv:6", "p.csv:7", "p.csv:8", "p.csv:9"], "Twin is two companies"
    assert made[0].share("a") == 0.6
    again, refused = groups.parse(groups.written(made), "p.csv", KNOWN)
    assert (again, refused) == (made, [])
    with pytest.raises(InputError) as caught:
        groups.parse("name,company\n", "p.csv", KNOWN)
    assert caught.value.reason == "data_column"


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_weights_are_positive_numbers(weight: float) -> None:
    with pytest.raises(InputError):
        groups.portfolio("x", {"a": weight}, KNOWN)


def test_portfolios_are_kept_for_their_tenant_alone(desk: Desk) -> None:
    desk.save_portfolio("Tech", {"apple": 2, "tesla": 1})
    desk.save_portfolio("Tech", {"apple": 3})
    assert [dict(g.weights) for g in desk.groups() if g.kind == "portfolio"] == [{"apple": 3.0}]
    assert desk.group("portfolio:Tech").name == "Tech"
    other = Caller(tenant="other")
    assert all(g.kind == "sector" for g in desk.groups(other))
    with pytest.raises(NotFound):
        desk.group("portfolio:Tech", other)
    with pytest.raises(NotFound):
        desk.save_portfolio("Tech", {"nobody": 1})
    with pytest.raises(NotFound):
        desk.delete_portfolio("Tech", other)
    desk.delete_portfolio("Tech")
    assert all(g.kind == "sector" for g in desk.groups())


def test_a_group_weighs_its_members_and_ignores_those_without_news() -> None:
    good, bad = series.Index(0.6, 0.1, 20.0), series.Index(-0.6, 0.1, 20.0)
    none = series.index([], 0.0)
    even = series.together([(1, good), (1, bad), (50, none)])
    assert even.mood == pytest.approx(0)
    assert series.together([(3, good), (1, bad)]).mood == pytest.approx(0.3)
    assert even.dispersion == pytest.approx(0.6)
    assert even.deviation == pytest.approx(0.1 / math.sqrt(2)), "two independent members"
    assert series.together([(1, none)]) == none
    assert series.together([(2, good)]) == good


def news(title: str, seen_at: float) -> NewsItem:
    return NewsItem(title, seen_at=seen_at, published_at=seen_at)


def test_group_figures_of_the_desk(desk: Desk) -> None:
    desk.add(
        [
            news("Tesla shares plunge after recall", NOW - 2 * HOUR),
            news("Nvidia shares soar on record profit; Tesla sinks", NOW - HOUR),
            news("Apple profit surges", NOW + HOUR),
        ]
    )
    desk.save_portfolio("Mine", {"tesla": 1, "nvidia": 3, "apple": 1})
    found = {s.group.id: s for s in desk.group_standings(at=NOW)}
    mine = found["portfolio:Mine"]
    assert mine.items == 2, "an item that names two members counts once"
    assert sum(m.part for m in mine.members) == pytest.approx(mine.index.mood)
    assert mine.index.dispersion > 0.3
    apple = next(m for m in mine.members if m.company.id == "apple")
    assert (apple.items, apple.part, apple.share) == (0, 0, 0.2), "seen later"
    line = desk.group_timeline("portfolio:Mine", at=NOW, days=3)
    assert [d.count for d in line] == [0, 0, 3], "mentions"
    assert line[-1].index == mine.index
    assert "sector:health" not in found


def test_rules_for_groups_and_for_some_companies_only(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    desk.save_portfolio("Mine", {"x-changqiao": 1, "x-lumivia": 1})
    fallen = Rule("fallen", "mood_below", level=-0.2, weight=1, scope="group", only=("portfolio:Mine",))
    risky = Rule("risky", "event", kinds=("default",), only=("portfolio:Mine",))
    elsewhere = replace(risky, id="elsewhere", only=("x-tianshu",))
    desk.save_rules([fallen, risky, elsewhere])
    found = desk.alerts(at=NOW, since=0)
    assert {(a.rule, a.scope, a.subject) for a in found} == {
        ("fallen", "group", "portfolio:Mine"),
        ("risky", "company", "x-changqiao"),
    }
    first = min((a for a in found if a.rule == "fallen"), key=lambda a: a.at)
    moods = [m for m in desk.items.moods(LOCAL, first.at) if m.company in ("x-changqiao", "x-lumivia")]
    assert series.group_index(moods, first.at, {"x-changqiao": 1, "x-lumivia": 1}).mood == first.figures["mood"]
    assert desk.rules(Caller(tenant="other")) == alerts.shipped()
    desk.save_rules(None)
    assert desk.rules() == alerts.shipped()


def test_a_burst_of_a_group_counts_an_item_once() -> None:
    both = groups.Group("portfolio", "p", {"x": 1.0, "y": 1.0})
    rule = Rule("b", "burst", least=4, scope="group")
    once = [mood(hour * HOUR) for hour in range(3)]
    twice = [replace(m, company="y") for m in once]
    assert alerts.replay([*once, *twice], [rule], since=0, until=NOW, groups=[both]) == []
    apart = [replace(m, item_id=m.item_id + 1) for m in twice]
    (found,) = alerts.replay([*once, *apart], [rule], since=0, until=NOW, groups=[both])
    assert (found.subject, found.figures["count"]) == ("portfolio:p", 4)


def test_a_preview_says_how_often_a_rule_would_have_fired(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    shipped = next(r for r in desk.rules() if r.id == "burst")
    tried, now = desk.preview(replace(shipped, least=2, p_below=0.05, cooldown_h=1), at=NOW, days=90)
    assert len(tried) > len(now) == 10
    assert {a.subject for a in now} <= {a.subject for a in tried}
    assert desk.preview(Rule("new", "mood_below", level=-1), at=NOW) == ([], [])
    assert desk.rules() == alerts.shipped(), "a preview keeps nothing"
    with pytest.raises(InputError):
        desk.preview(replace(shipped, p_below=2.0), at=NOW)


def test_rules_survive_being_written() -> None:
    listed = [*alerts.shipped(), Rule("r", "mood_above", level=0.3, scope="group", only=("sector:energy",))]
    assert alerts.read(alerts.written(listed)) == listed


@pytest.mark.parametrize(
    ("begin", "end", "zone", "at", "until"),
    [
        ("22:00", "07:00", "UTC", "2026-03-01T21:59:59", None),
        ("22:00", "07:00", "UTC", "2026-03-01T22:00:00", "2026-03-02T07:00:00"),
        ("22:00", "07:00", "UTC", "2026-03-02T06:59:59", "2026-03-02T07:00:00"),
        ("22:00", "07:00", "UTC", "2026-03-02T07:00:00", None),
        ("12:00", "13:30", "Asia/Shanghai", "2026-03-02T04:00:00", "2026-03-02T05:30:00"),
        ("12:00", "13:30", "Asia/Shanghai", "2026-03-02T05:30:00", None),
        (
            "22:00",
            "02:30",
            "America/New_York",
            "2026-03-08T03:30:00",
            "2026-03-08T07:30:00",
        ),  # 02:30 is skipped that day
    ],
)
def test_quiet_hours(begin: str, end: str, zone: str, at: str, until: str | None) -> None:
    from apps.financial_sentiment.sources import moment

    assert Quiet(begin, end, zone).until(moment(at) or 0) == moment(until)


@pytest.mark.parametrize(("begin", "end", "zone"), [("7", "8:00", "UTC"), ("24:00", "07:00", "UTC"), ("07:00", "07:00", "UTC"), ("22:00", "07:00", "Mars/Olympus"), ("22:00", "07:00", "../etc")])  # fmt: skip
def test_quiet_hours_that_cannot_be(begin: str, end: str, zone: str) -> None:
    with pytest.raises(InputError):
        Quiet(begin, end, zone)


@given(
    times=st.lists(st.floats(0, 20 * DAY), max_size=30),
    begin=st.integers(0, 23),
    hours=st.integers(1, 23),
    until=st.floats(0, 22 * DAY),
)
def test_every_alert_is_told_once_and_never_in_quiet_hours(
    times: list[float], begin: int, hours: int, until: float
) -> None:
    quiet = Quiet(f"{begin:02d}:00", f"{(begin + hours) % 24:02d}:00", "Asia/Shanghai")
    listed = [Alert(f"r{number}", "burst", "x", at) for number, at in enumerate(times)]
    told, waiting = notices.notices(listed, quiet, until)
    assert sorted([*(a.rule for n in told for a in n.alerts), *(a.rule for a in waiting)]) == sorted(
        a.rule for a in listed if a.at <= until
    )
    for notice in told:
        assert notice.at <= until
        assert quiet.until(notice.at) is None
        assert all(0 <= notice.at - a.at <= DAY for a in notice.alerts)
    later, _ = notices.notices(listed, quiet, until + DAY)
    assert later[: len(told)] == told, "what was told does not depend on what comes"


def test_alerts_of_the_night_come_together_and_once(desk: Desk) -> None:
    desk.save_rules([Rule("e", "event", kinds=("product_safety",), cooldown_h=0)])
    night = [news(f"{name} recalls cars", NOW - NOW % DAY + hour * HOUR) for name, hour in (("Tesla", 1), ("BYD", 3))]
    noon = news("Ford recalls trucks", NOW - NOW % DAY + 12 * HOUR)
    desk.add([*night, noon])
    Delivery(desk).save_quiet(Quiet("00:00", "06:00", "UTC"))
    told: list[Notice] = []
    end = NOW - NOW % DAY + 6 * HOUR
    assert Delivery(desk).hand_over(told.append, channel="test", at=end - 1) == 0
    assert len(Delivery(desk).notices(at=end - 1)[1]) == 2, "they wait"
    assert Delivery(desk).hand_over(told.append, channel="test", at=end) == 1
    assert Delivery(desk).hand_over(told.append, channel="test", at=end + 9 * HOUR) == 1
    assert Delivery(desk).hand_over(told.append, channel="test", at=end + 9 * HOUR) == 0
    assert [(n.gathered, [a.subject for a in n.alerts]) for n in told] == [(True, ["tesla", "byd"]), (False, ["ford"])]
    assert Delivery(desk).hand_over(told.append, channel="another", at=end + 9 * HOUR) == 2

    def broken(_: Notice) -> None:
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        Delivery(desk).hand_over(broken, channel="third", at=end)
    assert Delivery(desk).hand_over(told.append, channel="third", at=end) == 1, "what was not handed over comes again"
    Delivery(desk).save_quiet(None)
    assert Delivery(desk).quiet() is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_sector_that_ships_has_a_name(language: str) -> None:
    from apps.financial_sentiment import companies
    from apps.financial_sentiment.digest import SECTORS, group_name

    assert [g.name for g in groups.sectors(companies.shipped())] == list(SECTORS)
    assert {"zh": "金融", "en": "Finance"}[language] == group_name("sector:finance", language)
    assert group_name("sector:my own", language) == group_name("portfolio:my own", language) == "my own"
