"""The manager's page, part by part, in both languages: figures, gaps, policy, intents, the test box."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from apps.customer_service.teaching import Taught
from apps.customer_service.views import state
from core.training.label_errors import Suspect
from core.types import LOCAL, Caller
from tests.apps.conftest import Open
from tests.apps.customer_service.test_desk_page import PAGE, QUOTING, labels, plain, press, text, whole

MANAGER = "customer_service/views/manager.py"


def part(at: AppTest, name: str) -> AppTest:
    at.segmented_control(key="manager_part").set_value(name).run()
    whole(at)
    return at


def opened(open_page: Open, language: str) -> AppTest:
    return open_page(MANAGER, language, **QUOTING)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_figures_and_gaps_of_real_messages(open_page: Open, language: str) -> None:
    at = opened(open_page, language)
    whole(at)
    assert text("manager.nothing", language) in plain(at)
    part(at, "gaps")
    assert text("manager.no_gaps", language) in plain(at)
    shop = state.service()
    talk = shop.conversations.create(LOCAL).id
    for said in ("How many days do I have to return a KT-210?", "What is the population of Mongolia?", "转人工"):
        shop.ask(said, conversation_id=talk)
    part(at, "figures")
    metrics = {metric.label: metric.value for metric in at.metric}
    assert metrics[text("manager.number.conversations", language)] == "1"
    assert metrics[text("manager.number.handed_over", language)] == "100%"
    assert metrics[text("manager.number.missed", language)] == "50%"
    assert text("desk.cause.asked", language) in plain(at)
    part(at, "gaps")
    assert "Mongolia" in plain(at)
    assert text("manager.people", language, count=1) in plain(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_policy_is_checked_saved_and_taken_back(open_page: Open, language: str) -> None:
    at = part(opened(open_page, language), "policy")
    area = at.text_area(key="policy_text")
    before = area.value
    area.set_value(before.replace("misses: 2", "misses: 20")).run()
    press(at, text("manager.save_policy", language))
    whole(at)
    line = next(n for n, row in enumerate(before.splitlines(), 1) if "misses: 2" in row)
    assert f"policy.yaml:{line}" in plain(at)
    assert any(f"▶ {line:4}" in code.value for code in at.code), "the line is shown"
    assert state.service().assistant.policy.misses == 2
    at.text_area(key="policy_text").set_value(before.replace("misses: 2", "misses: 4")).run()
    assert any("+  misses: 4" in code.value for code in at.code), "what is different is shown"
    press(at, text("manager.save_policy", language))
    whole(at)
    assert text("manager.saved", language) in plain(at)
    assert state.service().assistant.policy.misses == 4
    at.button(key="policy_back_file").click().run()
    whole(at)
    assert state.service().assistant.policy.misses == 2
    assert at.text_area(key="policy_text").value == before


@pytest.mark.parametrize("language", ["zh", "en"])
def test_intents_are_taught_and_the_head_is_compared(open_page: Open, language: str) -> None:
    at = part(opened(open_page, language), "intents")
    assert "track_order" in plain(at)
    assert text("manager.head_shipped", language) in plain(at)
    press(at, text("manager.keep", language))
    whole(at)
    assert "input.empty_question" in plain(at)
    at.selectbox(key="intents_name").set_value("track_order").run()
    at.text_area(key="intents_sentences").set_value("where is it\n我的货呢\n").run()
    press(at, text("manager.keep", language))
    whole(at)
    assert state.service().control.taught(LOCAL) == {"track_order": ["where is it", "我的货呢"]}
    at.session_state["intents_taught"] = Taught(3, 500, 70, 60, 66, 67, 60, 63, [("a *b*", "stock", "human")], 8.2)
    at.run()
    whole(at)
    assert "86%" in plain(at)
    assert "94%" in plain(at)
    assert text("manager.use_head", language) in labels(at)
    press(at, text("manager.forget", language, count=2))
    whole(at)
    assert state.service().control.taught(LOCAL) == {}


def test_sentences_that_look_wrong_are_moved_kept_or_removed(open_page: Open) -> None:
    language = "zh"
    at = part(opened(open_page, language), "intents")
    assert at.button(key="intents_check").disabled, "nothing was taught"
    control = state.service().control
    control.teach(LOCAL, "track_order", ["in *stock*?", "还有货吗", "在吗"])
    at.session_state["intents_suspects"] = [
        Suspect(0, "in *stock*?", "track_order", "stock", 0.04, 0.91),
        Suspect(1, "还有货吗", "track_order", "stock", 0.2, 0.5, "还有货吗？"),
        Suspect(2, "在吗", "track_order", "human", 0.1, 0.4),
    ]
    at.run()
    whole(at)
    assert "91%" in plain(at)
    assert text("manager.suspect.title", language, count=3) in plain(at)
    for key in ("suspect_move_0", "suspect_keep_1", "suspect_remove_2"):
        at.button(key=key).click().run()
        whole(at)
    assert control.taught(LOCAL) == {"stock": ["in *stock*?"], "track_order": ["还有货吗"]}
    assert text("manager.suspect.none", language) in plain(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_message_is_tried(open_page: Open, language: str) -> None:
    at = part(opened(open_page, language), "try")
    at.text_input(key="try_message").set_value("我要退货，订单 PW26110001").run()
    whole(at)
    for said in (
        "start_return",
        "PW26110001",
        text("manager.missing", language),
        text("manager.confirmation", language),
    ):
        assert said in plain(at)
    at.text_input(key="try_message").set_value("How many days do I have to return a KT-210?").run()
    whole(at)
    assert text("manager.what.answer", language) in plain(at)
    assert text("manager.answer", language) in plain(at)
    at.text_input(key="try_message").set_value("转人工").run()
    whole(at)
    assert text("manager.why.asked", language) in plain(at)
    assert state.service().conversations.recent(LOCAL) == []


def test_the_page_is_for_admins(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.ui import session

    at = open_page(PAGE, "en", **QUOTING)
    assert text("manager.title", "en") in plain(at), "a link at the side"
    monkeypatch.setattr(session, "caller", lambda: Caller("local", "agent", frozenset({"agent"})))
    at.run()
    assert text("manager.title", "en") not in plain(at)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_answer_from_a_gap_to_the_customer_and_away(open_page: Open, language: str) -> None:
    asked = {"zh": "月球离地球有多远？", "en": "What is the population of Mongolia?"}[language]
    at = opened(open_page, language)
    shop = state.service()
    shop.ask(asked, conversation_id=shop.conversations.create(LOCAL).id)
    part(at, "gaps")
    press(at, text("manager.write_answer", language))
    whole(at)
    assert at.segmented_control(key="manager_part").value == "answers"
    assert text("manager.no_answers", language) in plain(at)
    assert (at.text_area(key="answers_questions").value, at.segmented_control(key="answers_language").value) == (
        asked,
        language,
    )
    press(at, text("manager.save_answer", language))
    whole(at)
    assert "input.reply_length" in plain(at), "an answer without a text"
    assert at.text_area(key="answers_questions").value == asked, "what was written stays"
    at.text_area(key="answers_text").set_value("3.5 *M*").run()
    press(at, text("manager.save_answer", language))
    whole(at)
    assert text("manager.curated", language, count=1) in plain(at)
    assert at.text_area(key="answers_questions").value == ""
    assert shop.ask(asked).text == "3.5 *M*"
    part(at, "try")
    at.text_input(key="try_message").set_value(asked).run()
    whole(at)
    assert text("mode.curated", language) in plain(at)
    part(at, "answers")
    (entry,) = shop.curated.all(LOCAL)
    assert entry.hits == 1, "trying out does not count"
    at.selectbox(key="answers_which").set_value(entry.id).run()
    assert at.text_area(key="answers_text").value == "3.5 *M*"
    at.toggle(key="answers_on").set_value(False).run()
    press(at, text("manager.save_answer", language))
    whole(at)
    assert text("manager.switched_off", language) in plain(at)
    assert shop.ask(asked).mode == "refused"
    at.selectbox(key="answers_which").set_value(entry.id).run()
    press(at, text("manager.delete_answer", language))
    whole(at)
    assert shop.curated.all(LOCAL) == []


def test_a_proposal_is_edited_and_accepted_or_dismissed(open_page: Open) -> None:
    at = opened(open_page, "en")
    curated = state.service().curated
    for question in ("Do you sell wooden kettles?", "Is there a shop in Lisbon?"):
        talk = state.service().conversations.create(LOCAL).id
        curated.propose(Caller("local", "maya"), talk, question, "Yes <b>really</b>", "en")
    part(at, "answers")
    assert text("manager.proposals", "en", count=2) in plain(at)
    newest, older = state.service().curated.all(LOCAL, "proposed")
    at.button(key=f"proposal_edit_{older.id}").click().run()
    whole(at)
    assert at.text_area(key="answers_questions").value == "Do you sell wooden kettles?"
    press(at, text("manager.save_answer", "en"))
    at.button(key=f"proposal_drop_{newest.id}").click().run()
    whole(at)
    assert state.service().curated.all(LOCAL, "proposed") == []
    assert [entry.questions[0] for entry in state.service().curated.all(LOCAL)] == ["Do you sell wooden kettles?"]
