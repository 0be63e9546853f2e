"""The customer-service page in both languages: ask, sources, rate, rename, delete, upload, restart."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from apps.customer_service.views import state
from apps.i18n import LOCALES  # noqa: F401  (its import registers the catalogue)
from apps.training_data import agrees
from core.conversations import Conversations
from core.errors import StreamInterrupted
from core.i18n import catalogue, message
from core.types import LOCAL
from tests.apps.conftest import Open, words
from tests.apps.customer_service.conftest import NO_VECTORS

PAGE = "customer_service/views/chat.py"
QUESTIONS = {"zh": "KT-210 几天内可以退货？", "en": "What is the wattage of the American KT-310?"}
SAID = {"zh": "15 天", "en": "1500 W"}
BIKE = "# 员工自行车\n\n员工自行车的车锁密码是 4711。自行车停放在地下二层 B 区。\n".encode()
QUOTING = {"TOUCHSTONE_CHAT": "embedded:smollm2", "TOUCHSTONE_EMBEDDING": NO_VECTORS}


def text(key: str, language: str, **params: object) -> str:
    return message(f"customer_service.{key}", language, **params)


def ask(at: AppTest, question: str) -> AppTest:
    return at.chat_input(key="support_question").set_value(question).run()


def press(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label == label).click().run()


def plain(at: AppTest) -> str:
    """What the page shows, without the marks that keep foreign text harmless."""
    return words(at).replace("\\", "").replace("\u2060", "")


def store() -> Conversations:
    return state.service().conversations


def whole(at: AppTest) -> None:
    assert not at.exception, at.exception
    assert "customer_service." not in words(at)
    for language in ("zh", "en"):
        assert message("ui.error.unexpected", language, trace_id="").rstrip("：: ") not in words(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_ask_and_open_the_sources(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **QUOTING)
    whole(at)
    assert text("welcome", language) in words(at)
    assert text("extractive_hint", language) in str(at.get("page_link")[0].proto)
    ask(at, QUESTIONS[language])
    whole(at)
    assert text("welcome", language) not in words(at)
    assert QUESTIONS[language] in plain(at)
    assert SAID[language] in plain(at)
    assert text("mode.extractive", language) in words(at)
    (sources,) = at.expander
    assert sources.label.startswith(text("sources", language, count="x").split("x")[0])
    assert ":primary-background[" in sources.markdown[0].value, "the quote is marked"
    assert at.query_params["c"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_refusal_says_so_and_shows_what_the_documents_cover(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **QUOTING)
    ask(at, {"zh": "推荐几部好看的科幻片", "en": "best pizza near Covent Garden?"}[language])
    whole(at)
    assert text("refused", language) in words(at)


def test_small_talk_has_no_sources_and_no_thumbs(open_page: Open) -> None:
    at = ask(open_page(PAGE, "zh", **QUOTING), "你好")
    whole(at)
    assert text("small_talk.greeting", "zh") in plain(at)
    assert not at.expander
    assert not at.get("feedback")


def test_an_example_is_answered_at_a_click(open_page: Open) -> None:
    at = open_page(PAGE, "zh", **QUOTING)
    at.button_group(key="support_starter").set_value(text("starter.1", "zh")).run()
    whole(at)
    assert SAID["zh"] in plain(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_conversations_are_listed_opened_renamed_and_deleted(open_page: Open, language: str) -> None:
    at = ask(open_page(PAGE, language, **QUOTING), "你好")
    press(at, text("new", language))
    assert text("welcome", language) in words(at)
    ask(at, "谢谢")
    first, _ = reversed(store().recent(LOCAL))
    press(at, "你好")
    assert at.query_params["c"] == first.id
    assert text("small_talk.greeting", "zh") in plain(at)
    at.menu_button(key=f"menu_{first.id}").click("rename").run()
    assert at.text_input(key=f"title_{first.id}").value == "你好"
    at.menu_button(key=f"menu_{first.id}").click("delete").run()
    whole(at)
    assert text("delete_sure", language, title="你好") in plain(at)
    assert store().get(LOCAL, first.id), "nothing goes without a second click"
    at.menu_button(key=f"menu_{first.id}").click("export").run()
    whole(at)
    assert len(at.get("download_button")) == 2


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_dialogs_rename_and_delete(open_page: Open, language: str) -> None:
    open_page(PAGE, language, **QUOTING)
    made = store().create(LOCAL, "old")
    at = dialog(rename_dialog, language).run()
    at.text_input[0].set_value("打招呼 *重要*")
    at.button[0].click().run()
    assert store().get(LOCAL, made.id).title == "打招呼 *重要*"
    at.text_input[0].set_value("  ")
    at.button[0].click().run()
    assert "empty_title" in plain(at)
    at = dialog(delete_dialog, language).run()
    assert "打招呼 *重要*" in plain(at)
    at.button[0].click().run()
    assert store().recent(LOCAL) == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_kept_of_me_is_in_my_hands(open_page: Open, language: str) -> None:
    whole(open_page(PAGE, language, **QUOTING).button(key="support_own").click().run())
    shop = state.service()
    at = dialog(own_dialog, language).run()
    at.toggle(key="support_remember").set_value(True).run()
    assert shop.facts.agrees(LOCAL)
    shop.facts.note(LOCAL, "order", "PW26110001")
    assert text("own.remembered", language, values="PW26110001") in plain(at.run())
    at.toggle(key="support_learn").set_value(True).run()
    assert agrees(shop.runtime.workspace, LOCAL)
    at.toggle(key="support_remember").set_value(False).run()
    assert shop.facts.of(LOCAL) == []
    store().create(LOCAL, "old")
    assert at.button(key="own_forget").disabled, "not with one click"
    at.checkbox(key="own_sure").check().run().button(key="own_forget").click().run()
    assert store().recent(LOCAL) == []
    assert not agrees(shop.runtime.workspace, LOCAL)
    assert not at.toggle(key="support_learn").value, "else what is shown and what is kept differ"
    assert at.toast[0].value == text("own.forgotten", language)


def own_dialog() -> None:
    from apps.customer_service.views import own

    own.draw()
    own.panel()


def rename_dialog() -> None:
    from apps.customer_service.views import sidebar, state
    from core.types import LOCAL

    for conversation in state.service().conversations.recent(LOCAL):
        sidebar.rename(conversation)


def delete_dialog() -> None:
    from apps.customer_service.views import sidebar, state
    from core.types import LOCAL

    for conversation in state.service().conversations.recent(LOCAL):
        sidebar.delete(conversation)


def documents_dialog() -> None:
    from apps.customer_service.views import documents

    documents.panel()


def dialog(body: Callable[[], None], language: str) -> AppTest:
    """A dialog's body as a page of its own: AppTest closes a dialog at the first click in it."""
    at = AppTest.from_function(body, default_timeout=60)
    at.query_params["lang"] = language
    return at


