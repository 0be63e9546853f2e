"""The airline domain: tools that keep the rules of its policy. Money is in dollars, which is all its data has.

Refunds of a cancellation are on their way for some days, so that no balance changes; a refund of a change is at once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from benchmarks.tau.records import Record, every, find, put
from benchmarks.tau.sums import calculate
from core.errors import ToolRefused
from core.tools import Idempotency, Length, Matching, Within, tool
from core.types import Caller

NOW = datetime(2024, 5, 15, 15)
FREE_BAGS = {"regular": 0, "silver": 1, "gold": 2}  # of each passenger in basic economy
CABINS = ("basic_economy", "economy", "business")
BAG, INSURANCE = 50, 30
MOST_PASSENGERS = 5
GESTURE = {"cancelled": 100, "delayed": 50}  # for each passenger
FLOWN = ("landed", "flying")

Cabin = Literal["basic_economy", "economy", "business"]
ReservationId = Annotated[str, Matching(r"[0-9A-Z]{6}"), "six letters and digits"]
Airport = Annotated[str, Matching(r"[A-Z]{3}"), "IATA code"]
Day = Annotated[str, Matching(r"\d{4}-\d\d-\d\d"), "YYYY-MM-DD"]
Method = Annotated[str, Length(1, 60), "id of a payment method in the customer's profile"]
Name = Annotated[str, Length(1, 60)]
Bags = Annotated[int, Within(0, 50)]


@dataclass(frozen=True, slots=True)
class Leg:
    flight_number: Annotated[str, Matching(r"HAT\d{3}")]
    date: Day


@dataclass(frozen=True, slots=True)
class Passenger:
    first_name: Name
    last_name: Name
    dob: Day


@dataclass(frozen=True, slots=True)
class Payment:
    payment_id: Method
    amount: Annotated[int, Within(1), "dollars"]


def load(folder: Path) -> dict[str, dict[str, Record]]:
    """The database of ``folder`` (``tau2-bench/airline``)."""

    def read(name: str) -> dict[str, Record]:
        path = folder / "data" / name
        found: dict[str, Record] = json.loads(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
        return found

    users = {id_: {"user_id": id_, **user} for id_, user in read("users.json").items()}
    return {"users": users, "flights": read("flights.json.gz"), "reservations": read("reservations.json.gz")}


# --- reading ------------------------------------------------------------------------------------


@tool("read")
def get_user_details(db: sqlite3.Connection, caller: Caller, user_id: Name) -> Record:
    """The customer's own profile: payment methods, membership, reservations."""
    return _profile(db, caller, user_id)


@tool("read")
def get_reservation_details(db: sqlite3.Connection, caller: Caller, reservation_id: ReservationId) -> Record:
    """One of the customer's own reservations."""
    return _own(db, caller, reservation_id)


@tool("read")
def search_direct_flight(db: sqlite3.Connection, origin: Airport, destination: Airport, date: Day) -> list[Record]:
    """Flights from one airport to another on a day that can be booked."""
    return [
        {**{name: value for name, value in flight.items() if name != "dates"}, **flight["dates"][date]}
        for flight in every(db, "flights")
        if (flight["origin"], flight["destination"]) == (origin, destination)
        and flight["dates"].get(date, {}).get("status") == "available"
    ]


@tool("read")
def get_flight_status(db: sqlite3.Connection, flight_number: str, date: Day) -> str:
    """How a flight of a day stands."""
    return str(_date(find(db, "flights", flight_number), date)["status"])


@tool("read")
def transfer_to_human_agents(summary: Annotated[str, Length(1, 2000)]) -> str:
    """Hand the conversation to a person."""
    return "transferred"


# --- writing ------------------------------------------------------------------------------------


