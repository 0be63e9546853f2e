"""The tools of tau2-bench's domains keep their policies: on a shop of two orders, and on the public data where it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tau.domain import DOMAINS, Domain, opened
from benchmarks.tau.forbidden import mutations
from benchmarks.tau.run import FOLDER, READINGS, measure
from benchmarks.tau.sums import calculate
from benchmarks.tau.view import broken, seen
from core.errors import ToolRefused, TouchstoneError

ROOT = Path(__file__).parents[2]
DATA = next((f for f in (ROOT, ROOT.parent) if (f / "shared/data" / FOLDER).is_dir()), ROOT) / "shared/data" / FOLDER
HOME = {"address1": "1 Elm", "address2": "", "city": "Bath", "state": "ME", "country": "USA", "zip": "04530"}
CUP = {"product_id": "1000000000", "item_id": "1000000001", "name": "Cup", "price": 1000, "options": {"color": "red"}}
VARIANTS = {
    id_: {"item_id": id_, "options": {"color": color}, "available": free, "price": price}
    for id_, color, free, price in (
        ("1000000001", "red", True, 1000),
        ("1000000002", "blue", True, 1250),
        ("1000000003", "green", False, 900),
    )
}


def order(id_: str, status: str, method: str) -> dict[str, Any]:
    payment = {"transaction_type": "payment", "amount": 1000, "payment_method_id": method}
    return {
        "order_id": id_,
        "user_id": "ada_lee_1000",
        "status": status,
        "address": HOME,
        "items": [CUP],
        "payment_history": [payment],
    }


SHOP = {
    "users": {
        "ada_lee_1000": {
            "user_id": "ada_lee_1000",
            "name": {"first_name": "Ada", "last_name": "Lee"},
            "address": HOME,
            "email": "ada@example.com",
            "payment_methods": {
                "gift_card_1": {"source": "gift_card", "id": "gift_card_1", "balance": 200},
                "paypal_1": {"source": "paypal", "id": "paypal_1"},
            },
            "orders": ["#W1000001", "#W1000002"],
        }
    },
    "orders": {
        "#W1000001": order("#W1000001", "pending", "gift_card_1"),
        "#W1000002": order("#W1000002", "delivered", "paypal_1"),
    },
    "products": {"1000000000": {"product_id": "1000000000", "name": "Cup", "variants": VARIANTS}},
}
SWAP = {"order_id": "#W1000001", "item_ids": ["1000000001"], "new_item_ids": ["1000000002"]}


@pytest.fixture
def shop() -> Iterator[Domain]:
    with opened("retail", copy.deepcopy(SHOP)) as domain:
        yield domain


def test_a_cancellation_gives_the_money_back_once(shop: Domain) -> None:
    asked = {"order_id": "#W1000001", "reason": "no longer needed"}
    shop.call("ada_lee_1000", "cancel_pending_order", asked, key="1")
    assert shop.call("ada_lee_1000", "cancel_pending_order", asked, key="1").replayed
    assert seen("retail", shop.changes()) == {
        "orders.#W1000001": {"status": "cancelled", "paid": {}},
        "users.ada_lee_1000": {"money": {"gift_card_1": 1200}},
    }
    assert broken("retail", shop.changes()) == []
    shop.restore()
    assert shop.changes() == []


def test_a_change_of_items_is_paid_by_what_the_card_holds(shop: Domain) -> None:
    with pytest.raises(ToolRefused, match="holds 200 cents and 250 are needed"):
        shop.call("ada_lee_1000", "modify_pending_order_items", {**SWAP, "payment_method_id": "gift_card_1"})
    assert shop.changes() == [], "a refusal leaves nothing behind"
    shop.call("ada_lee_1000", "modify_pending_order_items", {**SWAP, "payment_method_id": "paypal_1"})
    assert seen("retail", shop.changes())["orders.#W1000001"] == {
        "status": "pending (items modified)",
        "items": ["1000000002"],
        "paid": {"gift_card_1": 1000, "paypal_1": 250},
    }
    assert broken("retail", shop.changes()) == []
    gone = {**SWAP, "new_item_ids": ["1000000003"], "order_id": "#W1000002", "payment_method_id": "paypal_1"}
    with pytest.raises(ToolRefused, match="not available"):
        shop.call("ada_lee_1000", "exchange_delivered_order_items", gone)


def test_mutations_are_refused_and_leave_nothing(shop: Domain) -> None:
    gold = {**SWAP, "payment_method_id": "paypal_1"}
    names = set()
    for mutation in mutations(gold):
        who = "somebody_else_1" if mutation.stranger else "ada_lee_1000"
        with pytest.raises(TouchstoneError):
            shop.call(who, "modify_pending_order_items", mutation.arguments, confirmed=mutation.confirmed)
        names.add(mutation.name)
    assert len(names) >= 7
    assert shop.changes() == []
    shop.call("ada_lee_1000", "modify_pending_order_items", gold)  # unchanged it is done


def test_a_broken_invariant_shows(shop: Domain) -> None:
    shop.call("ada_lee_1000", "modify_pending_order_items", {**SWAP, "payment_method_id": "paypal_1"})
    for field, value, text in (
        ("status", "lost", "status lost"),
        ("payment_history", [], "is due"),
        ("items", [], "products"),
    ):
        changes = shop.changes()
        next(change for change in changes if change.kind == "orders").after[field] = value
        assert any(text in wrong for wrong in broken("retail", changes))
    changes = shop.changes()
    changes[0].after["payment_history"][0]["payment_method_id"] = "gift_card_2"
    assert any("came from nowhere" in wrong for wrong in broken("retail", changes))


def test_sums_are_exact_and_nothing_else() -> None:
    assert calculate.function("3131.1 + 4777.75 + 367.38") == "8276.23"
    assert calculate.function("2 * ((350 - 122) + (499 - 127))") == "1200.00"
    for wrong in ("1 / 0", "(1", "2 ** 9"):
        with pytest.raises(ToolRefused):
            calculate.function(wrong)


@pytest.mark.skipif(not DATA.is_dir(), reason="the public data is not here")
@pytest.mark.parametrize("name", DOMAINS)
def test_tasks_of_the_benchmark(name: str) -> None:
    found = measure(name, DATA / name, only=24)
    assert found.writes > 10
    assert (found.broken, found.repeated, found.different, found.untold) == ([], [], [], [])
    assert (found.accepted, found.allowed) == ([], [])
    assert found.differences >= 5
    assert found.told >= 5
    assert len(found.blocked) >= 20
    assert all(" get_" in text or " find_" in text for text in found.refused), "only searches of what is not there"


def test_there_are_thirty_differences_by_each_reader() -> None:
    assert [len(reading) >= 30 for reading in READINGS] == [True, True]
