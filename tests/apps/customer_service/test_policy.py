"""The policy file: the sample's is read, and every mistake is told with its line and what is allowed."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.customer_service.assistant import POLICY
from apps.customer_service.hours import Hours
from apps.customer_service.intents import MODEL, rows
from apps.customer_service.policy_file import read_policy
from apps.customer_service.shop.tools import SHOP_TOOLS
from core.errors import InputError, InvalidSetting, TouchstoneError
from core.training.heads import load

TEXT = POLICY.read_text("utf-8")


def read(folder: Path, text: str) -> object:
    path = folder / "policy.yaml"
    path.write_text(text, "utf-8")
    return read_policy(path, SHOP_TOOLS)


def test_the_sample_policy_fits_its_tools_and_its_head() -> None:
    policy = read_policy(POLICY, SHOP_TOOLS)
    assert set(load(MODEL).labels) == set(policy.intents)
    assert {row.label for row in rows("desk_train.csv")} == set(policy.intents)
    for rule in policy.intents.values():
        assert set(rule.title) == {"zh", "en"}
        if rule.do == "tool":
            write = next(tool for tool in SHOP_TOOLS if tool.name == rule.tool).permission == "write"
            assert bool(rule.confirm) == write, "what writes is confirmed"
            private = any(need.slot == "order" and not need.optional for need in rule.needs)
            assert bool(rule.identity) == private, "what names an account needs a proof"


@pytest.mark.parametrize(
    ("old", "new", "line_of", "said"),
    [
        ("do: answer", "do: anwser", "do: anwser", "answer, tool, clarify, hand_off"),
        ("tool: look_up_order", "tool: look_order", "tool: look_order", "look_up_order"),
        ("hand_off:\n  misses: 2", "hand_off:\n  misses: 0", "misses: 0", "1 … 9"),
        ("zone: Asia/Shanghai", "zone: Asia/Shanghi", "Shanghi", "Europe/London"),
        ('daily: ["08:30-23:00"]', 'daily: ["8:30-23"]', "8:30-23", "09:00-18:00"),
        ("frustration: true", "frustation: true", "frustation", "frustration"),
        ("identity: order\n    done", "identity: product\n    done", "identity: product", "order"),
        ("tool: check_identity", "tool: cancel_order", "tool: cancel_order  ", "check_identity"),
        ("ticket: open_ticket", "ticket: cancel_order", "ticket: cancel_order", "open_ticket"),
        ("slots: {sku: product}", "slots: {sku: porduct}", "porduct", "product"),
        ("slots: {sku: product}", "slots: {skv: product}", "skv", "sku"),
        ("preview: quote_address", "preview: change_address", "preview: change_address", "quote_address"),
        ("{product}：{said}。", "{product.__class__}", "__class__", "{name}"),
        ("pattern: '(?<![A-Z0-9])PW", "pattern: '(?<![A-Z0-9]PW", "A-Z0-9]PW", "regular expression"),
        ("options: order_items", "options: cancel_order", "options: cancel_order", "order_items"),
        ("least: 6", "least: many", "least: many", "1 … 1000"),
        ("instead: start_return", "instead: start_retrun", "start_retrun", "start_return"),
        ("none: {zh: ", "instead: start_return  # twice\n    nothing: {zh: ", "nothing: ", "none"),
        ("    tool: stock_of", "    none: {en: x}\n    tool: stock_of", "none: {en: x}", "options"),
        ("least: 6", "gaps: true  # none", "# none", "regular expression"),
        ("least: 6", "stands_for: {en: a thing}", "a thing", "regular expression"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line_of: str, said: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    line = next(n for n, row in enumerate(text.splitlines(), 1) if line_of in row)
    with pytest.raises(InvalidSetting) as wrong:
        read(tmp_path, text)
    for language in ("zh", "en"):
        told = wrong.value.text(language)
        assert f"policy.yaml:{line}:" in told.replace("：", ":"), told
    assert said in wrong.value.text("en")


@pytest.mark.parametrize("key", ["confirm", "done", "title", "do"])
def test_what_a_write_needs(tmp_path: Path, key: str) -> None:
    """A write without a question to confirm is no policy."""
    start = TEXT.index("  cancel_order:\n    do")
    entry = TEXT[start : TEXT.index("  change_address:\n    do")]
    without = re.sub(rf"    {key}: .*\n", "", entry)
    assert without != entry
    with pytest.raises(InvalidSetting) as wrong:
        read(tmp_path, TEXT.replace(entry, without))
    assert f"cancel_order.{key}" in wrong.value.text("zh")


def test_a_slot_that_the_tool_needs_is_not_forgotten(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        read(tmp_path, TEXT.replace("slots: {number: order, address: address}", "slots: {number: order}"))
    assert "address" in wrong.value.text("en")


@pytest.mark.parametrize("text", ["", "a: [", "intents: 1", "- 1", "intents: {x: {do: answer}}", "\tx"])
def test_what_is_no_policy(tmp_path: Path, text: str) -> None:
    with pytest.raises(TouchstoneError) as wrong:
        read(tmp_path, text)
    assert "policy.yaml" in wrong.value.text("zh")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_policy(tmp_path / "none.yaml", SHOP_TOOLS)


# --- hours ----------------------------------------------------------------------------------------


def at(text: str, zone: str = "Asia/Shanghai") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def hours(tmp_path: Path, text: str) -> Hours:
    policy = read(tmp_path, re.sub(r"hours:(?:.*\n)+?\nhand_off", f"{text}\nhand_off", TEXT))
    return policy.hours  # type: ignore[attr-defined]


def test_hours_by_the_day_and_closed_days(tmp_path: Path) -> None:
    found = hours(
        tmp_path,
        'hours: {zone: Asia/Shanghai, weekdays: ["09:00-12:00", "13:00-18:00"], saturday: ["10:00-14:00"], closed: [2026-11-27]}\n',
    )
    assert found.is_open(at("2026-11-26 09:00"))  # a Thursday
    assert not found.is_open(at("2026-11-26 12:30"))
    assert not found.is_open(at("2026-11-26 18:00"))
    assert not found.is_open(at("2026-11-27 10:00")), "a holiday"
    assert found.is_open(at("2026-11-28 10:00"))
    assert found.next_open(at("2026-11-26 18:00")) == datetime(2026, 11, 28, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert found.next_open(at("2026-11-26 12:30")).hour == 13


def test_hours_past_midnight(tmp_path: Path) -> None:
    found = hours(tmp_path, 'hours: {zone: Europe/London, friday: ["20:00-02:00"]}\n')
    assert found.is_open(at("2026-11-28 01:59", "Europe/London")), "Friday's night"
    assert not found.is_open(at("2026-11-28 02:00", "Europe/London"))
    assert not found.is_open(at("2026-11-27 01:00", "Europe/London"))


def test_around_the_clock(tmp_path: Path) -> None:
    found = hours(tmp_path, 'hours: {zone: UTC, daily: ["00:00-24:00"]}\n')
    assert all(found.is_open(at(f"2026-11-26 {hour:02d}:59", "UTC")) for hour in range(24))
    assert Hours().is_open(0.0)


def test_a_summer_time_change(tmp_path: Path) -> None:
    found = hours(tmp_path, 'hours: {zone: Europe/London, daily: ["09:00-17:00"]}\n')
    opens = found.next_open(at("2026-03-29 00:30", "Europe/London"))
    assert (opens.hour, opens.utcoffset().total_seconds()) == (9, 3600)  # type: ignore[union-attr]


def test_a_closed_date_is_a_date(tmp_path: Path) -> None:
    assert hours(tmp_path, 'hours: {zone: UTC, daily: ["09:00-17:00"], closed: [2026-12-25]}\n').closed == {
        date(2026, 12, 25)
    }
