"""The sample shop's tools. Its rules are those of its documents: what a page promises a tool keeps.

Which tool needs an identity or a confirmation is the policy's business (``sample/policy.yaml``). A text that has both
languages is a mapping ``{"zh": …, "en": …}``.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from apps.customer_service.shop.data import PRODUCTS, RETURN_FEE, catalogue
from core.errors import ToolRefused
from core.tools import Cents, Length, Matching, tool
from core.types import Caller

Number = Annotated[str, Matching(r"PW\d{8}"), "number of the order, such as PW26110001"]
Sku = Annotated[str, Length(2, 20), "code of the product, such as KT-210"]
Reason = Literal["not_wanted", "faulty", "damaged", "wrong_item"]
HOUR, DAY = 3600, 86400
CANCEL_ABROAD_S = HOUR  # an order abroad can be changed so long
SIGN = {"CNY": "¥", "GBP": "£", "USD": "US$"}
TRIES, TRIES_WITHIN_S = 5, HOUR  # wrong proofs of one order before it is locked, and for how long they count
Text2 = dict[str, str]


@tool("read")
def check_identity(
    db: sqlite3.Connection,
    caller: Caller,
    number: Number,
    proof: Annotated[str, Length(4, 120), "last four digits of the phone number of the order, or its e-mail address"],
) -> dict[str, Any]:
    """Check that the person knows an order's phone number or e-mail address; gives all orders of that customer."""
    wrong = db.execute(
        "SELECT count(*) FROM tool_calls WHERE tenant=? AND tool='check_identity' AND outcome='refused'"
        " AND started_at>? AND json_extract(arguments, '$.number')=?",
        (caller.tenant, time.time() - TRIES_WITHIN_S, number),
    ).fetchone()[0]
    if wrong >= TRIES:
        raise ToolRefused(reason="locked", number=number)
    row = db.execute(
        "SELECT phone, email FROM shop_orders WHERE tenant=? AND number=?", (caller.tenant, number)
    ).fetchone()
    given = proof.strip().lower()
    if row is None or given not in (row["phone"].replace(" ", "")[-4:], row["email"].lower()):
        raise ToolRefused(reason="not_proved", number=number)  # an order that is not there sounds the same
    same = db.execute(
        "SELECT o.number FROM shop_orders AS o JOIN shop_orders AS p ON p.tenant=o.tenant AND p.phone=o.phone"
        " AND p.email=o.email WHERE p.tenant=? AND p.number=? ORDER BY o.number",
        (caller.tenant, number),
    ).fetchall()
    return {"accounts": [row["number"] for row in same]}


@tool("read")
def look_up_order(db: sqlite3.Connection, caller: Caller, number: Number) -> dict[str, Any]:
    """Look up one order: its state, its items, where the parcel is."""
    order = _order(db, caller, number)
    return {"number": number, "state": _state(order), "card": _card(db, caller, order)}


@tool("read")
def list_orders(
    db: sqlite3.Connection,
    caller: Caller,
    number: Number,
    since: Annotated[date, "leave out orders placed before this day"] | None = None,
    amount: Annotated[Cents, "only orders of this total"] | None = None,
) -> dict[str, Any]:
    """List the orders of the customer who placed the order ``number``, newest first."""
    order = _order(db, caller, number)
    rows = db.execute(
        "SELECT o.* FROM shop_orders AS o WHERE tenant=? AND phone=? AND email=? AND placed_at>=? AND (? IS NULL OR"
        " (SELECT sum(price_cents * quantity) FROM shop_items AS i WHERE i.tenant=o.tenant AND i.number=o.number)=?)"
        " ORDER BY placed_at DESC LIMIT 10",
        (caller.tenant, order["phone"], order["email"], _midnight(since), amount, amount),
    ).fetchall()
    cards = [_card(db, caller, row) for row in rows]
    return {
        "count": len(cards),
        "card": {"kind": "orders", "orders": cards},
        "numbers": [row["number"] for row in rows],
    }


@tool("read")
def order_items(db: sqlite3.Connection, caller: Caller, number: Number) -> list[dict[str, Any]]:
    """The items of an order that have not been returned, as choices."""
    _order(db, caller, number)
    return [
        {"value": item["sku"], "zh": item["name_zh"], "en": item["name_en"]}
        for item in _items(db, caller, number)
        if item["returned"] < item["quantity"]
    ]


