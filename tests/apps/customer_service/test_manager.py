"""The manager: figures by hand, gaps in order of cost, a policy changed while it runs, intents taught, a message tried."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.customer_service import CustomerService, manager, teaching
from apps.customer_service.manager import alike
from apps.customer_service.policy_versions import PolicyVersions
from apps.customer_service.shop.tools import SHOP_TOOLS
from apps.customer_service.teaching import Taught
from apps.customer_service.turns import Noting, Outcome, Turns
from core.errors import InputError, InvalidSetting, NotAllowed
from core.providers.sync import run
from core.types import LOCAL, Caller, Example

NOW = 1_795_665_600.0  # noon in Shanghai
NOBODY = Caller("local", "somebody", frozenset())
OTHER = Caller("other", "boss", frozenset({"admin", "agent"}))
PARROT = """
  parrot:
    do: hand_off
    title: {zh: 鹦鹉, en: parrots}
    say: {zh: "鹦鹉的事请稍等。", en: "One moment, about the parrot."}
"""


def with_parrot(text: str) -> str:
    return text.replace("\nintents:\n", "\nintents:" + PARROT, 1)


@pytest.fixture
def shop(shop: CustomerService) -> CustomerService:
    shop.assistant.clock = lambda: NOW
    return shop


def noted(
    shop: CustomerService,
    talk: str,
    text: str,
    outcome: Outcome,
    *,
    ago: float = 60.0,
    intent: str | None = None,
    first_s: float | None = None,
    thumb: bool | None = None,
    language: str = "en",
) -> None:
    """A question with its answer, as a service keeps them, so long ago."""
    draft = shop.conversations.ask(LOCAL, talk, text)
    draft.finish("done", "…")
    noting = Noting(0.0, language=language, intent=intent, outcome=outcome, first_s=first_s)  # type: ignore[arg-type]
    Turns(shop.runtime.workspace).note(LOCAL, talk, draft.question_id, noting)
    if thumb is not None:
        shop.conversations.rate(LOCAL, draft.message_id, thumb)
    with shop.runtime.workspace.write() as db:
        db.execute("UPDATE support_turns SET at=? WHERE question_id=?", (NOW - ago, draft.question_id))


def talk(shop: CustomerService) -> str:
    return shop.conversations.create(LOCAL).id


def case(shop: CustomerService, conversation: str, *, ago: float, taken: float, closed: float, cause: str) -> None:
    made = shop.assistant.cases.open(
        LOCAL, conversation, cause=cause, language="en", intent=None, brief={"last": ""}  # type: ignore[arg-type]
    )  # fmt: skip
    with shop.runtime.workspace.write() as db:
        db.execute(
            "UPDATE desk_cases SET created_at=?, taken_at=?, closed_at=?, state='closed' WHERE id=?",
            (NOW - ago, NOW - taken, NOW - closed, made.id),
        )


def test_figures_by_hand(shop: CustomerService) -> None:
    one, two, three, four = (talk(shop) for _ in range(4))
    noted(shop, one, "when is the shop open?", "answered", first_s=0.1, intent="question", thumb=True)
    noted(shop, one, "thanks", "small_talk", ago=50)
    noted(shop, two, "do you sell parrots?", "refused", first_s=0.3, intent="question", language="zh")
    noted(shop, three, "and canaries?", "refused", ago=2 * 86_400, first_s=0.2, intent="question")
    noted(shop, three, "my order PW26110001", "done", ago=1.9 * 86_400, intent="track_order")
    noted(shop, four, "a person please", "handed_over")
    case(shop, four, ago=55, taken=25, closed=5, cause="asked")
    noted(shop, one, "long ago", "answered", ago=20 * 86_400)
    found = shop.manager.overview(LOCAL, since=NOW - 7 * 86_400, until=NOW)
    assert (found.turns, found.conversations, found.customers) == (6, 4, 1)
    assert (found.resolved, found.handed_over, found.left) == (0.5, 0.25, 0.25)
    assert found.missed == pytest.approx(2 / 3)
    assert found.first_s == (0.2, 0.3)
    assert found.person_s == pytest.approx(30)
    assert (found.thumbs, found.causes, found.languages) == ((1, 0), {"asked": 1}, {"en": 5, "zh": 1})
    assert found.intents == {"question": 3, "track_order": 1}
    assert len(found.days) == 8
    assert sum(sum(day.outcomes.values()) for day in found.days) == 6
    assert found.days[-1].outcomes == {"answered": 1, "small_talk": 1, "refused": 1, "handed_over": 1}
    nothing = shop.manager.overview(OTHER, since=0, until=NOW)
    assert (nothing.turns, nothing.resolved, nothing.first_s) == (0, None, None), "of another tenant nothing is seen"


def test_a_real_conversation_is_noted_and_goes_with_it(shop: CustomerService) -> None:
    open_ = talk(shop)
    for said in ("hello", "How many days do I have to return a KT-210?", "查订单 PW26110001，尾号 2468", "转人工"):
        shop.ask(said, conversation_id=open_)
    shop.ask("still there?", conversation_id=open_)  # a person has it: no turn of the assistant's
    turns = Turns(shop.runtime.workspace).between("local", 0, time.time() + 1, texts=True)
    assert [turn.outcome for turn in turns] == ["small_talk", "answered", "done", "handed_over"]
    assert [turn.language for turn in turns] == ["en", "en", "zh", "zh"]
    assert turns[1].intent == "question"
    assert turns[2].intent == "track_order"
    assert all(turn.first_s is not None and turn.first_s >= 0 for turn in turns)
    assert turns[1].text.startswith("How many days")
    shop.conversations.delete(LOCAL, open_)
    assert Turns(shop.runtime.workspace).between("local", 0, time.time() + 1) == []


def test_gaps_in_order_of_cost(shop: CustomerService, monkeypatch: pytest.MonkeyPatch) -> None:
    talks = [talk(shop) for _ in range(5)]
    noted(shop, talks[0], "Can you engrave my name on the kettle?", "refused", ago=500)
    noted(shop, talks[1], "could you engrave a name on a kettle", "refused", ago=400)
    noted(shop, talks[2], "能不能帮我在水壶上刻字？", "refused", ago=300, language="zh")
    noted(shop, talks[3], "Do you have a shop in Lisbon?", "refused", ago=200)
    noted(shop, talks[4], "How long is the warranty on the TW-5 Pro?", "answered", ago=100, thumb=False)
    noted(shop, talks[4], "When is the London store open?", "answered", ago=90, thumb=True)
    case(shop, talks[3], ago=190, taken=180, closed=60, cause="misses")
    case(shop, talks[0], ago=900, taken=880, closed=860, cause="asked")  # before it was asked: no cost of it
    found = shop.manager.gaps(LOCAL, since=NOW - 86_400, until=NOW)
    assert [gap.asked for gap in found] == [1, 3, 1]
    assert (found[0].question, found[0].people, found[0].person_s) == ("Do you have a shop in Lisbon?", 1, 120)
    assert (found[1].people, len(found[1].questions)) == (0, 3), "the same in two languages"
    assert found[2].disliked == 1

    def meanwhile(made: Any) -> Any:
        manager._known.clear()  # as when somebody else's questions take the place
        return run(made)

    del manager._known["Do you have a shop in Lisbon?"]
    monkeypatch.setattr(manager, "run", meanwhile)
    assert shop.manager.gaps(LOCAL, since=NOW - 86_400, until=NOW) == found
    assert shop.manager.gaps(LOCAL, since=0, until=1) == []


def test_groups_are_as_alike_as_asked() -> None:
    rows = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    assert alike(rows, 0.95) == [[0], [1, 3], [2]]
    assert [sorted(group) for group in alike(rows, 0.7)] == [[0, 1], [2, 3]]
    assert alike(rows, -1.0) == [[1, 3, 0, 2]], "the one in the middle comes first"


def test_the_manager_is_for_admins(shop: CustomerService) -> None:
    control = shop.control
    for call in (
        lambda: shop.manager.overview(NOBODY, since=0, until=1),
        lambda: shop.manager.gaps(NOBODY, since=0, until=1),
        lambda: control.policy_text(NOBODY),
        lambda: run(control.try_out(NOBODY, "hi", "en")),
        lambda: control.save_policy(NOBODY, ""),
        lambda: control.save_policy(OTHER, control.policy_text(LOCAL)),  # one policy serves all tenants
        lambda: control.teach(OTHER, "track_order", ["where is it"]),
        lambda: run(control.train(OTHER)),
    ):
        with pytest.raises(NotAllowed) as refused:
            call()
        assert "admin" in refused.value.text("zh")


# --- the policy -----------------------------------------------------------------------------------


def test_a_policy_counts_from_the_next_message_on_and_back(shop: CustomerService) -> None:
    control, open_ = shop.control, talk(shop)
    text = control.policy_text(LOCAL)
    shop.ask("I want to return something from PW26110001", conversation_id=open_)
    changed = (
        with_parrot(text)
        .replace("请提供下单手机号", "请告诉我下单手机号")
        .replace("please give me the", "kindly give me the")
    )
    control.save_policy(LOCAL, changed)
    assert "parrot" in shop.assistant.policy.intents
    assert "kindly" in shop.ask("PW26110002", conversation_id=open_).text, "in a conversation that is open"
    with pytest.raises(InvalidSetting) as wrong:
        control.save_policy(LOCAL, changed.replace("do: hand_off", "do: hand_of", 1))
    line = next(n for n, row in enumerate(changed.splitlines(), 1) if "do: hand_off" in row)
    assert f"policy.yaml:{line}" in wrong.value.text("en")
    with pytest.raises(InputError) as broken:
        control.save_policy(LOCAL, "intents: [")
    assert "policy.yaml:1" in broken.value.text("zh")
    assert control.policy_text(LOCAL) == changed, "what is no policy changes nothing"
    control.save_policy(LOCAL, "")
    assert control.policy_text(LOCAL) == text
    assert "parrot" not in shop.assistant.policy.intents
    versions = control.policy_history(LOCAL)
    assert [bool(version.text) for version in versions] == [False, True]
    control.save_policy(LOCAL, versions[1].text)
    assert "parrot" in shop.assistant.policy.intents


def test_a_wish_that_the_policy_no_longer_knows_is_dropped(shop: CustomerService) -> None:
    open_ = talk(shop)
    shop.ask("I want to return something from PW26110001", conversation_id=open_)
    assert shop.assistant.flow.talk(open_).task is not None
    text = shop.control.policy_text(LOCAL)
    start, end = text.index("  start_return:\n"), text.index("  cancel_order:\n")
    shop.control.save_policy(LOCAL, (text[:start] + text[end:]).replace("start_return, ", ""))
    assert shop.ask("2468", conversation_id=open_).mode in ("refused", "extractive", "frame")
    assert shop.assistant.flow.talk(open_).task is None


def test_whoever_wrote_last_is_right(shop: CustomerService, tmp_path: Path) -> None:
    file, workspace = tmp_path / "policy.yaml", shop.runtime.workspace
    text = shop.control.policy_text(LOCAL)
    file.write_text(text, "utf-8")
    first = PolicyVersions(file, SHOP_TOOLS)
    second = PolicyVersions(file, SHOP_TOOLS)  # as another process has it
    first.save(workspace, LOCAL, with_parrot(text))
    assert "parrot" in second.current(workspace).intents
    file.write_text(text.replace("misses: 2", "misses: 3"), "utf-8")
    newer = PolicyVersions(file, SHOP_TOOLS)
    assert (newer.current(workspace).misses, "parrot" in newer.current(workspace).intents) == (3, False)
    assert newer.history(workspace)[0].outdated
    fewer = PolicyVersions.__new__(PolicyVersions)
    fewer.__dict__ |= {**first.__dict__, "_tools": (), "_used": None}
    assert "parrot" not in fewer.current(workspace).intents, "a version that fits no tool any more is not used"


# --- a message tried out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what", "why", "rule"),
    [
        ("你好", "small_talk", "small_talk", None),
        ("How many days do I have to return a KT-210?", "answer", "question", "question"),
        ("转人工", "hand_off", "asked", None),
        ("我要退货，订单 PW26110001", "tool", "sure", "start_return"),
        ("PW26110001", "tool", "value", "track_order"),
        ("the power station is smoking", "hand_off", "sure", "danger"),
        ("never mind", "say", "command", None),
        ("垃圾骗子！！气死我了", "hand_off", "frustration", None),
    ],
)  # fmt: skip
def test_what_would_you_do(shop: CustomerService, text: str, what: str, why: str, rule: str | None) -> None:
    before = _rows(shop)
    found, answer = run(shop.control.try_out(LOCAL, text, "en"))
    assert (found.what, found.why) == (what, why)
    if rule:
        assert found.rule is not None
        assert found.rule.name == rule
    assert (answer is not None) == (what == "answer")
    assert _rows(shop) == before, "nothing is kept and nothing is done"


def test_what_a_tool_still_needs(shop: CustomerService) -> None:
    found, _ = run(shop.control.try_out(LOCAL, "我要退货，订单 PW26110001", "en"))
    assert found.language == "zh"
    assert found.values["order"] == "PW26110001"
    assert {slot.argument: slot.value for slot in found.slots}["number"] == "PW26110001"
    assert [slot.argument for slot in found.missing] == ["sku", "reason"]
    assert found.slots[1].looked_up
    assert found.identity == "order"
    assert found.confirm
    assert max(found.heard.probabilities, key=found.heard.probabilities.__getitem__) == "start_return"


def test_what_asks_several_things_is_tried_out_as_such(shop: CustomerService) -> None:
    found, _ = run(shop.control.try_out(LOCAL, "KT-210 保修多久？能开发票吗？", "en"))
    assert found.parts == ["KT-210 保修多久？", "能开发票吗？"]
    found, _ = run(shop.control.try_out(LOCAL, "KT-210 保修多久？", "en"))
    assert found.parts == ()


def _rows(shop: CustomerService) -> dict[str, int]:
    tables = ("conversations", "messages", "tool_calls", "desk_cases", "support_turns", "checkpoints", "shop_tickets")
    with shop.runtime.workspace.read() as db:
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


# --- intents --------------------------------------------------------------------------------------


def test_an_intent_is_taught_judged_used_and_taken_back(shop: CustomerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tenth of the shipped sentences: what is judged is the way, not the figures."""
    every = teaching.rows
    monkeypatch.setattr(teaching, "rows", lambda name: _some(every(name)))
    monkeypatch.setattr(teaching, "asked", lambda: [])
    control = shop.control
    control.save_policy(LOCAL, with_parrot(control.policy_text(LOCAL)))
    with pytest.raises(InputError) as unknown:
        control.teach(LOCAL, "canary", ["x"])
    assert "parrot" in unknown.value.text("en")
    assert control.teach(LOCAL, "parrot", ["do you sell parrots", " do you sell parrots ", ""]) == 1
    with pytest.raises(InputError) as few:
        run(control.train(LOCAL))
    assert (few.value.reason, "parrot" in few.value.text("zh")) == ("few_sentences", True)
    said = [
        "my parrot is loud",
        "鹦鹉多少钱一只",
        "a cage for my parrot",
        "鹦鹉会说话吗",
        "parrot food please",
        "想养一只鹦鹉",
        "feathers of a parrot",
    ]
    control.teach(LOCAL, "parrot", said)
    made = run(control.train(LOCAL))
    assert made.checked > made.known >= made.before_known > 0
    assert made.before == made.before_known, "the old head knows no parrots"
    assert 2 <= made.after == made.checked - len(made.wrong)
    assert control.serving(LOCAL) is None, "trained is not used"
    control.use(LOCAL, made)
    assert control.serving(LOCAL) == made.version
    found, _ = run(control.try_out(LOCAL, "I would like a parrot", "en"))
    assert found.heard.intent == "parrot"
    control.back(LOCAL)
    assert control.serving(LOCAL) is None
    assert run(control.try_out(LOCAL, "I would like a parrot", "en"))[0].heard.intent != "parrot"
    control.forget(LOCAL, "parrot")
    assert control.taught(LOCAL) == {}