def test_conversations_are_searched(open_page: Open) -> None:
    at = open_page(PAGE, "en", **QUOTING)
    for question in ("hello", "thanks", "bye", "who are you"):
        ask(at, question)
        press(at, text("new", "en"))
    at.text_input(key="support_query").set_value("thank").run()
    listed = [button.label for button in at.button if button.key and button.key.startswith("open_")]
    assert listed == ["bye", "thanks"], "the farewell thanks too"
    at.text_input(key="support_query").set_value("no such words").run()
    assert text("nothing_found", "en") in words(at)


def test_a_restart_and_a_reload_keep_the_conversation(open_page: Open) -> None:
    at = ask(open_page(PAGE, "zh", **QUOTING), "你好")
    opened = at.query_params["c"]
    again = AppTest.from_file(at._script_path, default_timeout=60)
    again.query_params.update({"lang": "zh", "c": opened})
    again.run()
    again.switch_page(PAGE)
    again.query_params["c"] = opened
    again.run()
    whole(again)
    assert text("small_talk.greeting", "zh") in plain(again)


def test_a_foreign_or_deleted_conversation_opens_nothing(open_page: Open) -> None:
    at = open_page(PAGE, "zh", **QUOTING)
    at.query_params["c"] = "no-such-id"
    at.run()
    whole(at)
    assert text("welcome", "zh") in words(at)


def test_thumbs_and_reason_are_kept_with_trace_and_model(open_page: Open) -> None:
    at = ask(open_page(PAGE, "zh", **QUOTING), QUESTIONS["zh"])
    at.feedback[0].set_value(0).run()
    reason = next(field for field in at.text_input if field.key and field.key.startswith("reason_"))
    reason.set_value("答非所问").run()
    whole(at)
    (row,) = store().feedback(LOCAL)
    assert (row.up, row.comment) == (False, "答非所问")
    assert row.trace_id
    at.feedback[0].set_value(1).run()
    assert store().feedback(LOCAL)[0].up
    at.feedback[0].set_value(None).run()
    assert store().feedback(LOCAL) == []


def test_a_thumb_of_another_window_is_not_undone(open_page: Open) -> None:
    at = ask(open_page(PAGE, "zh", **QUOTING), QUESTIONS["zh"])
    answer = store().messages(LOCAL, at.query_params["c"])[1]
    store().rate(LOCAL, answer.id, True)
    at.run()
    assert store().feedback(LOCAL)[0].up