@tool("read")
def quote_return(db: sqlite3.Connection, caller: Caller, number: Number, sku: Sku, reason: Reason) -> dict[str, Any]:
    """What a return would give back, and until when it is possible. Changes nothing."""
    order, item = _returnable(db, caller, number, sku, reason)
    fee = 0 if reason != "not_wanted" else RETURN_FEE[order["currency"]]
    left = item["quantity"] - item["returned"]
    refund = max(0, item["price_cents"] * left - fee)
    return {
        "product": {"zh": item["name_zh"], "en": item["name_en"]},
        "quantity": left,
        "refund": money(refund, order["currency"]),
        "refund_cents": refund,
        "fee": money(fee, order["currency"]),
    }


@tool("write")
def start_return(db: sqlite3.Connection, caller: Caller, number: Number, sku: Sku, reason: Reason) -> dict[str, Any]:
    """Register the return of one item of an order. The customer must have confirmed it."""
    quote = quote_return.function(db, caller, number, sku, reason)
    row = db.execute(
        "INSERT INTO shop_returns (tenant, number, sku, quantity, reason, refund_cents, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (caller.tenant, number, sku, quote["quantity"], reason, quote["refund_cents"], time.time()),
    )
    db.execute(
        "UPDATE shop_items SET returned=quantity WHERE tenant=? AND number=? AND sku=?", (caller.tenant, number, sku)
    )
    return {**quote, "return": f"RT{row.lastrowid:06d}", "number": number}


@tool("read")
def returned_items(db: sqlite3.Connection, caller: Caller, number: Number) -> list[dict[str, Any]]:
    """The items that the customer who placed the order ``number`` has given back, as choices, newest first."""
    order = _order(db, caller, number)
    if order["status"] == "cancelled":
        total = sum(item["price_cents"] * item["quantity"] for item in _items(db, caller, number))
        raise ToolRefused(reason="cancelled_refund", number=number, refund=money(total, order["currency"]))
    found = {row["sku"]: row for row in reversed(_returns(db, caller, order))}
    return [{"value": sku, "zh": row["name_zh"], "en": row["name_en"]} for sku, row in reversed(found.items())]


@tool("read")
def return_status(db: sqlite3.Connection, caller: Caller, number: Number, sku: Sku) -> dict[str, Any]:
    """How far a return is and what is refunded: that of the order ``number``, else the customer's newest of this item."""
    order = _order(db, caller, number)
    rows = [row for row in _returns(db, caller, order) if row["sku"] == sku]
    if not rows:
        raise ToolRefused(reason="not_returned", sku=sku)
    row = next((row for row in rows if row["number"] == number), rows[0])
    return {
        "return": f"RT{row['id']:06d}",
        "order": row["number"],
        "product": {"zh": row["name_zh"], "en": row["name_en"]},
        "state": _return_state(row),
        "refund": money(row["refund_cents"], row["currency"]),
        "refund_cents": row["refund_cents"],
        "card": _card(db, caller, _order(db, caller, row["number"])),
    }


@tool("read")
def quote_cancellation(db: sqlite3.Connection, caller: Caller, number: Number) -> dict[str, Any]:
    """What a cancellation would give back. Changes nothing."""
    order = _changeable(db, caller, number)
    total = sum(item["price_cents"] * item["quantity"] for item in _items(db, caller, number))
    return {"refund": money(total, order["currency"]), "refund_cents": total}


@tool("write")
def cancel_order(db: sqlite3.Connection, caller: Caller, number: Number) -> dict[str, Any]:
    """Cancel an order that has not been shipped. The customer must have confirmed it."""
    quote = quote_cancellation.function(db, caller, number)
    db.execute("UPDATE shop_orders SET status='cancelled' WHERE tenant=? AND number=?", (caller.tenant, number))
    db.execute(
        "UPDATE shop_products SET stock=stock+(SELECT quantity FROM shop_items AS i WHERE i.tenant=shop_products.tenant"
        " AND i.sku=shop_products.sku AND i.number=?) WHERE tenant=? AND sku IN"
        " (SELECT sku FROM shop_items WHERE tenant=? AND number=?)",
        (number, caller.tenant, caller.tenant, number),
    )
    return {**quote, "number": number}


