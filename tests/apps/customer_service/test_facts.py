"""What is remembered of a customer: nothing without a yes, nothing unproved, and nothing after a no."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.customer_service import CustomerService
from apps.customer_service.facts import MOST, Facts
from core.settings import Settings
from core.types import Caller
from core.workspace import Workspace
from tests.apps.customer_service.scenario import Play

ORDER = "PW26110001"
ANN, BOB = Caller("local", "ann"), Caller("local", "bob")


def test_an_order_is_remembered_with_a_yes_and_still_has_to_be_proved(
    shop: CustomerService, settings: Settings
) -> None:
    first = Play(shop, settings, "local")
    first.say(f"查订单 {ORDER}，尾号 2468")
    assert shop.facts.of(first.caller) == [], "nobody agreed"
    shop.facts.agree(first.caller, True)
    shop.facts.agree(BOB, True)
    first = Play(shop, settings, "local")
    first.say(f"查订单 {ORDER}，尾号 1111")
    assert shop.facts.of(first.caller) == [], "it was not proved"
    first.say("2468")
    assert shop.facts.of(first.caller, "order") == [ORDER]
    assert shop.facts.of(BOB) == []

    later = Play(shop, settings, "local")
    (asked,) = later.say("我要退货")
    assert asked.card is not None
    assert [option["value"] for option in asked.card["options"]] == [ORDER]
    (proof,) = later.say(ORDER)
    assert "后四位" in proof.text, "what is remembered proves nothing"
    later.say("转人工")
    assert shop.desk.customer(later.agent, later.case()).facts == [ORDER]

    shop.facts.agree(later.caller, False)
    assert shop.facts.of(later.caller) == []


def test_the_newest_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(tmp_path)
    facts, times = Facts(workspace), iter(range(100))
    monkeypatch.setattr("apps.customer_service.facts.time.time", lambda: next(times))
    facts.agree(ANN, True)
    for number in [*range(MOST + 2), 3]:
        facts.note(ANN, "order", f"PW{number}")
    facts.note(BOB, "order", "PW9")
    assert facts.of(ANN, "order") == ["PW3", "PW6", "PW5", "PW4", "PW2"]
    assert facts.of(ANN, "product") == facts.of(BOB) == []
    workspace.close()
