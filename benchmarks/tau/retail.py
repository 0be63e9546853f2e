"""The retail domain: tools that keep the rules of its policy. Money is in cents.

The customer of the conversation is the caller's ``user``; whoever is not identified is nobody and may not write.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from benchmarks.tau.records import Record, every, find, put
from benchmarks.tau.sums import calculate
from core.errors import ToolRefused
from core.tools import Length, Matching, tool
from core.types import Caller

OrderId = Annotated[str, Matching(r"#W\d{7}"), "number of the order with its '#'"]
ItemId = Annotated[str, Matching(r"\d{10}"), "id of a variant"]
Method = Annotated[str, Length(1, 60), "id of a payment method in the customer's profile"]
Line = Annotated[str, Length(1, 100)]
Zip = Annotated[str, Matching(r"[0-9A-Za-z -]{3,10}")]
MODIFIED = "pending (items modified)"
STATUSES = {"pending", MODIFIED, "processed", "delivered", "cancelled", "return requested", "exchange requested"}
Records = dict[str, dict[str, Record]]


def load(folder: Path) -> Records:
    """The database of ``folder`` (``tau2-bench/retail``), amounts as whole cents."""
    read = json.loads(gzip.decompress((folder / "db.json.gz").read_bytes()), object_hook=_in_cents)
    return {kind: read[kind] for kind in ("orders", "users", "products")}


def _in_cents(found: Record) -> Record:
    for name in ("price", "amount", "balance"):
        if isinstance(found.get(name), int | float):
            found[name] = round(100 * found[name])
    return found


# --- reading ------------------------------------------------------------------------------------


@tool("read")
def find_user_id_by_email(db: sqlite3.Connection, email: Annotated[str, Length(3, 200)]) -> str:
    """Find the customer with an e-mail address."""
    return _one(user["user_id"] for user in every(db, "users") if user["email"].lower() == email.strip().lower())


@tool("read")
def find_user_id_by_name_zip(db: sqlite3.Connection, first_name: Line, last_name: Line, zip: Zip) -> str:
    """Find the customer with a name and a zip code."""
    wanted = (first_name.lower(), last_name.lower(), zip)
    return _one(
        user["user_id"]
        for user in every(db, "users")
        if (user["name"]["first_name"].lower(), user["name"]["last_name"].lower(), user["address"]["zip"]) == wanted
    )


@tool("read")
def get_user_details(db: sqlite3.Connection, caller: Caller, user_id: str) -> Record:
    """The customer's own profile: address, payment methods, orders."""
    return _profile(db, caller, user_id)


@tool("read")
def get_order_details(db: sqlite3.Connection, caller: Caller, order_id: OrderId) -> Record:
    """One of the customer's own orders."""
    return _order(db, caller, order_id)


@tool("read")
def get_product_details(db: sqlite3.Connection, product_id: ItemId) -> Record:
    """A product with all its variants."""
    return find(db, "products", product_id)


@tool("read")
def get_item_details(db: sqlite3.Connection, item_id: ItemId) -> Record:
    """One variant of a product."""
    return _variant(db, item_id)[1]


@tool("read")
def list_all_product_types(db: sqlite3.Connection) -> dict[str, str]:
    """Names of all products with their ids."""
    return {product["name"]: product["product_id"] for product in every(db, "products")}


@tool("read")
def transfer_to_human_agents(summary: Annotated[str, Length(1, 2000)]) -> str:
    """Hand the conversation to a person."""
    return "transferred"


# --- writing ------------------------------------------------------------------------------------


@tool("write")
def cancel_pending_order(
    db: sqlite3.Connection,
    caller: Caller,
    order_id: OrderId,
    reason: Literal["no longer needed", "ordered by mistake"],
) -> Record:
    """Cancel a pending order; what was paid goes back the way it came, to a gift card at once."""
    order = _in_state(_order(db, caller, order_id), "pending")
    user = _profile(db, caller, order["user_id"])
    for method, cents in paid(order).items():
        _pay(order, user, method, -cents)
    order |= {"status": "cancelled", "cancel_reason": reason}
    return _stored(db, order, user)


@tool("write")
def modify_pending_order_address(
    db: sqlite3.Connection,
    caller: Caller,
    order_id: OrderId,
    address1: Line,
    address2: Annotated[str, Length(0, 100)],
    city: Line,
    state: Line,
    country: Line,
    zip: Zip,
) -> Record:
    """Send a pending order to another address."""
    order = _in_state(_order(db, caller, order_id), "pending")
    order["address"] = _address(address1, address2, city, state, country, zip)
    return _stored(db, order)