def test_sentences_that_look_like_another_intent_are_settled(
    shop: CustomerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [row for row in teaching.rows("desk_train.csv") if row.label in ("track_order", "stock", "cancel_order")]
    monkeypatch.setattr(teaching, "rows", lambda name: every)
    monkeypatch.setattr(teaching, "EMBEDDING", "scripted:hash")
    monkeypatch.setattr(teaching, "asked", lambda: [])
    control = shop.control
    control.teach(LOCAL, "track_order", ["where is my parcel now", "is the kettle in stock"])
    control.teach(LOCAL, "stock", ["我的快递到哪了", "取消我的订单"])
    found = run(control.suspects(LOCAL))
    assert {one.text: one.other for one in found} == {
        "is the kettle in stock": "stock",
        "我的快递到哪了": "track_order",
        "取消我的订单": "cancel_order",
    }
    with pytest.raises(InputError):
        control.settle(LOCAL, "取消我的订单", "canary")
    control.settle(LOCAL, "取消我的订单", "cancel_order")
    control.settle(LOCAL, "is the kettle in stock", "track_order")  # whoever says so is right
    control.settle(LOCAL, "我的快递到哪了", None)
    assert run(control.suspects(LOCAL)) == []
    assert {intent: set(texts) for intent, texts in control.taught(LOCAL).items()} == {
        "track_order": {"where is my parcel now", "is the kettle in stock"},
        "cancel_order": {"取消我的订单"},
    }


def _some(rows: list[Example]) -> list[Example]:
    counts: dict[str, int] = {}
    kept = []
    for row in rows:
        counts[row.label] = counts.get(row.label, 0) + 1
        if counts[row.label] <= 6 and row.label in ("track_order", "question", "danger", "stock"):
            kept.append(row)
    return kept


def test_no_row_judges_that_was_learned(shop: CustomerService) -> None:
    shop.control.teach(LOCAL, "track_order", [f"where did parcel number {n} go" for n in range(9)])
    parts = teaching.Teaching(shop.runtime)._parts(LOCAL, list(shop.assistant.policy.intents))
    sets = {name: {row.text for row in part} for name, part in parts.items()}
    assert not sets["train"] & sets["test"]
    assert not sets["validation"] & (sets["train"] | sets["test"])
    # personal data are masked; the sentences stay nine, three of which judge
    assert len([t for t in sets["test"] if t.startswith("where did parcel")]) == 3
    assert replace(Taught(1, 1, 1, 1, 1, 1, 1, 1, (), 0.0), version=2).version == 2
