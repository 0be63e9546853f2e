"""Calls that must be refused: gold calls with one thing changed, and writes that the policies forbid."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.tau.airline import FLOWN, NOW
from benchmarks.tau.records import Record

Arguments = dict[str, Any]
Call = tuple[str, Arguments]
Data = Mapping[str, Mapping[str, Record]]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A gold call with one thing changed."""

    name: str
    arguments: Arguments
    stranger: bool = False
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A write that a policy forbids, after the calls of ``before``; ``why`` stands in the refusal."""

    name: str
    customer: str
    call: Call
    why: str
    before: tuple[Call, ...] = ()
    confirmed: bool = True


def mutations(arguments: Arguments) -> Iterator[Mutation]:
    """At least seven for every tool that writes."""
    first = next(iter(arguments))
    yield Mutation("a stranger's", arguments, stranger=True)
    yield Mutation("not confirmed", arguments, confirmed=False)
    yield Mutation("one more argument", {**arguments, "discount": 10})
    yield Mutation("one argument less", {name: value for name, value in arguments.items() if name != first})
    yield Mutation("a number for a name", {**arguments, first: 7})
    for name, value in arguments.items():
        for what, other in _OTHERS.get(name, lambda _: {})(value).items():
            yield Mutation(f"{name}: {what}", {**copy.deepcopy(arguments), name: other})


def _list(unknown: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {"one unknown": [unknown, *value[1:]], "one more": [*value, unknown], "none": []}


_OTHERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "order_id": lambda v: {"unknown": "#W0000000", "without its sign": v[1:]},
    "reservation_id": lambda _: {"unknown": "ZZZZZZ", "in small letters": "zzzzzz"},
    "user_id": lambda _: {"unknown": "nobody_at_all_0"},
    "reason": lambda _: {"not accepted": "I changed my mind", "empty": ""},
    "item_ids": _list("0000000000"),
    "new_item_ids": _list("0000000000"),
    "payment_method_id": lambda _: {"unknown": "gift_card_0000000"},
    "payment_id": lambda _: {"unknown": "gift_card_0000000"},
    "zip": lambda _: {"of no place": "?", "nothing": None},
    "city": lambda _: {"empty": ""},
    "address1": lambda _: {"empty": "", "too long": "x" * 101},
    "cabin": lambda _: {"that is not": "first"},
    "flights": lambda v: {
        "none": [],
        "one unknown": [{**v[0], "flight_number": "HAT999"}, *v[1:]],
        "in the past": [{**v[0], "date": "2024-05-02"}, *v[1:]],
        "with a gap": [*v, v[0]],
    },
    "passengers": lambda v: {
        "none": [],
        "six": [v[0]] * 6,
        "without a birthday": [{"first_name": v[0]["first_name"], "last_name": v[0]["last_name"]}, *v[1:]],
        "a number for a name": [{**v[0], "first_name": 7}, *v[1:]],
        "with a discount": [{**v[0], "discount": 10}, *v[1:]],
    },
    "total_baggages": lambda _: {"below nothing": -1, "a hundred": 100},
    "nonfree_baggages": lambda v: {"one more": v + 1},
    "payment_methods": lambda v: {
        "none": [],
        "one unknown": [{**v[0], "payment_id": "gift_card_0000000"}, *v[1:]],
        "a dollar less": [{**v[0], "amount": v[0]["amount"] - 1}, *v[1:]],
    },
    "insurance": lambda _: {"perhaps": "perhaps"},
}


# --- what the policies forbid -------------------------------------------------------------------


def forbidden(domain: str, data: Data) -> Iterator[Forbidden]:
    yield from {"retail": _retail, "airline": _airline}[domain](data)


def _retail(data: Data) -> Iterator[Forbidden]:
    users, orders, products = data["users"], data["orders"], data["products"]
    variants = {i: v for product in products.values() for i, v in product["variants"].items()}

    def order(status: str, fits: Callable[[Record, Record], bool] = lambda o, u: True) -> Record:
        return next(o for o in orders.values() if o["status"] == status and fits(o, users[o["user_id"]]))

    def method(o: Record) -> str:
        return str(o["payment_history"][0]["payment_method_id"])

    def cancel(o: Record, reason: str = "no longer needed") -> Call:
        return "cancel_pending_order", {"order_id": o["order_id"], "reason": reason}

    def address(**more: Any) -> Arguments:
        place = {"address1": "1 Elm Street", "address2": "", "city": "Bath", "state": "ME", "country": "USA"}
        return {**more, **place, "zip": "04530"}

    def swap(tool: str, o: Record, new: str, by: str | None = None, at: int = 0) -> Call:
        items = {"item_ids": [o["items"][at]["item_id"]], "new_item_ids": [new]}
        return tool, {"order_id": o["order_id"], **items, "payment_method_id": by or method(o)}

    def other(item: Record, available: bool = True) -> str | None:
        found = products[item["product_id"]]["variants"].values()
        ids = [v["item_id"] for v in found if v["available"] is available and v["item_id"] != item["item_id"]]
        return ids[0] if ids else None

    def no_gift(o: Record, u: Record) -> bool:
        return not method(o).startswith("gift") and bool(other(o["items"][0]))

    modify, exchange = "modify_pending_order_items", "exchange_delivered_order_items"
    pending, delivered = order("pending", no_gift), order("delivered", no_gift)
    mine, stranger = pending["user_id"], delivered["user_id"]
    fresh, back = other(pending["items"][0]) or "", other(delivered["items"][0]) or ""
    for status in ("processed", "delivered", "cancelled"):
        o = order(status)
        yield Forbidden(f"cancel an order that is {status}", o["user_id"], cancel(o), "needs an order that is pending")
    yield Forbidden("cancel for a reason that does not count", mine, cancel(pending, "too expensive"), "not allowed")
    yield Forbidden("cancel somebody else's order", stranger, cancel(pending), "not an order of the customer")
    yield Forbidden("cancel before the customer is identified", "", cancel(pending), "not an order of the customer")
    yield Forbidden("cancel without a yes", mine, cancel(pending), "", confirmed=False)
    yield Forbidden(
        "redirect a delivered order",
        stranger,
        ("modify_pending_order_address", address(order_id=delivered["order_id"])),
        "needs an order that is pending",
    )
    yield Forbidden(
        "change somebody else's address",
        mine,
        ("modify_user_address", address(user_id=stranger)),
        "not the customer of",
    )
    pay = "modify_pending_order_payment"
    yield Forbidden(
        "pay by the method it is paid by",
        mine,
        (pay, {"order_id": pending["order_id"], "payment_method_id": method(pending)}),
        "single other method",
    )
    poor = order(
        "pending", lambda o, u: no_gift(o, u) and _gift_below(u, o["payment_history"][0]["amount"]) is not None
    )
    card = _gift_below(users[poor["user_id"]], poor["payment_history"][0]["amount"]) or ""
    call = (pay, {"order_id": poor["order_id"], "payment_method_id": card})
    yield Forbidden("pay by a gift card that holds too little", poor["user_id"], call, "are needed")
    elsewhere = next(m for m in users[stranger]["payment_methods"] if m not in users[mine]["payment_methods"])
    call = (pay, {"order_id": pending["order_id"], "payment_method_id": elsewhere})
    yield Forbidden("pay by somebody else's card", mine, call, "not in the customer's profile")
    foreign = next(i for p in products.values() for i in p["variants"] if p["product_id"] != pending["items"][0]["product_id"]
                   and variants[i]["available"])  # fmt: skip
    yield Forbidden("turn an item into another product", mine, swap(modify, pending, foreign), "is a")
    gone = order("pending", lambda o, u: bool(other(o["items"][0], available=False)))
    sold_out = other(gone["items"][0], available=False) or ""
    yield Forbidden("take a variant that is sold out", gone["user_id"], swap(modify, gone, sold_out), "not available")
    twice = swap(modify, pending, fresh)
    yield Forbidden("change the items twice", mine, swap(modify, pending, fresh), "items modified", before=(twice,))
    yield Forbidden("cancel after the items were changed", mine, cancel(pending), "items modified", before=(twice,))
    send_back = "return_delivered_order_items"

    def giving_back(o: Record, by: str) -> Call:
        return send_back, {"order_id": o["order_id"], "item_ids": [o["items"][0]["item_id"]], "payment_method_id": by}

    yield Forbidden("take back what was not delivered", mine, giving_back(pending, method(pending)), "is pending")
    rich = order(
        "delivered", lambda o, u: any(not m.startswith("gift") and m != method(o) for m in u["payment_methods"])
    )
    card = next(m for m in users[rich["user_id"]]["payment_methods"] if not m.startswith("gift") and m != method(rich))
    yield Forbidden("refund to another card", rich["user_id"], giving_back(rich, card), "a refund goes to")
    yield Forbidden("exchange what was not delivered", mine, swap(exchange, pending, fresh), "is pending")
    once = swap(exchange, delivered, back)
    yield Forbidden("exchange twice", stranger, once, "exchange requested", before=(once,))
    call = giving_back(delivered, method(delivered))
    yield Forbidden("take back after an exchange", stranger, call, "exchange requested", before=(once,))
    for o in orders.values():
        u, item = users[o["user_id"]], o["items"][0]
        dearer = [v for v in products[item["product_id"]]["variants"].values() if v["available"]]
        best = max(dearer, key=lambda v: v["price"], default=item)
        if o["status"] == "delivered" and (card := _gift_below(u, best["price"] - item["price"]) or ""):
            call = swap(exchange, o, best["item_id"], card)
            yield Forbidden("exchange with a gift card that holds too little", o["user_id"], call, "are needed")
            break


def _gift_below(user: Record, cents: int) -> str | None:
    methods = user["payment_methods"].values()
    return next((m["id"] for m in methods if m["source"] == "gift_card" and m["balance"] < cents), None)


def _airline(data: Data) -> Iterator[Forbidden]:
    users, flights, reservations = data["users"], data["flights"], data["reservations"]

    def state(leg: Record) -> str:
        return str(flights[leg["flight_number"]]["dates"][leg["date"]]["status"])

    def reservation(fits: Callable[[Record, Record, list[str]], bool]) -> Record:
        return next(
            r for r in reservations.values() if fits(r, users[r["user_id"]], [state(leg) for leg in r["flights"]])
        )

    def future(states: list[str]) -> bool:
        return all(s == "available" for s in states)

    def card(user_id: str, source: str = "credit_card", at: int = 0) -> str:
        return str([m for m, v in users[user_id]["payment_methods"].items() if v["source"] == source][at])

    def has(user: Record, source: str, count: int = 1) -> bool:
        return sum(v["source"] == source for v in user["payment_methods"].values()) >= count

    def legs(r: Record) -> list[Arguments]:
        return [{"flight_number": leg["flight_number"], "date": leg["date"]} for leg in r["flights"]]

    def changed(r: Record, by: str, **other: Any) -> Call:
        asked = {"cabin": r["cabin"], "flights": legs(r), **other}
        return "update_reservation_flights", {"reservation_id": r["reservation_id"], **asked, "payment_id": by}

    def cancel(r: Record, **more: Any) -> Call:
        return "cancel_reservation", {"reservation_id": r["reservation_id"], **more}

    # booking
    rich = next(u for u in users.values() if has(u, "certificate", 2) and has(u, "credit_card", 2))
    who = rich["user_id"]
    stranger = next(u["user_id"] for u in users.values() if has(u, "credit_card") and u["user_id"] != who)

    def on(status: str, seats: int = 0) -> tuple[Record, str, Record]:
        return next(
            (f, date, day)
            for f in flights.values()
            for date, day in f["dates"].items()
            if day["status"] == status and (status != "available" or day["available_seats"]["economy"] >= seats)
        )

    open_, date, day = on("available", 6)
    person = {"first_name": "Ada", "last_name": "Example", "dob": "1990-01-01"}

    def booking(
        paid: list[tuple[str, int]], flight: Record = open_, at: str = date, people: int = 1, **more: Any
    ) -> Call:
        route = {"origin": flight["origin"], "destination": flight["destination"], "flight_type": "one_way"}
        return "book_reservation", {
            "user_id": who,
            **route,
            "cabin": "economy",
            "flights": [{"flight_number": flight["flight_number"], "date": at}],
            "passengers": [person] * people,
            "payment_methods": [{"payment_id": m, "amount": amount} for m, amount in paid],
            "total_baggages": 0,
            "nonfree_baggages": 0,
            "insurance": "no",
            **more,
        }

    price, visa = day["prices"]["economy"], card(who)
    yield Forbidden("book for six", who, booking([(visa, 6 * price)], people=6), "one to 5 passengers")
    two = [(card(who, "certificate"), 1), (card(who, "certificate", 1), price - 1)]
    yield Forbidden("pay by two certificates", who, booking(two), "at most one certificate")
    two = [(visa, 1), (card(who, at=1), price - 1)]
    yield Forbidden("pay by two credit cards", who, booking(two), "one credit card")
    yield Forbidden(
        "pay by somebody else's card", who, booking([(card(stranger), price)]), "not in the customer's profile"
    )
    yield Forbidden("pay less than the price", who, booking([(visa, price - 1)]), "the price is")
    yield Forbidden("book without a yes", who, booking([(visa, price)]), "", confirmed=False)
    yield Forbidden("book on somebody else's account", stranger, booking([(visa, price)]), "not the customer of")
    call = booking([(visa, price)], total_baggages=9)
    yield Forbidden("take nine bags for nothing", who, call, "bags are free")
    for status in ("delayed", "on time", "flying", "cancelled"):
        flight, at, _ = on(status)
        yield Forbidden(f"book a flight that is {status}", who, booking([(visa, 1)], flight, at), "cannot be booked")
    full, at, free = next(
        (f, d, x) for f in flights.values() for d, x in f["dates"].items()
        if x["status"] == "available" and x["available_seats"]["economy"] < 2
    )  # fmt: skip
    call = booking([(visa, 2 * free["prices"]["economy"])], full, at, people=2)
    yield Forbidden("book more seats than there are", who, call, "seats in economy")
    # changing
    basic = reservation(lambda r, u, s: r["cabin"] == "basic_economy" and has(u, "credit_card") and future(s))
    last = legs(basic)[-1]
    moved = [*legs(basic)[:-1], {**last, "date": "2024-05-30" if last["date"] != "2024-05-30" else "2024-05-29"}]
    call = changed(basic, card(basic["user_id"]), flights=moved)
    yield Forbidden("change flights of basic economy", basic["user_id"], call, "basic economy cannot be changed")
    single = reservation(
        lambda r, u, s: (
            r["cabin"] == "economy" and r["flight_type"] == "one_way" and has(u, "credit_card") and future(s)
        )
    )
    away = next(
        {"flight_number": f["flight_number"], "date": d} for f in flights.values() for d, x in f["dates"].items()
        if f["origin"] == single["origin"] and f["destination"] != single["destination"]
        and x["status"] == "available" and x["available_seats"]["economy"] >= len(single["passengers"])
    )  # fmt: skip
    call = changed(single, card(single["user_id"]), flights=[away])
    yield Forbidden("fly to another place", single["user_id"], call, "is not one_way from")
    flown = reservation(
        lambda r, u, s: any(x in FLOWN for x in s) and r["cabin"] == "economy" and has(u, "credit_card")
    )
    call = changed(flown, card(flown["user_id"]), cabin="business")
    yield Forbidden("change the cabin after the start", flown["user_id"], call, "has been flown")
    certified = reservation(lambda r, u, s: r["cabin"] == "economy" and has(u, "certificate") and future(s))
    call = changed(certified, card(certified["user_id"], "certificate"), cabin="business")
    yield Forbidden("pay a change by certificate", certified["user_id"], call, "one gift card or credit card")
    bags = reservation(lambda r, u, s: r["total_baggages"] > 0 and has(u, "credit_card"))
    asked = {"total_baggages": bags["total_baggages"] - 1, "nonfree_baggages": 0, "payment_id": card(bags["user_id"])}
    call = ("update_reservation_baggages", {"reservation_id": bags["reservation_id"], **asked})
    yield Forbidden("take bags away", bags["user_id"], call, "only become more")
    call = ("update_reservation_passengers", {"reservation_id": single["reservation_id"],
            "passengers": [person] * (len(single["passengers"]) + 1)})  # fmt: skip
    yield Forbidden("add a passenger", single["user_id"], call, "and that stays")
    name, given = changed(single, card(single["user_id"]), cabin="business")
    yield Forbidden("add insurance later", single["user_id"], (name, {**given, "insurance": "yes"}), "insurance")
    # cancelling
    old = NOW.replace(day=13).isoformat()
    plain = reservation(
        lambda r, u, s: r["cabin"] == "economy" and r["insurance"] == "no" and r["created_at"] < old and future(s)
    )
    yield Forbidden("cancel without a right to", plain["user_id"], cancel(plain), "not business and not insured")
    insured = reservation(
        lambda r, u, s: r["cabin"] == "economy" and r["insurance"] == "yes" and r["created_at"] < old and future(s)
    )
    call = cancel(insured, reason="change of plan")
    yield Forbidden("cancel insured, but for another reason", insured["user_id"], call, "not insured against this")
    yield Forbidden("cancel what has been flown", flown["user_id"], cancel(flown), "has been flown")
    yield Forbidden("cancel somebody else's reservation", who, cancel(single), "not a reservation of the customer")

    # compensation
    def gesture(r: Record, amount: int, about: str) -> Call:
        return "send_certificate", {"reservation_id": r["reservation_id"], "amount": amount, "about": about}

    lost = reservation(lambda r, u, s: "cancelled" in s and r["cabin"] != "business" and r["insurance"] == "no"
                       and u["membership"] == "regular")  # fmt: skip
    call = gesture(lost, 100 * len(lost["passengers"]), "cancelled")
    yield Forbidden("compensate whom the policy does not", lost["user_id"], call, "are compensated")
    golden = reservation(lambda r, u, s: "cancelled" in s and u["membership"] == "gold")
    call = gesture(golden, 100 * len(golden["passengers"]) + 50, "cancelled")
    yield Forbidden("compensate with too much", golden["user_id"], call, "the certificate is of")
    calm = reservation(lambda r, u, s: future(s) and u["membership"] == "gold")
    yield Forbidden("compensate for nothing", calm["user_id"], gesture(calm, 100, "cancelled"), "no flight of")
    late = reservation(lambda r, u, s: "delayed" in s and u["membership"] != "regular")
    call = gesture(late, 50 * len(late["passengers"]), "delayed")
    yield Forbidden("compensate a delay before a change", late["user_id"], call, "after the reservation was changed")
    call = gesture(golden, 100 * len(golden["passengers"]), "cancelled")
    yield Forbidden("compensate twice", golden["user_id"], call, "was compensated before", before=(call,))
