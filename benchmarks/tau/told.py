"""Whether what a task wants the customer to be told (``communicate_info``) comes out of the tools.

A word must stand in a record that the customer may see. A number must be a price or an amount in one, or follow by one
of the rules below; a whole number below a thousand, which would stand somewhere anyway, only by a rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from benchmarks.tau import airline, retail
from benchmarks.tau.domain import Domain
from benchmarks.tau.records import Change, Record

SMALL = 1000


def visible(domain: Domain, customer: str) -> list[Record]:
    """The customer's own records and the products in them, read with the tools."""
    profile = domain.call(customer, "get_user_details", {"user_id": customer}).value
    if domain.name == "airline":
        ids = profile["reservations"]
        own = [domain.call(customer, "get_reservation_details", {"reservation_id": id_}).value for id_ in ids]
        return [profile, *own]
    orders = [domain.call(customer, "get_order_details", {"order_id": id_}).value for id_ in profile["orders"]]
    types = domain.call(customer, "list_all_product_types", {}).value
    products = [domain.call(customer, "get_product_details", {"product_id": id_}).value for id_ in types.values()]
    return [profile, *orders, *products]


def missing(
    wanted: Sequence[str],
    before: Sequence[Record],
    after: Sequence[Record],
    results: Sequence[Any],
    changes: Sequence[Change],
) -> list[str]:
    """The values of ``wanted`` that neither stand in the records nor follow from records, results and changes."""
    records = [*before, *after]
    text = "\n".join(_strings([*records, *results])).lower()
    amounts = {_plain(cents / 100) for cents in _amounts([*records, *results])} | set(_numbers(results))
    ruled = {_plain(value) for seen in (before, after) for value in rules(seen, changes)}
    wrong = []
    for value in wanted:
        number = _number(value)
        if number is None:
            found = value.lower() in text
        else:
            found = (
                number in ruled
                or (number in amounts and not float(number).is_integer())
                or (float(number) >= SMALL and value in text)
            )
        if not found:
            wrong.append(value)
    return wrong


def rules(records: Sequence[Record], changes: Sequence[Change]) -> Iterator[float]:
    """Numbers that follow: what is available and cheapest, balances, totals, what was paid and given back."""
    left: Counter[str] = Counter()
    for record in records:
        if "variants" in record:
            prices = [v["price"] / 100 for v in record["variants"].values() if v["available"]]
            yield from (len(prices), min(prices, default=0))
        elif "payment_methods" in record:
            for method in record["payment_methods"].values():
                if (balance := method.get("balance", method.get("amount"))) is not None:
                    yield balance / 100 if "balance" in method else balance
                    left[method["source"]] += balance
        elif "items" in record:
            yield sum(item["price"] for item in record["items"]) / 100
        elif "cabin" in record:
            profile = next(r for r in records if "membership" in r)
            free = airline.FREE_BAGS[profile["membership"]] + airline.CABINS.index(record["cabin"])
            yield free * len(record["passengers"])
    yield from left.values()
    upcoming = [r for r in records if "cabin" in r and r["flights"][0]["date"] > airline.NOW.date().isoformat()]
    yield sum(sum(airline.paid(reservation).values()) for reservation in upcoming)
    yield from _bought(records)
    yield from _moved(changes)


def _bought(records: Sequence[Record]) -> Iterator[float]:
    """What a kind of product cost in all orders, and what the cheapest variants of one or two items would save."""
    cheapest = {
        record["product_id"]: min((v["price"] for v in record["variants"].values() if v["available"]), default=None)
        for record in records
        if "variants" in record
    }
    spent: Counter[str] = Counter()
    for order in (record for record in records if "items" in record):
        savings = [item["price"] - low for item in order["items"] if (low := cheapest.get(item["product_id"]))]
        yield from (saved / 100 for saved in savings)
        yield from (sum(pair) / 100 for pair in combinations(savings, 2))
        for item in order["items"]:
            spent[item["name"]] += item["price"]
    yield from (cents / 100 for cents in spent.values())


def _moved(changes: Sequence[Change]) -> Iterator[float]:
    """What the conversation gave back or took: by record, by method and in all."""
    total, cards = 0.0, Counter[str]()
    for change in changes:
        before, after = change.before, change.after
        if change.kind == "orders" and before:
            back = sum(retail.paid(before).values()) - sum(retail.paid(after).values())
            items = {item["item_id"]: item["price"] for item in after["items"]}
            back += sum(items[id_] for id_ in after.get("return_items", ()))
            back -= after.get("exchange_price_difference", 0)
            yield abs(back) / 100
            for item in before["items"]:  # one by one, where a call changes more than one
                yield from (abs(item["price"] - other["price"]) / 100 for other in after["items"])
            total += back / 100
        elif change.kind == "reservations":
            net = Counter(airline.paid(after))
            net.subtract(airline.paid(before) if before else {})
            cards.update(net)
            if after.get("status") != "cancelled":
                yield abs(sum(net.values()))
                total -= sum(net.values())
    yield abs(total)
    yield from (abs(value) for value in cards.values())
    booked = [c.after for c in changes if c.kind == "reservations" and c.before is None]
    charged: Counter[str] = Counter()
    for reservation in booked:
        charged.update(airline.paid(reservation))
    yield from charged.values()


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            yield from (text for inner in value.values() for text in _strings(inner))
        case list() | tuple():
            yield from (text for inner in value for text in _strings(inner))


def _amounts(value: Any) -> Iterator[float]:
    """The cents in retail's records; in airline's there are only whole dollars."""
    match value:
        case Mapping():
            for name, inner in value.items():
                if name in ("price", "amount", "balance") and isinstance(inner, int):
                    yield inner
                yield from _amounts(inner)
        case list() | tuple():
            yield from (amount for inner in value for amount in _amounts(inner))


def _numbers(results: Iterable[Any]) -> Iterator[str]:
    """What the calculator gave."""
    yield from (_plain(abs(float(r))) for r in results if isinstance(r, str) and re.fullmatch(r"-?\d+\.\d\d", r))


def _number(text: str) -> str | None:
    return _plain(float(text)) if re.fullmatch(r"\d+(?:\.\d+)?", text) else None


def _plain(value: float) -> str:
    return f"{value:.2f}"
