"""Checks a written sentence against the passages it cites, before anybody reads it.

Numbers with their units, product codes, foreign names and negation must stand in a cited passage, and enough of
the sentence's words must be found there. What fails is removed and counted; the reason is kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.i18n import detect_language
from core.retrieval import numerals, tokens
from core.retrieval.units import Unit, units
from core.types import Passage

Reason = Literal["uncited", "number", "unit", "code", "name", "negation", "overlap"]
OVERLAP = 0.45  # share of a sentence's content terms that its passages must hold
MARK = re.compile(r"\s*[\[【［](?:来源|source)?\s*(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\s*[\]】］]", re.IGNORECASE)

_NEGATIONS = re.compile(
    r"不(?!同|仅|但|过|论|管|少|断|久|妨|满|足|超过|到|得超|限|含|包括|良|干胶)|没有|没(?=[^收有]*[^收])|无法|未(?!成年|来)|不得|禁止|拒绝|勿|除外|"
    r"\b(?:not|no|never|cannot|can't|won't|don't|doesn't|isn't|aren't|wasn't|neither|nor|without|except|unable|unless)\b|n't\b"
)
_UNIT = re.compile(
    r"(\d[\d,.]*)\s*(?:个)?(工作日|working days?|business days?|小时|hours?|分钟|minutes?|天|日|days?|周|weeks?|月|months?|年|years?"
    r"|元|块|人民币|rmb|yuan|%|％|折|percent|kg|公斤|千克|kwh|wh|mah|w\b|瓦|v\b|伏|ml|毫升|l\b|升|cm|厘米|mm|毫米|m\b|米|°c|℃|度|次|times|件|张|个|points?|积分)",
    re.IGNORECASE,
)
_CURRENCY = re.compile(r"(us\$|\$|£|€|¥|￥)\s*(\d[\d,.]*)", re.IGNORECASE)
_UNIT_CLASS = {
    "工作日": "workday", "working day": "workday", "business day": "workday", "小时": "hour", "hour": "hour", "分钟": "minute",
    "minute": "minute", "天": "day", "日": "day", "day": "day", "周": "week", "week": "week", "月": "month", "month": "month",
    "年": "year", "year": "year", "元": "yuan", "块": "yuan", "人民币": "yuan", "rmb": "yuan", "yuan": "yuan", "¥": "yuan", "￥": "yuan",
    "%": "percent", "％": "percent", "percent": "percent", "us$": "dollar", "$": "dollar", "£": "pound", "€": "euro",
    "kg": "kg", "公斤": "kg", "千克": "kg", "w": "watt", "瓦": "watt", "v": "volt", "伏": "volt", "ml": "ml", "毫升": "ml",
    "l": "litre", "升": "litre", "cm": "cm", "厘米": "cm", "mm": "mm", "毫米": "mm", "m": "m", "米": "m", "°c": "degree",
    "℃": "degree", "度": "degree", "积分": "point", "point": "point",
}  # fmt: skip
_NAME = re.compile(r"(?<![.!?。！？\n] )(?<!^)\b[A-Z][A-Za-z]{2,}\b")
_LATIN = re.compile(r"[A-Za-z]{3,}")


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome for one sentence: its words without marks, and the unit of each passage that carries it."""

    text: str
    support: Mapping[int, Unit]  # by number of the source
    failed: Reason | None = None


def check(written: str, sources: Sequence[Passage], question: str = "") -> Checked:
    """Check one sentence with its ``[n]`` marks.

    Args:
        sources: numbered from 1 as the model saw them.
        question: its words and names may be repeated; its numbers may not.
    """
    text, numbers = unmarked(written)
    cited = [n for n in dict.fromkeys(numbers) if 1 <= n <= len(sources)]
    if not cited:
        cited = _nearest(text, sources)
        if not cited:
            return Checked(text, {}, "uncited")
    failed: Reason | None = None
    for chosen in [cited] if len(cited) == 1 else [cited, *[[n] for n in cited]]:
        passages = [sources[n - 1] for n in chosen]
        failed = _failure(text, passages, question)
        if failed is None:
            return Checked(text, {n: best_unit(text, sources[n - 1]) for n in chosen})
    return Checked(text, {}, failed)


def unmarked(written: str) -> tuple[str, list[int]]:
    """A sentence without its citation marks, and the numbers they held.

    >>> unmarked("15 天内可退 [1][3]。")
    ('15 天内可退。', [1, 3])
    """
    numbers = [int(n) for match in MARK.finditer(written) for n in re.findall(r"\d+", match[1])]
    return " ".join(MARK.sub("", written).split()), numbers


