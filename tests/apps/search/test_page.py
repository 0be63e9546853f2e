"""The search page in both languages: type, filter, open, ask why, page through, hostile documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.search.service import Search
from apps.search.views import answer, cards, instant, place, state
from apps.ui.inert import JOINER
from core.i18n import message
from core.providers.sync import run
from core.retrieval import beside
from core.types import LOCAL
from tests.apps.conftest import Open, words
from tests.apps.search.conftest import card_text, click, drawn, embedded

PAGE = "search/views/search.py"
QUERIES = {"zh": "入职满一年有多少天年假", "en": "How many days of annual leave in Leeds"}
SAID = {"zh": "10 天", "en": "25 days"}


def text(key: str, language: str, **params: object) -> str:
    return message(f"search.{key}", language, **params)


def whole(at: AppTest) -> None:
    assert not at.exception, at.exception
    assert "search." not in words(at).replace("search.md", "")
    for language in ("zh", "en"):
        assert message("ui.error.unexpected", language, trace_id="").rstrip("：: ") not in words(at)


@pytest.fixture
def page(open_page: Open, small_sample: Path) -> Open:
    return lambda language, **variables: open_page(PAGE, language, **variables)


def typed(at: AppTest, query: str) -> AppTest:
    """The page with the results of ``query`` and the answer, for which the browser would look again and again."""
    at.text_input(key="q").set_value(query).run()
    end = time.monotonic() + 20
    while any(message("search.answering", language) in words(at) for language in ("zh", "en")):
        assert time.monotonic() < end, "no answer"
        time.sleep(0.05)
        at.run()
    return at


@pytest.mark.parametrize("language", ["zh", "en"])
def test_type_and_read_results_and_answer(page: Open, language: str) -> None:
    at = page(language)
    whole(at)
    assert text("welcome", language) in words(at)
    typed(at, QUERIES[language])
    whole(at)
    assert text("welcome", language) not in words(at)
    assert SAID[language] in words(at)
    assert text("answer.extractive", language) in words(at)
    assert any(card["marked"] for card in drawn(at)["cards"]), "the best sentence is marked"
    assert text("rank.keyword", language, rank=1) in words(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_found_says_what_to_do(page: Open, language: str) -> None:
    at = page(language)
    at.segmented_control(key="mode").set_value("keyword").run()
    typed(at, "zzzzqqqq")
    whole(at)
    assert text("nothing", language) in words(at)
    assert text("nothing_hint", language) in words(at)


def test_why_a_document_was_not_found(page: Open) -> None:
    at = typed(page("en"), "annual leave")
    at.text_input(key="search_about").set_value("missing.md").run()
    whole(at)
    assert "“missing.md” is not here" in words(at)
    at.text_input(key="search_about").set_value("prices.csv").run()
    whole(at)
    assert text("reason.keyword", "en") in words(at)


def test_a_click_opens_the_document_and_the_reasons(page: Open) -> None:
    at = typed(page("en"), "annual leave in Leeds")
    click(at, "open")
    whole(at)
    assert any("Ask your manager" in m.value and ":primary-background[" in m.value for m in at.markdown)
    click(at, "why")
    whole(at)
    assert text("reason.fused", "en") in words(at)
    click(at, "similar")
    whole(at)
    assert text("reason.fused", "en") not in words(at)


def test_filters_count_what_is_there(page: Open) -> None:
    at = typed(page("en"), "leave 年假 two weeks")
    label = next(g for g in at.get("button_group") if g.key == "language").options
    assert any("(" in str(option) for option in label)
    next(g for g in at.get("button_group") if g.key == "language").set_value(["zh"]).run()
    whole(at)
    assert "Leeds" not in "".join(m.value for m in at.markdown) + "".join(map(card_text, drawn(at)["cards"]))


def test_hostile_documents_are_shown_as_text(page: Open, small_sample: Path) -> None:
    bad = "# <script>alert(1)</script>\n\nBoarding ![x](http://evil.example/p.png) [click](javascript:alert(1)) $x$ :material/home: leave.\n"
    (small_sample / "en" / "bad.md").write_text(bad, "utf-8")
    at = typed(page("en"), "boarding leave click")
    whole(at)
    for element in at.markdown:
        assert "![x](" not in element.value
        assert "](javascript" not in element.value
        assert "<script>" not in element.value


def test_a_slip_is_corrected_and_the_way_back_is_a_click(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instant, "WAIT_S", None)
    at = typed(page("en"), "anual leave Leeds")
    whole(at)
    assert text("meant", "en", query="**annual leave Leeds**") in words(at)
    at.button(key="search_saved_keep").click().run()
    assert [kept.query.text for kept in state.service().saved.all()] == ["annual leave Leeds"], (
        "an alert is for what was meant"
    )
    at.button(key="search_as_typed_button").click().run()
    whole(at)
    assert "annual leave Leeds**" not in words(at)
    typed(at, "secnd anual leave")
    assert "annual leave**" in words(at), "another query is helped again"
    next(g for g in at.get("button_group") if g.key == "help").set_value(["pinyin", "synonyms"]).run()
    whole(at)
    assert "annual leave**" not in words(at)


def test_a_click_on_a_card_that_is_not_there_or_says_nonsense_opens_nothing(page: Open) -> None:
    at = typed(page("en"), "annual leave in Leeds")
    before = [element.value for element in at.markdown]
    for action, passage_id in (("open", "unknown"), ("good", "unknown"), ("delete", None)):
        click(at, action, passage_id=passage_id)
        whole(at)
        assert [element.value for element in at.markdown] == before
    assert state.service().judgments.own("annual leave in Leeds", LOCAL) == {}


def test_help_that_is_not_ready_comes_with_a_later_run(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page("en")
    desk = state.service()
    embedded(desk)  # while vectors are missing every run looks again
    with monkeypatch.context() as early:
        early.setattr(type(desk.lexicons), "of", lambda *_, **__: None)
        typed(at, "anual leave Leeds")
        assert "annual leave Leeds**" not in words(at)
    monkeypatch.setattr(instant, "WAIT_S", None)
    at.run()
    assert "annual leave Leeds**" in words(at)


def test_the_other_language_is_offered_beside(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "FIRST", 1)
    at = page("en")
    embedded(state.service())
    typed(at, "annual leave in Leeds")
    whole(at)
    offered = [e.label for e in at.expander if "Also in Chinese" in e.label]
    assert len(offered) == 1
    at.button(key="beside_open_1").click().run()
    whole(at)
    next(g for g in at.get("button_group") if g.key == "help").set_value(["spelling"]).run()
    assert not [e.label for e in at.expander if "Also in Chinese" in e.label]


def test_traditional_characters_are_said_to_be_searched_as_simplified(page: Open) -> None:
    at = typed(page("zh"), "出差住宿標準")
    whole(at)
    assert text("also", "zh", words="出差住宿标准") in words(at)


def test_a_snippet_is_text_to_read_and_shows_no_markdown(page: Open, small_sample: Path) -> None:
    (small_sample / "en" / "shed.md").write_text(
        "# Bicycle shed\n\n## Lock\n\n- The bicycle shed has a **new lock**.\n- Its `code` is in the mail.\n", "utf-8"
    )
    at = typed(page("en"), "bicycle shed lock")
    whole(at)
    card = card_text(drawn(at)["cards"][0])
    assert "new lock" in card
    assert "*" not in card
    assert "`" not in card


@pytest.mark.parametrize(("said", "rank"), [("2", 2), ("99", 3), ("x", 1)])
def test_the_address_says_the_page_and_another_query_begins_at_its_first(
    open_page: Open, small_sample: Path, monkeypatch: pytest.MonkeyPatch, said: str, rank: int
) -> None:
    monkeypatch.setattr(cards, "PAGE", 1)
    for name, fact in {"shed": "opens at six", "pump": "hangs beside the door", "lock": "has four digits"}.items():
        (small_sample / f"en/{name}.md").write_text(f"# Bicycle {name}\n\nThe bicycle {name} {fact}.\n", "utf-8")
    address = {"q": "bicycle", "mode": "keyword", "page": said}
    monkeypatch.setattr(AppTest, "switch_page", _with_address(address, AppTest.switch_page))
    monkeypatch.setattr(answer, "worth_answering", lambda _: False)

    at = open_page(PAGE, "en")
    whole(at)
    assert drawn(at)["cards"][0]["rank"] == rank
    at.text_input(key="q").set_value("the bicycle").run()
    whole(at)
    assert drawn(at)["cards"][0]["rank"] == 1


def test_the_address_says_codes_and_is_read_again(page: Open) -> None:
    at = typed(page("zh"), "年假")
    assert not {"mode", "in", "language", "kind", "help"} & set(at.query_params)
    at.segmented_control(key="mode").set_value("keyword").run()
    groups = {g.key: g for g in at.get("button_group")}
    groups["language"].set_value(["zh"])
    groups["help"].set_value([]).run()
    whole(at)
    assert [at.query_params[name] for name in ("mode", "language", "help")] == ["keyword", "zh", "none"]


def test_what_a_run_adds_to_the_address_leaves_no_older_query_in_it(page: Open) -> None:
    at = typed(page("en"), "annual leave")
    at.query_params["q"] = "what was typed before"  # as a busy browser says it beside the newer text of the field
    at.segmented_control(key="mode").set_value("keyword").run()
    whole(at)
    said = [at.query_params[name] for name in ("q", "mode")]
    assert [value[-1] if isinstance(value, list) else value for value in said] == ["annual leave", "keyword"]


def test_an_address_with_nonsense_is_read_as_far_as_it_makes_sense(
    open_page: Open, small_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {"q": "leave 年假", "language": ["zh", "nonsense"], "mode": "wrong", "help": "none"}
    monkeypatch.setattr(AppTest, "switch_page", _with_address(address, AppTest.switch_page))
    at = open_page(PAGE, "en")
    whole(at)
    assert at.segmented_control(key="mode").value == "hybrid"
    groups = {g.key: g.value for g in at.get("button_group")}
    assert (groups["language"], groups["help"]) == (["zh"], [])


def _with_address(address: dict[str, object], switch: Callable[[AppTest, str], AppTest]) -> Callable[..., AppTest]:
    def switched(at: AppTest, page: str) -> AppTest:
        there = switch(at, page)
        for name, value in address.items():
            there.query_params[name] = value
        return there

    return switched


def test_an_opened_document_hides_its_front_matter_and_the_folders_of_this_machine(
    page: Open, small_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "SAMPLE", small_sample)
    body = "---\ntitle: Bicycle shed\ntags: [bike]\n---\n# Bicycle shed\n\nAt the gate.\n\n## Lock\n\nThe bicycle shed has a new lock.\n"
    (small_sample / "en" / "shed.md").write_text(body, "utf-8")
    at = typed(page("en"), "bicycle shed new lock")
    click(at, "open")
    whole(at)
    told = [c.value.replace(JOINER, "").replace("\\", "") for c in at.caption]
    assert any(caption.startswith("en/shed.md · ") for caption in told), told
    assert str(small_sample) not in words(at)
    assert "tags" not in words(at)


def test_a_follow_up_is_asked_and_another_query_begins_anew(page: Open) -> None:
    at = typed(page("en"), "How many days of annual leave in Leeds")
    at.text_input(key="search_follow").set_value("Whom do I ask two weeks before?").run()
    whole(at)
    assert "Whom do I ask two weeks before?" in words(at)
    assert at.text_input(key="search_follow").value == "", "the field is free for the next"
    assert len(at.chat_message) == 2
    at.text_input(key="search_follow").set_value("And in China?").run()
    assert len(at.chat_message) == 4
    typed(at, "How many days of annual leave in Hangzhou")
    whole(at)
    assert len(at.chat_message) == 0


def test_without_an_embedding_model_the_page_goes_on_to_its_end(open_page: Open, small_sample: Path) -> None:
    at = typed(open_page(PAGE, "en", TOUCHSTONE_EMBEDDING="scripted:none"), "annual leave in Leeds days")
    whole(at)
    assert not at.error
    assert text("why_not", "en") in words(at), "what is drawn last"


def test_a_click_searches_nothing_again_until_a_document_changes(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    find = Search.find
    monkeypatch.setattr(
        Search, "find", lambda self, query, *a, **k: asked.append(query.text) or find(self, query, *a, **k)
    )
    opened = page("en")
    desk = state.service()
    embedded(desk)  # while vectors are missing every run looks again
    at = typed(opened, "annual leave in Leeds")
    click(at, "open")
    assert asked == ["annual leave in Leeds"]
    desk.upload("dogs.md", b"# Dogs\n\nDogs take annual leave in Leeds, too.\n")
    run(desk.places()[2].index.embed_pending())
    typed(at, "annual leave in Leeds")
    whole(at)
    assert len(asked) == 2
    assert "Dogs" in words(at)


def test_results_stand_before_the_answer_and_another_query_ends_its_making(
    page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "STILL_S", 60.0)
    at = page("en")
    at.text_input(key="q").set_value("annual leave in Leeds").run()
    assert text("rank.keyword", "en", rank=1) in words(at)
    assert text("answering", "en") in words(at)
    first = at.session_state["search_quoted"]
    assert first.events.gi_frame is not None, "it waits for whoever may still be typing"
    monkeypatch.setattr(answer, "STILL_S", 0.0)
    typed(at, QUERIES["en"])
    whole(at)
    assert first.events.gi_frame is None, "closed"
    assert SAID["en"] in words(at)
