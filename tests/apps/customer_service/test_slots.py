"""Values and moods in what customers write, Chinese, English and mixed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from apps.customer_service import hearing
from apps.customer_service.assistant import POLICY
from apps.customer_service.policy_file import read_policy
from apps.customer_service.shop.tools import SHOP_TOOLS
from apps.customer_service.slots import Value, cents_in, closed_up, day_in, find

POLICY_READ = read_policy(POLICY, SHOP_TOOLS)
THURSDAY = date(2026, 11, 26)
ITEMS = [
    {"value": "KT-210", "zh": "KT-210 电热水壶", "en": "KT-210 kettle"},
    {"value": "TW-5 Pro", "zh": "TW-5 Pro 降噪耳机", "en": "TW-5 Pro noise-cancelling earbuds"},
]


def value(slot: str, text: str, **options: Any) -> Value | None:
    return find(POLICY_READ.slots[slot], text, today=THURSDAY, **options)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("订单 PW26110001 到哪了", "PW26110001"),
        ("my order pw26110001 please", "PW26110001"),
        ("订单号是ＰＷ２６１１０００１", "PW26110001"),
        ("PW2611000", None),
        ("PW261100012", None),
        ("XPW26110001", None),
        ("PW 2611 0001 到哪了", "PW26110001"),
        ("my order: pw-2611-0001.", "PW26110001"),
        ("ＰＷ ２６１１－０００１", "PW26110001"),
        ("PW 26 11 00 01", "PW26110001"),
        ("P W 2 6 1 1 0 0 0 1", "PW26110001"),
        ("PW 2611", None),
        ("PW 2611, the first of 2024", None),
        ("SPW 2611 0001", None),
        ("PW 2611 00012", None),
        ("in 2611 0001 PW", None),
    ],
)
def test_order_numbers(text: str, found: str | None) -> None:
    assert value("order", text) == found


def test_numbers_in_pieces_become_one_and_nothing_else_changes() -> None:
    rules = POLICY_READ.slots.values()
    assert closed_up(rules, "退货 PW 2611 0001 2468，\n  谢谢") == "退货 PW26110001 2468, 谢谢"
    assert closed_up(rules, "both PW 2611-0001 and pw26110002") == "both PW26110001 and PW26110002"
    for text in ("KT-210 in 2026", "+44 7700 900312", "订单 PW26110001，\n尾号 2468", "PW 2611"):
        assert closed_up(rules, text) == text
    assert closed_up([replace(rule, gaps=False) for rule in rules], "PW 2611 0001") == "PW 2611 0001"
    assert closed_up(rules, "PW 2611 " * 500).count("PW 2611") == 500
    assert closed_up(rules, "pw 26110001 " * 2000).count("PW26110001") == 2000


@pytest.mark.parametrize(
    ("text", "asked", "found"),
    [
        ("2468", True, "2468"),
        ("2468", False, None),
        ("尾号 2468", False, "2468"),
        ("尾号是2468", False, "2468"),
        ("PW26110001 2468", False, "2468"),
        ("退货 PW26110001，2468", False, "2468"),
        ("PW26110001 2026-11-20 下的单", False, None),
        ("PW26110001 2025年买的", False, None),
        ("the number ends in 0312", False, "0312"),
        ("ending 0312", False, "0312"),
        ("a.b@example.com", False, "A.B@EXAMPLE.COM"),
        ("13900002468", True, "2468"),
        ("+44 7700 900312", True, "0312"),
        ("PW26110001", True, None),
        ("在 2026 年买的", False, None),
    ],
)
def test_proofs(text: str, asked: bool, found: str | None) -> None:
    assert value("proof", text, asked=asked) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TW-5 Pro 有货吗", "TW-5 Pro"),
        ("tw5pro", "TW-5 Pro"),
        ("TW-5 有货吗", "TW-5"),
        ("KT-210 和 KT-310 哪个有货", None),
        ("帐篷还有吗", "TN-3"),
        ("any tents left", None),
        ("is the tent available", "TN-3"),
        ("KT-2100", None),
    ],
)
def test_products(text: str, found: str | None) -> None:
    assert value("product", text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("耳机", "TW-5 Pro"),
        ("the earbuds please", "TW-5 Pro"),
        ("那个水壶", "KT-210"),
        ("2", "TW-5 Pro"),
        ("第1个", "KT-210"),
        ("3", None),
        ("PS-600", None),
        ("the white one", None),
    ],
)
def test_choices_among_the_items_of_an_order(text: str, found: str | None) -> None:
    assert value("product", text, asked=True, choices=ITEMS) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("水壶坏了", "faulty"),
        ("it doesn’t work", "faulty"),
        ("I changed my mind", "not_wanted"),
        ("发错货了，不是我买的", "wrong_item"),
        ("arrived cracked", "damaged"),
        ("坏了，不想要了", None),
        ("质量问题", "faulty"),
    ],
)
def test_reasons(text: str, found: str | None) -> None:
    assert value("reason", text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("地址改成上海市静安区白果路 8 号", "上海市静安区白果路 8 号"),
        ("please change it to 9 Hill Street, Leeds", "9 Hill Street, Leeds"),
        ("改成家", None),
        ("change my address", None),
    ],
)
def test_addresses(text: str, found: str | None) -> None:
    assert value("address", text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("昨天买的", "2026-11-25"),
        ("前天", "2026-11-24"),
        ("yesterday", "2026-11-25"),
        ("上周五", "2026-11-20"),
        ("上个星期天", "2026-11-22"),
        ("last Friday", "2026-11-20"),
        ("last Thursday", "2026-11-19"),
        ("周一下的单", "2026-11-23"),
        ("three days ago", "2026-11-23"),
        ("两周前", "2026-11-12"),
        ("11月20日", "2026-11-20"),
        ("12月1号", "2025-12-01"),
        ("2026-02-03", "2026-02-03"),
        ("2026-02-30", None),
        ("20 November", "2026-11-20"),
        ("Nov 20th", "2026-11-20"),
        ("三号下的单", "2026-11-03"),
        ("上上周五", "2026-11-13"),
        ("the Friday before last", "2026-11-13"),
        ("on the 20th of last month", "2026-10-20"),
        ("栗树弄 7 号 302 室", None),
        ("我一号店的账号", None),
        ("退货", None),
        ("maybe", None),
    ],
)
def test_days(text: str, found: str | None) -> None:
    day = day_in(text, THURSDAY)
    assert (day.isoformat() if day else None) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("199元", 19900),
        ("¥ 1,299.5", 129950),
        ("£39", 3900),
        ("39.90 pounds", 3990),
        ("KT-210", None),
        ("3 个", None),
        ("两百来块", 20000),
        ("一千二的那单", 120000),
        ("水壶和帐篷一块退", None),
        ("about forty euros", 4000),
    ],
)
def test_amounts(text: str, found: int | None) -> None:
    assert cents_in(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "转人工", "人工客服", "我要真人客服", "找人工", "human please", "Human!", "let me speak to a real person",
        "can I talk to someone at support, an agent", "representative", "I want a human",
        "call me back", "can you call me", "please call me", "give me a call", "Hi, call me on 020 7946 0018 please", "I'd like someone to phone me",
        "could somebody give me a ring this afternoon?", "my order is late. Call me!", "给我打个电话", "能不能给我回个电话", "call back please",
    ],
)  # fmt: skip
def test_wishes_for_a_person(text: str) -> None:
    assert hearing.wants_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "人工刻字要多久", "human-sized tent?", "agent of the brand in Leeds", "人工费多少",
        "you can call me Sam", "call me Sam", "please call me Ms Lee", "the courier did not call me", "why did you call me yesterday",
        "don't call me back", "you said you would call me", "please don't call me", "快递员给我打电话说不送了", "刚才是谁给我打电话", "别给我打电话", "can you call me a taxi",
    ],
)  # fmt: skip
def test_no_wishes_for_a_person(text: str) -> None:
    assert not hearing.wants_person(text)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("好", "yes"), ("可以的", "yes"), ("Yes!", "yes"), ("OK, go ahead", "yes"), ("确认办理", "yes"),
        ("不要", "no"), ("No, thanks.", "no"), ("算了吧", "cancel"), ("never mind", "cancel"), ("cancel", "cancel"),
        ("再说一遍", "repeat"), ("pardon?", "repeat"), ("不对，是 PW26110002", "correct"), ("Actually, PW26110002", "correct"),
        ("取消订单", None), ("okra", None), ("nothing works", None), ("行李箱有吗", None),
    ],
)  # fmt: skip
def test_commands(text: str, command: str | None) -> None:
    assert hearing.command_of(text) == command


@pytest.mark.parametrize(
    ("text", "angry"),
    [
        ("太差了！！我要投诉你们", True),
        ("This is ridiculous, you are useless", True),
        ("怎么还没到？", False),
        ("KT-210 几天内可以退货？", False),
        ("PLEASE SEND THE INVOICE", False),
        ("where is my order?!", False),
    ],
)
def test_moods(text: str, angry: bool) -> None:
    assert hearing.Heard(text, "zh", anger=hearing.anger_of(text)).frustrated(0) is angry
