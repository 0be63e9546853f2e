"""Bad input of every kind: what can be kept is kept, and the source has a record of what was wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from apps.financial_sentiment import Desk, NewsItem, adapters, sources
from apps.financial_sentiment.items import TEXT_LIMIT, TITLE_LIMIT, Items, Mood
from apps.financial_sentiment.push import Endpoint
from apps.financial_sentiment.series import volume
from apps.financial_sentiment.sketches import BANDS, bands, contradict, figures
from apps.financial_sentiment.vectors import Vectors, embedded
from apps.financial_sentiment.watch import Watch
from core.errors import InputError
from core.providers.sync import run
from core.types import LOCAL, Caller
from tests.apps.financial_sentiment.conftest import NOW
from tests.apps.financial_sentiment.test_sources import EMPTY, HERE, RSS, serving

DAY = 86_400.0


def codes(desk: Desk) -> dict[str, str]:
    return {trouble.source: trouble.code for trouble in desk.troubles.all(LOCAL)}


def health(desk: Desk, source: str) -> dict[str, int]:
    (row,) = [row for row in desk.items.sources(LOCAL) if row["source"] == source]
    return {name: value for name, value in row.items() if name not in ("source", "last_seen_at") and value}


def titles(desk: Desk) -> list[str]:
    items = desk.items.get(LOCAL, range(1, 50))
    return [items[id_].title for id_ in sorted(items)]


def test_undated_and_future_dated_items_are_kept_and_counted(desk: Desk) -> None:
    desk.add([
        NewsItem("Tesla shares sink", source="wire", seen_at=NOW),
        NewsItem("Boeing wins large order", source="wire", published_at=NOW + DAY, seen_at=NOW),
    ])  # fmt: skip
    assert health(desk, "wire") == {"items": 2, "undated": 1, "future": 1}
    assert all(mood.moment == NOW for mood in desk.items.moods(LOCAL, NOW)), "both count from when they were seen"


def test_gb18030_is_read_and_what_is_no_text_is_refused_with_a_record(desk: Desk) -> None:
    made = desk.add_reading(sources.parse("老.csv", "title,source\n比亚迪销量大增,旧系统\n".encode("gb18030")))
    assert (made.added.new, titles(desk), codes(desk)) == (1, ["比亚迪销量大增"], {})
    desk.add_reading(sources.parse("broken.csv", b"title\n\xff\xfe\xff\xff\x81"))
    assert codes(desk) == {"broken.csv": "input.bad_encoding"}


def test_of_five_megabytes_the_beginning_is_kept_with_a_record(desk: Desk) -> None:
    text = "Tesla shares sink after recall. " + "The plant rests. " * 300_000
    assert len(text) > 5_000_000
    desk.add_reading(sources.parse("long.txt", text.encode()))
    assert codes(desk) == {"long": "input.text_cut"}
    (item,) = desk.items.get(LOCAL, [1]).values()
    assert len(item.title) <= TITLE_LIMIT < len(item.text) <= TEXT_LIMIT
    assert item.body.startswith("Tesla shares sink after recall. The plant"), "a long first line is title and text"
    assert [o.label for o in desk.analyze(item.body)] == ["negative"]


def test_tag_soup_becomes_text(desk: Desk) -> None:
    soup = "<div><p>Tesla <b>shares</b> sink<br>after <a href='x'>recall</p><script>Boeing()</script><!-- x --></td>&amp; more <"
    desk.add_reading(sources.parse("a.jsonl", json.dumps({"title": soup, "source": "soup"}).encode()))
    assert titles(desk) == ["Tesla shares sink after recall & more <"]
    assert [c.company.id for c in desk.companies(at=NOW + 10 * 365 * DAY, days=8000)] == ["tesla"]


def test_feeds_that_are_empty_dead_or_without_end_have_a_record(desk: Desk) -> None:
    with serving(EMPTY.encode()) as empty:
        made = desk.add_reading(sources.fetch(empty, limits=HERE))
    assert (made.added.kept, made.refused, len(made.noticed)) == (0, (), 1)
    with serving(RSS.encode(), endless=True) as endless:
        desk.add_reading(sources.fetch(endless, limits=HERE))
    dead = "http://127.0.0.1:9/feed"
    for _ in range(3):
        desk.add_reading(sources.fetch(dead, limits=replace(HERE, total_s=2)))
    assert codes(desk) == {empty: "input.empty_feed", endless: "input.url_too_large", dead: "input.url_failed"}
    (trouble,) = [t for t in desk.troubles.all(LOCAL) if t.source == dead]
    assert trouble.count == 3
    assert trouble.first_at < trouble.last_at
    assert all(trouble.told[language] for language in ("en", "zh"))
    assert desk.troubles.all(Caller(tenant="other", user="x")) == []
    desk.troubles.clear(LOCAL)
    assert codes(desk) == {}


def test_an_id_that_comes_twice_makes_versions_and_loses_nothing(desk: Desk) -> None:
    lines = [{"id": "7", "source": "dup", "title": title, "seen": NOW + n} for n, title in enumerate(("Tesla up", "Boeing down"))]  # fmt: skip
    made = desk.add_reading(sources.parse("a.jsonl", "\n".join(map(json.dumps, lines)).encode()))
    assert (made.added.new, made.added.updated) == (1, 1)
    assert health(desk, "dup") == {"items": 2, "undated": 2, "replaced": 1}
    assert [v.title for v in desk.items.history(LOCAL, 1)] == ["Tesla up", "Boeing down"]


def test_news_of_a_ticker_that_nobody_knows_is_kept_and_counted(desk: Desk) -> None:
    desk.add([NewsItem("ZZQX.US shares sink", source="wire"), NewsItem("Tesla shares sink", source="wire")])
    assert health(desk, "wire")["unnamed"] == 1
    desk.add_reading(adapters.from_akshare([], "999999"))
    assert codes(desk) == {"akshare:999999": "input.empty_feed"}


def test_bad_rows_are_told_once_for_each_kind_of_a_file(desk: Desk, tmp_path: Path) -> None:
    table = "title,published\nTesla shares sink,2026-03-01\n,\nBoeing up,yesterday\n,\n"
    desk.add_reading(sources.parse("rows.csv", table.encode()))
    told = {t.code: (t.count, t.told["where"]) for t in desk.troubles.all(LOCAL)}
    assert told == {"input.data_row": (2, "rows.csv:4"), "input.bad_value": (1, "rows.csv:3")}
    folder = tmp_path / "news"
    folder.mkdir()
    (folder / "b.csv").write_bytes(b"x\n1\n")
    watch = Watch(desk, still_s=0.0)
    watch.add(folder)
    watch.look()
    Endpoint(desk, {"a-token-of-tests": LOCAL}).answer(
        "POST", "Bearer a-token-of-tests", b'{"items": [{"title": "", "text": ""}]}'
    )
    assert {"rows.csv", "news/b.csv", "push"} == set(codes(desk))


# --- what is no copy ----------------------------------------------------------------------------


def test_alike_but_about_another_company_or_figure_is_no_copy(desk: Desk) -> None:
    added = desk.add([
        NewsItem("Tesla beats estimates, raises outlook", source="a", seen_at=NOW),
        NewsItem("Boeing beats estimates, raises outlook", source="a", seen_at=NOW + 60),
        NewsItem("Tesla beats estimates, raises outlook - report", source="b", seen_at=NOW + 120),
        NewsItem("比亚迪今日收报312.5元，上涨2%", source="a", seen_at=NOW),
        NewsItem("比亚迪今日收报318.9元，上涨3%", source="a", seen_at=NOW + DAY),
        NewsItem("快讯：比亚迪今日收报318.9元，上涨3%", source="b", seen_at=NOW + DAY + 60),
    ])  # fmt: skip
    assert (added.new, added.copies) == (4, 2)


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ("up 3% to 43.97", "up 5% to 55.93", True),
        ("up 3% to 43.97", "up 3%", False),
        ("up 3%", "up", False),
        ("sold 15,000 at 4", "sold 15,000 at 5", True),
        ("1 2 3 4 updated 10:32", "1 2 3 4 updated 10:41", False),
    ],
)
def test_figures_contradict_when_both_have_their_own(a: str, b: str, apart: bool) -> None:
    assert contradict(figures(a), figures(b)) is contradict(figures(b), figures(a)) is apart


def test_what_an_earlier_version_stored_is_sketched_before_copies_are_looked_for(desk: Desk) -> None:
    desk.add([NewsItem("Tesla shares sink after a recall of brakes", source="a", seen_at=NOW)])
    with desk.runtime.workspace.write() as db:
        db.execute("DELETE FROM news_sketches")
    fresh = Items(desk.runtime.workspace)
    again = [NewsItem("UPDATE: Tesla shares sink after a recall of brakes", source="b", seen_at=NOW + 60)]
    assert fresh.add(LOCAL, again, NOW + 60).copies == 1


def test_a_flood_of_items_alike_does_not_hide_the_original(desk: Desk) -> None:
    flood = [NewsItem(f"Tesla closes at {n}.{n % 97}, up {n} percent today", source="a", seen_at=NOW + n) for n in range(150)]  # fmt: skip
    assert desk.add(flood).new == 150
    copy = NewsItem("UPDATE: Tesla closes at 77.77, up 77 percent today", source="b", seen_at=NOW + 500)
    assert desk.add([copy]).copies == 1


def test_bands_are_integers_that_a_database_keeps() -> None:
    keys = bands("Tesla shares sink after recall")
    assert len(set(keys)) == BANDS
    assert all(-(1 << 63) <= key < 1 << 63 for key in keys)
    assert keys == (*bands("TESLA shares sink, after recall"),)


def test_what_is_kept_of_an_item_without_words_is_an_error(desk: Desk) -> None:
    with pytest.raises(InputError, match="title"):
        desk.add([NewsItem("  ", "\n")])


def test_vectors_are_kept_looked_up_and_the_oldest_forgotten(desk: Desk) -> None:
    import numpy as np

    class Counting:
        name, dim = "counting", 2
        asked: ClassVar[list[str]] = []

        async def embed(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
            self.asked.extend(texts)
            return np.array([[len(text), 1.0] for text in texts], np.float32)

    model, store = Counting(), Vectors(desk.runtime.workspace, most=3)
    first = run(embedded(["a", "bb", "a"], model, store=store))
    assert first.tolist() == [[1, 1], [2, 1], [1, 1]]
    assert run(embedded(["bb", "ccc"], model, store=store)).tolist() == [[2, 1], [3, 1]]
    assert model.asked == ["a", "bb", "ccc"]
    run(embedded(["dddd"], model, store=store))
    run(embedded(["a"], model, store=store))
    assert model.asked == ["a", "bb", "ccc", "dddd", "a"], "of four the oldest was forgotten"


def test_what_was_not_read_yet_is_no_silence() -> None:
    def news(hours: list[float]) -> list[Mood]:
        return [
            Mood(i, "x", "neutral", 1.0, 0.0, (0, 1), (), (), NOW - h * 3600, NOW - h * 3600)
            for i, h in enumerate(hours)
        ]

    ten_days = news([24.5 + 12 * n for n in range(20)])
    assert volume(ten_days, NOW).expected == pytest.approx(20 / 9.5 + 0.15, rel=0.05)
    assert volume(news([30.0]), NOW).expected == pytest.approx(1 / 7 + 0.15), "one item yesterday is no rate"
    assert volume(news([600.0, 2.0]), NOW).expected == pytest.approx(1 / 24 + 0.15, rel=0.01)
    assert volume([], NOW).expected == pytest.approx(0.15)