@tool("write")
def book_reservation(
    db: sqlite3.Connection,
    caller: Caller,
    key: Idempotency,
    user_id: Name,
    origin: Airport,
    destination: Airport,
    flight_type: Literal["one_way", "round_trip"],
    cabin: Cabin,
    flights: list[Leg],
    passengers: list[Passenger],
    payment_methods: list[Payment],
    total_baggages: Bags,
    nonfree_baggages: Bags,
    insurance: Literal["yes", "no"],
) -> Record:
    """Book flights for a customer, in one cabin, paid at once."""
    user = _profile(db, caller, user_id)
    if not 1 <= len(passengers) <= MOST_PASSENGERS:
        raise ToolRefused(detail=f"a reservation has one to {MOST_PASSENGERS} passengers, not {len(passengers)}")
    booked = _seated(db, flights, (), cabin, cabin, len(passengers))
    _route(booked, origin, destination, flight_type)
    _bags(user, cabin, len(passengers), total_baggages, nonfree_baggages)
    price = sum(leg["price"] for leg in booked) * len(passengers) + BAG * nonfree_baggages
    price += INSURANCE * len(passengers) if insurance == "yes" else 0
    _settle(user, payment_methods, price)
    reservation = {
        "reservation_id": hashlib.sha256(key.encode()).hexdigest()[:6].upper(),
        "user_id": user_id,
        "origin": origin,
        "destination": destination,
        "flight_type": flight_type,
        "cabin": cabin,
        "flights": booked,
        "passengers": [asdict(passenger) for passenger in passengers],
        "payment_history": [asdict(payment) for payment in payment_methods],
        "created_at": NOW.isoformat(),
        "total_baggages": total_baggages,
        "nonfree_baggages": nonfree_baggages,
        "insurance": insurance,
    }
    user["reservations"].append(reservation["reservation_id"])
    return _stored(db, reservation, user)


@tool("write")
def cancel_reservation(
    db: sqlite3.Connection,
    caller: Caller,
    reservation_id: ReservationId,
    reason: Literal["change of plan", "airline cancelled flight", "health", "weather", "other"] | None = None,
) -> Record:
    """Cancel a whole reservation; the money goes back the way it came.

    Args:
        reason: what the customer says. Insurance covers health and weather; without a reason nothing is known.
    """
    reservation = _reservation(db, caller, reservation_id)
    states = [_state(db, leg) for leg in reservation["flights"]]
    if any(state in FLOWN for state in states):
        raise ToolRefused(detail=f"a part of {reservation_id} has been flown")
    if not (
        NOW - datetime.fromisoformat(reservation["created_at"]) <= timedelta(days=1)
        or "cancelled" in states
        or reservation["cabin"] == "business"
        or (reservation["insurance"] == "yes" and reason in (None, "health", "weather"))
    ):
        raise ToolRefused(detail=f"{reservation_id} is older than a day, not business and not insured against this")
    _seats(db, reservation["flights"], reservation["cabin"], len(reservation["passengers"]))
    back = [{"payment_id": method, "amount": -net, "due": "5 to 7 days"} for method, net in paid(reservation).items()]
    reservation["payment_history"] += back
    reservation["status"] = "cancelled"
    return _stored(db, reservation)


@tool("write")
def update_reservation_flights(
    db: sqlite3.Connection,
    caller: Caller,
    reservation_id: ReservationId,
    cabin: Cabin,
    flights: list[Leg],
    payment_id: Method,
) -> Record:
    """Change the flights or the cabin of a reservation; all of its flights are named, those that stay too."""
    reservation = _reservation(db, caller, reservation_id)
    user = _profile(db, caller, reservation["user_id"])
    before, old = reservation["flights"], reservation["cabin"]
    asked = [(leg.flight_number, leg.date) for leg in flights]
    moved = asked != [(leg["flight_number"], leg["date"]) for leg in before]
    if moved and old == "basic_economy":
        raise ToolRefused(detail="flights of basic economy cannot be changed")
    if not moved and cabin == old:
        raise ToolRefused(detail=f"{reservation_id} has these flights and this cabin already")
    if any(_state(db, leg) in FLOWN for leg in before if cabin != old or _pair(leg) not in asked):
        raise ToolRefused(detail=f"a flight of {reservation_id} has been flown")
    method = _method(user, payment_id)
    if method["source"] == "certificate":
        raise ToolRefused(detail="a change is paid or given back by one gift card or credit card")
    people = len(reservation["passengers"])
    _seats(db, before, old, people)
    after = _seated(db, flights, before, old, cabin, people)
    _route(after, reservation["origin"], reservation["destination"], reservation["flight_type"])
    difference = people * (sum(leg["price"] for leg in after) - sum(leg["price"] for leg in before))
    if difference:
        _charge(method, difference)
        reservation["payment_history"].append({"payment_id": payment_id, "amount": difference})
    reservation |= {"flights": after, "cabin": cabin, "changed": True}
    return _stored(db, reservation, user)


