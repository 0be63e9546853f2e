"""The desk without a page: what is kept, what is known at a time, alerts, briefs, corrections."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from apps.financial_sentiment import Desk, NewsItem, alerts, series
from apps.financial_sentiment.brief import brief
from apps.financial_sentiment.digest import alert_text, markdown, pdf, plain
from apps.financial_sentiment.digest import page as brief_page
from apps.financial_sentiment.items import Mood
from apps.financial_sentiment.sample import sample_items
from core.errors import InputError, NotFound
from core.i18n import message
from core.types import LOCAL, Caller
from tests.apps.financial_sentiment.conftest import NOW

DAY = series.DAY
PLANTED = {  # days before the end, and who had a burst of news then
    ("x-northcape", 33), ("x-hengchuan", 25), ("x-veldra", 20), ("x-changqiao", 12), ("x-lumivia", 8), ("x-tianshu", 3),
    ("x-tessaly", 1), ("x-solvane", 35), ("x-lanxin", 26), ("x-qinghe", 6),
}  # fmt: skip


def news(title: str, seen_at: float = NOW, **more: object) -> NewsItem:
    return NewsItem(title, seen_at=seen_at, published_at=seen_at, **more)  # type: ignore[arg-type]


def test_copies_fold_and_versions_are_kept(desk: Desk) -> None:
    first = news("特斯拉宣布下调全年交付目标，股价大跌", external_id="1", source="甲报")
    copied = news("特斯拉宣布下调全年交付目标，股价大跌。", NOW + 60, external_id="9", source="乙报")
    other = news("特斯拉宣布上海工厂扩产", NOW + 90, external_id="2", source="甲报")
    added = desk.add([first, copied, other])
    assert (added.new, added.copies, added.updated) == (2, 1, 0)
    assert desk.add([first, copied, other]).known == 3, "adding twice changes nothing"

    better = replace(first, title="更正：特斯拉未下调全年交付目标", seen_at=NOW + 3600)
    assert desk.add([better]).updated == 1
    (newest, *rest) = desk.reported("tesla", at=NOW + 7200)
    titles = {r.item.title for r in (newest, *rest)}
    assert better.title in titles
    assert first.title not in titles
    before = desk.reported("tesla", at=NOW + 1800)
    assert first.title in {r.item.title for r in before}, "what was known then"
    replaced = next(r for r in before if r.item.title == first.title)
    assert [c.source for c in replaced.copies] == ["乙报"]
    assert [v.title for v in desk.items.history(LOCAL, replaced.item.id)] == [first.title, better.title]


def test_a_week_later_the_same_words_are_news_again(desk: Desk) -> None:
    words = "Tesla recalls 3,000 cars over brake software"
    assert desk.add([news(words, source="a"), news(words, NOW + 8 * DAY, source="b")]).new == 2


def test_dates_that_cannot_be_are_told(desk: Desk) -> None:
    undated = NewsItem("Tesla profit falls", source="a", seen_at=NOW)
    future = NewsItem("Nvidia profit soars", source="a", seen_at=NOW, published_at=NOW + 9 * DAY)
    added = desk.add([undated, future])
    assert (added.undated, added.future) == (1, 1)
    (row,) = desk.items.sources(LOCAL)
    assert (row["items"], row["undated"], row["future"]) == (2, 1, 1)
    (reported,) = desk.reported("nvidia", at=NOW)
    assert reported.item.dated == "future"
    assert reported.item.published_at == NOW
    with pytest.raises(InputError):
        desk.add([NewsItem("  ", "\n")])


def test_tenants_do_not_see_one_another(desk: Desk) -> None:
    other = Caller(tenant="other")
    desk.add([news("Tesla profit falls")])
    assert desk.companies(other, at=NOW) == []
    assert desk.add([news("Tesla profit falls")], other).new == 1


def test_no_figure_depends_on_what_was_seen_later(desk: Desk) -> None:
    """The desk that has seen everything tells of a past time what a desk told then."""
    items = sample_items(NOW)
    draw = random.Random(7)
    late = [replace(i, published_at=(i.seen_at or 0) - draw.random() * 5 * DAY) for i in draw.sample(items, 40)]
    items = [i for i in items if i.external_id not in {x.external_id for x in late}] + late
    fixed = [replace(i, title=f"更正 {i.title} 新", seen_at=(i.seen_at or 0) + DAY) for i in draw.sample(items, 15)]
    everything = sorted([*items, *fixed], key=lambda i: i.seen_at or 0)
    desk.load_sample(now=NOW - 400 * DAY)  # the companies; its news is long past
    times = sorted(NOW - draw.random() * 58 * DAY for _ in range(6))
    told, start = [], 0
    for at in times:
        upto = [i for i in everything[start:] if (i.seen_at or 0) <= at]
        start += len(upto)
        desk.add(upto)
        told.append(figures(desk, at))
    desk.add(everything[start:])
    for at, then in zip(times, told, strict=True):
        assert figures(desk, at) == then


def figures(desk: Desk, at: float) -> object:
    standings = desk.companies(at=at)
    return (
        standings,
        [desk.timeline(s.company.id, at=at, days=20) for s in standings],
        desk.alerts(at=at, since=NOW - 60 * DAY),
        [[(r.item.id, r.mood.label) for r in desk.reported(s.company.id, at=at)] for s in standings],
        plain(brief(desk, at=at), {}, "en"),
    )


def test_alerts_of_a_time_begin_those_of_a_later_one(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    whole = desk.alerts(at=NOW, since=NOW - 60 * DAY)[::-1]
    for days in (30, 12.4, 3.5):
        upto = NOW - days * DAY
        assert desk.alerts(at=upto, since=NOW - 60 * DAY)[::-1] == [a for a in whole if a.at <= upto]


def test_planted_bursts_are_found_and_no_others(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    found = {(a.subject, int((NOW - a.at) // DAY)) for a in desk.alerts(at=NOW, since=0) if a.when == "burst"}
    assert found == PLANTED


def test_alerts_name_their_evidence_and_reason(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    for alert in desk.alerts(at=NOW, since=0):
        items = desk.items.get(LOCAL, alert.evidence)
        assert items
        assert all(item.seen_at <= alert.at for item in items.values())
        for language in ("zh", "en"):
            assert "financial_sentiment" not in alert_text(alert, language)
    default = [a for a in desk.alerts(at=NOW, since=0) if "default" in a.figures.get("kinds", ())]
    assert {a.subject for a in default} == {"x-changqiao"}


def test_a_rule_of_change_compares_with_some_days_before() -> None:
    day = 24 * 3600.0
    moods = [mood(n * day, value=value) for n, value in enumerate((0.9, 0.9, 0.9, 0.9, -0.9, -0.9, -0.9))]
    fall = alerts.Rule("fall", "change", level=-0.5, weight=1, days=2, cooldown_h=240)
    (found,) = alerts.replay(moods, [fall], since=0, until=NOW)
    at = found.at
    now, then = series.index([m for m in moods if m.seen_at <= at], at), series.index(moods, at - 2 * day)
    assert found.figures == {"change": now.mood - then.mood, "level": -0.5, "days": 2}
    assert found.figures["change"] <= -0.5 < series.index(moods, at - day).mood - series.index(moods, at - 3 * day).mood
    assert found.evidence == (int(at) + 1, int(at - day) + 1), "the bad news of these days"
    assert alerts.replay(moods, [replace(fall, level=0.5)], since=day * 4, until=NOW) == []
    assert alert_text(found, "en") == f"mood moved by {found.figures['change']:+.2f} in 2 days (limit -0.50)"
    for wrong in (replace(fall, level=0.0), replace(fall, days=31)):
        with pytest.raises(InputError):
            alerts.read(alerts.written([wrong]))


def test_a_rule_keeps_silent_while_it_cools_down() -> None:
    rule = alerts.Rule("r", "event", kinds=("default",), cooldown_h=10)
    moods = [mood(hour * 3600.0, events=(("default", 0, 1),)) for hour in (0, 5, 9.9, 10, 15, 21)]
    found = alerts.replay(moods, [rule], since=0, until=NOW)
    assert [a.at / 3600 for a in found] == [0, 10, 21]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "bad_yaml"),
        ("x: 1", "data_row"),
        ("- id: a\n  when: never", "bad_value"),
        ("- id: a\n  when: event\n  kinds: [sunshine]", "bad_value"),
        ("- id: a\n  when: burst\n  least: many", "bad_value"),
        ("- id: a\n  when: burst\n  cooldown_h: 721", "bad_value"),
        ("- id: a\n  when: burst\n  p_below: 1", "bad_value"),
        ("- id: a\n  when: mood_below\n  level: true", "bad_value"),
        ("- id: a\n  when: burst\n  scope: planet", "bad_value"),
        ("- id: ' '\n  when: burst", "bad_value"),
        ("- id: a\n  when: burst\n- id: a\n  when: burst", "data_duplicate"),
        ("- id: a\n  when: burst\n  color: red", "data_row"),
    ],
)
def test_bad_rules_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        alerts.read(text)
    assert caught.value.reason == reason


def test_the_index_decays_and_shrinks() -> None:
    good = mood(0.0, value=1.0)
    assert series.index([good], 0.0).mood == pytest.approx(0.5), "one item and one neutral prior"
    assert series.index([good], series.HALF_LIFE_S).mood == pytest.approx(0.5 / 1.5)
    assert series.index([good], -1.0).weight == 0, "nothing before it came"
    many = series.index([mood(0.0, value=1.0) for _ in range(50)], 0.0)
    assert many.mood > 0.97
    assert many.deviation < series.index([good], 0.0).deviation
    assert many.dispersion == pytest.approx(0, abs=1e-6), "all say the same"
    assert series.index([good, mood(0.0, value=-1.0)], 0.0).dispersion == pytest.approx(1)


def test_what_was_said_before_is_not_new(desk: Desk) -> None:
    desk.add(
        [
            news("Tesla opens a factory in Texas", NOW - 40 * DAY),
            news("Tesla opens a factory in Texas", NOW - 1.5 * DAY, source="b"),
            news("Tesla recalls some cars", NOW - 0.5 * DAY),
            news("Tesla opens a factory near Berlin", NOW - 0.4 * DAY),
            news("Nvidia opens a factory near Berlin", NOW - 0.3 * DAY),
            news("Tesla recalls some vans", NOW + 60),
        ]
    )
    yesterday, today = desk.timeline("tesla", at=NOW, days=2)
    assert yesterday.novelty == 1, "forgotten after four weeks"
    assert today.novelty == pytest.approx((1 + 2 / 5) / 2), "of the second three pairs of five were said the day before"
    desk.save_portfolio("Mine", {"tesla": 1, "nvidia": 1})
    assert desk.group_timeline("portfolio:Mine", at=NOW, days=1)[0].novelty == pytest.approx((1 + 2 / 5 + 1 / 5) / 3)
    assert desk.timeline("tesla", at=NOW - 2 * DAY, days=1)[0].novelty is None, "no news, nothing new or old"


def test_a_burst_is_judged_against_ones_own_past() -> None:
    busy = [mood(day * DAY + hour * 3600.0) for day in range(28) for hour in range(4)]
    four = [mood(28.9 * DAY + minute) for minute in range(4)]
    assert series.volume([*busy, *four], 29 * DAY).p > 0.3, "four a day are usual there"
    assert series.volume(four, 29 * DAY).p < 0.001


def mood(at: float, *, value: float = -0.9, events: tuple[tuple[str, int, int], ...] = ()) -> Mood:
    label = "positive" if value > 0.3 else "negative" if value < -0.3 else "neutral"
    return Mood(int(at) + 1, "x", label, abs(value), value, (0, 1), (), events, at, at)


def test_corrections_count_from_their_time_and_are_kept(desk: Desk) -> None:
    desk.add([news("Tesla shares surge to record high", NOW - 60)])
    (reported,) = desk.reported("tesla", at=NOW)
    assert reported.mood.label == "positive"
    desk.relabel(reported.item.id, "tesla", "negative")
    assert desk.reported("tesla")[0].mood.mood == -1.0
    assert desk.reported("tesla", at=NOW)[0].mood.label == "positive", "NOW is before the correction"
    assert desk.labels() == [("Tesla shares surge to record high", "tesla", "negative")]
    with pytest.raises(InputError):
        desk.relabel(reported.item.id, "tesla", "great")
    with pytest.raises(NotFound):
        desk.relabel(reported.item.id, "apple", "negative")


def test_a_new_company_is_found_in_old_news(desk: Desk) -> None:
    from apps.financial_sentiment.companies import Company

    desk.add([news("Quorvane Metals shares plunge after audit")])
    assert desk.companies(at=NOW) == []
    desk.add_companies([Company("q", "", "Quorvane Metals")])
    (standing,) = desk.companies(at=NOW)
    assert standing.company.name("zh") == "Quorvane Metals"
    assert standing.index.mood < 0
    assert desk.company("q").en == "Quorvane Metals"
    with pytest.raises(NotFound):
        desk.company("nobody")


def test_the_brief_quotes_its_sources(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    digest = brief(desk, at=NOW)
    assert digest.standings
    for _, reported in digest.standings:
        for r in reported:
            assert r.evidence
            assert r.evidence in r.item.body
            assert r.item.seen_at <= NOW
    told = plain(digest, {}, "zh")
    assert "不构成投资建议" in told
    assert "宏远科技" in told


def test_a_brief_of_a_portfolio_is_of_its_members_alone(desk: Desk) -> None:
    desk.load_sample(now=NOW)
    whole = brief(desk, at=NOW, most=40)
    first, second, *_ = (standing.company.id for standing, _ in whole.standings)
    desk.save_portfolio("Mine", {first: 1, second: 2})
    made = brief(desk, at=NOW, group="portfolio:Mine")
    assert {standing.company.id for standing, _ in made.standings} == {first, second}
    assert list(made.alerts) == [a for a in whole.alerts if a.subject in (first, second)]
    assert len(made.alerts) < len(whole.alerts)
    assert "今日简报：Mine" in plain(made, {}, "zh")
    assert "<h1>Brief of the day: Mine</h1>" in brief_page(made, {}, "en")
    with pytest.raises(NotFound):
        brief(desk, at=NOW, group="portfolio:None")


def test_a_folder_is_added_as_an_archive_and_again_without_doubling(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,published\nTesla shares sink,2026-03-01\n,\n", "utf-8")
    made = desk.add_path(tmp_path, archive=True)
    assert (made.added.new, len(made.refused)) == (1, 1)
    (reported,) = desk.reported("tesla")
    assert reported.item.seen_at == reported.item.published_at == 1_772_323_200.0
    assert desk.add_path(tmp_path, archive=True).added.known == 1
    (tmp_path / "b.csv").write_text("title\nNvidia shares soar\n", "utf-8")
    assert desk.add_path(tmp_path).added.new == 1


def test_a_brief_as_a_page_cites_and_lets_nothing_of_the_news_act(desk: Desk) -> None:
    hostile = "Tesla shares plunge <script>alert(1)</script> after recall"
    desk.add(
        [
            NewsItem(hostile, source="<b>w</b>", url="https://example.org/?a=1&b=2", published_at=NOW, seen_at=NOW),
            NewsItem(
                "比亚迪销量大增，股价创新高", source="w", url="javascript:alert(1)", published_at=NOW, seen_at=NOW
            ),
        ]
    )
    made = brief(desk, at=NOW + 60)
    for language in ("zh", "en"):
        page = brief_page(made, {}, language)
        assert "<script" not in page
        assert "<b>" not in page
        assert "javascript:" not in page
        assert 'href="https://example.org/?a=1&amp;b=2"' in page
        assert "比亚迪销量大增" in page
        assert message("financial_sentiment.no_advice", language).replace("'", "&#x27;") in page
        written = markdown(made, {}, language)
        assert "<script" not in written.replace("\\<", "")
        assert "javascript:" not in written
        assert "](<https://example.org/?a=1&b=2>)" in written
        assert message("financial_sentiment.no_advice", language) in written
        reader = PdfReader(io.BytesIO(pdf(made, {}, language)), strict=True)
        told = "".join("".join(p.extract_text() for p in reader.pages).split())
        said = (hostile, "比亚迪销量大增，股价创新高", message("financial_sentiment.no_advice", language))
        assert all("".join(words.split()) in told for words in said)
        links = {note["/A"]["/URI"] for p in reader.pages for note in p["/Annots"]}
        assert links == {"https://example.org/?a=1&b=2"}


def test_the_feed_is_newest_first_filtered_and_of_its_time(desk: Desk) -> None:
    desk.add(
        [
            news("Tesla shares plunge after recall"),
            news("比亚迪销量大增，股价创新高", NOW + 60),
            news("Nvidia soars, Boeing shares plunge on probe", NOW + 120),
        ]
    )

    def companies(**given: object) -> list[list[str]]:
        return [[m.company for m in moods] for _, moods in desk.feed(at=NOW + 180, **given)]  # type: ignore[arg-type]

    whole = companies()
    assert [set(row) for row in whole] == [{"nvidia", "boeing"}, {"byd"}, {"tesla"}]
    assert companies(companies=["boeing"]) == [["boeing"]], "only what was asked for of an item"
    assert companies(labels=["positive"]) == [["nvidia"], ["byd"]]
    assert ["tesla"] in companies(events_only=True)
    assert ["byd"] not in companies(events_only=True)
    assert len(companies(limit=2)) == 2
    assert companies(back_s=90) == whole[:1]
    assert len(desk.feed(at=NOW + 30)) == 1, "what came later is not there yet"
