"""Invented orders of the sample shop, made by a seed. Names, numbers and addresses belong to nobody.

Times are relative to the moment of loading, so that a return that is possible today is possible on the day somebody
looks. The first ten orders are fixed, for examples and tests; the rest is drawn. Some of the drawn have returns.

    python -m apps.customer_service.shop.data    # prints them
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

from core.workspace import Workspace

Status = Literal["paid", "shipped", "delivered", "cancelled"]
RETURN_FEE = {"CNY": 1200, "GBP": 395, "USD": 895}  # of a return that is not the shop's fault
SEED = 20261126
DRAWN = 40
DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0


@dataclass(frozen=True, slots=True)
class Product:
    """Prices in cents, ``None`` where it is not sold; ``cn`` and ``abroad`` are days to return it. The documents of the
    shop say the same.

    ``about_zh`` and ``about_en`` say what it is and what it is for.
    """

    sku: str
    zh: str
    en: str
    cny: int | None
    gbp: int | None
    usd: int | None
    cn: int
    abroad: int
    stock: int
    about_zh: str
    about_en: str
    restock_in: int | None = None  # days


PRODUCTS = (
    Product("KT-210", "KT-210 电热水壶", "KT-210 kettle", 29900, 3900, 4900, 15, 21, 240,
            "厨房电器：烧开水的电热水壶，1.5 升", "kitchen appliance: electric kettle that boils water, 1.5 litres"),
    Product("KT-310", "KT-310 控温电热水壶", "KT-310 variable-temperature kettle", 45900, 5900, 7500, 15, 21, 86,
            "厨房电器：可以按度调节水温并保温的电热水壶", "kitchen appliance: electric kettle with adjustable temperature that keeps water warm"),
    Product("TW-5", "TW-5 真无线耳机", "TW-5 earbuds", 34900, 4500, 5500, 30, 45, 510,
            "入耳式无线蓝牙小耳机", "wireless in-ear Bluetooth earphones"),
    Product("TW-5 Pro", "TW-5 Pro 降噪耳机", "TW-5 Pro noise-cancelling earbuds", 69900, 8900, 10900, 30, 45, 132,
            "入耳式无线蓝牙小耳机，主动降噪", "wireless in-ear Bluetooth earphones with active noise cancelling"),
    Product("HP-70", "HP-70 头戴式耳机", "HP-70 headphones", 89900, 11900, 14900, 30, 45, 0,
            "罩住耳朵的头戴式大耳机", "large over-ear headset with a headband", restock_in=9),
    Product("SB-120", "SB-120 回音壁", "SB-120 soundbar", None, 18900, 23900, 30, 45, 18,
            "放在电视下面的条形音箱", "long speaker for the television"),
    Product("TN-3", "TN-3 三人帐篷", "TN-3 three-person tent", 89900, 11900, 14900, 20, 30, 41,
            "露营装备：睡三个人的帐篷", "camping gear: tent that sleeps three people"),
    Product("CS-4", "CS-4 户外炉具", "CS-4 camping stove", 25900, 2900, 3600, 20, 30, 77,
            "露营装备：野外做饭的小燃气炉", "camping gear: small gas burner for cooking outdoors"),
    Product("LT-9", "LT-9 露营灯", "LT-9 camping lantern", 15900, 2600, 3200, 20, 30, 0,
            "露营装备：营地照明的灯", "camping gear: lamp that lights the campsite"),
    Product("PS-600", "PS-600 户外电源", "PS-600 power station", 329900, 39900, 49900, 7, 14, 23,
            "露营和停电时用的大容量移动电源，带插座", "large portable battery with sockets for camping and power cuts"),
    Product("RV-8", "RV-8 扫地机器人", "RV-8 robot vacuum", 219900, None, None, 10, 30, 35,
            "自动吸尘拖地的机器人", "robot that hoovers and cleans floors by itself"),
    Product("AF-6", "AF-6 空气炸锅", "AF-6 air fryer", 59900, None, None, 15, 21, 64,
            "厨房电器：用热风代替油来炸薯条的锅", "kitchen appliance: fries chips with hot air and hardly any oil"),
)  # fmt: skip
BY_SKU = {product.sku: product for product in PRODUCTS}


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    phone: str
    email: str
    address: str
    currency: Literal["CNY", "GBP", "USD"]


LIN = Person("林晚", "13900002468", "lin.wan@example.com", "上海市徐汇区栗树弄 7 号 302 室", "CNY")
ZHOU = Person("周屿", "13900001357", "zhou.yu@example.com", "成都市高新区竹影街 25 号", "CNY")
BRIGHT = Person("Alice Bright", "+44 7700 900312", "alice.bright@example.com", "12 Mill Lane, Leeds LS1 4AP", "GBP")
STONE = Person("Ben Stone", "+1 555 010 4821", "ben.stone@example.com", "48 Juniper Street, Portland OR 97205", "USD")


@dataclass(frozen=True, slots=True)
class Order:
    """``ages`` are seconds ago: placed, shipped, delivered."""

    number: str
    person: Person
    status: Status
    items: tuple[tuple[str, int], ...]
    ages: tuple[float, float | None, float | None]


FIXED = (
    Order("PW26110001", LIN, "delivered", (("KT-210", 1), ("TW-5 Pro", 1)), (6 * DAY, 5 * DAY, 3 * DAY)),
    Order("PW26110002", LIN, "paid", (("HP-70", 1),), (3 * HOUR, None, None)),
    Order("PW26110003", ZHOU, "shipped", (("RV-8", 1),), (2 * DAY, DAY, None)),
    Order("PW26110004", ZHOU, "delivered", (("KT-310", 1),), (66 * DAY, 65 * DAY, 62 * DAY)),
    Order("PW26110005", BRIGHT, "delivered", (("TW-5 Pro", 1), ("CS-4", 2)), (10 * DAY, 9 * DAY, 5 * DAY)),
    Order("PW26110006", BRIGHT, "paid", (("KT-310", 1),), (20 * MINUTE, None, None)),
    Order("PW26110007", STONE, "shipped", (("TN-3", 1),), (4 * DAY, 3 * DAY, None)),
    Order("PW26110008", STONE, "cancelled", (("SB-120", 1),), (9 * DAY, None, None)),
    Order("PW26110009", STONE, "paid", (("KT-210", 1),), (5 * HOUR, None, None)),
    Order("PW26110010", ZHOU, "delivered", (("PS-600", 1),), (6 * DAY, 5 * DAY, 2 * DAY)),
)


@dataclass(frozen=True, slots=True)
class Return:
    """An item of an order that was given back. ``ages`` are seconds ago: registered, parcel received, money refunded."""

    number: str
    sku: str
    reason: str
    ages: tuple[float, float | None, float | None]


RETURNS = (
    Return("PW26110038", "AF-6", "not_wanted", (12 * DAY, 8 * DAY, 6 * DAY)),
    Return("PW26110038", "KT-310", "faulty", (2 * DAY, None, None)),
    Return("PW26110034", "TW-5", "faulty", (9 * DAY, 2 * DAY, None)),
    Return("PW26110025", "TN-3", "not_wanted", (12 * DAY, 8 * DAY, 5 * DAY)),
)
_FAMILY, _GIVEN = "陈许沈韩曹邓", "安宁子墨清禾知远"
_FIRST, _LAST = ("Ivy", "Owen", "Ruth", "Noel", "Maya", "Carl"), ("Marsh", "Field", "Brook", "Lake", "Hill", "Ford")
_STREETS = {
    "CNY": "杭州市滨江区云桨路 {n} 号",
    "GBP": "{n} Orchard Road, York YO1 7HH",
    "USD": "{n} Maple Avenue, Austin TX 78701",
}


def orders() -> tuple[Order, ...]:
    """All orders: the same ones whenever it is called."""
    draw = random.Random(SEED)
    made = list(FIXED)
    for number in range(11, 11 + DRAWN):
        person = _person(draw)
        sold = [product for product in PRODUCTS if price(product, person.currency) is not None]
        items = tuple((product.sku, draw.choice((1, 1, 1, 2))) for product in draw.sample(sold, draw.choice((1, 1, 2))))
        placed = draw.uniform(1, 50) * DAY
        shipped, delivered = placed - draw.uniform(0.2, 0.9) * DAY, placed - draw.uniform(2, 5) * DAY
        status: Status = draw.choice(("shipped", "delivered", "delivered", "cancelled"))
        ages = (placed, None if status == "cancelled" else shipped, delivered if status == "delivered" else None)
        if status == "delivered" and delivered < 0:
            status, ages = "shipped", (placed, shipped, None)
        made.append(Order(f"PW2611{number:04d}", person, status, items, ages))
    return tuple(made)


def _person(draw: random.Random) -> Person:
    currency: Literal["CNY", "GBP", "USD"] = draw.choice(("CNY", "CNY", "GBP", "USD"))
    address = _STREETS[currency].format(n=draw.randint(1, 180))
    tail = f"{draw.randint(0, 9999):04d}"
    if currency == "CNY":
        name, phone = draw.choice(_FAMILY) + draw.choice(_GIVEN), f"1390000{tail}"
    else:
        name = f"{draw.choice(_FIRST)} {draw.choice(_LAST)}"
        phone = f"+44 7700 90{tail}" if currency == "GBP" else f"+1 555 010 {tail}"
    return Person(name, phone, f"customer{tail}@example.com", address, currency)


def catalogue(product: Product) -> dict[str, Any]:
    """A product as the tool ``list_products`` tells it."""
    return {"value": product.sku, "zh": product.zh, "en": product.en, "about": [product.about_zh, product.about_en]}


def price(product: Product, currency: str) -> int | None:
    return {"CNY": product.cny, "GBP": product.gbp, "USD": product.usd}[currency]


def prepare(workspace: Workspace, tenant: str = "local", *, now: float | None = None) -> bool:
    """Load the shop for ``tenant``, unless it is there; says whether it was loaded."""
    with workspace.read() as db:
        if _is_there(db, tenant):
            return False
    with workspace.write() as db:
        if _is_there(db, tenant):  # another process was quicker
            return False
        _load(db, tenant, time.time() if now is None else now)
    return True


def _is_there(db: sqlite3.Connection, tenant: str) -> bool:
    return db.execute("SELECT 1 FROM shop_products WHERE tenant=? LIMIT 1", (tenant,)).fetchone() is not None


def _load(db: sqlite3.Connection, tenant: str, now: float) -> None:
    for product in PRODUCTS:
        restock = product.restock_in and time.strftime("%Y-%m-%d", time.gmtime(now + product.restock_in * DAY))
        db.execute(
            "INSERT INTO shop_products VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (tenant, product.sku, product.zh, product.en, product.cn, product.abroad, product.stock, restock),
        )
    for order in orders():
        placed, shipped, delivered = (None if age is None else now - age for age in order.ages)
        who = order.person
        carrier = None if shipped is None else ("顺达速运" if who.currency == "CNY" else "Northway")
        tracking = None if shipped is None else f"{'SD' if who.currency == 'CNY' else 'NW'}{order.number[2:]}71"
        db.execute(
            "INSERT INTO shop_orders (tenant, number, customer, phone, email, address, currency, status, carrier,"
            " tracking, placed_at, shipped_at, delivered_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (tenant, order.number, who.name, who.phone, who.email, who.address, who.currency, order.status, carrier,
             tracking, placed, shipped, delivered),
        )  # fmt: skip
        for sku, quantity in order.items:
            db.execute(
                "INSERT INTO shop_items (tenant, number, sku, quantity, price_cents) VALUES (?, ?, ?, ?, ?)",
                (tenant, order.number, sku, quantity, price(BY_SKU[sku], who.currency)),
            )
    for given in RETURNS:
        _load_return(db, tenant, now, given)


def _load_return(db: sqlite3.Connection, tenant: str, now: float, given: Return) -> None:
    order = next(order for order in orders() if order.number == given.number)
    quantity, currency = dict(order.items)[given.sku], order.person.currency
    paid = (price(BY_SKU[given.sku], currency) or 0) * quantity
    refund = paid - (RETURN_FEE[currency] if given.reason == "not_wanted" else 0)
    times = (None if age is None else now - age for age in given.ages)
    db.execute(
        "INSERT INTO shop_returns (tenant, number, sku, quantity, reason, refund_cents, at, received_at, refunded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (tenant, given.number, given.sku, quantity, given.reason, refund, *times),
    )
    db.execute(
        "UPDATE shop_items SET returned=quantity WHERE tenant=? AND number=? AND sku=?",
        (tenant, given.number, given.sku),
    )


if __name__ == "__main__":
    for order in orders():
        items = ", ".join(f"{quantity} × {sku}" for sku, quantity in order.items)
        sys.stdout.write(f"{order.number}  {order.status:10} {order.person.phone[-4:]}  {items}\n")
