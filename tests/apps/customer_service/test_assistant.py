"""What scripted conversations do not reach: two tabs, a killed process, a model that is down, a shop of one's own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

import pytest

from apps.customer_service import CustomerService
from apps.customer_service.assistant import POLICY
from apps.customer_service.intents import MODEL
from core.errors import InputError, NotAllowed, NotFound
from core.runtime import Runtime
from core.settings import Settings, override
from core.tools import Matching, tool
from core.types import LOCAL, Caller
from tests.apps.customer_service import killing
from tests.apps.customer_service.conftest import NO_VECTORS, OpenShop
from tests.apps.customer_service.scenario import Play

CUSTOMER = Caller("local", "customer", frozenset())


def played(shop: CustomerService, settings: Settings, *said: str) -> Play:
    play = Play(shop, settings, "local")
    for text in said:
        play.say(text)
    return play


def test_two_tabs_press_one_card_and_it_is_done_once(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, "取消订单 PW26110002 尾号 2468")
    card = play.card()["id"]
    texts: list[str] = []

    def press() -> None:
        stream = shop.stream("确认办理", caller=play.caller, conversation_id=play.conversation, pressed=(card, True))
        texts.extend(event.answer.text for event in shop.iterate(stream) if hasattr(event, "answer"))

    tabs = [threading.Thread(target=press) for _ in range(4)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert play.calls().count("cancel_order") == 1
    assert sum("已取消" in text for text in texts) == 1, texts
    assert sum("已经办理过" in text for text in texts) == 3
    with shop.runtime.workspace.read() as db:
        assert db.execute("SELECT stock FROM shop_products WHERE sku='HP-70'").fetchone()[0] == 1


def test_a_card_of_another_conversation_does_nothing(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, "取消订单 PW26110002 尾号 2468")
    other = Play(shop, settings, "local")
    assert "已经办理过" in other.say("确认办理", (play.card()["id"], True))[0].text
    assert play.order("PW26110002") == "paid"


def test_killed_between_a_write_and_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trials; ``python -m tests.apps.customer_service.killing 100`` makes a hundred."""
    assert killing.main(3, seed=1) == []


def test_a_model_that_is_down_stops_no_action(open_shop: OpenShop, settings: Settings) -> None:
    shop = open_shop("- fault: {kind: server_failed}\n")
    shop.prepare()
    play = played(shop, settings, "KT-210 几天内可以退货？")
    answer = play.messages()[-1].answer()
    assert answer is not None
    assert answer.mode == "extractive"
    assert "generator_down" in answer.notices
    play.say("取消订单 PW26110002 尾号 2468")
    assert "已取消" in play.say("确认办理", (play.card()["id"], True))[0].text


def test_without_the_sample_nothing_of_it_is_done(shop: CustomerService) -> None:
    conversation = shop.conversations.create(LOCAL).id
    answer = shop.ask("查订单 PW26110001 尾号 2468", conversation_id=conversation, sample=False)
    assert "PW26110001" not in answer.text
    assert answer.mode == "refused"
    shop.assistant.clock = lambda: 1_795_665_600.0  # noon in Shanghai
    assert "正在为您转接" in shop.ask("转人工", conversation_id=conversation, sample=False).text


def test_without_a_conversation_nothing_is_done(shop: CustomerService) -> None:
    assert shop.ask("取消订单 PW26110002 尾号 2468").mode in ("extractive", "refused")
    with shop.runtime.workspace.read() as db:
        assert db.execute("SELECT count(*) FROM tool_calls").fetchone()[0] == 0


