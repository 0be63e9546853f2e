"""Values in what a customer writes: order numbers, products, choices, days, amounts, free text. Rules, both languages.

A rule comes from the policy (:class:`~apps.customer_service.policy.SlotRule`); every value is a text or a whole number,
so it can be kept with the conversation and handed to a tool as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from apps.customer_service.policy import SlotRule

Value = str | int
WEEKDAYS = {
    **dict(zip(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), range(7), strict=True)),
    **dict(zip("一二三四五六日天", (0, 1, 2, 3, 4, 5, 6, 6), strict=True)),
}
MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_DIGITS = dict(zip("零一二两三四五六七八九十", (0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10), strict=True))
_DAYS_AGO = {"今天": 0, "今日": 0, "昨天": 1, "昨日": 1, "前天": 2, "大前天": 3, "today": 0, "yesterday": 1, "the day before yesterday": 2}  # fmt: skip
_WORD, _HAN = re.compile(r"[a-z0-9-]{3,}"), re.compile(r"[\u3400-\u9fff]{2,}")
_EMPTY = frozenset({"the", "one", "and", "for", "this", "that", "please", "item", "want"})
_AMOUNT = re.compile(
    r"(?:[¥￥£$€]|RMB|US\$|GBP|USD)\s*(\d[\d,]*(?:\.\d{1,2})?)"
    r"|(\d[\d,]*(?:\.\d{1,2})?)\s*(?:元|块钱?|人民币|英镑|美元|欧元|yuan|rmb|pounds?|quid|dollars?|euros?|usd|gbp)",
    re.IGNORECASE,
)
_ISO = re.compile(r"(?<!\d)(20\d\d)[-/.年](\d{1,2})[-/.月](\d{1,2})(?!\d)")
_MONTH_DAY = re.compile(r"(?<!\d)(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]")
_ENGLISH_DAY = re.compile(
    r"\b(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
    r"|\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(\d{1,2})(?:st|nd|rd|th)?\b",
    re.IGNORECASE,
)
_AGO = re.compile(r"(\d{1,3}|[一二两三四五六七八九十]|a|an|one|two|three|four|five|six|seven)\s*(?:个)?(天|周|星期|days?|weeks?)\s*(?:以?前|ago)", re.IGNORECASE)  # fmt: skip
_SMALL = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_LAST_WEEKDAY = re.compile(
    r"上+(?:个)?(?:周|星期|礼拜)([一二三四五六日天])|\blast\s+(monday|tuesday|wednesday|thursday|friday|saturday|sunday)",
    re.IGNORECASE,
)
_THIS_WEEKDAY = re.compile(
    r"(?:这|本)?(?:周|星期|礼拜)([一二三四五六日天])|\b(?:on|this)\s+(monday|tuesday|wednesday|thursday|friday|saturday|sunday)",
    re.IGNORECASE,
)


def folded(text: str) -> str:
    """One width, plain quotation marks, single spaces."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‐", "-").replace("–", "-")
    return " ".join(text.split())


def find(
    rule: SlotRule, text: str, *, today: date, asked: bool = False, choices: Sequence[Mapping[str, str]] = ()
) -> Value | None:
    """The value of ``rule`` in ``text``; ``None`` when there is none.

    Args:
        today: what a relative day counts from.
        asked: whether ``text`` replies to the question for this value.
        choices: the values that are possible, with what they are called (``value``, ``zh``, ``en``).
    """
    plain = folded(text)
    match rule.kind:
        case "pattern":
            return _pattern(rule, plain, asked)
        case "choice":
            return _choice(rule, plain, choices, asked)
        case "date":
            found = day_in(plain, today)
            return found.isoformat() if found else None
        case "amount":
            return cents_in(plain)
        case "text":
            return _text(rule, text.strip(), asked)


def _pattern(rule: SlotRule, plain: str, asked: bool) -> str | None:
    for pattern in filter(None, (rule.pattern, rule.asked if asked else "")):
        if found := re.search(pattern, plain.upper()):
            return next((group for group in found.groups() if group), found[0])
    return None


def _choice(rule: SlotRule, plain: str, choices: Sequence[Mapping[str, str]], asked: bool) -> str | None:
    """The one value whose words occur; of words inside of longer ones the longer count. ``None`` when in doubt."""
    possible = {choice["value"] for choice in choices} if choices else set(rule.words)
    spoken: dict[str, set[str]] = {value: set(rule.words.get(value, ())) | {value} for value in possible}
    for choice in choices:
        spoken[choice["value"]] |= {choice.get("zh", ""), choice.get("en", "")} - {""}
    for value in set(rule.words) - possible:  # what is not possible may still explain a word: "TW-5 Pro" is no TW-5
        spoken[value] = set(rule.words[value])
    hits = [
        (found.start(), found.end(), value)
        for value, words in spoken.items()
        for word in words
        for found in re.finditer(_bounded(folded(word)), plain, re.IGNORECASE)
    ]
    widest = {
        value
        for start, end, value in hits
        if not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in hits)
    }
    if len(found_values := widest & possible) == 1:
        return found_values.pop()
    if asked and choices and (number := re.fullmatch(r"(?:第\s*)?(\d)(?:\s*个)?[.。]?", plain)):
        index = int(number[1]) - 1
        return choices[index]["value"] if 0 <= index < len(choices) else None
    return _nearest(plain, choices) if asked else None


