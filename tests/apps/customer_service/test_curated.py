"""Curated answers: what gets them, what does not, what they count, and how an agent's reply becomes one."""

from __future__ import annotations

import pytest

from apps.customer_service import CustomerService
from apps.customer_service.curated import COLUMNS, QUESTIONS_LIMIT, TEXT_LIMIT, Curated
from apps.customer_service.curated_questions import Questions, Remembered
from core.errors import InputError, NotAllowed, NotFound
from core.providers.sync import run
from core.settings import Settings
from core.types import LOCAL, Caller, Language
from tests.apps.customer_service.conftest import OpenShop
from tests.apps.customer_service.scenario import Play

ADMIN = Caller("local", "boss", frozenset({"admin"}))
KETTLE = "Can you engrave a name on a kettle?"
YES = "Yes: up to 12 letters, for 5 euros. **Two** more days."


def kept(shop: CustomerService, question: str = KETTLE, text: str = YES, language: str = "en", **more: object) -> int:
    return shop.curated.save(ADMIN, questions=[question], text=text, language=language, **more)  # type: ignore[arg-type]


def found(shop: CustomerService, text: str, language: str = "en", caller: Caller = LOCAL) -> str | None:
    entry = run(shop.curated.find(caller, text, language))  # type: ignore[arg-type]
    return entry.text if entry else None


def test_what_gets_a_curated_answer_and_what_does_not(shop: CustomerService) -> None:
    number = kept(shop)
    assert found(shop, "Hello, can you engrave a name on a kettle") == YES, "in the same words"
    assert found(shop, "Could you engrave names on kettles?") == YES, "in nearly the same meaning"
    assert found(shop, "How much is a kettle?") is None
    assert found(shop, "可以在水壶上刻名字吗？", "zh") is None, "it is in another language"
    assert found(shop, KETTLE, caller=Caller("elsewhere")) is None
    kept(shop, "Is the KT-210 available in red?", "No.")
    assert found(shop, "Is the KT-210 available in red?") == "No."
    assert found(shop, "Is the KT-310 available in red?") is None, "another product"
    kept(shop, on=False, answer_id=number)
    assert found(shop, KETTLE) is None
    shop.curated.delete(ADMIN, number)
    assert [entry.text for entry in shop.curated.all(ADMIN)] == ["No."]


def test_it_wins_over_documents_and_each_turn_counts_once(shop: CustomerService, settings: Settings) -> None:
    asked = "KT-210 几天内可以退货？"
    assert shop.ask(asked).mode == "extractive"
    number = kept(shop, asked, "三十天，运费我们出。", "zh")
    play = Play(shop, settings, "local")
    (message,) = play.say(asked)
    answer = message.answer()
    assert answer is not None
    assert (answer.mode, message.text) == ("curated", "三十天，运费我们出。")
    entry = shop.curated.get(LOCAL, number)
    assert entry.hits == 1
    assert entry.hit_at is not None
    for _ in shop.iterate(shop.again(message.reply_to or 0, caller=play.caller)):
        pass
    assert shop.curated.get(LOCAL, number).hits == 1, "the same question asked again"
    with shop.runtime.workspace.read() as db:
        assert [row["outcome"] for row in db.execute("SELECT outcome FROM support_turns")] == ["answered"]


