"""The pages of the acting assistant: cards on the customer's page, the agent desk, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.customer_service.shop.data import RETURNS
from apps.customer_service.views import state
from apps.i18n import LOCALES  # noqa: F401  (its import registers the catalogue)
from core.i18n import message
from core.types import LOCAL, Caller
from tests.apps.conftest import Open, words
from tests.apps.customer_service.conftest import NO_VECTORS

PAGE, DESK = "customer_service/views/chat.py", "customer_service/views/desk.py"
QUOTING = {"TOUCHSTONE_CHAT": "embedded:smollm2", "TOUCHSTONE_EMBEDDING": NO_VECTORS}


def text(key: str, language: str, **params: object) -> str:
    return message(f"customer_service.{key}", language, **params)


def ask(at: AppTest, question: str) -> AppTest:
    return at.chat_input(key="support_question").set_value(question).run()


def press(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label == label).click().run()


def labels(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


def plain(at: AppTest) -> str:
    return words(at).replace("\\", "").replace("\u2060", "")


def whole(at: AppTest) -> None:
    assert not at.exception, at.exception
    assert "customer_service." not in words(at)


def always_open() -> None:
    """Nothing here depends on the hour at which the tests run."""
    assistant = state.service().assistant
    assistant.clock = lambda: 1_795_665_600.0  # noon in Shanghai


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_return_with_choices_and_a_confirmation_card(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **QUOTING)
    ask(at, {"zh": "我要退货，订单 PW26110001", "en": "I want to return something from PW26110001"}[language])
    ask(at, "2468")
    whole(at)
    item = {"zh": "KT-210 电热水壶", "en": "KT-210 kettle"}[language]
    choices = next(group for group in at.button_group if group.key and group.key.startswith("choices_"))
    choices.set_value(item).run()
    reasons = next(group for group in at.button_group if group.key and group.key.startswith("choices_"))
    reasons.set_value({"zh": "不想要了", "en": "I do not want it"}[language]).run()
    whole(at)
    assert "¥287.00" in plain(at)
    assert text("card.not_now", language) in labels(at)
    press(at, text("card.confirm", language))
    whole(at)
    assert f"RT{len(RETURNS) + 1:06d}" in plain(at)
    assert text("card.confirm", language) not in labels(at), "a card that was answered has no buttons"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_order_card(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **QUOTING)
    ask(at, {"zh": "查订单 PW26110001，尾号 2468", "en": "track order PW26110001, ending 2468"}[language])
    whole(at)
    shown = plain(at)
    for said in ("PW26110001", "¥998.00", {"zh": "TW-5 Pro 降噪耳机", "en": "TW-5 Pro noise-cancelling"}[language]):
        assert said in shown
    assert text("card.status.delivered", language) in shown


@pytest.mark.parametrize("language", ["zh", "en"])
def test_from_the_customer_to_the_desk_and_back(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **QUOTING)
    always_open()
    press(at, text("person.ask", language))
    whole(at)
    conversation = at.query_params["c"]
    assert text("person.waiting", language) in plain(at)
    count = len(at.chat_message)
    ask(at, "hello?" if language == "en" else "在吗")
    whole(at)
    assert len(at.chat_message) == count + 1, "nothing answers"

    desk = AppTest.from_file(at._script_path, default_timeout=60)
    desk.query_params["lang"] = language
    desk.run()
    desk.switch_page(DESK).run()
    whole(desk)
    assert text("desk.cause.asked", language) in plain(desk)
    press(desk, text("desk.open", language))
    press(desk, text("desk.take", language))
    whole(desk)
    area = desk.text_area[0]
    assert area.value == text("suggest.asked", language, about="") or area.value, "a suggestion to begin with"
    area.set_value("您好，我是小顾 **帮您看**")
    press(desk, text("desk.send", language))
    whole(desk)
    assert desk.text_area[0].value == ""
    assert "您好，我是小顾" in plain(desk)

    at.query_params["c"] = conversation
    at.run()
    whole(at)
    assert "您好，我是小顾 **帮您看**" in plain(at)
    assert text("person.with", language, name="local") in plain(at)
    press(desk, text("desk.hand_back", language))
    whole(desk)
    assert text("desk.closed", language) in plain(desk)
    at.run()
    assert text("person.ask", language) in labels(at)
    assert text("flow.handed_back", language) in plain(at)


def test_the_customer_may_go_back_alone(open_page: Open) -> None:
    at = open_page(PAGE, "zh", **QUOTING)
    always_open()
    press(at, text("person.ask", "zh"))
    press(at, text("person.back", "zh"))
    whole(at)
    assert text("flow.withdrawn", "zh") in plain(at)
    assert state.service().desk.queue(LOCAL) == []


def test_a_canned_answer_and_an_empty_reply(open_page: Open) -> None:
    at = open_page(PAGE, "en", **QUOTING)
    always_open()
    press(at, text("person.ask", "en"))
    case = state.service().desk.queue(LOCAL)[0]
    state.service().desk.take(LOCAL, case.id)
    at.switch_page(DESK).run()
    canned = next(group for group in at.button_group if group.key and group.key.startswith("desk_canned"))
    wanted = state.service().desk.canned("en")[3]
    canned.set_value(wanted).run()
    assert at.text_area[0].value == wanted
    at.text_area[0].set_value("  ")
    press(at, text("desk.send", "en"))
    assert "input.reply_length" in plain(at)


def test_a_case_of_another_agent_can_be_read_and_not_answered(open_page: Open) -> None:
    at = open_page(PAGE, "en", **QUOTING)
    always_open()
    press(at, text("person.ask", "en"))
    case = state.service().desk.queue(LOCAL)[0]
    state.service().desk.take(Caller("local", "maya", frozenset({"agent"})), case.id)
    at.switch_page(DESK).run()
    press(at, text("desk.open", "en"))
    whole(at)
    assert text("desk.taken_by", "en", name="maya") in plain(at)
    assert not at.text_area


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_empty_desk(open_page: Open, language: str) -> None:
    at = open_page(PAGE, language, **QUOTING)
    at.switch_page(DESK).run()
    whole(at)
    assert text("desk.empty", language) in plain(at)


def test_the_desk_is_for_agents(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.ui import session

    at = open_page(PAGE, "en", **QUOTING)
    monkeypatch.setattr(session, "caller", lambda: Caller("local", "somebody", frozenset()))
    at.run()
    assert text("desk.title", "en") not in words(at)
