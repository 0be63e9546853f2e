"""The sample shop's tools keep its rules: money and stock add up, and what the documents forbid is refused."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.customer_service import shop
from apps.customer_service.shop.data import BY_SKU, FIXED, RETURN_FEE, RETURNS, orders, prepare, price
from apps.customer_service.shop.tools import SHOP_TOOLS, TRIES
from core.errors import ToolRefused
from core.i18n import LANGUAGES
from core.tools import Tools
from core.types import LOCAL, Caller
from core.workspace import Workspace

SAMPLE = Path(shop.__file__).parents[1] / "sample"
BOTH = frozenset({"read", "write"})


@pytest.fixture
def tools(tmp_path: Any) -> Iterator[Tools]:
    workspace = Workspace.open(tmp_path)
    prepare(workspace)
    yield Tools(SHOP_TOOLS, workspace)
    workspace.close()


def call(tools: Tools, name: str, key: str | None = None, caller: Caller = LOCAL, **arguments: Any) -> Any:
    return tools.turn(caller, allowed=BOTH).call(name, arguments, key=key).value


def refused(tools: Tools, name: str, key: str | None = None, **arguments: Any) -> str:
    with pytest.raises(ToolRefused) as found:
        call(tools, name, key, **arguments)
    for language in LANGUAGES:
        text = found.value.text(language)
        assert "error." not in text, text
        assert "?" not in text, text
    return str(found.value.reason)


def rows(tools: Tools, query: str) -> list[tuple[Any, ...]]:
    with tools.workspace.read() as db:
        return [tuple(row) for row in db.execute(query)]


_SKU = r"\b([A-Z]{2}-\d+(?: Pro)?)"
_YUAN = re.compile(_SKU + r"(?:[^。\n]*?零售价 | \| )(\d+) 元")  # a sentence, or the usual price in a table of offers
_ABROAD = re.compile(_SKU + r"(?:[^.\n]*?\bcosts? | \| )£(\d+) (?:or|/) US\$(\d+)")


def test_the_shop_charges_what_its_documents_say() -> None:
    told: set[str] = set()
    for path in SAMPLE.glob("??/*"):
        if "manual" in path.name or "guide" in path.name or "-sale-" in path.name:
            text = path.read_text("utf-8")
            at_home = {sku: int(yuan) * 100 for sku, yuan in reversed(_YUAN.findall(text)) if sku in BY_SKU}
            abroad = {
                sku: (int(p) * 100, int(d) * 100) for sku, p, d in reversed(_ABROAD.findall(text)) if sku in BY_SKU
            }
            assert at_home == {sku: BY_SKU[sku].cny for sku in at_home}, path.name
            assert abroad == {sku: (BY_SKU[sku].gbp, BY_SKU[sku].usd) for sku in abroad}, path.name
            told |= at_home.keys() | abroad.keys()
    assert told == BY_SKU.keys() - {"CS-4", "LT-9"}  # what these two cost is not in a sentence of this form


def test_the_seed_makes_the_same_shop_and_loads_it_once_for_each_tenant(tools: Tools) -> None:
    assert orders() == orders()
    assert len({order.number for order in orders()}) == len(orders()) == 50
    assert not prepare(tools.workspace)
    assert prepare(tools.workspace, "other")
    assert call(tools, "look_up_order", caller=Caller("other", "x"), number="PW26110001")["number"] == "PW26110001"
    assert rows(tools, "SELECT count(*) FROM shop_orders") == [(100,)]


@pytest.mark.parametrize("proof", ["2468", "lin.wan@example.com", " LIN.WAN@example.com "])
def test_identity_by_phone_tail_or_mail(tools: Tools, proof: str) -> None:
    proved = call(tools, "check_identity", number="PW26110001", proof=proof)
    assert proved == {"accounts": ["PW26110001", "PW26110002"]}, "the customer's orders, and no other's"


def test_a_wrong_proof_and_an_unknown_order_sound_the_same_and_lock_the_order(tools: Tools) -> None:
    def text(number: str, proof: str) -> str:
        with pytest.raises(ToolRefused) as found:
            call(tools, "check_identity", number=number, proof=proof)
        return found.value.text("en").replace(number, "N")

    assert text("PW26110001", "0000") == text("PW99999999", "0000")
    for _ in range(TRIES - 1):
        refused(tools, "check_identity", number="PW26110001", proof="0000")
    assert refused(tools, "check_identity", number="PW26110001", proof="2468") == "locked"
    assert call(tools, "check_identity", number="PW26110002", proof="2468"), "another order is not locked"


def test_an_order_card_adds_up(tools: Tools) -> None:
    card = call(tools, "look_up_order", number="PW26110005")["card"]
    assert card["total"] == "£147.00"  # 89 + 2 × 29
    assert [item["quantity"] for item in card["items"]] == [2, 1]
    assert call(tools, "list_orders", number="PW26110001")["numbers"] == ["PW26110002", "PW26110001"]


@pytest.mark.parametrize(("reason", "fee"), [("not_wanted", True), ("faulty", False)])
def test_a_return_gives_back_what_was_paid_less_the_fee(tools: Tools, reason: str, fee: bool) -> None:
    expected = 2 * price(BY_SKU["CS-4"], "GBP") - (RETURN_FEE["GBP"] if fee else 0)
    made = call(tools, "start_return", "k", number="PW26110005", sku="CS-4", reason=reason)
    assert made["refund_cents"] == expected
    assert made["return"] == f"RT{len(RETURNS) + 1:06d}"
    assert rows(tools, "SELECT number, sku, quantity, refund_cents FROM shop_returns")[len(RETURNS) :] == [
        ("PW26110005", "CS-4", 2, expected)
    ]
    assert refused(tools, "start_return", "k2", number="PW26110005", sku="CS-4", reason=reason) == "already_returned"
    assert [c["value"] for c in call(tools, "order_items", number="PW26110005")] == ["TW-5 Pro"]


def test_what_a_return_needs(tools: Tools) -> None:
    def start(number: str, sku: str, reason: str = "not_wanted") -> str:
        return refused(tools, "start_return", f"{number}{sku}", number=number, sku=sku, reason=reason)

    assert start("PW26110001", "PS-600") == "not_in_order"
    assert start("PW26110003", "RV-8") == "not_delivered"
    assert start("PW26110004", "KT-310") == "too_late"
    assert call(tools, "quote_return", number="PW26110004", sku="KT-310", reason="faulty"), "faults have no such limit"
    assert rows(tools, "SELECT count(*) FROM shop_returns") == [(len(RETURNS),)]


def test_the_state_of_returns(tools: Tools) -> None:
    """Prices of the shop; AF-6 was given back because it was not wanted, so the fee is taken off."""
    assert [c["value"] for c in call(tools, "returned_items", number="PW26110038")] == ["KT-310", "AF-6"]
    told = {sku: call(tools, "return_status", number="PW26110038", sku=sku) for sku in ("AF-6", "KT-310")}
    assert told["AF-6"]["refund_cents"] == 59900 - RETURN_FEE["CNY"]
    assert (told["AF-6"]["refund"], told["KT-310"]["refund"]) == ("¥587.00", "¥459.00")
    ago = {days: time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * 86400)) for days in (2, 6)}
    assert told["AF-6"]["state"]["en"] == f"refunded on {ago[6]}, the way it was paid"
    assert told["KT-310"]["state"]["zh"] == f"{ago[2]} 已登记，还没有收到寄回的商品"
    arrived = call(tools, "return_status", number="PW26110034", sku="TW-5")
    assert arrived["state"]["en"] == f"the parcel arrived on {ago[2]} and is being checked"
    assert arrived["refund"] == "£45.00"
    for given in RETURNS:
        card = call(tools, "look_up_order", number=given.number)["card"]
        assert any(item["returned"] for item in card["items"])
        assert given.sku not in {c["value"] for c in call(tools, "order_items", number=given.number)}


def test_a_return_is_found_by_any_order_of_its_customer_and_by_no_other(tools: Tools) -> None:
    made = call(tools, "start_return", "k", number="PW26110010", sku="PS-600", reason="faulty")
    for number in ("PW26110010", "PW26110003", "PW26110004"):  # all of one customer
        assert [c["value"] for c in call(tools, "returned_items", number=number)] == ["PS-600"]
        assert call(tools, "return_status", number=number, sku="PS-600")["return"] == made["return"]
    assert call(tools, "returned_items", number="PW26110001") == []
    assert refused(tools, "return_status", number="PW26110001", sku="PS-600") == "not_returned"
    assert refused(tools, "returned_items", number="PW99999999") == "not_proved"
    assert refused(tools, "returned_items", number="PW26110008") == "cancelled_refund"


def test_the_return_of_the_order_named_comes_before_a_newer_one_of_the_same_item(tools: Tools) -> None:
    with tools.workspace.write() as db:
        db.execute(
            "UPDATE shop_orders SET status='delivered', delivered_at=? WHERE number='PW26110003'", (time.time(),)
        )
        db.execute("UPDATE shop_items SET sku='RV-8' WHERE number='PW26110010'")
    first = call(tools, "start_return", "a", number="PW26110003", sku="RV-8", reason="faulty")["return"]
    second = call(tools, "start_return", "b", number="PW26110010", sku="RV-8", reason="faulty")["return"]
    assert [c["value"] for c in call(tools, "returned_items", number="PW26110004")] == ["RV-8"]
    told = [
        call(tools, "return_status", number=n, sku="RV-8")["return"] for n in ("PW26110003", "PW26110010", "PW26110004")
    ]
    assert told == [first, second, second]


def test_the_last_day_of_a_return(tools: Tools) -> None:
    """The window starts the day after delivery, as the documents say."""
    for days, possible in ((15.9, True), (16.1, False)):
        with tools.workspace.write() as db:
            db.execute("UPDATE shop_orders SET delivered_at=? WHERE number='PW26110001'", (time.time() - days * 86400,))
        ask = {"number": "PW26110001", "sku": "KT-210", "reason": "not_wanted"}
        if possible:
            call(tools, "quote_return", **ask)
        else:
            assert refused(tools, "quote_return", **ask) == "too_late"


def test_a_cancellation_refunds_everything_and_puts_the_goods_back(tools: Tools) -> None:
    before = dict(rows(tools, "SELECT sku, stock FROM shop_products"))
    assert call(tools, "cancel_order", "k", number="PW26110002")["refund"] == "¥899.00"
    after = dict(rows(tools, "SELECT sku, stock FROM shop_products"))
    assert {sku: after[sku] - before[sku] for sku in before if after[sku] != before[sku]} == {"HP-70": 1}
    assert refused(tools, "cancel_order", "k2", number="PW26110002") == "already_cancelled"
    assert refused(tools, "cancel_order", "k3", number="PW26110003") == "already_shipped"
    assert refused(tools, "cancel_order", "k4", number="PW26110009") == "in_warehouse"
    assert call(tools, "quote_cancellation", number="PW26110006")["refund"] == "£59.00"


def test_an_address_changes_once_before_shipping(tools: Tools) -> None:
    new = {"number": "PW26110002", "address": "上海市静安区白果路 8 号"}
    assert call(tools, "change_address", "k", **new) == new
    assert (
        refused(tools, "change_address", "k2", number="PW26110002", address="上海市静安区白果路 9 号")
        == "address_changed"
    )
    assert refused(tools, "quote_address", number="PW26110006", address="12 Mill Lane, Leeds LS1 4AP") == "same_address"
    assert (
        refused(tools, "change_address", "k3", number="PW26110007", address="1 New Street, Salem OR")
        == "already_shipped"
    )


def test_stock(tools: Tools) -> None:
    assert call(tools, "stock_of", sku="KT-210")["said"] == {"zh": "有货", "en": "in stock"}
    assert "left" in call(tools, "stock_of", sku="PS-600")["said"]["en"]
    assert "expected on" in call(tools, "stock_of", sku="HP-70")["said"]["en"]
    assert refused(tools, "stock_of", sku="XX-1") == "no_product"


def test_a_ticket(tools: Tools) -> None:
    assert call(tools, "open_ticket", "k", subject="壶盖裂了")["ticket"] == "TK000001"
    assert rows(tools, "SELECT subject, status, user FROM shop_tickets") == [("壶盖裂了", "open", "local")]


def test_products_are_those_of_the_documents() -> None:
    assert {sku for order in FIXED for sku, _ in order.items} <= set(BY_SKU)