@tool("read")
def quote_address(
    db: sqlite3.Connection, caller: Caller, number: Number, address: Annotated[str, Length(6, 200), "the new address"]
) -> dict[str, Any]:
    """Whether an order's address can still be changed. Changes nothing."""
    order = _changeable(db, caller, number)
    if order["address_changed"]:
        raise ToolRefused(reason="address_changed", number=number)
    if order["address"] == address.strip():
        raise ToolRefused(reason="same_address", number=number)
    return {"address": address.strip()}


@tool("write")
def change_address(
    db: sqlite3.Connection, caller: Caller, number: Number, address: Annotated[str, Length(6, 200), "the new address"]
) -> dict[str, Any]:
    """Change where an order that has not been shipped goes, once. The customer must have confirmed it."""
    quote_address.function(db, caller, number, address)
    db.execute(
        "UPDATE shop_orders SET address=?, address_changed=1 WHERE tenant=? AND number=?",
        (address.strip(), caller.tenant, number),
    )
    return {"number": number, "address": address.strip()}


@tool("read")
def list_products() -> list[dict[str, Any]]:
    """List the products of the shop with their names and what each is for."""
    return [catalogue(product) for product in PRODUCTS]


@tool("read")
def stock_of(db: sqlite3.Connection, caller: Caller, sku: Sku) -> dict[str, Any]:
    """How many pieces of a product are in stock, and when more comes."""
    row = db.execute("SELECT * FROM shop_products WHERE tenant=? AND sku=?", (caller.tenant, sku)).fetchone()
    if row is None:
        raise ToolRefused(reason="no_product", sku=sku)
    if row["stock"]:
        few = row["stock"] < 30
        said = {
            "zh": f"有货，仅剩 {row['stock']} 件" if few else "有货",
            "en": f"in stock, {row['stock']} left" if few else "in stock",
        }
    elif row["restock"]:
        said = {
            "zh": f"暂时缺货，预计 {row['restock']} 到货",
            "en": f"out of stock; more is expected on {row['restock']}",
        }
    else:
        said = {"zh": "缺货，到货时间未定", "en": "out of stock, and it is not known when more comes"}
    return {"product": {"zh": row["name_zh"], "en": row["name_en"]}, "stock": row["stock"], "said": said}


@tool("write")
def open_ticket(
    db: sqlite3.Connection,
    caller: Caller,
    subject: Annotated[str, Length(1, 1000), "what it is about, in the customer's words"],
    number: Number | None = None,
) -> dict[str, Any]:
    """Open a ticket, which a person answers later."""
    row = db.execute(
        "INSERT INTO shop_tickets (tenant, user, subject, number, status, at) VALUES (?, ?, ?, ?, 'open', ?)",
        (caller.tenant, caller.user, subject, number, time.time()),
    )
    return {"ticket": f"TK{row.lastrowid:06d}", "id": row.lastrowid}


SHOP_TOOLS = (
    check_identity,
    look_up_order,
    list_orders,
    order_items,
    quote_return,
    start_return,
    returned_items,
    return_status,
    quote_cancellation,
    cancel_order,
    quote_address,
    change_address,
    list_products,
    stock_of,
    open_ticket,
)


def money(cents: int, currency: str) -> str:
    """
    >>> money(123456, "GBP")
    '£1,234.56'
    """
    return f"{SIGN[currency]}{cents / 100:,.2f}"


def _order(db: sqlite3.Connection, caller: Caller, number: str) -> sqlite3.Row:
    row = db.execute("SELECT * FROM shop_orders WHERE tenant=? AND number=?", (caller.tenant, number)).fetchone()
    if row is None:
        raise ToolRefused(reason="not_proved", number=number)
    return row


def _items(db: sqlite3.Connection, caller: Caller, number: str) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT i.*, p.name_zh, p.name_en, p.return_days_cn, p.return_days_abroad FROM shop_items AS i"
        " JOIN shop_products AS p ON p.tenant=i.tenant AND p.sku=i.sku WHERE i.tenant=? AND i.number=? ORDER BY i.sku",
        (caller.tenant, number),
    ).fetchall()


