"""What the assistant may look up and do. Each function is a tool: its signature is the schema, its docstring the help.

``@tool("read")`` looks something up; ``@tool("write")`` changes something, and the policy makes the customer confirm it
first. Each call is journalled, and a write with the same key is done once. This file reads ``orders.csv``; put your own
database or HTTP service in its place.
"""

from __future__ import annotations

import csv
import sqlite3
import time
from pathlib import Path
from typing import Annotated, Any

from core.errors import ToolRefused
from core.tools import Length, Matching, tool
from core.types import Caller

ORDERS = Path(__file__).parent / "orders.csv"
Number = Annotated[str, Matching(r"A\d{4}"), "number of the order, such as A1001"]
STATES = {
    "packing": {"zh": "正在打包", "en": "is being packed"},
    "shipped": {"zh": "已发货", "en": "is on its way"},
    "delivered": {"zh": "已送达", "en": "was delivered"},
}


@tool("read")
def check_identity(
    number: Number, proof: Annotated[str, Length(4, 120), "last four digits of the phone number of the order"]
) -> dict[str, Any]:
    """Check that the person knows the phone number of an order; gives the orders that this opens."""
    order = _orders().get(number)
    if order is None or not order["phone"].endswith(proof.strip()):
        raise ToolRefused(reason="not_proved", number=number)  # an order that is not there sounds the same
    return {"accounts": [number]}


@tool("read")
def look_up_order(number: Number) -> dict[str, Any]:
    """Look up the state of an order."""
    order = _order(number)
    return {"number": number, "state": STATES[order["state"]], "item": order["item"]}


@tool("write")
def add_gift_note(
    db: sqlite3.Connection, caller: Caller, number: Number, note: Annotated[str, Length(2, 200), "what the card says"]
) -> dict[str, Any]:
    """Put a gift card with a note into an order that is being packed. The customer must have confirmed it."""
    if _order(number)["state"] != "packing":
        raise ToolRefused(reason="already_packed", number=number)
    db.execute("CREATE TABLE IF NOT EXISTS own_gift_notes (tenant TEXT, number TEXT, note TEXT, at REAL)")
    db.execute("INSERT INTO own_gift_notes VALUES (?, ?, ?, ?)", (caller.tenant, number, note.strip(), time.time()))
    return {"number": number, "note": note.strip()}


@tool("write")
def open_ticket(
    db: sqlite3.Connection,
    caller: Caller,
    subject: Annotated[str, Length(1, 1000), "what it is about, in the customer's words"],
) -> dict[str, Any]:
    """Open a ticket, which a person answers later."""
    db.execute("CREATE TABLE IF NOT EXISTS own_tickets (id INTEGER PRIMARY KEY, tenant TEXT, subject TEXT, at REAL)")
    row = db.execute(
        "INSERT INTO own_tickets (tenant, subject, at) VALUES (?, ?, ?)", (caller.tenant, subject, time.time())
    )
    return {"ticket": f"T{row.lastrowid:05d}"}


TOOLS = (check_identity, look_up_order, add_gift_note, open_ticket)


def _orders() -> dict[str, dict[str, str]]:
    with ORDERS.open(encoding="utf-8", newline="") as file:
        return {row["number"]: row for row in csv.DictReader(file)}


def _order(number: str) -> dict[str, str]:
    order = _orders().get(number)
    if order is None:
        raise ToolRefused(reason="not_proved", number=number)
    return order