@tool("write")
def modify_pending_order_payment(
    db: sqlite3.Connection, caller: Caller, order_id: OrderId, payment_method_id: Method
) -> Record:
    """Pay a pending order with one other payment method."""
    order = _in_state(_order(db, caller, order_id), "pending")
    user = _profile(db, caller, order["user_id"])
    before = paid(order)
    _method(user, payment_method_id)
    if payment_method_id in before or len(before) != 1:
        raise ToolRefused(detail=f"order {order_id} is paid by {', '.join(before)}; a single other method is needed")
    ((earlier, cents),) = before.items()
    _pay(order, user, payment_method_id, cents)
    _pay(order, user, earlier, -cents)
    return _stored(db, order, user)


@tool("write")
def modify_pending_order_items(
    db: sqlite3.Connection,
    caller: Caller,
    order_id: OrderId,
    item_ids: list[ItemId],
    new_item_ids: list[ItemId],
    payment_method_id: Method,
) -> Record:
    """Take other variants of the same products, once for an order; the difference is paid or given back."""
    order = _in_state(_order(db, caller, order_id), "pending")
    user = _profile(db, caller, order["user_id"])
    difference = 0
    for item, product, variant in _swaps(db, order, item_ids, new_item_ids):
        difference += variant["price"] - item["price"]
        item |= {name: variant[name] for name in ("item_id", "price", "options")} | {"name": product["name"]}
    _pay(order, user, payment_method_id, difference)
    order["status"] = MODIFIED
    return _stored(db, order, user)


@tool("write")
def modify_user_address(
    db: sqlite3.Connection,
    caller: Caller,
    user_id: Line,
    address1: Line,
    address2: Annotated[str, Length(0, 100)],
    city: Line,
    state: Line,
    country: Line,
    zip: Zip,
) -> Record:
    """Change the customer's own default address."""
    user = _profile(db, caller, user_id)
    user["address"] = _address(address1, address2, city, state, country, zip)
    put(db, "users", user_id, user)
    return user


@tool("write")
def return_delivered_order_items(
    db: sqlite3.Connection, caller: Caller, order_id: OrderId, item_ids: list[ItemId], payment_method_id: Method
) -> Record:
    """Take back items of a delivered order; the money goes to the original method or an existing gift card."""
    order = _in_state(_order(db, caller, order_id), "delivered")
    user = _profile(db, caller, order["user_id"])
    _taken(order, item_ids)
    method = _method(user, payment_method_id)
    if payment_method_id not in paid(order) and method["source"] != "gift_card":
        raise ToolRefused(detail=f"a refund goes to {', '.join(paid(order))} or to a gift card")
    order |= {"status": "return requested", "return_items": sorted(item_ids)}
    order["return_payment_method_id"] = payment_method_id
    return _stored(db, order)


@tool("write")
def exchange_delivered_order_items(
    db: sqlite3.Connection,
    caller: Caller,
    order_id: OrderId,
    item_ids: list[ItemId],
    new_item_ids: list[ItemId],
    payment_method_id: Method,
) -> Record:
    """Exchange items of a delivered order for other variants of the same products."""
    order = _in_state(_order(db, caller, order_id), "delivered")
    user = _profile(db, caller, order["user_id"])
    swaps = _swaps(db, order, item_ids, new_item_ids)
    difference = sum(variant["price"] - item["price"] for item, _, variant in swaps)
    _enough(_method(user, payment_method_id), difference)
    order |= {
        "status": "exchange requested",
        "exchange_items": list(item_ids),
        "exchange_new_items": list(new_item_ids),
        "exchange_payment_method_id": payment_method_id,
        "exchange_price_difference": difference,
    }
    return _stored(db, order)


TOOLS = (
    find_user_id_by_email,
    find_user_id_by_name_zip,
    get_user_details,
    get_order_details,
    get_product_details,
    get_item_details,
    list_all_product_types,
    calculate,
    transfer_to_human_agents,
    cancel_pending_order,
    modify_pending_order_address,
    modify_pending_order_payment,
    modify_pending_order_items,
    modify_user_address,
    return_delivered_order_items,
    exchange_delivered_order_items,
)


# --- rules --------------------------------------------------------------------------------------


