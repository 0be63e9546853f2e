"""The amount of money that a message names: £39, 两百来块, "about forty euros", 1.2万元. Currencies are not told apart."""

from __future__ import annotations

import re
from decimal import Decimal

from core.retrieval.numerals import WORDS, chinese_value

_UNIT = r"元|块钱?|人民币|英镑|美元|美金|欧元|yuan|rmb|pounds?|quid|dollars?|bucks?|euros?|usd|gbp|eur"
_NUMBER = r"\d[\d,]*(?:\.\d{1,2})?"
_TIMES = {"百": 100, "千": 1000, "k": 1000, "万": 10_000}
_DIGITS = re.compile(
    rf"(?:[¥￥£$€]|RMB|US\$|GBP|USD|EUR)\s*({_NUMBER})\s*(k\b|[千万])?"
    rf"|({_NUMBER})\s*(k\b|[百千万])?\s*[多来几余]?\s*(?:{_UNIT})(?:\s*(\d)\s*[毛角]|\s+and\s+(\d{{1,2}})\s+cents\b)?",
    re.IGNORECASE,
)
_HAN = re.compile(
    rf"([一二两三四五六七八九十百千万零]+)[多来几余]?(?:({_UNIT})([一二三四五六七八九])?[毛角]?|(?=的?那|的?订单|的?单))"
)
_PLAIN = re.compile(r"[百千万]")
_ROUNDED = re.compile(r"([百千万])([一二三四五六七八九])$")  # 一千二 is 1,200
_WORD = rf"(?:{'|'.join(sorted([*WORDS, 'hundred', 'thousand', 'a', 'and'], key=len, reverse=True))})"
_ENGLISH = re.compile(rf"\b({_WORD}(?:[\s-]+{_WORD})*)\s+(?:{_UNIT})\b", re.IGNORECASE)


def cents_in(plain: str) -> int | None:
    """Cents of the first amount in ``plain``; ``None`` when there is none.

    >>> cents_in("about £1,039.50"), cents_in("199元的那单"), cents_in("KT-210"), cents_in("两百来块"), cents_in("forty euros")
    (103950, 19900, None, 20000, 4000)
    """
    if found := _DIGITS.search(plain):
        number = Decimal((found[1] or found[3]).replace(",", "")) * _TIMES.get((found[2] or found[4] or "").lower(), 1)
        return int(number * 100) + int(found[5] or 0) * 10 + int(found[6] or 0)
    for found in _HAN.finditer(plain):
        value = _han(found[1])
        few = value < 10 and found[2] == "块"  # 一块退: together; 两块电池: pieces
        if value and not few and (found[2] or (_PLAIN.search(found[1]) and value >= 100)):
            tenths = int(chinese_value(found[3]) or 0) if found[3] else 0
            return int(value * 100) + tenths * 10
    for found in _ENGLISH.finditer(plain):
        if value := _words(found[1].lower()):
            return value * 100
    return None


def _han(written: str) -> float:
    if rounded := _ROUNDED.search(written):
        whole = chinese_value(written[:-1]) or 0
        return whole + (chinese_value(rounded[2]) or 0) * _TIMES[rounded[1]] / 10
    return chinese_value(written) or 0


def _words(written: str) -> int:
    """
    >>> _words("one hundred and twenty-nine"), _words("two thousand five hundred"), _words("a")
    (129, 2500, 0)
    """
    total = part = 0
    for word in re.split(r"[\s-]+", written):
        if word == "hundred":
            part = (part or 1) * 100
        elif word == "thousand":
            total, part = total + (part or 1) * 1000, 0
        elif word not in ("a", "and"):
            part += WORDS[word]
    return total + part