def best_unit(text: str, passage: Passage) -> Unit:
    """The unit of ``passage`` that carries ``text`` best: shared words, then shared numbers."""
    terms, values = set(tokens.content_terms(text)), numerals.numbers(text)
    candidates = units(passage)
    if not candidates:
        return Unit(passage, 0, passage.start, passage.end, passage.text, passage.text, "sentence")
    return max(candidates, key=lambda unit: (_shared(terms, values, unit), -unit.position))


def _shared(terms: set[str], values: set[str], unit: Unit) -> float:
    text = f"{unit.lead}\n{unit.shown}"
    held = set(tokens.tokens(text))
    return len(terms & held) / (len(terms) or 1) + len(values & numerals.numbers(text)) / (len(values) or 1)


def _failure(text: str, passages: Sequence[Passage], question: str) -> Reason | None:
    source = "\n".join(
        f"{p.title}\n{p.heading or ''}\n{p.metadata.get('table_header', '')}\n{p.text}" for p in passages
    )
    codes = tokens.codes(text)
    if codes - tokens.codes(source):
        return "code"
    bare = _without_codes(text)
    if numerals.numbers(bare) - numerals.numbers(source):
        return "number"
    if not _units_agree(bare, source):
        return "unit"
    known = tokens.normalized(f"{source}\n{question}")
    same_language = detect_language(text) == detect_language("\n".join(p.text for p in passages))
    if detect_language(text) == "zh":
        if any(word.lower() not in known for word in _LATIN.findall(bare)):
            return "name"
    elif same_language and any(name.lower() not in known for name in _NAME.findall(bare)):
        return "name"
    if not same_language:
        return None  # words cannot be compared; numbers, units, codes and names were
    terms = tokens.content_terms(bare)
    held = set(tokens.tokens(source))
    if terms and sum(term in held for term in terms) / len(terms) < OVERLAP:
        return "overlap"
    if all(_negates(text) != _negates(f"{u.lead} {u.shown}") for p in passages for u in _near(text, p)):
        return "negation"
    return None


def _nearest(text: str, sources: Sequence[Passage]) -> list[int]:
    """The source that holds most of the terms of a sentence without marks, when it holds enough."""
    terms = tokens.content_terms(text)
    if len(terms) < 2:
        return []
    shares = {
        n: sum(t in held for t in terms) / len(terms)
        for n, p in enumerate(sources, 1)
        for held in [set(tokens.tokens(f"{p.title}\n{p.heading or ''}\n{p.text}"))]
    }
    best = max(shares, key=lambda n: (shares[n], -n), default=0)
    return [best] if best and shares[best] >= 0.6 else []


def _near(text: str, passage: Passage) -> list[Unit]:
    """The units of ``passage`` nearest to ``text``: the best, and those nearly as near."""
    terms, values = set(tokens.content_terms(text)), numerals.numbers(text)
    scored = [(_shared(terms, values, unit), unit) for unit in units(passage)]
    best = max((score for score, _ in scored), default=0.0)
    return [unit for score, unit in scored if score >= 0.85 * best]


def _negates(text: str) -> bool:
    return len(_NEGATIONS.findall(tokens.normalized(text).replace("无理由", ""))) % 2 == 1


def _units_agree(text: str, source: str) -> bool:
    """Whether every number with a unit stands with a unit of the same kind in the source."""
    there = _measures(source)
    return all(
        value not in there or kind in there[value] or "" in there[value]
        for value, kinds in _measures(text).items()
        for kind in kinds
        if kind
    )


def _measures(text: str) -> dict[str, set[str]]:
    """Units by number: ``{"15": {"day"}}``; Chinese numerals count as digits. A number without a unit is left out."""
    text = numerals.with_digits(unicodedata.normalize("NFKC", text))
    found: dict[str, set[str]] = {}
    pairs = [(m[1], m[2]) for m in _UNIT.finditer(text)] + [(m[2], m[1]) for m in _CURRENCY.finditer(text)]
    for number, unit in pairs:
        name = unit.lower()
        kind = _UNIT_CLASS.get(name) or _UNIT_CLASS.get(name.rstrip("s"))
        value = number.replace(",", "").rstrip(".")
        if kind and value.replace(".", "", 1).isdigit():
            found.setdefault(numerals.canonical(float(value)), set()).add(kind)
    return found


def _without_codes(text: str) -> str:
    return re.sub(r"\b[A-Za-z]{1,5}-?\d[\w-]*\b", " ", text)
