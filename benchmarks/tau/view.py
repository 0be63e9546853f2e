"""What a conversation changed, as a reader of the policies would say it, and what must hold whatever it changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.tau import airline, retail
from benchmarks.tau.records import Change, Record

Seen = dict[str, dict[str, Any]]


def seen(domain: str, changes: Sequence[Change]) -> Seen:
    """The differences in the form of ``differences.yaml``; what is as before is left out."""
    found: Seen = {}
    booked = 0
    for change in changes:
        if change.kind == "flights":
            found.setdefault("seats", {}).update(_seats(change))
            continue
        told = {"orders": _order, "reservations": _reservation, "users": _user}[change.kind]
        before = told(change.before) if change.before else {}
        after = {name: value for name, value in told(change.after).items() if value != before.get(name)}
        if change.kind == "users":
            after |= _money(change)
        key = f"{change.kind}.{change.id}"
        if change.before is None:  # new, new2, new3
            booked += 1
            key = f"{change.kind}.new{booked if booked > 1 else ''}"
        found[key] = after
    return {key: value for key, value in found.items() if value}


def _order(order: Record) -> Record:
    told = {
        "status": order["status"],
        "address": _address(order["address"]),
        "items": sorted(item["item_id"] for item in order["items"]),
        "paid": retail.paid(order),
    }
    if "return_items" in order:
        told["back"] = sorted(order["return_items"])
    if "exchange_items" in order:
        pairs = zip(order["exchange_items"], order["exchange_new_items"], strict=True)
        told["swap"] = [f"{old}>{new}" for old, new in pairs]
        told["difference"] = order["exchange_price_difference"]
    return told


def _reservation(reservation: Record) -> Record:
    return {
        "status": reservation.get("status", "booked"),
        "cabin": reservation["cabin"],
        "flights": [f"{leg['flight_number']} {leg['date']}" for leg in reservation["flights"]],
        "passengers": sorted(f"{who['first_name']} {who['last_name']}" for who in reservation["passengers"]),
        "bags": [reservation["total_baggages"], reservation["nonfree_baggages"]],
        "paid": airline.paid(reservation),
    }


def _user(user: Record) -> Record:
    return {"address": _address(user["address"])}


def _money(change: Change) -> Record:
    before, after = (_balances(user) for user in (change.before or {}, change.after))
    told: Record = {}
    if moved := {method: amount for method, amount in after.items() if amount != before.get(method)}:
        told["money"] = moved
    counts = [len(user.get("reservations", ())) for user in (change.before or {}, change.after)]
    if counts[0] != counts[1]:
        told["reservations"] = counts[1] - counts[0]
    return told


def _balances(user: Mapping[str, Any]) -> dict[str, int]:
    methods = user.get("payment_methods", {}).values()
    return {m["id"]: m.get("balance", m.get("amount")) for m in methods if "balance" in m or "amount" in m}


def _seats(change: Change) -> dict[str, int]:
    told = {}
    for date, day in change.after["dates"].items():
        first = (change.before or {})["dates"][date].get("available_seats", {})
        for cabin, free in day.get("available_seats", {}).items():
            if free != first[cabin]:
                told[f"{change.id} {date} {cabin}"] = free - first[cabin]
    return told


def _address(address: Record) -> str:
    """
    >>> _address({"address1": "1 Elm", "address2": "", "city": "Bath", "state": "ME", "zip": "04530", "country": "USA"})
    '1 Elm, Bath, ME 04530, USA'
    """
    place = f"{address['city']}, {address['state']} {address['zip']}"
    return ", ".join(part for part in (address["address1"], address["address2"], place, address["country"]) if part)


# --- what must hold -----------------------------------------------------------------------------


def broken(domain: str, changes: Sequence[Change]) -> list[str]:
    """The invariants that the changes break: states, payments, stock."""
    wrong = [text for change in changes for text in {"retail": _retail, "airline": _airline}[domain](change)]
    return wrong + _conserved(domain, changes)


def _retail(change: Change) -> list[str]:
    record, wrong = change.after, []
    if change.kind == "products":
        wrong.append(f"product {change.id} changed")
    if change.kind == "orders":
        due = 0 if record["status"] == "cancelled" else sum(item["price"] for item in record["items"])
        if sum(retail.paid(record).values()) != due:
            wrong.append(f"{change.id}: {retail.paid(record)} is paid and {due} is due")
        if record["status"] not in retail.STATUSES:
            wrong.append(f"{change.id}: status {record['status']}")
        kinds = [
            Counter(item["product_id"] for item in order["items"]) for order in (change.before or {"items": []}, record)
        ]
        if kinds[0] != kinds[1]:
            wrong.append(f"{change.id}: products {kinds}")
    return wrong + _positive(change)


def _airline(change: Change) -> list[str]:
    record, wrong = change.after, []
    if change.kind == "reservations":
        people = len(record["passengers"])
        due = people * sum(leg["price"] for leg in record["flights"]) + airline.BAG * record["nonfree_baggages"]
        due += airline.INSURANCE * people if record["insurance"] == "yes" else 0
        due = 0 if record.get("status") == "cancelled" else due
        if sum(airline.paid(record).values()) != due:
            wrong.append(f"{change.id}: {airline.paid(record)} is paid and {due} is due")
        if people > airline.MOST_PASSENGERS or (change.before and len(change.before["passengers"]) != people):
            wrong.append(f"{change.id}: {people} passengers")
    if change.kind == "flights" and any(
        free < 0 for day in record["dates"].values() for free in day.get("available_seats", {}).values()
    ):
        wrong.append(f"{change.id}: more seats were taken than there are")
    return wrong + _positive(change)


def _positive(change: Change) -> list[str]:
    if change.kind != "users":
        return []
    return [f"{change.id}: {name} holds {value}" for name, value in _balances(change.after).items() if value < 0]


def _conserved(domain: str, changes: Sequence[Change]) -> list[str]:
    """Gift cards lose what orders gain; a seat is free or taken."""
    gifts: Counter[str] = Counter()
    seats: Counter[str] = Counter()
    for change in changes:
        for sign, record in ((-1, change.before), (1, change.after)):
            if record is None:
                continue
            if change.kind == "users":
                gifts.update({m: sign * v for m, v in _balances(record).items() if m.startswith("gift_card")})
            elif change.kind in ("orders", "reservations"):
                net = retail.paid(record) if domain == "retail" else _held(record)
                gifts.update({m: sign * v for m, v in net.items() if m.startswith("gift_card")})
            if change.kind == "reservations" and record.get("status") != "cancelled":
                for leg in record["flights"]:
                    seats[f"{leg['flight_number']} {leg['date']} {record['cabin']}"] += sign * len(record["passengers"])
        if change.kind == "flights":
            seats.update(_seats(change))
    wrong = [f"{method}: {cents} came from nowhere" for method, cents in gifts.items() if cents]
    return wrong + [f"{place}: {count} seats came from nowhere" for place, count in seats.items() if count]


def _held(reservation: Record) -> dict[str, int]:
    """What is paid, that which is on its way back after a cancellation included."""
    return airline.paid({"payment_history": [part for part in reservation["payment_history"] if "due" not in part]})
