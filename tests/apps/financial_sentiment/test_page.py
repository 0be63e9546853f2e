"""The sentiment desk's page in both languages: overview, a company with its evidence, alerts, import, corrections."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.financial_sentiment import NewsItem, market, own, review
from apps.financial_sentiment.archives import Archives
from apps.financial_sentiment.brief import brief
from apps.financial_sentiment.delivery import Delivery
from apps.financial_sentiment.digest import RULES
from apps.financial_sentiment.digest import page as digest_page
from apps.financial_sentiment.digest import plain as digest_plain
from apps.financial_sentiment.following import Following
from apps.financial_sentiment.inbox import Inbox
from apps.financial_sentiment.notices import Quiet
from apps.financial_sentiment.second import SecondOpinions
from apps.financial_sentiment.views import charts, feeds, state
from apps.financial_sentiment.watch import Watch
from core.i18n import message
from core.types import LOCAL
from tests.apps.conftest import Open, words
from tests.apps.financial_sentiment.test_own import labels_file

PAGE = "financial_sentiment/views/desk.py"


def text(key: str, language: str, **params: object) -> str:
    return message(f"financial_sentiment.{key}", language, **params)


def whole(at: AppTest) -> None:
    assert not at.exception, at.exception
    assert "financial_sentiment." not in words(at)
    for language in ("zh", "en"):
        assert message("ui.error.unexpected", language, trace_id="").rstrip("：: ") not in words(at)


def look_at(at: AppTest, tab: str) -> AppTest:
    return at.button_group(key="sentiment_tab").set_value(tab).run()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_part_of_the_page(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language)
    whole(at)
    shown = at.dataframe[0].value
    name = {"zh": "天枢芯片", "en": "Tianshu Semi"}[language]
    assert name in list(shown.iloc[:, 0])

    at.session_state["sentiment_company"] = "x-changqiao"
    at = look_at(at, "company")
    whole(at)
    said = words(at)
    assert "十五亿元债券" in said
    assert text("event.default", language) in said
    assert "潮汐网" in said, "the copy is named"

    at = look_at(at, "alerts")
    whole(at)
    assert text("reason.burst", language, count=4, expected="0.3") in words(at)

    of_all = {element.value for element in at.markdown}
    at.selectbox(key="sentiment_brief_group").set_value("sector:technology").run()
    whole(at)
    assert of_all - {element.value for element in at.markdown}, "what is said of other sectors is gone"

    at = look_at(at, "groups")
    whole(at)
    assert {"zh": "科技", "en": "Technology"}[language] in list(at.dataframe[0].value.iloc[:, 0])

    at = look_at(at, "rules")
    whole(at)
    assert text("preview_count", language, count=10, now=10, days=60) in words(at)

    at = look_at(at, "replay")
    whole(at)
    assert text("replay.none_fired", language) in words(at)

    at = look_at(at, "live")
    whole(at)
    at.button_group(key="sentiment_feed_labels").set_value(["negative"]).run()
    whole(at)
    said = words(at)
    assert text("label.negative", language) in said
    at.multiselect(key="sentiment_feed_companies").set_value(["x-tianshu"]).run()
    whole(at)
    assert text("feed_none", language) in words(at), "nothing bad of it in fourteen days"

    at = look_at(at, "model")
    whole(at)
    assert text("model.unchecked", language) in words(at)

    at = look_at(at, "news")
    whole(at)
    at.text_area(key="sentiment_try").set_value("贵州茅台净利润大增").run()
    whole(at)
    assert {"zh": "贵州茅台", "en": "Kweichow Moutai"}[language] in words(at)


def test_a_correction_is_kept_and_counts(open_page: Open) -> None:
    at = open_page(PAGE, "en")
    at.session_state["sentiment_company"] = "x-tianshu"
    at = look_at(at, "company")
    desk = state.desk()
    item = desk.reported("x-tianshu")[0]
    at.button_group(key=f"sentiment_label_{item.item.id}_x-tianshu").set_value("negative").run()
    assert desk.labels(LOCAL) == [(item.item.body, "x-tianshu", "negative")]
    assert desk.reported("x-tianshu")[0].mood.mood == -1.0


def test_the_queue_is_answered_and_a_head_is_trained_and_put_back(open_page: Open, tmp_path: Path) -> None:
    at = look_at(open_page(PAGE, "zh"), "model")
    desk = state.desk()
    (first, *_) = review.waiting(desk, at=time.time())
    wrong = next(label for label in ("positive", "negative") if label != first.mood.label)
    at.button_group(key=f"sentiment_queue_{first.item.id}_{first.mood.company}").set_value(wrong).run()
    whole(at)
    assert text("model.right", "zh", right=0, count=1, share="0%") in words(at)
    assert text("model.apart", "zh", count=1) in words(at)
    assert at.button(key="sentiment_train").disabled, "one correction is too few"
    for moods in desk.items.moods(LOCAL, time.time())[:80]:
        desk.relabel(moods.item_id, moods.company, moods.label)
    at.run()
    at.button(key="sentiment_train").click().run()
    whole(at)
    assert own.load(desk.heads / "1").about["version"] == "own-1"
    assert not at.error
    own.use(desk.heads, 1)
    at.run()
    assert "own-1" in words(at)
    at.button(key="sentiment_shipped").click().run()
    whole(at)
    assert "own-1" not in words(at)
    assert own.current(desk.heads) == ""
    for labels, told in ((b"text\nx\n", "label"), (labels_file(tmp_path / "mine.csv").read_bytes(), "p = ")):
        at.file_uploader(key="sentiment_labels_file").set_value([("mine.csv", labels, "text/csv")]).run()
        at.button(key="sentiment_train_file").click().run()
        whole(at)
        assert told in at.info[0].value
    assert own.load(desk.heads / "2").about["version"] == "own-2"


def test_only_an_administrator_trains(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.ui import session

    monkeypatch.setattr(session, "allowed", lambda role: False)
    at = look_at(open_page(PAGE, "en"), "model")
    whole(at)
    assert "sentiment_train" not in {button.key for button in at.button}


def test_alerts_are_seen_to_and_written_down(open_page: Open) -> None:
    language = "zh"
    at = open_page(PAGE, language)
    whole(at)
    listed = Inbox(state.desk()).listed()
    assert text("inbox.title", language, count=sum(a.at > time.time() - 14 * 86_400 for a, _ in listed)) in words(at)

    at = look_at(at, "alerts")
    assert f"{text('inbox.open', language)} {len(listed)}" in words(at)
    at.button(key="sentiment_ack_0").click().run()
    whole(at)
    assert Inbox(state.desk()).listed()[0][1] == "acknowledged"
    assert text("log.title", language, count=1) in words(at)
    assert f"{text('inbox.acknowledged', language)} 1" in words(at)
    Inbox(state.desk()).mute(listed[1][0], days=7)
    at.run()
    whole(at)
    assert text("inbox.every_rule", language) not in words(at)
    at.button(key="sentiment_unmute_0").click().run()
    assert not Inbox(state.desk()).mutes()
    at.button_group(key="sentiment_inbox").set_value("acknowledged").run()
    whole(at)
    at.button(key="sentiment_ack_0").click().run()
    assert Inbox(state.desk()).listed()[0][1] == "open"
    at.button_group(key="sentiment_inbox").set_value("open").run()
    at.button(key="sentiment_ack_all").click().run()
    whole(at)
    assert text("inbox.none_open", language) in words(at)
    assert {s for _, s in Inbox(state.desk()).listed()} == {"acknowledged"}

    at.session_state["sentiment_date"] = datetime.now(UTC).date() - timedelta(days=12)
    at.run()
    whole(at)
    assert text("inbox.past", language) in words(at)
    assert "sentiment_ack_0" not in {button.key for button in at.button}


def test_a_day_of_the_chart_shows_its_items_beside_a_price(open_page: Open) -> None:
    language = "en"
    at = open_page(PAGE, language)
    at.session_state["sentiment_company"] = "x-changqiao"
    at = look_at(at, "company")
    desk = state.desk()
    spike = max(desk.timeline("x-changqiao"), key=lambda d: d.count)
    mood, volume = (json.loads(c.proto.spec) for c in at.get("vega_lite_chart"))
    assert text("close", language) in json.dumps(mood, ensure_ascii=False), "the price of the sample"
    told = json.dumps(mood, ensure_ascii=False)
    assert text("event.default", language) in told
    assert text("mark_alert", language) in told
    assert "picked" in json.dumps(volume)

    at.session_state["sentiment_day"] = charts.label(spike)
    at.run()
    whole(at)
    assert text("why_day", language, day=charts.label(spike)) in words(at)
    assert "十五亿元债券" in words(at)
    assert "债权人会议召开" not in words(at), "of another day"
    at.button(key="sentiment_all_days").click().run()
    assert "债权人会议召开" in words(at)

    at.session_state["sentiment_company"] = "x-pacmere"
    at.run()
    assert text("close", language) not in json.dumps(
        json.loads(at.get("vega_lite_chart")[0].proto.spec), ensure_ascii=False
    )
    days = [charts.label(day) for day in desk.timeline("x-pacmere", days=5)][:-1]
    rows = "".join(f"{day},{n + 20}\n" for n, day in enumerate(days))
    at.file_uploader(key="sentiment_prices").set_value(
        ("p.csv", f"day,last\n{rows}soon,1\n".encode(), "text/csv")
    ).run()
    whole(at)
    at.button(key="sentiment_prices_save").click().run()
    assert [p.close for p in desk.prices.of(LOCAL, "x-pacmere", time.time())] == [20, 21, 22, 23]
    assert any("soon" in e.value for e in at.error)
    at.run()
    assert text("prices", language, count=4) in words(at)


@pytest.mark.parametrize(("selection", "day"), [({"picked": [{"day": 1_790_000_000_000}]}, "2026-09-21"), ({"picked": [{"day": "2026-09-21"}]}, "2026-09-21"), ({"picked": []}, None), ({}, None)])  # fmt: skip
def test_what_a_click_on_a_chart_says(selection: dict[str, list[dict[str, object]]], day: str | None) -> None:
    assert charts.picked_day(selection) == day


def test_a_replay_of_the_desk_and_of_an_archive(open_page: Open) -> None:
    language = "zh"
    at = look_at(open_page(PAGE, language), "replay")
    whole(at)
    desk = state.desk()
    assert text("replay.none_fired", language) in words(at)
    steps = at.metric[2].value
    assert steps.startswith("0 / ")
    at.button(key="sentiment_replay_next").click().run()
    whole(at)
    assert at.metric[2].value.startswith("1 / ")
    at.button(key="sentiment_replay_last").click().run()
    whole(at)
    first = time.time() - time.time() % 86_400 - 30 * 86_400
    assert int(at.metric[1].value) == len([a for a in desk.alerts(since=0) if a.at >= first])
    assert text("reason.burst", language, count=4, expected="0.3") in words(at)
    at.button(key="sentiment_replay_first").click().run()
    at.button(key="sentiment_replay_play").click().run()
    whole(at)
    assert at.metric[2].value.startswith("1 / "), "it goes on by itself"
    at.button(key="sentiment_replay_play").click().run()
    assert text("replay.play", language) in words(at)

    news = "title,published\nTesla recalls cars,2026-03-02\nFord recalls trucks,2026-03-04\n"
    at.text_input(key="sentiment_replay_name").set_value("Spring").run()
    at.file_uploader(key="sentiment_replay_files").set_value([("a.csv", news.encode(), "text/csv")]).run()
    at.button(key="sentiment_replay_save").click().run()
    whole(at)
    at.selectbox(key="sentiment_replay_archive").set_value("Spring").run()
    at.button(key="sentiment_replay_last").click().run()
    whole(at)
    assert (at.metric[0].value, at.metric[1].value) == ("2", "2")
    assert {"zh": "特斯拉", "en": "Tesla"}[language] in words(at)
    at.button(key="sentiment_replay_delete").click().run()
    whole(at)
    assert not Archives(desk).all()


def test_the_head_in_use_is_measured_on_the_frozen_set(open_page: Open) -> None:
    at = look_at(open_page(PAGE, "en"), "model")
    at.button(key="sentiment_measure").click().run()
    whole(at)
    _, made, found = at.session_state["sentiment_measured"]
    assert at.metric[0].value == f"{made.figures['accuracy'].value:.3f}"
    assert sum(b.count for b in found) == len(made.ids) == 631
    assert sum(b.count * b.right for b in found) / 631 == pytest.approx(made.figures["accuracy"].value)
    assert text("model.curve", "en") in words(at)


def test_a_rule_is_previewed_saved_and_put_back(open_page: Open) -> None:
    at = look_at(open_page(PAGE, "en"), "rules")
    assert {rule.id: rule.when for rule in state.desk().rules()} == RULES, (
        "each that ships has a name in both languages"
    )
    names = [f"{text(f'rule_names.{id_}', 'en')} · {text('scopes.company', 'en')}" for id_ in RULES]
    assert at.selectbox(key="sentiment_rule").options[:-1] == names
    at.selectbox(key="sentiment_rule").set_value("mood_drop").run()
    before = len(state.desk().preview(state.desk().rules()[1])[0])
    at.slider(key="sentiment_rule_level_mood_drop").set_value(-0.1).run()
    whole(at)
    count = len(state.desk().preview(replace(state.desk().rules()[1], level=-0.1))[0])
    assert count > before
    assert text("preview_count", "en", count=count, now=before, days=60) in words(at)
    assert state.desk().rules()[1].level == -0.4, "nothing is kept before it is saved"
    at.button(key="sentiment_rule_save").click().run()
    assert state.desk().rules()[1].level == -0.1
    at.button(key="sentiment_rules_shipped").click().run()
    whole(at)
    assert state.desk().rules()[1].level == -0.4


def test_a_new_rule_for_a_group_and_one_without_a_name(open_page: Open) -> None:
    at = look_at(open_page(PAGE, "zh"), "rules")
    new = "\u0000new"
    at.selectbox(key="sentiment_rule").set_value(new).run()
    at.button(key="sentiment_rule_save").click().run()
    assert at.error, "it has no name"
    at.text_input(key=f"sentiment_rule_id_{new}").set_value("行业转冷").run()
    at.selectbox(key=f"sentiment_rule_when_{new}").set_value("mood_below").run()
    at.selectbox(key=f"sentiment_rule_scope_{new}").set_value("group").run()
    at.slider(key=f"sentiment_rule_level_{new}").set_value(-0.05).run()
    at.button(key="sentiment_rule_save").click().run()
    whole(at)
    kept = state.desk().rules()[-1]
    assert (kept.id, kept.scope, kept.level) == ("行业转冷", "group", -0.05)
    at.selectbox(key="sentiment_rule").set_value("行业转冷").run()
    at.selectbox(key="sentiment_rule_when_行业转冷").set_value("change").run()
    at.number_input(key="sentiment_rule_days_行业转冷").set_value(3.0).run()
    whole(at)
    at.button(key="sentiment_rule_save").click().run()
    assert (state.desk().rules()[-1].when, state.desk().rules()[-1].days) == ("change", 3.0)
    at = look_at(at, "alerts")
    whole(at)


def test_quiet_hours_are_kept(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    at = look_at(open_page(PAGE, "en"), "rules")
    at.toggle(key="sentiment_quiet").set_value(True).run()
    whole(at)
    assert Delivery(state.desk()).quiet() == Quiet()
    at.time_input(key="sentiment_quiet_b").set_value(clock(8, 30)).run()
    assert Delivery(state.desk()).quiet() == Quiet(end="08:30")
    at.time_input(key="sentiment_quiet_b").set_value(clock(22, 0)).run()
    assert at.error, "begin and end are the same"
    at.toggle(key="sentiment_quiet").set_value(False).run()
    assert Delivery(state.desk()).quiet() is None
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    market.sessions.cache_clear()
    at.selectbox(key="sentiment_quiet_market").set_value("XSHG").run()
    assert any("exchange_calendars" in e.value for e in at.error), "what to install"
    state.desk().choices._put(LOCAL, "quiet", {"begin": "", "end": "", "zone": "UTC", "market": "XSHG"})
    at.run()
    whole(at)
    at.button(key="sentiment_quiet_off").click().run()
    assert Delivery(state.desk()).quiet() is None


def test_a_portfolio_is_made_changed_and_brought_as_a_file(open_page: Open) -> None:
    at = look_at(open_page(PAGE, "en"), "groups")
    new = text("portfolio_new", "en")
    at.text_input(key="sentiment_portfolio_name").set_value("Mine").run()
    rows = [
        {"Company": "Tianshu Semi · x-tianshu", "Weight": 3.0},
        {"Company": "Lumivia Health · x-lumivia", "Weight": 1.0},
    ]
    at.session_state[f"sentiment_members_{new}"] = {"edited_rows": {}, "added_rows": rows, "deleted_rows": []}
    at.button(key="sentiment_portfolio_save").click().run()
    whole(at)
    assert dict(state.desk().group("portfolio:Mine").weights) == {"x-tianshu": 3, "x-lumivia": 1}
    assert "Mine" in list(at.dataframe[0].value.iloc[:, 0])
    csv = b"portfolio,company,weight\nOther,Orrin Air,2\nOther,nobody,1\n"
    at.file_uploader(key="sentiment_portfolios_file").set_value(("p.csv", csv, "text/csv")).run()
    assert dict(state.desk().group("portfolio:Other").weights) == {"x-orrin": 2}
    assert any("nobody" in e.value for e in at.error)


def test_versions_and_copies_of_an_item_are_shown(open_page: Open) -> None:
    at = open_page(PAGE, "en")
    desk, now = state.desk(), time.time()
    first = NewsItem("Orrin Air grounds two aircraft", source="wire", external_id="v", seen_at=now - 300)
    second = replace(first, title="Orrin Air grounds two aircraft, shares fall", text="An update.", seen_at=now - 200)
    copied = replace(second, source="other", external_id="c", seen_at=now - 100)
    desk.add([first, second, copied])
    at.session_state["sentiment_company"] = "x-orrin"
    at = look_at(at, "company")
    whole(at)
    shown = words(at)
    assert first.title in shown
    assert text("version", "en", number=2) in shown
    assert "other" in shown


def test_a_second_opinion_is_asked_for_and_shown(open_page: Open, tmp_path: Path) -> None:
    script = 'rules:\n- reply: \'{"q1": {"o1": 5, "o2": 5, "o3": 90}}\'\n'
    (tmp_path / "judge.yaml").write_text(script, "utf-8")
    at = open_page(PAGE, "en", TOUCHSTONE_CHAT="scripted:judge.yaml")
    desk = state.desk()
    at.session_state["sentiment_company"] = "x-tianshu"
    at = look_at(at, "company")
    item = desk.reported("x-tianshu")[0]
    at.button(key=f"sentiment_second_{item.item.id}_x-tianshu").click().run()
    whole(at)
    (kept,) = SecondOpinions(desk).of([item.item.id]).values()
    assert kept.label == "positive"
    assert "90%" in words(at)
    at = look_at(at, "news")
    whole(at)
    assert text("second.title", "en") in words(at)


def test_a_folder_is_watched_in_the_background(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "WATCH_EVERY_S", 0.2)
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "bad.csv").write_text("name\nx\n", "utf-8")
    at = look_at(open_page(PAGE, "en"), "news")
    try:
        folder = next(i for i in at.text_input if i.label == text("folder", "en"))
        folder.set_value(str(incoming))
        next(b for b in at.button if b.label == text("folder_watch", "en")).click().run()
        watch, deadline = Watch(state.desk()), time.monotonic() + 20
        while not watch.files(str(incoming)) and time.monotonic() < deadline:
            time.sleep(0.05)
        at.run()
        whole(at)
        assert "bad.csv" in words(at)
    finally:
        state.stop_watching()


def test_a_feed_is_followed_in_the_background(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "WATCH_EVERY_S", 0.2)
    at = look_at(open_page(PAGE, "en"), "news")
    address = "http://127.0.0.1:9/feed"  # in the own network, which is refused
    try:
        next(i for i in at.text_input if i.label == text("feed", "en")).set_value(address)
        next(b for b in at.button if b.label == text("follow", "en")).click().run()
        following, deadline = Following(state.desk()), time.monotonic() + 20
        while not following.all()[0].error and time.monotonic() < deadline:
            time.sleep(0.05)
        at.run()
        whole(at)
        assert (following.all()[0].error or {})["en"] in words(at)
        at.button(key=f"sentiment_unfollow_{address}").click().run()
        assert following.all() == []
    finally:
        state.stop_watching()


def test_the_dictionary_is_changed_in_a_table_and_a_licence_noted(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = look_at(open_page(PAGE, "en"), "news")
    desk = state.desk()
    table = at.dataframe[0].value
    assert list(table["id"][:1]) == ["x-beichuan"], "the sample's first"
    at.session_state["sentiment_companies_editor"] = {
        "edited_rows": {0: {"aliases": "北川药;BCP"}},
        "added_rows": [{"id": "q", "zh": "夸文金属", "en": "Quorvane"}],
        "deleted_rows": [],
    }
    at.button(key="sentiment_companies_save").click().run()
    whole(at)
    assert text("dictionary_taken", "en", count=2) in words(at)
    assert desk.company("x-beichuan").aliases == ("北川药", "BCP")
    assert desk.company("q").en == "Quorvane"

    sources = desk.items.sources(LOCAL)
    with monkeypatch.context() as patched:  # AppTest cannot edit a cell
        patched.setattr(feeds.st, "session_state", {"sentiment_sources": {"edited_rows": {0: {"Licence": " CC  BY "}}}})
        patched.setattr(feeds.session, "caller", lambda: LOCAL)
        feeds._note([source["source"] for source in sources], "Licence")
    assert desk.choices.licences(LOCAL) == {sources[0]["source"]: "CC BY"}
    made = brief(desk, at=time.time())
    quoted = {r.item.source for _, reported in made.standings for r in reported}
    assert sources[0]["source"] in quoted
    for words_of in (digest_page, digest_plain):
        assert "CC BY" in words_of(made, {}, "en", licences=desk.choices.licences(LOCAL))
        assert "CC BY" not in words_of(made, {}, "en")
    desk.choices.save_licence(LOCAL, sources[0]["source"], "")
    assert desk.choices.licences(LOCAL) == {}


def test_only_an_administrator_names_folders(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.ui import session

    monkeypatch.setattr(session, "allowed", lambda role: False)
    at = look_at(open_page(PAGE, "en"), "news")
    whole(at)
    assert all(i.label != text("folder", "en") for i in at.text_input)
