"""The day that a message means: 前天, 上上周五, 三号, "the Friday before last", "8 December last year".

A day without a year is the latest that is not in the future, because what customers write about has happened. Where the
order of day and month cannot be told, as in an English 3/4, there is no day: the customer is asked.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

from core.retrieval.numerals import chinese_value

WEEKDAYS = {
    **dict(zip(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), range(7), strict=True)),
    **dict(zip("一二三四五六日天", (0, 1, 2, 3, 4, 5, 6, 6), strict=True)),
}
_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
MONTHS = {name[:3]: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS_AGO = {
    "大前天": 3, "前天": 2, "前晚": 2, "昨天": 1, "昨日": 1, "昨晚": 1, "昨夜": 1, "今天": 0, "今日": 0, "今早": 0, "今晚": 0,
    "the day before yesterday": 2, "yesterday": 1, "last night": 1, "today": 0, "this morning": 0, "tonight": 0,
}  # fmt: skip
_SAID = sorted(_DAYS_AGO, key=lambda words: -len(words))
_YEARS = {"前年": 2, "去年": 1, "今年": 0, "last year": 1, "this year": 0}
_FRACTIONS = frozenset({(1, 2), (1, 3), (2, 3), (1, 4), (3, 4), (24, 7)})

_NUMERAL = re.compile(r"([一二两三四五六七八九十]{1,3})(?=月|日|号)")
_ISO = re.compile(r"(?<!\d)(20\d\d)[-/.年](\d{1,2})[-/.月](\d{1,2})(?!\d)")
_SLASHED = re.compile(r"(?<![\d/.])(\d{1,2})/(\d{1,2})(?:/(20\d\d))?(?![\d/.])")
_MONTH_DAY = re.compile(r"(?<!\d)(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]")
_MONTH_WORD = "|".join(f"{name[:3]}t?(?:{name[3:]})?" if name[:3] == "sep" else f"{name[:3]}(?:{name[3:]})?" for name in _MONTH_NAMES)  # fmt: skip
_YEAR = r"(?:,?\s+(20\d\d)\b)?"
_ENGLISH_DAY = re.compile(
    rf"\b(\d{{1,2}})(st|nd|rd|th)?\s+(?:of\s+)?({_MONTH_WORD})\b\.?{_YEAR}"
    rf"|\b({_MONTH_WORD})\b\.?\s+(?:the\s+)?(\d{{1,2}})(st|nd|rd|th)?\b{_YEAR}",
    re.IGNORECASE,
)
_ON = re.compile(r"\b(?:on|since|from|before|after|until|in)\s*$|[,.;:(]\s*$|^\s*$", re.IGNORECASE)
# A number of a house, a shop or a line is no day.
_DAY_OF_MONTH = re.compile(r"(本月|这个?月|上个?月)?\s*(?<![\d第])(\d{1,2})\s*号(?!\s*(?:\d|店|线|楼|门|库|仓|码|柜|院|机|房|球|车|室|栋|单元|电池))")  # fmt: skip
_LAST_DAY = re.compile(r"(本月|这个?月|上个?月)\s*(\d{1,2})\s*日")
_STREET = re.compile(r"[路街弄巷道镇村里区]\s*$")
_ENGLISH_OF_MONTH = re.compile(r"\bthe\s+(\d{1,2})(?:st|nd|rd|th)\s+of\s+(this|last)\s+month\b", re.IGNORECASE)
_ENGLISH_DAY_ALONE = re.compile(
    r"\bon\s+the\s+(\d{1,2})(?:st|nd|rd|th)\b(?!\s+(?:floor|time|line|item|try|order|street|st|avenue|page|one)\b)",
    re.IGNORECASE,
)
_COUNT = r"(\d{1,3}|[一二两三四五六七八九十]{1,3}|半|half a|an?|one|two|three|four|five|six|seven|eight|nine|ten)"
_AGO = re.compile(
    rf"{_COUNT}\s*(个月|个?星期|个?礼拜|[天周年]|days?|weeks?|fortnights?|months?|years?)\s*(?:多|以|之)?(?:前|ago)",
    re.IGNORECASE,
)
_SMALL = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}  # fmt: skip
_LENGTHS = {"天": 1, "d": 1, "周": 7, "星": 7, "礼": 7, "w": 7, "f": 14}  # days, by the first letter of the unit
_WEEKDAY = "(monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_LAST_WEEKDAY = re.compile(r"(上+)个?(?:周|星期|礼拜)([一二三四五六日天])")
_ENGLISH_LAST_WEEKDAY = re.compile(
    rf"\b{_WEEKDAY}\s+(before\s+last|(?:of\s+)?last\s+week)\b|\blast\s+(week\s+)?(?:on\s+)?{_WEEKDAY}\b"
)
_THIS_WEEKDAY = re.compile(
    rf"(?:这|本)?个?(?:周|星期|礼拜)([一二三四五六日天])|\b(?:on|this|from|since)\s+{_WEEKDAY}", re.IGNORECASE
)


def day_in(plain: str, today: date) -> date | None:
    """The day that ``plain`` means, counted from ``today``; ``None`` when it means none, or more than one.

    >>> friday = date(2026, 11, 27)
    >>> [str(day_in(said, friday)) for said in ("昨天下的单", "last Friday", "上周五", "三天前", "Nov 20", "12月1日", "三号")]
    ['2026-11-26', '2026-11-20', '2026-11-20', '2026-11-24', '2026-11-20', '2025-12-01', '2026-11-03']
    """
    plain = _NUMERAL.sub(lambda found: str(int(chinese_value(found[1].replace("两", "二")) or 0)), plain)
    for reading in (_written, _of_a_month, _ago, _weekday):
        if found := reading(plain, today):
            return found
    return None


def _written(plain: str, today: date) -> date | None:
    """A day with its month."""
    if found := _ISO.search(plain):
        return _date(int(found[1]), int(found[2]), int(found[3]))
    year = next((today.year - ago for words, ago in _YEARS.items() if words in plain.lower()), None)
    if found := _MONTH_DAY.search(plain):
        return _on(int(found[1]), int(found[2]), year, today)
    for found in _ENGLISH_DAY.finditer(plain):
        day, ordinal, month = (found[1], found[2], found[3]) if found[3] else (found[6], found[7], found[5])
        if month == "may" and not ordinal and not _ON.search(plain[: found.start()]):  # "may 2 of them be returned"
            continue
        told = found[4] or found[8]
        return _on(MONTHS[month[:3].lower()], int(day), int(told) if told else year, today)
    if found := _SLASHED.search(plain):
        first, second = int(found[1]), int(found[2])
        told = int(found[3]) if found[3] else year
        if (first, second) in _FRACTIONS and not found[3]:
            return None
        if first > 12 or (first == second and second <= 12):
            return _on(second, first, told, today)
        if second > 12 or not plain.isascii():
            return _on(first, second, told, today)
    return None


def _of_a_month(plain: str, today: date) -> date | None:
    """A day of this month or the last, by its number alone."""
    if (found := _LAST_DAY.search(plain)) or (found := _DAY_OF_MONTH.search(plain)):
        if _STREET.search(plain[: found.start(2)]):
            return None
        return _day_of(int(found[2]), found[1] or "", today)
    if found := _ENGLISH_OF_MONTH.search(plain):
        return _day_of(int(found[1]), found[2].lower(), today)
    if found := _ENGLISH_DAY_ALONE.search(plain):
        return _day_of(int(found[1]), "", today)
    return None


def _day_of(day: int, month: str, today: date) -> date | None:
    if month.startswith(("上", "last")):
        return _date(*_months_before(today, 1), day)
    if (found := _date(today.year, today.month, day)) and (found <= today or month):
        return found
    return _date(*_months_before(today, 1), day)


def _ago(plain: str, today: date) -> date | None:
    lowered = plain.lower()
    for words in _SAID:
        if words in lowered:
            return today - timedelta(days=_DAYS_AGO[words])
    found = _AGO.search(lowered)
    if found is None:
        return None
    said, unit = found[1], found[2]
    half = said in ("半", "half a")
    count = 1 if half else int(said) if said.isdigit() else _SMALL.get(said) or int(chinese_value(said) or 0)
    if unit[0] in _LENGTHS:
        return None if half else today - timedelta(days=count * _LENGTHS[unit[0]])
    months = count * (12 if unit[0] in "年y" else 1)
    if half:
        return today - timedelta(days=15) if months == 1 else _same_day(today, 6)
    return _same_day(today, months)


def _weekday(plain: str, today: date) -> date | None:
    """上周五 is the Friday of the week before this one; last Friday is the one before today."""
    lowered = plain.lower()
    monday = today - timedelta(days=today.weekday())
    if found := _LAST_WEEKDAY.search(lowered):
        return monday + timedelta(days=WEEKDAYS[found[2]] - 7 * len(found[1]))
    if found := _ENGLISH_LAST_WEEKDAY.search(lowered):
        weekday = WEEKDAYS[found[1] or found[4]]
        if found[3] or (found[2] and "week" in found[2]):
            return monday + timedelta(days=weekday - 7)
        before = today - timedelta(days=(today.weekday() - weekday) % 7 or 7)
        return before - timedelta(days=7 if found[2] else 0)
    if found := _THIS_WEEKDAY.search(lowered):
        return today - timedelta(days=(today.weekday() - WEEKDAYS[found[1] or found[2]]) % 7)
    return None


def _on(month: int, day: int, year: int | None, today: date) -> date | None:
    if year is not None:
        return _date(year, month, day)
    for candidate in (today.year, today.year - 1):
        if (found := _date(candidate, month, day)) and found <= today:
            return found
    return None


def _months_before(today: date, months: int) -> tuple[int, int]:
    years, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    return years, month + 1


def _same_day(today: date, months: int) -> date:
    """The day of that month with today's number, or its last."""
    year, month = _months_before(today, months)
    return date(year, month, min(today.day, monthrange(year, month)[1]))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
