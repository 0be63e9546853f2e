"""Requests to the sample shop in which order numbers, products, dates and amounts are marked, made of templates.

The test part has sentences, products, months and numbers of its own, so what was learned by heart does not help; its
first half is English, its second Chinese.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

SLOT = re.compile(r"\{(order|product|date|amount)\}")
PRODUCTS = {
    "en": (("KT-210 kettle", "TN-3 tent", "LT-9 lantern", "desk lamp", "air fryer", "electric toothbrush", "camping stove", "yoga mat", "robot vacuum", "rice cooker", "backpack", "wall clock"),
           ("HP-70 headphones", "CB-28 cool box", "coffee grinder", "office chair", "garden hose", "PS-600 power station")),
    "zh": (("KT-210 电水壶", "TN-3 帐篷", "露营灯", "台灯", "空气炸锅", "电动牙刷", "炉头", "瑜伽垫", "扫地机器人", "电饭煲", "双肩包", "挂钟"),
           ("HP-70 头戴耳机", "保温箱", "咖啡磨豆机", "办公椅", "花园水管", "PS-600 户外电源")),
}  # fmt: skip
TEMPLATES = {
    "en": ((
        "Where is order {order}?", "My {product} from {date} has not arrived", "I was charged {amount} twice for {order}",
        "Please cancel {order}, it is the {product}", "The {product} broke on {date} and I want my {amount} back",
        "Can you refund {amount} for the {product}?", "{order} was delivered on {date} but the {product} is missing",
        "I ordered a {product} on {date} for {amount}", "Is {order} the one with the {product}?",
        "When was {amount} paid back for {order}?", "Change the address of {order} before {date}", "Do you have the {product} in stock?",
        "What does the {product} cost?", "It has been weeks since I sent it back", "Thank you for your help",
    ), (
        "Hi, the number is {order} and it should have come by {date}", "You took {amount} off my card for a {product} I never got",
        "I paid {amount} on {date}, why is {order} still open?", "A friend gave me the {product}, can I send it back?",
        "On {date} I returned the {product} of {order}", "Nobody answers the phone", "Is {amount} right for {order}?",
    )),
    "zh": ((
        "订单 {order} 到哪了", "{date}买的{product}还没到", "{order} 被扣了两次{amount}", "取消 {order}，就是那个{product}",
        "{product}在{date}坏了，请退{amount}", "能给{product}退{amount}吗", "{order} 显示{date}已签收，但少了{product}",
        "我{date}花{amount}买了{product}", "{order} 里面是{product}吗", "{amount}什么时候退到 {order}", "{date}之前改一下 {order} 的地址",
        "{product}有货吗", "{product}多少钱", "我寄回去好几周了", "谢谢你的帮助",
    ), (
        "单号是 {order}，说好{date}到的", "从我卡里扣了{amount}，可{product}根本没收到", "{date}付了{amount}，为什么 {order} 还没处理",
        "朋友送的{product}可以退吗", "{date}我把 {order} 的{product}退回去了", "电话没人接", "{order} 是{amount}，对不对",
    )),
}  # fmt: skip
MONTHS = (("January", "March", "April", "June", "August", "October"), ("February", "July", "November"))
COPIES = 12, 8  # sentences of a template to learn from, and to judge


def _value(slot: str, language: str, judged: bool, draw: random.Random) -> str:
    if slot == "product":
        return draw.choice(PRODUCTS[language][judged])
    if slot == "order":
        return f"PW{draw.randint(10_000_000, 99_999_999)}"
    if slot == "amount":
        number = draw.choice((str(draw.randint(5, 900)), f"{draw.randint(5, 900)}.{draw.randint(10, 99)}"))
        return draw.choice((f"£{number}", f"${number}", f"{number} pounds")) if language == "en" else draw.choice((f"{number}元", f"¥{number}", f"{number}块"))  # fmt: skip
    day, month = draw.randint(1, 28), draw.choice(MONTHS[judged])
    if language == "zh":
        number = (2, 7, 11)[draw.randrange(3)] if judged else (1, 3, 4, 6, 8, 10)[draw.randrange(6)]
        return draw.choice((f"{number}月{day}日", f"{number}月{day}号", f"2026-{number:02d}-{day:02d}"))
    return draw.choice((f"{month} {day}", f"{day} {month}", f"{month} {day}, 2026"))


def sentences(*, judged: bool, seed: int = 0) -> list[dict[str, object]]:
    """Rows of the kind ``entities``, each text once."""
    draw, found = random.Random(seed + judged), {}
    for language in ("en", "zh"):
        for template in TEMPLATES[language][judged]:
            for _ in range(COPIES[judged] if "{" in template else 1):
                text, spans, at = "", [], 0
                for slot in SLOT.finditer(template):
                    text += template[at : slot.start()]
                    value = _value(slot[1], language, judged, draw)
                    spans.append({"start": len(text), "end": len(text) + len(value), "label": slot[1]})
                    text, at = text + value, slot.end()
                text += template[at:]
                found[text] = {"text": text, "entities": spans}
    return list(found.values())


def files(into: Path) -> tuple[Path, None, Path]:
    """``(to learn from, a part of it to choose, to judge)``."""
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, judged in (("train", False), ("test", True)):
        paths.append(into / f"entities-{name}.jsonl")
        rows = sentences(judged=judged)
        paths[-1].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return paths[0], None, paths[1]
