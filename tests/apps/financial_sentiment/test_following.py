"""Feeds that are followed: asked for when they are due, by one process, the dead ones more and more seldom."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import pytest

from apps.financial_sentiment import Desk, sources
from apps.financial_sentiment import following as followed
from apps.financial_sentiment.following import EVERY_S, LONGEST_S, Following
from core.errors import InputError, NotFound
from core.types import LOCAL, Caller
from tests.apps.financial_sentiment.test_sources import HERE, RSS, serving


def near(desk: Desk) -> Following:
    """Follows feeds of this machine, too."""
    return Following(desk, fetch=partial(sources.fetch, limits=replace(HERE, total_s=5)))


def test_a_feed_is_asked_for_when_it_is_due_and_nothing_is_doubled(desk: Desk) -> None:
    feeds, now = near(desk), time.time()
    with serving(RSS.encode()) as url:
        feeds.add(f" {url} ")
        feeds.add(url)
        (feed,) = feeds.look(now=now + 1)
        assert (feed.address, feed.brought, feed.failures, feed.error) == (url, 2, 0, None)
        assert feeds.look(now=now + 2) == [], "not due"
        (feed,) = feeds.look(now=now + 1 + EVERY_S)
        assert feed.brought == 2, "the same again"
    assert sum(row["items"] for row in desk.items.sources(LOCAL)) == 2
    feeds.remove(url)
    assert not feeds.any()
    with pytest.raises(NotFound):
        feeds.remove(url)


def test_a_dead_feed_is_asked_for_ever_more_seldom_until_it_lives(desk: Desk) -> None:
    feeds, now, waits = near(desk), time.time() + 1, []
    with serving(RSS.encode()) as url:
        address = url
    feeds.add(address)
    for _ in range(8):
        (feed,) = feeds.look(now=now)
        assert feed.error
        assert feed.error["zh"]
        waits.append(feed.due_at - now)
        now = feed.due_at
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (pytest.approx(2 * EVERY_S), pytest.approx(LONGEST_S))
    (trouble,) = desk.troubles.all(LOCAL)
    assert (trouble.source, trouble.count) == (address, 8)
    alive = Following(desk, fetch=lambda _: sources.feed(RSS, "feed"))
    (feed,) = alive.look(now=now)
    assert (feed.failures, feed.error) == (0, None)
    assert feed.due_at == pytest.approx(now + EVERY_S)


def test_of_two_that_follow_the_same_feed_one_asks(desk: Desk) -> None:
    asked: list[str] = []

    def fetch(address: str) -> sources.Reading:
        asked.append(address)
        other.look(now=now)
        return sources.feed(RSS, address)

    feeds, other = Following(desk, fetch=fetch), Following(desk, fetch=fetch)
    feeds.add("https://a.example/feed")
    now = time.time() + 1
    assert len(feeds.look(now=now)) == 1
    assert asked == ["https://a.example/feed"]


def test_feeds_belong_to_a_tenant_and_are_not_too_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "MOST", 1)
    feeds = Following(desk, fetch=lambda address: sources.feed(RSS, address))
    feeds.add("https://a.example/feed", Caller(tenant="a"))
    feeds.add("https://a.example/feed", Caller(tenant="a"))
    for address in ("https://b.example/feed", " "):
        with pytest.raises(InputError):
            feeds.add(address, Caller(tenant="a"))
    feeds.add("yfinance:AAPL", Caller(tenant="b"))
    assert [feed.address for feed in feeds.look_all()] == ["https://a.example/feed", "yfinance:AAPL"]
    assert feeds.all() == []