def test_without_the_embedding_model_words_are_enough(shop: CustomerService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.customer_service.curated.EMBEDDING", "embedded:nothing")
    kept(shop)
    assert found(shop, KETTLE) == YES
    assert found(shop, "Could you engrave names on kettles?") is None


def test_what_an_agent_said_is_proposed_masked_and_only_then_accepted(
    shop: CustomerService, settings: Settings
) -> None:
    play = Play(shop, settings, "local")
    for text in ("Can you engrave my dog's name, mail me at ann@example.org", "human please"):
        play.say(text)
    agent, case = play.agent, play.case()
    shop.desk.take(agent, case.id)
    shop.desk.reply(agent, case.id, "Hello Ann!")
    shop.desk.reply(agent, case.id, "Yes, we engrave up to 12 letters for 5 euros. I wrote to ann@example.org.")
    shop.desk.hand_back(agent, case.id)
    (proposal,) = shop.curated.all(ADMIN, "proposed")
    assert "dog" in proposal.questions[0], "the question, not the wish for a person"
    assert "12 letters" in proposal.text
    assert "ann@example.org" not in proposal.text + proposal.questions[0]
    assert found(shop, proposal.questions[0]) is None, "a proposal answers nobody"
    assert shop.curated.all(ADMIN) == []
    assert kept(shop, answer_id=proposal.id) == proposal.id
    shop.conversations.delete(play.caller, play.conversation)
    assert found(shop, KETTLE) == YES, "what was accepted is the house's"


def test_a_proposal_goes_with_its_conversation_and_orders_make_none(shop: CustomerService, settings: Settings) -> None:
    for first, count in (("Do you sell gift cards made of wood?", 1), ("查订单 PW26110001", 0)):
        play = Play(shop, settings, "local")
        for text in (first, "转人工"):
            play.say(text)
        case = play.case()
        shop.desk.take(play.agent, case.id)
        shop.desk.reply(play.agent, case.id, "We will have them in spring.")
        shop.desk.hand_back(play.agent, case.id)
        assert len(shop.curated.all(ADMIN, "proposed")) == count
        shop.conversations.delete(play.caller, play.conversation)
        assert shop.curated.all(ADMIN, "proposed") == []


def test_as_a_table_and_back(shop: CustomerService, open_shop: OpenShop) -> None:
    number = shop.curated.save(ADMIN, questions=[KETTLE, "=1+1 engraving?"], text="@home: yes", language="en")
    kept(shop, "可以刻字吗？", "可以，\n最多十二个字。", "zh")
    table = shop.curated.as_csv(ADMIN)
    assert "'=1+1" in table
    assert shop.curated.read(ADMIN, table) == 0, "all of it is there"
    shop.curated.delete(ADMIN, number)
    assert shop.curated.read(ADMIN, table) == 1
    entries = {entry.text: entry.questions for entry in shop.curated.all(ADMIN)}
    assert entries == {"@home: yes": (KETTLE, "=1+1 engraving?"), "可以，\n最多十二个字。": ("可以刻字吗？",)}
    for broken in (
        "language,question\nen,x\n",
        "language,question,answer\nfr,x,y\n",
        "language,question,answer\nen,,y\n",
    ):
        with pytest.raises(InputError):
            shop.curated.read(ADMIN, broken)
    assert len(shop.curated.all(ADMIN)) == 2
    assert table.lstrip("\ufeff").startswith(",".join(COLUMNS))


def test_what_cannot_be_kept(shop: CustomerService) -> None:
    good = {"questions": [KETTLE], "text": YES, "language": "en"}
    for bad in (
        {"questions": ["  "]},
        {"questions": [str(n) for n in range(QUESTIONS_LIMIT + 1)]},
        {"questions": ["x" * 501]},
        {"text": " "},
        {"text": "x" * (TEXT_LIMIT + 1)},
        {"language": "fr"},
    ):
        with pytest.raises(InputError) as refused:
            shop.curated.save(ADMIN, **{**good, **bad})  # type: ignore[arg-type]
        assert refused.value.text("zh")
    with pytest.raises(NotFound):
        kept(shop, answer_id=99)
    agent = Caller("local", "maya", frozenset({"agent"}))
    for call in (
        lambda: shop.curated.all(agent),
        lambda: shop.curated.save(agent, **good),  # type: ignore[arg-type]
        lambda: shop.curated.delete(agent, 1),
        lambda: shop.curated.as_csv(agent),
        lambda: shop.curated.read(agent, ""),
    ):
        with pytest.raises(NotAllowed):
            call()
    assert shop.curated.all(ADMIN) == []


def test_questions_are_read_anew_only_when_an_answer_changed(shop: CustomerService, settings: Settings) -> None:
    remembered = Remembered(most=3)

    def now(language: Language = "en") -> Questions:
        return remembered.of(shop.runtime.workspace, "local", language)

    assert now().by_words == {}
    number = kept(shop, "Is the KT-210 available in red?", "No.")
    before = now()
    assert list(before.by_words.values()) == [number]
    assert now() is before
    shop.curated.hit(LOCAL, number)
    assert now() is before, "an answer that was given has not changed"
    play = Play(shop, settings, "local")
    shop.curated.propose(LOCAL, play.conversation, KETTLE, YES, "en")
    assert len(now().by_words) == 1, "a proposal answers nobody"
    (proposal,) = shop.curated.all(ADMIN, "proposed")
    newer = Curated(shop.runtime)  # as another process has it
    newer.save(
        ADMIN, questions=[KETTLE, "IS THE KT-210 available in red"], text=YES, language="en", answer_id=proposal.id
    )
    after = now()
    assert list(after.by_words.values()) == [proposal.id, proposal.id], "of two that say the same the newer counts"
    assert after.terms["Is the KT-210 available in red?"] is before.terms["Is the KT-210 available in red?"]
    assert set(map(len, after.by_codes)) == {0, 1}
    assert now("zh").by_words == {}
    assert now() is after
    kept(shop, "可以刻字吗？", "可以。", "zh")
    fresh = now()
    now("zh")
    assert now() is not fresh, "beyond the most that are remembered the older ones go"
    newer.delete(ADMIN, proposal.id)
    assert list(now().by_words.values()) == [number]
