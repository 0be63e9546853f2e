"""The other parts of the search page in both languages: compare, saved and history, documents; judgments, and links."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.search.query import Query
from apps.search.views import instant, state
from apps.ui import session
from core.i18n import message
from core.types import LOCAL
from tests.apps.conftest import Open, words
from tests.apps.search.conftest import click, drawn, embedded
from tests.apps.search.test_page import PAGE, text, typed, whole

Part = Callable[..., AppTest]


@pytest.fixture
def part(open_page: Open, small_sample: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    """``part("compare", "zh", a="b")`` opens a part of the page, with more of the address."""
    switch = AppTest.switch_page

    def opened(view: str, said: str = "en", /, **address: Any) -> AppTest:
        def switched(at: AppTest, page: str) -> AppTest:
            there = switch(at, page)
            for name, value in {"view": view, **address}.items():
                there.query_params[name] = value
            return there

        monkeypatch.setattr(AppTest, "switch_page", switched)
        at = open_page(PAGE, said)
        whole(at)
        return at

    return opened


def ended(at: AppTest, key: str) -> AppTest:
    """Wait for work in the background, and draw what became of it."""
    for _ in range(2000):
        work = state.service().background.state(key)
        if work is not None and not work.under_way:
            return at.run()
        time.sleep(0.01)
    raise AssertionError("the work never ended")


def group(at: AppTest, key: str) -> Any:
    return next(g for g in at.get("button_group") if g.key == key)


# --- judgments ---------------------------------------------------------------------------------------


def test_a_judgment_is_kept_for_what_was_typed(part: Part) -> None:
    at = typed(part("search"), "annual leave Leeds")
    click(at, "good")
    whole(at)
    desk = state.service()
    assert list(desk.judgments.own("annual leave Leeds", LOCAL).values()) == [1.0]
    assert drawn(at)["cards"][0]["verdict"] == "good"
    click(at, "poor")
    assert list(desk.judgments.own("annual leave Leeds", LOCAL).values()) == [0.0]
    click(at, "unjudged")
    assert desk.judgments.own("annual leave Leeds", LOCAL) == {}
    assert drawn(at)["cards"][0]["verdict"] is None


# --- compare --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_one_query_side_by_side(part: Part, language: str) -> None:
    at = part("compare", language)
    assert text("compare.about", language) in words(at)
    assert [group(at, f"compare_{side}_mode").value for side in "AB"] == ["hybrid", "keyword"]
    embedded(state.service())
    at.text_input(key="compare_q").set_value("annual leave Leeds").run()
    whole(at)
    shown = words(at)
    assert "Annual leave (Leeds)" in shown
    assert text("rank.keyword", language, rank=1) in shown
    assert text("compare.only_here", language) in shown, "vectors find more than words do"


def test_judged_queries_are_measured_and_a_setting_that_is_no_worse_is_used(part: Part) -> None:
    at = part("compare")
    assert text("compare.questions", "en", count=2) in words(at), "those for choosing settings that something answers"
    desk = state.service()
    for document in desk.places(LOCAL)[0].index.documents():
        for number in range(6):
            desk.judgments.judge(f"{document.title} {number}", document.id, 1.0, LOCAL)
    group(at, "compare_source").set_value("judgments").run()
    whole(at)
    assert text("compare.judgments", "en", count=30) in words(at)
    at.button(key="compare_measure").click().run()
    whole(ended(at, "measure/local/local"))
    shown = words(at)
    for name in ("ndcg@10", "recall@100", "mrr@10"):
        assert name in shown
    assert text("compare.figures", "en", count=24, data="judgments") in shown
    group(at, "compare_B_mode").set_value("keyword")
    group(at, "compare_B_languages").set_value(["zh"]).run()
    at.button(key="compare_use_A").click().run()
    whole(ended(at, "default/local/local"))
    assert text("compare.changed", "en") in words(at)
    assert len(desk.defaults.changes(LOCAL)) == 1


def test_a_setting_nobody_can_judge_needs_force(part: Part) -> None:
    at = part("compare")
    at.button(key="compare_use_B").click().run()
    whole(ended(at, "default/local/local"))
    assert any("Fewer than 5 judged queries" in error.value for error in at.error)
    assert state.service().defaults.changes(LOCAL) == []
    at.button(key="compare_force").click().run()
    whole(ended(at, "default/local/local"))
    (change,) = state.service().defaults.changes(LOCAL)
    assert (change.query.mode, change.forced) == ("keyword", True)
    at.run()
    assert text("compare.forced", "en") in words(at)
    group(at, "search_view").set_value("search").run()
    assert at.segmented_control(key="mode").value == "keyword", "everybody searches this way now"
    assert "mode" not in at.query_params, "what is usual is not in the address"


# --- saved and history ----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_search_is_kept_and_tells_what_is_new(part: Part, language: str) -> None:
    at = part("saved", language)
    assert text("saved.none", language) in words(at)
    group(at, "search_view").set_value("search").run()
    typed(at, "bicycle shed code")
    at.button(key="search_saved_keep").click().run()
    whole(at)
    desk = state.service()
    assert [kept.name for kept in desk.saved.all(LOCAL)] == ["bicycle shed code"]
    desk.upload("note.md", b"# Bicycle shed\n\nThe code of the bicycle shed is 4711.\n", LOCAL)
    at.run()
    assert f"{text('view.saved', language)} (1)" in words(at), "the switch says so wherever one is"
    group(at, "search_view").set_value("saved").run()
    whole(at)
    assert text("saved.new", language, count=1, since=message("ui.day.ago_0", language)) in words(at)
    (kept,) = desk.saved.all(LOCAL)
    at.button(key=f"saved_open_{kept.id}").click().run()
    whole(at)
    assert at.text_input(key="q").value == "bicycle shed code"
    assert "4711" in words(at)
    assert desk.saved.all(LOCAL)[0].new == ()


def test_history_is_asked_again_cleared_and_switched_off(part: Part) -> None:
    at = typed(part("search"), "annual leave Leeds")
    group(at, "search_view").set_value("saved").run()
    whole(at)
    at.button(key="history_0").click().run()
    assert at.text_input(key="q").value == "annual leave Leeds"
    group(at, "search_view").set_value("saved").run()
    at.toggle(key="search_history_on").set_value(False).run()
    at.button(key="search_history_clear").click().run()
    whole(at)
    assert text("history.none", "en") in words(at)
    group(at, "search_view").set_value("search").run()
    typed(at, "travel")
    assert state.service().history.all(LOCAL) == []


def test_a_link_restores_the_whole_search(part: Part, small_sample: Path) -> None:
    """What one person sees and sends is what another gets: words, mode, places, filters, help, page and as typed."""
    at = typed(part("search"), "anual leave Leeds")
    at.segmented_control(key="mode").set_value("keyword")
    for key, value in (("in", ["sample"]), ("language", ["en"]), ("kind", ["text"]), ("help", ["spelling"])):
        group(at, key).set_value(value)
    at.date_input(key="since").set_value("2020-01-31")
    at.text_input(key="where").set_value("title=Annual leave (Leeds)").run()
    whole(at)
    asked = (
        at.session_state["q"],
        {name: at.session_state[name] for name in ("mode", "in", "language", "kind", "help", "since", "where")},
    )
    address = {name: at.query_params[name] for name in at.query_params if name not in ("lang", "view")}
    there = part("search", "zh", **address)
    assert there.text_input(key="q").value == asked[0]
    assert {name: there.session_state[name] for name in asked[1]} == asked[1]
    assert "25 days" in words(there)


def test_a_link_keeps_a_query_as_typed(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instant, "WAIT_S", None)
    at = typed(part("search"), "anual leave Leeds")
    at.button(key="search_as_typed_button").click().run()
    assert at.query_params["typed"] == ["1"] or at.query_params["typed"] == "1"
    there = part("search", "en", q="anual leave Leeds", typed="1")
    assert text("meant", "en", query="**annual leave Leeds**") not in words(there)
    typed(there, "secnd anual leave")
    assert "typed" not in there.query_params


# --- documents ------------------------------------------------------------------------------------


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "shed.md").write_text("# Bicycle shed\n\nThe code of the bicycle shed is 4711.\n", "utf-8")
    (folder / "broken.json").write_text("{", "utf-8")
    return folder


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_folder_is_synced_and_every_file_has_its_reason(part: Part, handbook: Path, language: str) -> None:
    at = part("documents", language)
    assert text("documents.none", language) in words(at)
    at.text_input(key="documents_path").set_value(str(handbook)).run()
    at.button(key="documents_sync").click().run()
    whole(ended(at, "folders/local"))
    (table,) = at.dataframe
    rows = {row.iloc[0].rsplit("/", 1)[-1]: list(row.iloc[1:]) for _, row in table.value.iterrows()}
    assert rows["shed.md"][0] == text("documents.status.added", language)
    assert rows["broken.json"][0] == text("documents.status.failed", language)
    assert "broken.json" in rows["broken.json"][2]
    assert "Bicycle shed" in words(at)
    document = state.service().folders.documents(LOCAL)[0]
    at.button(key=f"passages_{document.id}").click().run()
    assert any("4711" in element.value for element in at.markdown)
    at.button(key="folder_reindex_0").click().run()
    whole(ended(at, "folders/local"))
    at.button(key=f"remove_{document.id}").click().run()
    assert state.service().folders.documents(LOCAL) == []
    at.button(key="folder_forget_0").click().run()
    whole(at)
    assert state.service().folders.all(LOCAL) == []


def test_a_folder_that_is_not_there_is_said(part: Part) -> None:
    at = part("documents")
    at.text_input(key="documents_path").set_value("~/no-such-folder").run()
    at.button(key="documents_sync").click().run()
    ended(at, "folders/local")
    assert any("no-such-folder" in error.value for error in at.error)


def test_folders_are_named_only_at_this_machine_or_inside_the_allowed_ones(
    part: Part, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = part("documents")
    monkeypatch.setattr(session, "may_read_folders", lambda: False)
    at.run()
    whole(at)
    assert text("folder_not_allowed", "en") in words(at)
    assert not [button for button in at.button if button.key == "documents_sync"]


def test_a_backup_is_written_and_named(part: Part) -> None:
    at = part("documents")
    at.button(key="documents_backup").click().run()
    whole(at)
    (written,) = (session.runtime().workspace.folder / "backups").glob("*.zip")
    assert any(written.name in message.value.replace("\\", "") for message in at.success)


def test_uploads_are_listed_with_their_passages(part: Part) -> None:
    at = part("documents")
    group(at, "documents_tab").set_value("uploads").run()
    whole(at)
    assert text("documents.who.mine", "en") in words(at)
    state.service().upload("note.md", b"# Bicycle shed\n\nThe code is 4711.\n", LOCAL)
    at.run()
    (document,) = state.service().documents(LOCAL)
    at.button(key=f"passages_{document.id}").click().run()
    whole(at)
    assert any("4711" in element.value for element in at.markdown)


def test_an_unknown_part_is_the_search(part: Part) -> None:
    assert text("welcome", "en") in words(part("nonsense"))


def test_the_query_of_a_link_is_that_of_the_service(part: Part) -> None:
    at = typed(part("search"), "年假")
    assert state.service().history.all(LOCAL)[0].query == Query("年假")
    assert at.text_input(key="q").value == "年假"