def paid(order: Mapping[str, Any]) -> dict[str, int]:
    """Net cents by payment method; what was given back whole is left out."""
    net: Counter[str] = Counter()
    for part in order["payment_history"]:
        net[part["payment_method_id"]] += part["amount"] * (1 if part["transaction_type"] == "payment" else -1)
    return {method: cents for method, cents in net.items() if cents}


def _one(found: Any) -> str:
    ids = list(found)
    if len(ids) != 1:
        raise ToolRefused(detail="nobody is known by that" if not ids else "more than one customer is known by that")
    return str(ids[0])


def _profile(db: sqlite3.Connection, caller: Caller, user_id: str) -> Record:
    user = find(db, "users", user_id)
    if user_id != caller.user:
        raise ToolRefused(detail=f"'{user_id}' is not the customer of this conversation")
    return user


def _order(db: sqlite3.Connection, caller: Caller, order_id: str) -> Record:
    order = find(db, "orders", order_id)
    if order["user_id"] != caller.user:
        raise ToolRefused(detail=f"{order_id} is not an order of the customer of this conversation")
    return order


def _in_state(order: Record, status: str) -> Record:
    if order["status"] != status:
        raise ToolRefused(detail=f"{order['order_id']} is {order['status']}; this needs an order that is {status}")
    return order


def _method(user: Record, method: str) -> Record:
    try:
        found: Record = user["payment_methods"][method]
    except KeyError:
        known = ", ".join(user["payment_methods"])
        raise ToolRefused(detail=f"'{method}' is not in the customer's profile, which has {known}") from None
    return found


def _enough(method: Record, cents: int) -> None:
    if method["source"] == "gift_card" and method["balance"] < cents:
        raise ToolRefused(detail=f"gift card {method['id']} holds {method['balance']} cents and {cents} are needed")


def _pay(order: Record, user: Record, method_id: str, cents: int) -> None:
    """Take ``cents`` by the method, or give back what is below zero."""
    method = _method(user, method_id)
    _enough(method, cents)
    if method["source"] == "gift_card":
        method["balance"] -= cents
    if cents:
        kind = "payment" if cents > 0 else "refund"
        order["payment_history"].append(
            {"transaction_type": kind, "amount": abs(cents), "payment_method_id": method_id}
        )


def _variant(db: sqlite3.Connection, item_id: str) -> tuple[Record, Record]:
    for product in every(db, "products"):
        if item_id in product["variants"]:
            return product, product["variants"][item_id]
    raise ToolRefused(detail=f"there is no item {item_id}")


def _taken(order: Record, item_ids: Sequence[str]) -> list[Record]:
    """The items of the order, one for each id, none twice."""
    left = list(order["items"])
    found = []
    for item_id in item_ids:
        item = next((item for item in left if item["item_id"] == item_id), None)
        if item is None:
            raise ToolRefused(detail=f"{order['order_id']} has no (other) item {item_id}")
        left.remove(item)
        found.append(item)
    if not found:
        raise ToolRefused(detail="no item is named")
    return found


def _swaps(
    db: sqlite3.Connection, order: Record, item_ids: Sequence[str], new_item_ids: Sequence[str]
) -> list[tuple[Record, Record, Record]]:
    """(item of the order, its product, the new variant) for each pair."""
    if len(item_ids) != len(new_item_ids):
        raise ToolRefused(detail=f"{len(item_ids)} items are to become {len(new_item_ids)}")
    swaps = []
    for item, new in zip(_taken(order, item_ids), new_item_ids, strict=True):
        product, variant = _variant(db, new)
        if product["product_id"] != item["product_id"]:
            raise ToolRefused(detail=f"{new} is a {product['name']} and {item['item_id']} is a {item['name']}")
        if new == item["item_id"]:
            raise ToolRefused(detail=f"{new} is what the order has already")
        if not variant["available"]:
            raise ToolRefused(detail=f"{new} is not available")
        swaps.append((item, product, variant))
    return swaps


def _address(address1: str, address2: str, city: str, state: str, country: str, zip_: str) -> Record:
    return {
        "address1": address1,
        "address2": address2,
        "city": city,
        "state": state,
        "country": country,
        "zip": zip_,
    }


def _stored(db: sqlite3.Connection, order: Record, user: Record | None = None) -> Record:
    put(db, "orders", order["order_id"], order)
    if user is not None:
        put(db, "users", user["user_id"], user)
    return order
