"""What people do about alerts: the journal, mutes, and what is handed over after them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.financial_sentiment import Desk, NewsItem
from apps.financial_sentiment.alerts import Alert, Rule
from apps.financial_sentiment.delivery import Delivery
from apps.financial_sentiment.inbox import Inbox
from apps.financial_sentiment.journal import Entry, Standing, key
from apps.financial_sentiment.notices import Notice, Quiet
from core.errors import InputError
from core.types import LOCAL, Caller

DAY, HOUR = 86_400.0, 3600.0


def test_alerts_are_acknowledged_reopened_and_muted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_790_000_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    desk.save_rules([Rule("recall", "event", kinds=("product_safety",), cooldown_h=0)])
    inbox = Inbox(desk)
    desk.add([NewsItem("Tesla recalls cars"), NewsItem("Ford recalls trucks")])
    listed = inbox.listed()
    assert [(a.subject, state) for a, state in listed] == [("tesla", "open"), ("ford", "open")]
    tesla, ford = (alert for alert, _ in listed)

    clock[0] += 60
    inbox.acknowledge([tesla], note="Called  the\nline")
    inbox.mute(ford, days=1)
    assert [state for _, state in inbox.listed()] == ["acknowledged", "open"], "a mute is for what comes"
    assert [state for _, state in inbox.listed(at=clock[0] - 1)] == ["open", "open"], "as it stood before"

    told: list[Notice] = []
    clock[0] += HOUR
    desk.add([NewsItem("Ford recalls vans"), NewsItem("Tesla recalls trailers")])
    Delivery(desk).hand_over(told.append, channel="test")
    assert sorted(a.subject for n in told for a in n.alerts) == ["ford", "tesla", "tesla"]
    assert [state for _, state in inbox.listed()][:2] == ["open", "muted"]
    (mute,) = inbox.mutes()
    assert (mute.rule, mute.subject) == ("recall", "company:ford")

    clock[0] += 60
    inbox.unmute(mute)
    assert not inbox.mutes()
    assert inbox.listed()[1][1] == "muted", "it was muted when it came"
    inbox.reopen([tesla])
    assert {state for alert, state in inbox.listed() if alert.subject == "tesla"} == {"open"}

    clock[0] += 60
    desk.add([NewsItem("Ford recalls pickups")])
    Delivery(desk).hand_over(told.append, channel="test")
    assert told[-1].alerts[0].subject == "ford"
    desk.save_rules(None)
    desk.save_rules(None)
    Delivery(desk).save_quiet(Quiet())
    Delivery(desk).save_quiet(Quiet())
    log = [(entry.action, entry.note) for entry in inbox.log()]
    assert log[0] == ("quiet", "22:00 – 07:00 Asia/Shanghai"), "what changes nothing is not written"
    assert log[1][0] == "rules_shipped"
    assert [action for action, _ in log[2:]] == ["reopened", "unmuted", "muted", "acknowledged", "rules"]
    assert ("acknowledged", "Called the line") in log
    assert not Inbox(desk).log(Caller(tenant="another"))


def test_a_mute_ends_and_must_end(desk: Desk) -> None:
    alert = Alert("r", "burst", "x", 10.0)
    desk.journal.mute(LOCAL, "company:x", 5.0, until=20.0)
    standing = desk.journal.standing(LOCAL, 100.0)
    assert [standing.state(Alert("r", "burst", "x", at)) for at in (4.9, 5.0, 19.9, 20.0)] == [
        "open", "muted", "muted", "open",
    ]  # fmt: skip
    assert standing.state(Alert("r", "burst", "y", 10.0)) == "open"
    for days in (0, -1, 367):
        with pytest.raises(InputError):
            Inbox(desk).mute(alert, days=days)


steps = st.tuples(
    st.floats(0, 100),
    st.sampled_from(["acknowledged", "reopened", "muted", "unmuted"]),
    st.sampled_from(["", "r", "q"]),
)


@given(drawn=st.lists(steps, max_size=12), at=st.floats(0, 100), alerts=st.lists(st.floats(0, 100), max_size=6))
def test_how_alerts_stand_follows_from_what_was_written_by_then(
    drawn: list[tuple[float, str, str]], at: float, alerts: list[float]
) -> None:
    """Against a reference that goes through the entries one by one; later entries change nothing of an earlier time."""
    entries = [
        Entry(n, "u", when, action, "r" if action in ("acknowledged", "reopened") else rule, "company:x",  # type: ignore[arg-type]
              alerts[n % len(alerts)] if alerts and action in ("acknowledged", "reopened") else None,
              when + 9 if action == "muted" else None, "")
        for n, (when, action, rule) in enumerate(sorted(drawn))
    ]  # fmt: skip
    known = [entry for entry in entries if entry.at <= at]
    standing = Standing.of(known[::-1])
    for moment in alerts:
        alert = Alert("r", "burst", "x", moment)
        expected = "open"
        for entry in known:
            if entry.alert_at == moment and (entry.rule, entry.subject, moment) == key(alert):
                expected = "acknowledged" if entry.action == "acknowledged" else "open"
        for rule in ("", "r"):
            mine = [e for e in known if e.rule == rule and e.action in ("muted", "unmuted") and e.at <= moment]
            if mine and mine[-1].until is not None and moment < mine[-1].until:
                expected = "muted"
        assert standing.state(alert) == expected


def test_alerts_wait_for_the_market(desk: Desk) -> None:
    pytest.importorskip("exchange_calendars")
    from apps.financial_sentiment.sources import moment

    def time_of(said: str) -> float:
        return moment(said) or 0.0

    holiday = time_of("2026-10-02T11:00:00+08:00")  # a Friday of the national week
    assert Quiet("", "", market="XSHG").until(holiday) == time_of("2026-10-08T09:30:00+08:00")
    assert Quiet("09:00", "10:00", market="XSHG").until(holiday) == time_of("2026-10-08T10:00:00+08:00")
    assert Quiet("", "", market="XSHG").until(time_of("2026-10-08T12:10:00+08:00")) is None, "a pause is open"
    assert Quiet("", "", market="XSHG").until(time_of("2060-01-01")) is None, "no calendar knows: said at once"
    for told in ({"market": "XXXX"}, {"begin": "08:00", "end": "18:00", "market": "XSHG"}):
        with pytest.raises(InputError):
            Quiet(**told)

    desk.save_rules([Rule("recall", "event", kinds=("product_safety",), cooldown_h=0)])
    Delivery(desk).save_quiet(Quiet("", "", market="XSHG"))
    desk.add([NewsItem("Tesla recalls cars", seen_at=holiday)])
    notices: list[Notice] = []
    opening = time_of("2026-10-08T09:30:00+08:00")
    assert Delivery(desk).hand_over(notices.append, channel="test", at=opening - 1) == 0
    assert [a.subject for a in Delivery(desk).notices(at=opening - 1)[1]] == ["tesla"]
    assert Delivery(desk).hand_over(notices.append, channel="test", at=opening + DAY) == 1
    assert notices[0].at == opening
    assert Delivery(desk).hand_over(notices.append, channel="another", at=opening + 3 * DAY) == 0, "too late to be news"


def test_without_the_package_a_market_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from apps.financial_sentiment import market
    from core.errors import MissingPackage

    market.sessions.cache_clear()
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(MissingPackage, match="news"):
        Quiet("", "", market="XSHG")
    market.sessions.cache_clear()
