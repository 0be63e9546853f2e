"""Numbers as values, however they are written: 15, １５, 十五, fifteen, 1,500, 1.5万, 3月1日.

Used in two places: the keyword index adds the digits of a written-out number, so that 七天 finds 7 天, and
the checker compares the numbers of a generated claim with those of its source.
"""

from __future__ import annotations

import re
import unicodedata

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}
_TIMES = _LARGE | {"百": 100, "千": 1000}
_COUNTS = re.compile(r"[零〇一二两兩三四五六七八九十]")  # 百 in 百分之五 is no number of its own
_CN = "零〇一二两兩三四五六七八九十百千万萬亿億"
_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS: dict[str, int] = {w: i for i, w in enumerate(_ONES.split())} | {
    w: 20 + 10 * i for i, w in enumerate(_TENS.split())
}
_EN_WORD = "|".join(sorted(WORDS, key=len, reverse=True))
_ENGLISH = re.compile(rf"\b({_EN_WORD})(?:[- ]({_EN_WORD}))?\b(?: (hundred|thousand|million)\b)?", re.IGNORECASE)
_MULTIPLIER = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_ARABIC = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
# What follows a Chinese number when it counts something; 一 in 一般 or 万 in 万一 does not.
_MEASURES = (
    "年|个|天|日|号|月|周|小时|时|分钟|分|秒|元|块|角|折|次|件|只|台|张|份|双|套|条|位|人|岁|倍|层|级|款|种|公里|千米|米|厘米|毫米"
    "|公斤|千克|斤|克|吨|升|毫升|瓦|度|%|％|工作日|自然日|万|亿|期|点|页|章|步|组|箱|盒|瓶|杯|片|节|工"
)
_CHINESE = re.compile(rf"(?:第)?([{_CN}]+)(?=(?:{_MEASURES}))")
_PERCENT = re.compile(rf"百分之([{_CN}]+|\d+(?:\.\d+)?)")


def chinese_value(written: str) -> float | None:
    """The value of a Chinese numeral, or ``None`` when it is not one.

    >>> [chinese_value(w) for w in ("十五", "两", "一百二十", "二〇二六", "三万五千")]
    [15.0, 2.0, 120.0, 2026.0, 35000.0]
    """
    if not written or any(c not in _CN for c in written):
        return None
    if all(c in _DIGITS for c in written):  # digit by digit, as in a year
        return float("".join(str(_DIGITS[c]) for c in written))
    total = section = digit = 0
    for c in written:
        if c in _DIGITS:
            digit = _DIGITS[c]
        elif c in _UNITS:
            section += (digit or (1 if c == "十" else 0)) * _UNITS[c]
            digit = 0
        else:
            total = (total + section + digit) * _LARGE[c]
            section = digit = 0
    return float(total + section + digit)


def canonical(value: float) -> str:
    """A number as text: no trailing zeros, no thousands separator."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def numbers(text: str) -> set[str]:
    """Every number of ``text`` in canonical form.

    >>> sorted(numbers("自签收之日起十五天内，满1,000元打九折，约1.5万人，fifteen days"))
    ['1000', '15', '15000', '9']
    """
    text = unicodedata.normalize("NFKC", text)
    found: set[str] = set()
    for match in _ARABIC.finditer(text):
        value = float(match[0].replace(",", ""))
        following = text[match.end() : match.end() + 1]
        found.add(canonical(value * _TIMES.get(following, 1)))
    for match in _CHINESE.finditer(text):
        written = chinese_value(match[1]) if _COUNTS.match(match[1]) else None
        if written is not None:
            found.add(canonical(written))
    for match in _PERCENT.finditer(text):
        share = chinese_value(match[1])
        found.add(canonical(share) if share is not None else canonical(float(match[1])))
    found.update(canonical(value) for value in english_values(text))
    return found


def english_values(text: str) -> list[float]:
    """Values of English number words; 'one' alone is left out, because it is mostly a pronoun.

    >>> english_values("within twenty-one days, one of them")
    [21.0]
    """
    values = []
    for match in _ENGLISH.finditer(text):
        first, second, times = match[1].lower(), (match[2] or "").lower(), (match[3] or "").lower()
        value = WORDS[first]
        if second and value >= 20 and WORDS[second] < 10:
            value += WORDS[second]
        elif second:
            values.append(float(WORDS[second]))
        if match[0].lower() != "one":
            values.append(float(value * _MULTIPLIER.get(times, 1)))
    return values


def with_digits(text: str) -> str:
    """``text`` with Chinese numerals that count something written in digits.

    >>> with_digits("签收后十五天内，满两千元")
    '签收后15天内，满2000元'
    """

    def digits(match: re.Match[str]) -> str:
        value = chinese_value(match[1]) if _COUNTS.match(match[1]) else None
        return match[0] if value is None else match[0].replace(match[1], canonical(value))

    return _CHINESE.sub(digits, text)