@tool("write")
def update_reservation_baggages(
    db: sqlite3.Connection,
    caller: Caller,
    reservation_id: ReservationId,
    total_baggages: Bags,
    nonfree_baggages: Bags,
    payment_id: Method,
) -> Record:
    """Add checked bags; none can be taken away."""
    reservation = _reservation(db, caller, reservation_id)
    user = _profile(db, caller, reservation["user_id"])
    if total_baggages <= reservation["total_baggages"] or nonfree_baggages < reservation["nonfree_baggages"]:
        raise ToolRefused(
            detail=f"{reservation_id} has {reservation['total_baggages']} bags; they can only become more"
        )
    _bags(user, reservation["cabin"], len(reservation["passengers"]), total_baggages, nonfree_baggages)
    price = BAG * (nonfree_baggages - reservation["nonfree_baggages"])
    method = _method(user, payment_id)
    if price:
        _charge(method, price)
        reservation["payment_history"].append({"payment_id": payment_id, "amount": price})
    reservation |= {"total_baggages": total_baggages, "nonfree_baggages": nonfree_baggages}
    return _stored(db, reservation, user)


@tool("write")
def update_reservation_passengers(
    db: sqlite3.Connection, caller: Caller, reservation_id: ReservationId, passengers: list[Passenger]
) -> Record:
    """Change who flies; how many stays."""
    reservation = _reservation(db, caller, reservation_id)
    if len(passengers) != len(reservation["passengers"]):
        raise ToolRefused(detail=f"{reservation_id} has {len(reservation['passengers'])} passengers, and that stays")
    reservation["passengers"] = [asdict(passenger) for passenger in passengers]
    return _stored(db, reservation)


@tool("write")
def send_certificate(
    db: sqlite3.Connection,
    caller: Caller,
    key: Idempotency,
    reservation_id: ReservationId,
    amount: Annotated[int, Within(1), "dollars"],
    about: Literal["cancelled", "delayed"],
) -> Record:
    """Send the customer a certificate for cancelled or delayed flights of a reservation."""
    reservation = _own(db, caller, reservation_id)
    user = _profile(db, caller, reservation["user_id"])
    if user["membership"] == "regular" and reservation["insurance"] == "no" and reservation["cabin"] != "business":
        raise ToolRefused(detail="only silver and gold members, the insured and business passengers are compensated")
    if about not in [_state(db, leg) for leg in reservation["flights"]]:
        raise ToolRefused(detail=f"no flight of {reservation_id} is {about}")
    if about == "delayed" and not (reservation.get("changed") or reservation.get("status") == "cancelled"):
        raise ToolRefused(detail="a delay is compensated after the reservation was changed or cancelled")
    due = GESTURE[about] * len(reservation["passengers"])
    if amount != due:
        raise ToolRefused(detail=f"the certificate is of {due} dollars, not of {amount}")
    if reservation.get("compensated"):
        raise ToolRefused(detail=f"{reservation_id} was compensated before")
    id_ = f"certificate_{int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10**7:07d}"
    user["payment_methods"][id_] = {"source": "certificate", "id": id_, "amount": amount}
    reservation["compensated"] = True
    _stored(db, reservation, user)
    return {"certificate": id_, "amount": amount}


TOOLS = (
    get_user_details,
    get_reservation_details,
    search_direct_flight,
    get_flight_status,
    calculate,
    transfer_to_human_agents,
    book_reservation,
    cancel_reservation,
    update_reservation_flights,
    update_reservation_baggages,
    update_reservation_passengers,
    send_certificate,
)


# --- rules --------------------------------------------------------------------------------------


def paid(reservation: Mapping[str, Any]) -> dict[str, int]:
    """Net dollars by payment method; what was given back whole is left out."""
    net: Counter[str] = Counter()
    for part in reservation["payment_history"]:
        net[part["payment_id"]] += part["amount"]
    return {method: amount for method, amount in net.items() if amount}


def _profile(db: sqlite3.Connection, caller: Caller, user_id: str) -> Record:
    user = find(db, "users", user_id)
    if user_id != caller.user:
        raise ToolRefused(detail=f"'{user_id}' is not the customer of this conversation")
    return user


def _own(db: sqlite3.Connection, caller: Caller, reservation_id: str) -> Record:
    reservation = find(db, "reservations", reservation_id)
    if reservation["user_id"] != caller.user:
        raise ToolRefused(detail=f"{reservation_id} is not a reservation of the customer of this conversation")
    return reservation


def _reservation(db: sqlite3.Connection, caller: Caller, reservation_id: str) -> Record:
    """One of the customer's that was not cancelled."""
    reservation = _own(db, caller, reservation_id)
    if reservation.get("status") == "cancelled":
        raise ToolRefused(detail=f"{reservation_id} is cancelled")
    return reservation


def _method(user: Record, method: str) -> Record:
    try:
        found: Record = user["payment_methods"][method]
    except KeyError:
        known = ", ".join(user["payment_methods"])
        raise ToolRefused(detail=f"'{method}' is not in the customer's profile, which has {known}") from None
    return found


