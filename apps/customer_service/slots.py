"""Values in what a customer writes: order numbers, products, choices, days, amounts, free text. Rules, both languages.

A rule comes from the policy (:class:`~apps.customer_service.policy.SlotRule`); every value is a text or a whole number,
so it can be kept with the conversation and handed to a tool as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from apps.customer_service.amounts import cents_in
from apps.customer_service.days import day_in
from apps.customer_service.policy import SlotRule

Value = str | int
_WORD, _HAN = re.compile(r"[a-z0-9-]{3,}"), re.compile(r"[\u3400-\u9fff]{2,}")
_HAN_ONE = re.compile(r"[\u3400-\u9fff]")
_PLACES = {"一": 1, "二": 2, "三": 3, "四": 4, "first": 1, "second": 2, "third": 3, "fourth": 4}
_PLACE = re.compile(
    r"(?:第\s*)?(\d|(?<=第)[一二三四])(?:\s*[个款种])?(?:吧|的)?[.。]?|(?:the\s+)?(first|second|third|fourth)(?:\s+one)?(?:,? please)?[.。]?",
    re.IGNORECASE,
)
_PART = re.compile(r"[A-Za-z0-9]+")
_RUN = re.compile(rf"{_PART.pattern}(?:[ ‐—−-]{{1,3}}{_PART.pattern})*")
_MOST_PARTS = 12  # of one value: each digit by itself
_EMPTY = frozenset({"the", "one", "and", "for", "this", "that", "please", "item", "want"})


def folded(text: str) -> str:
    """One width, plain quotation marks, single spaces."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‐", "-").replace("–", "-")
    return " ".join(text.split())


def closed_up(rules: Iterable[SlotRule], text: str) -> str:
    """``text`` with each value of a pattern that has ``gaps`` as the pattern knows it, whatever blanks and hyphens it has.

    >>> closed_up([SlotRule("order", "pattern", {}, r"PW\\d{8}", gaps=True)], "我的 pw 2611-0005 到哪了")
    '我的 PW26110005 到哪了'
    """
    plain = folded(text)
    found = plain
    for rule in rules:
        if rule.gaps:
            found = _RUN.sub(lambda run, rule=rule: _closed(rule.pattern, run[0]), found)  # type: ignore[misc]  # bound now
    return text if found == plain and plain.isascii() == text.isascii() else found


def in_words(rule: SlotRule, text: str) -> str:
    """``text`` with each value of a pattern as what it stands for, where that is told.

    >>> order = SlotRule("order", "pattern", {}, r"PW\\d{8}", stands_for={"zh": "我的订单", "en": "my order"})
    >>> in_words(order, "PW26110005 到哪了？"), in_words(order, "Has pw26110005 shipped?")
    ('我的订单到哪了？', 'Has my order shipped?')
    """
    chinese = bool(_HAN_ONE.search(text))
    words = rule.stands_for.get("zh" if chinese else "en", "")
    gap = r"\s*" if chinese else ""
    return re.sub(f"{gap}(?:{rule.pattern}){gap}", words, text, flags=re.IGNORECASE) if words else text


def _closed(pattern: str, run: str) -> str:
    """A run of pieces, with those that together are a value as this."""
    found = list(_PART.finditer(run))
    told, at, first = "", 0, 0
    while first < len(found):
        value = ""
        for last in range(first, min(first + _MOST_PARTS, len(found))):
            value += found[last][0].upper()
            if re.fullmatch(pattern, value):
                told += run[at : found[first].start()] + value
                at, first = found[last].end(), last
                break
        first += 1
    return told + run[at:]


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
            return _pattern(rule, closed_up([rule], plain), asked)
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


def named(rule: SlotRule, text: str) -> set[str]:
    """The values of a choice whose words occur in ``text``; two kettles that are both named are two."""
    return _named(rule, folded(text), ())


def _choice(rule: SlotRule, plain: str, choices: Sequence[Mapping[str, str]], asked: bool) -> str | None:
    """The one value whose words occur. ``None`` when in doubt."""
    if len(found_values := _named(rule, plain, choices)) == 1:
        return found_values.pop()
    if asked and choices and (number := _PLACE.fullmatch(plain)):
        said = number[1] or number[2].lower()
        index = (int(said) if said.isdigit() else _PLACES[said]) - 1
        return choices[index]["value"] if 0 <= index < len(choices) else None
    return _nearest(plain, choices) if asked else None


def _named(rule: SlotRule, plain: str, choices: Sequence[Mapping[str, str]]) -> set[str]:
    """The possible values whose words occur; of words inside of longer ones the longer count."""
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
    return widest & possible


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