@pytest.mark.parametrize("language", ["zh", "en"])
def test_upload_ask_and_remove(open_page: Open, language: str) -> None:
    page = open_page(PAGE, language, **QUOTING)
    press(page, text("documents", language))
    whole(page)
    assert message("ui.uploads.none", language) in words(page)
    at = dialog(documents_dialog, language).run()
    at.file_uploader[0].upload("自行车.md", BIKE)
    at.file_uploader[0].upload("bad.pdf", b"%PDF-1.7 nothing").run()
    whole(at)
    assert text("uploaded", language, name="自行车.md") in plain(at)
    assert "bad.pdf" in plain(at)
    assert "4711" in plain(ask(page, "员工自行车的车锁密码是多少？"))
    press(at, message("ui.uploads.remove", language))
    assert state.service().documents() == []


def test_the_sample_shop_can_be_switched_off(open_page: Open) -> None:
    at = open_page(PAGE, "zh", **QUOTING)
    press(at, text("documents", "zh"))
    at.toggle(key="support_sample").set_value(False).run()
    ask(at, QUESTIONS["zh"])
    assert text("refused", "zh") in words(at)


@pytest.mark.parametrize(("question", "code"), [("x" * 1_000_000, "question_too_long"), ("   ", "empty_question")])
def test_a_bad_question_gets_a_clear_word_and_leaves_nothing(open_page: Open, question: str, code: str) -> None:
    at = ask(open_page(PAGE, "zh", **QUOTING), question)
    whole(at)
    assert f"input.{code}" in plain(at)
    assert store().recent(LOCAL) == []


def test_earlier_messages_are_shown_on_demand(open_page: Open) -> None:
    at = open_page(PAGE, "zh", **QUOTING)
    for number in range(8):
        ask(at, "你好" if number else "谢谢")
    drawn = len(at.chat_message)
    assert drawn == state.PAGE
    press(at, text("earlier", "zh"))
    assert len(at.chat_message) == 16
    whole(at)


def test_a_failed_answer_says_why_and_can_be_asked_again(open_page: Open) -> None:
    at = open_page(PAGE, "zh", **QUOTING)
    conversation = store().create(LOCAL)
    draft = store().ask(LOCAL, conversation.id, QUESTIONS["zh"])
    draft.finish("failed", "半句", error=StreamInterrupted(provider="某处", model="m", partial="半句", detail="断"))
    at.query_params["c"] = conversation.id
    at.run()
    whole(at)
    assert "stream_interrupted" in plain(at)
    assert "半句" in plain(at)
    press(at, text("again", "zh"))
    whole(at)
    assert SAID["zh"] in plain(at)
    assert "stream_interrupted" not in plain(at)


HOSTILE = "<img src=x onerror=alert(1)> ![](http://evil.example/x.png) [a](javascript:alert(1)) **b** :red[c]"


def test_foreign_text_does_nothing(open_page: Open) -> None:
    at = open_page(PAGE, "en", **QUOTING)
    state.service().upload("evil.md", f"# Evil {HOSTILE}\n\nThe evil widget costs 5 euros {HOSTILE}.".encode())
    ask(at, f"How much does the evil widget cost? {HOSTILE}")
    whole(at)
    drawn = "\n".join(element.value for element in at.markdown)
    assert "evil widget" in drawn
    assert not re.search(r"(?<!\\)<img|(?<!\\)\]\((http|javascript)|(?<!\\)\*\*b|:red(?<!\\)\[c", drawn)


def test_every_text_of_the_page_is_there_in_both_languages() -> None:
    keys = {lang: {key for key in catalogue(lang) if key.startswith("customer_service.")} for lang in ("zh", "en")}
    assert keys["zh"] == keys["en"]
    assert len(keys["zh"]) > 40


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_model_of_langchain_writes_the_answer(
    open_page: Open, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``langchain:anthropic:…`` by its name alone: what it writes is checked against the sources like any answer."""
    import sys
    import types

    from tests.core.providers.test_langchain import ChatAnthropicLike

    class ChatAnthropic(ChatAnthropicLike):
        """Answers with the first sentence of the first source, as a good model would."""

        def said(self, asked: str) -> str:
            source = re.search(r'<source n="1"[^>]*>\s*(?:#[^\n]*\n\s*)*([^\n]+?(?:[。！？!?]|\.(?=\s)|(?=\n)))', asked)
            return f"{source[1]} [1]" if source else "?"

    from langchain.chat_models import base

    package = types.ModuleType("langchain_anthropic")
    package.ChatAnthropic = ChatAnthropic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain_anthropic", package)
    base._get_chat_model_creator.cache_clear()  # it may hold the class of another test
    at = open_page(PAGE, language, TOUCHSTONE_CHAT="langchain:anthropic:claude-test", TOUCHSTONE_EMBEDDING=NO_VECTORS)
    ask(at, QUESTIONS[language])
    whole(at)
    assert text("mode.generated", language) in words(at)
    (sources,) = at.expander
    assert sources.label.startswith(text("sources", language, count="x").split("x")[0])