def _returns(db: sqlite3.Connection, caller: Caller, order: sqlite3.Row) -> list[sqlite3.Row]:
    """The returns of the customer of an order, newest first."""
    return db.execute(
        "SELECT r.*, o.currency, p.name_zh, p.name_en FROM shop_returns AS r"
        " JOIN shop_orders AS o ON o.tenant=r.tenant AND o.number=r.number"
        " JOIN shop_products AS p ON p.tenant=r.tenant AND p.sku=r.sku"
        " WHERE r.tenant=? AND o.phone=? AND o.email=? ORDER BY r.at DESC, r.id DESC",
        (caller.tenant, order["phone"], order["email"]),
    ).fetchall()


def _return_state(row: sqlite3.Row) -> Text2:
    if row["refunded_at"] is not None:
        when = day(row["refunded_at"])
        return {"zh": f"已于 {when} 原路退款", "en": f"refunded on {when}, the way it was paid"}
    if row["received_at"] is not None:
        when = day(row["received_at"])
        return {"zh": f"{when} 已收到寄回的商品，正在验货", "en": f"the parcel arrived on {when} and is being checked"}
    when = day(row["at"])
    return {
        "zh": f"{when} 已登记，还没有收到寄回的商品",
        "en": f"registered on {when}; the parcel has not arrived yet",
    }


def _changeable(db: sqlite3.Connection, caller: Caller, number: str) -> sqlite3.Row:
    """An order that has not been shipped; one from abroad only for an hour."""
    order = _order(db, caller, number)
    if order["status"] == "cancelled":
        raise ToolRefused(reason="already_cancelled", number=number)
    if order["status"] != "paid":
        raise ToolRefused(reason="already_shipped", number=number)
    if order["currency"] != "CNY" and time.time() - order["placed_at"] > CANCEL_ABROAD_S:
        raise ToolRefused(reason="in_warehouse", number=number)
    return order


def _returnable(
    db: sqlite3.Connection, caller: Caller, number: str, sku: str, reason: str
) -> tuple[sqlite3.Row, sqlite3.Row]:
    order = _order(db, caller, number)
    item = next((item for item in _items(db, caller, number) if item["sku"] == sku), None)
    if item is None:
        raise ToolRefused(reason="not_in_order", number=number, sku=sku)
    if item["returned"] >= item["quantity"]:
        raise ToolRefused(reason="already_returned", number=number, sku=sku)
    if order["status"] != "delivered":
        raise ToolRefused(reason="not_delivered", number=number)
    days = item["return_days_cn"] if order["currency"] == "CNY" else item["return_days_abroad"]
    if reason == "not_wanted" and time.time() > order["delivered_at"] + (days + 1) * DAY:
        raise ToolRefused(reason="too_late", number=number, sku=sku, days=days, delivered=day(order["delivered_at"]))
    return order, item


def _state(order: sqlite3.Row) -> Text2:
    match order["status"]:
        case "paid":
            return {"zh": "已付款，等待发货", "en": "paid and waiting to be shipped"}
        case "shipped":
            where = f"{order['carrier']} {order['tracking']}"
            return {"zh": f"已发货，运单 {where}", "en": f"on its way, tracking {where}"}
        case "delivered":
            when = day(order["delivered_at"])
            return {"zh": f"已于 {when} 签收", "en": f"delivered on {when}"}
        case _:
            return {"zh": "已取消", "en": "cancelled"}


def _card(db: sqlite3.Connection, caller: Caller, order: sqlite3.Row) -> dict[str, Any]:
    items = _items(db, caller, order["number"])
    total = sum(item["price_cents"] * item["quantity"] for item in items)
    return {
        "kind": "order",
        "number": order["number"],
        "status": order["status"],
        "state": _state(order),
        "placed": day(order["placed_at"]),
        "total": money(total, order["currency"]),
        "items": [
            {
                "name": {"zh": item["name_zh"], "en": item["name_en"]},
                "quantity": item["quantity"],
                "price": money(item["price_cents"] * item["quantity"], order["currency"]),
                "returned": item["returned"],
            }
            for item in items
        ],
    }


def _midnight(since: date | None) -> float:
    return 0.0 if since is None else datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