def _nearest(plain: str, choices: Sequence[Mapping[str, str]]) -> str | None:
    """The one choice whose name shares most words with a reply: "the earbuds" for "TW-5 Pro noise-cancelling earbuds"."""
    pieces = {word for word in _WORD.findall(plain.lower()) if word not in _EMPTY}
    pieces |= {run[i : i + 2] for run in _HAN.findall(plain) for i in range(len(run) - 1)}
    shared = {
        choice["value"]: sum(bool(re.search(_bounded(piece), folded(f"{choice.get('zh', '')} {choice.get('en', '')}"), re.IGNORECASE)) for piece in pieces)
        for choice in choices
    }  # fmt: skip
    best = max(shared.values(), default=0)
    found = [value for value, count in shared.items() if count == best]
    return found[0] if best and len(found) == 1 else None


def _bounded(word: str) -> str:
    head = r"(?<![A-Za-z0-9])" if word[:1].isascii() and word[:1].isalnum() else ""
    tail = r"(?![A-Za-z0-9])" if word[-1:].isascii() and word[-1:].isalnum() else ""
    return head + re.escape(word) + tail


def _text(rule: SlotRule, text: str, asked: bool) -> str | None:
    for marker in rule.after:
        _, found, rest = text.partition(marker) if not marker.isascii() else _after(text, marker)
        rest = rest.strip(" ：:，,。.“”\"'")
        if found and len(rest) >= rule.least:
            return rest
    return text if asked and len(text) >= rule.least else None


def _after(text: str, marker: str) -> tuple[str, str, str]:
    found = re.search(rf"\b{re.escape(marker)}\b", text, re.IGNORECASE)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def cents_in(plain: str) -> int | None:
    """
    >>> cents_in("about £1,039.50"), cents_in("199元的那单"), cents_in("KT-210")
    (103950, 19900, None)
    """
    found = _AMOUNT.search(plain)
    if found is None:
        return None
    whole, _, part = (found[1] or found[2]).replace(",", "").partition(".")
    return int(whole) * 100 + int(part.ljust(2, "0") or 0)


def day_in(plain: str, today: date) -> date | None:
    """The day that is meant; one without a year is the latest that is not in the future.

    >>> friday = date(2026, 11, 27)
    >>> [str(day_in(said, friday)) for said in ("昨天下的单", "last Friday", "上周五", "三天前", "Nov 20", "12月1日")]
    ['2026-11-26', '2026-11-20', '2026-11-20', '2026-11-24', '2026-11-20', '2025-12-01']
    """
    lowered = plain.lower()
    if found := _ISO.search(plain):
        return _date(int(found[1]), int(found[2]), int(found[3]))
    if found := _MONTH_DAY.search(plain):
        return _latest(int(found[1]), int(found[2]), today)
    if found := _ENGLISH_DAY.search(plain):
        day, month = (found[1], found[2]) if found[2] else (found[4], found[3])
        return _latest(MONTHS[month.lower()], int(day), today)
    for words, days in sorted(_DAYS_AGO.items(), key=lambda item: -len(item[0])):
        if words in lowered:
            return today - timedelta(days=days)
    if found := _AGO.search(plain):
        count = int(found[1]) if found[1].isdigit() else {**_SMALL, **_DIGITS}[found[1].lower()]
        return today - timedelta(days=count * (7 if found[2].lower()[0] in "周星w" else 1))
    if found := _LAST_WEEKDAY.search(lowered):
        return _last_weekday(WEEKDAYS[found[1] or found[2]], today, chinese=bool(found[1]))
    if found := _THIS_WEEKDAY.search(lowered):
        return today - timedelta(days=(today.weekday() - WEEKDAYS[found[1] or found[2]]) % 7)
    return None


def _last_weekday(weekday: int, today: date, *, chinese: bool) -> date:
    """上周五 is the Friday of the week before this one; last Friday is the one before today."""
    if chinese:
        return today - timedelta(days=today.weekday() + 7 - weekday)
    return today - timedelta(days=(today.weekday() - weekday) % 7 or 7)


def _latest(month: int, day: int, today: date) -> date | None:
    for year in (today.year, today.year - 1):
        if (found := _date(year, month, day)) and found <= today:
            return found
    return None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