def _charge(method: Record, amount: int) -> None:
    """Take dollars from a card, or give back what is below zero."""
    if method["source"] == "credit_card":
        return
    if method["amount"] < amount:
        raise ToolRefused(detail=f"{method['id']} holds {method['amount']} dollars and {amount} are needed")
    method["amount"] -= amount


def _settle(user: Record, payments: Sequence[Payment], price: int) -> None:
    """Pay a booking: at most one certificate, one credit card and three gift cards, and nothing twice."""
    methods = [_method(user, payment.payment_id) for payment in payments]
    count = Counter(method["source"] for method in methods)
    if count["certificate"] > 1 or count["credit_card"] > 1 or count["gift_card"] > 3:
        raise ToolRefused(detail="at most one certificate, one credit card and three gift cards pay a reservation")
    if len({payment.payment_id for payment in payments}) < len(payments):
        raise ToolRefused(detail="a payment method is named twice")
    if (total := sum(payment.amount for payment in payments)) != price:
        raise ToolRefused(detail=f"the price is {price} dollars and {total} are paid")
    for method, payment in zip(methods, payments, strict=True):
        _charge(method, payment.amount)
        if method["source"] == "certificate":
            method["amount"] = 0  # what is left of it is lost


def _bags(user: Record, cabin: str, people: int, total: int, nonfree: int) -> None:
    free = people * (FREE_BAGS[user["membership"]] + CABINS.index(cabin))
    if nonfree != max(0, total - free):
        raise ToolRefused(detail=f"{free} of {total} bags are free, so {max(0, total - free)} cost, not {nonfree}")


def _date(flight: Record, date: str) -> Record:
    try:
        found: Record = flight["dates"][date]
    except KeyError:
        raise ToolRefused(detail=f"{flight['flight_number']} does not fly on {date}") from None
    return found


def _state(db: sqlite3.Connection, leg: Mapping[str, Any]) -> str:
    return str(_date(find(db, "flights", leg["flight_number"]), leg["date"])["status"])


def _pair(leg: Mapping[str, Any]) -> tuple[str, str]:
    return leg["flight_number"], leg["date"]


def _seats(db: sqlite3.Connection, legs: Sequence[Mapping[str, Any]], cabin: str, more: int) -> None:
    """Free seats, or take them with ``more`` below zero; days that are no longer sold count none."""
    for leg in legs:
        flight = find(db, "flights", leg["flight_number"])
        seats = _date(flight, leg["date"]).get("available_seats")
        if seats is not None:
            seats[cabin] += more
            put(db, "flights", flight["flight_number"], flight)


def _seated(
    db: sqlite3.Connection,
    legs: Sequence[Leg],
    kept: Sequence[Mapping[str, Any]],
    old: str,
    cabin: str,
    people: int,
) -> list[Record]:
    """The legs as a reservation stores them, their seats taken. A leg of ``kept`` in the same cabin keeps its price."""
    known = {_pair(leg): leg for leg in kept} if cabin == old else {}
    found = []
    for leg in legs:
        flight = find(db, "flights", leg.flight_number)
        day = _date(flight, leg.date)
        stays = known.get((leg.flight_number, leg.date))
        if stays is None and day["status"] != "available":
            raise ToolRefused(detail=f"{leg.flight_number} of {leg.date} is {day['status']} and cannot be booked")
        if stays is None and day["available_seats"][cabin] < people:
            raise ToolRefused(
                detail=f"{leg.flight_number} of {leg.date} has {day['available_seats'][cabin]} seats in {cabin}"
            )
        _seats(db, [asdict(leg)], cabin, -people)
        found.append(
            {
                "origin": flight["origin"],
                "destination": flight["destination"],
                "price": stays["price"] if stays else day["prices"][cabin],
                **asdict(leg),
            }
        )
    return found


def _route(legs: Sequence[Mapping[str, Any]], origin: str, destination: str, flight_type: str) -> None:
    """From origin to destination without a gap, and back for a round trip, in the order of days."""
    stops = [leg["origin"] for leg in legs] + [leg["destination"] for leg in legs[-1:]]
    whole = all(a["destination"] == b["origin"] and a["date"] <= b["date"] for a, b in pairwise(legs))
    end = origin if flight_type == "round_trip" else destination
    if not legs or not whole or stops[0] != origin or stops[-1] != end or destination not in stops:
        raise ToolRefused(detail=f"{'–'.join(stops)} is not {flight_type} from {origin} to {destination}")


def _stored(db: sqlite3.Connection, reservation: Record, user: Record | None = None) -> Record:
    put(db, "reservations", reservation["reservation_id"], reservation)
    if user is not None:
        put(db, "users", user["user_id"], user)
    return reservation