def test_a_deleted_conversation_takes_its_flow_and_its_case_along(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, "我要退货", "PW26110001", "转人工")
    assert play.count("desk_cases") == 1
    shop.conversations.delete(play.caller, play.conversation)
    with shop.runtime.workspace.read() as db:
        for table in ("checkpoints", "writes", "desk_cases", "messages"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table


def test_a_long_conversation_keeps_one_checkpoint(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, *["HP-70 有货吗"] * 6)
    with shop.runtime.workspace.read() as db:
        rows = db.execute("SELECT count(*) FROM checkpoints WHERE thread_id=?", (play.conversation,)).fetchone()[0]
    assert rows == 1


def test_closing_waits_for_the_turn_in_hand(shop: CustomerService, settings: Settings) -> None:
    """SQLite crashes the process where one thread closes the database that another writes to."""
    play = played(shop, settings)
    begun, go_on = threading.Event(), threading.Event()

    def clock() -> float:
        begun.set()
        assert go_on.wait(20)
        return play.start

    shop.assistant.clock = clock
    turn = threading.Thread(target=play.say, args=("取消订单 PW26110002 尾号 2468",))
    closing = threading.Thread(target=shop.assistant.close)
    turn.start()
    assert begun.wait(20)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive(), "closed in the middle of a turn"
    go_on.set()
    for thread in (turn, closing):
        thread.join(20)
    assert shop.assistant.flow.talk(play.conversation).task is not None


# --- the desk -------------------------------------------------------------------------------------


def test_the_desk_is_for_agents(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, "转人工")
    case, desk = play.case(), shop.desk
    for call in (
        lambda: desk.queue(play.caller),
        lambda: desk.case(play.caller, case.id),
        lambda: desk.messages(play.caller, case),
        lambda: desk.customer(play.caller, case),
        lambda: desk.take(play.caller, case.id),
        lambda: desk.reply(play.caller, case.id, "x"),
        lambda: desk.hand_back(play.caller, case.id),
    ):
        with pytest.raises(NotAllowed) as refused:
            call()
        assert "agent" in refused.value.text("zh")


def test_one_agent_has_a_case_and_no_other_tenant_sees_it(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, "我要退货，订单 PW26110001", "转人工")
    case, desk = play.case(), shop.desk
    first, second = (Caller("local", name, frozenset({"agent"})) for name in ("maya", "noel"))
    stranger = Caller("elsewhere", "maya", frozenset({"agent"}))
    assert desk.queue(stranger) == []
    with pytest.raises(NotFound):
        desk.take(stranger, case.id)
    with pytest.raises(InputError, match="taken over"):
        desk.reply(first, case.id, "hello")
    desk.take(first, case.id)
    desk.take(first, case.id)
    assert sum("已加入" in m.text for m in play.messages()) == 1, "the customer is told once"
    with pytest.raises(InputError, match="maya"):
        desk.take(second, case.id)
    with pytest.raises(InputError, match="maya"):
        desk.hand_back(second, case.id)
    desk.hand_back(first, case.id)
    with pytest.raises(InputError, match="closed"):
        desk.reply(first, case.id, "too late")


def test_what_the_person_is_told(shop: CustomerService, settings: Settings) -> None:
    play = played(shop, settings, "KT-210 几天内可以退货？", "我要退货，订单 PW26110001", "2468", "耳机", "转人工")
    brief = play.case().brief
    assert brief["first"] == "KT-210 几天内可以退货？"
    assert brief["last"] == "转人工"
    assert brief["intent"] == "start_return"
    assert brief["slots"] == {"number": "PW26110001", "sku": "TW-5 Pro"}
    assert brief["proved"] == ["PW26110001", "PW26110002"]
    assert "退货政策" in brief["tried"][0]["title"] + "".join(source["title"] for source in brief["tried"])
    assert "申请退货" in brief["suggested"]


# --- a shop of one's own --------------------------------------------------------------------------


@tool("read")
def opening_of(city: Annotated[str, Matching("Leeds|York")]) -> dict[str, Any]:
    """When the shop of a city opens."""
    return {"city": city, "at": "09:30"}


OWN = """
slots:
  city: {kind: pattern, pattern: '(?i:LEEDS|YORK)', ask: {en: "In which city?"}}
intents:
  question: {do: answer, title: {en: a question}}
  human: {do: hand_off, title: {en: a person}, asked: true}
  stock: {do: tool, title: {en: opening hours}, tool: opening_of, slots: {city: city}, done: {en: "{city} opens at {at}."}}
"""


def test_a_shop_of_ones_own(settings: Settings, tmp_path: Path) -> None:
    """Tools and a policy of one's own, here with the sample's head."""
    path = tmp_path / "policy.yaml"
    path.write_text(OWN.replace("(?i:LEEDS|YORK)", "LEEDS|YORK"), "utf-8")
    runtime = Runtime(override(settings, models__chat="embedded:smollm2", models__embedding=NO_VECTORS))

    @tool("read")
    def opening_of(city: Annotated[str, Matching("LEEDS|YORK")]) -> dict[str, Any]:
        """When the shop of a city opens."""
        return {"city": city.title(), "at": "09:30"}

    shop = CustomerService(runtime, policy=path, tools=[opening_of], intents=MODEL)
    conversation = shop.conversations.create(CUSTOMER).id
    assert shop.ask("is it in stock?", caller=CUSTOMER, conversation_id=conversation).text == "In which city?"
    assert shop.ask("york please", caller=CUSTOMER, conversation_id=conversation).text == "York opens at 09:30."
    with runtime.workspace.read() as db:
        assert db.execute("SELECT count(*) FROM shop_orders").fetchone()[0] == 0, "no sample orders"
    shop.close()


def test_the_sample_policy_needs_the_sample_tools() -> None:
    from apps.customer_service.policy_file import read_policy
    from core.errors import InvalidSetting

    with pytest.raises(InvalidSetting):
        read_policy(POLICY, [opening_of])
