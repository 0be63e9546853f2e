"""How well a unit of a source answers a question: words, concepts, meaning, product codes, kind of answer.

The features are few and readable, so that "why this sentence?" has an answer, and their weights are a linear
model fitted on tuning questions (docs/decisions/0004-answering.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from core.i18n import detect_language
from core.retrieval import tokens
from core.retrieval.concepts import concepts
from core.retrieval.units import Unit
from core.types import Hit

if TYPE_CHECKING:
    import numpy as np

# What a question asks for, and what a sentence must hold to give it.
_ASKS: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"多少钱|几块|几元|价钱|价格|费用|how much|\bprice|\bcost|\bfee\b|\bfees\b|\bcharge[sd]?\b|\bworth\b|便宜多少|能顶多少|抵多少|补多少"),
    "duration": re.compile(r"几天|几日|几个月|几年|几周|几个小时|几小时|几分钟|多少天|多久|多长时间|什么时候|啥时候|何时|哪天|来得及|how long|how many (?:days|weeks|months|years|hours|minutes)|how soon|\bwhen\b|\bdeadline\b|\bby what date\b"),
    "clock": re.compile(r"几点|营业时间|开门|关门|what time|\bhours\b|\bopens?\b|\bcloses?\b"),
    "count": re.compile(r"多少|几[个张次件只台份双套层位]|how many|how often|\bmaximum\b|\bminimum\b|最多|最少"),
    "size": re.compile(r"多大|多重|多长(?!时间)|多高|多宽|多亮|多远|几斤|几升|容量|重量|尺寸|功率|how (?:big|heavy|large|tall|wide|far|bright|loud|fast|hot|deep)|\bweigh|\bsize\b|\bcapacity\b|\bwattage\b|\btemp"),
}  # fmt: skip
_GIVES: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"[£$€¥￥]\s?\d|\d[\d.,]*\s?(?:元|块|万元|usd|gbp|eur|dollars?|pounds?|yuan|%|折)|免费|包邮|不收|\bfree\b|_gbp|_usd|价"),
    "duration": re.compile(r"\d+(?:\.\d+)?\s?(?:个?工作日|个?自然日|天|日|个?月|年|周|个?小时|分钟|秒|-?\s?(?:working |business )?(?:day|week|month|year|hour|minute|second)s?\b|h\b|min\b)|[一二三四五六七八九十半两]+(?:天|个月|年|周|小时|分钟)|\b(?:two|three|four|five|six|seven|ten|fourteen|thirty) (?:day|week|month|year|hour|minute)s?\b"),
    "clock": re.compile(r"\d{1,2}[:：]\d{2}|\d{1,2}\s?(?:点|am\b|pm\b|o'clock)|全天|24 小时|\bclosed\b|休息|不营业"),
    "count": re.compile(r"\d|[一二两三四五六七八九十]+[个张次件只台份双套层位项种条]|\b(?:one|two|three|four|five|six|once|twice)\b"),
    "size": re.compile(r"\d+(?:\.\d+)?\s?(?:kg|g|mm|cm|m|km|ml|l|w|kw|wh|mah|v|lumens?|流明|db|分贝|°c|℃|升|毫升|克|千克|公斤|米|厘米|瓦|英寸|inch(?:es)?)\b"),
}  # fmt: skip
_CODE = re.compile(r"\b[a-z]{1,5}-?\d[\w-]*", re.IGNORECASE)
_COND = re.compile(r"^(?:如果|若|if |when )", re.IGNORECASE)


@dataclass(frozen=True)
class Ask:
    """A question taken apart once. ``weights`` are its content terms with their idf in the collection."""

    text: str
    weights: Mapping[str, float]

    @cached_property
    def codes(self) -> set[str]:
        return tokens.codes(self.text)

    @cached_property
    def concepts(self) -> frozenset[str]:
        return concepts(self.text)

    @cached_property
    def language(self) -> str:
        return detect_language(self.text)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What kinds of value it asks for; ``count`` only when nothing more exact was asked."""
        text = tokens.normalized(self.text)
        found = [kind for kind, pattern in _ASKS.items() if pattern.search(text)]
        return tuple(found if len(found) == 1 else [kind for kind in found if kind != "count"])

    @cached_property
    def term_weights(self) -> dict[str, float]:
        """``weights`` with a long Han run toned down: its n pairs count like the square root of n."""
        runs = [len(run) - 1 for run in re.findall(r"[\u4e00-\u9fff]+", tokens.without_question_words(tokens.normalized(self.text)))]
        longest = max(runs, default=1) or 1
        return {t: w / longest**0.25 if len(t) == 2 and t[0] > "\u4e00" else w for t, w in self.weights.items()}


@dataclass(frozen=True, slots=True)
class Scored:
    """A unit with its score for a question and what the score is made of."""

    unit: Unit
    hit: Hit
    score: float
    features: Mapping[str, float]


NAMES = ("meaning", "words", "context_words", "concepts", "context_concepts", "code", "kind", "passage", "language")


def features(
    ask: Ask, hit: Hit, units: Sequence[Unit], vectors: np.ndarray | None, question: np.ndarray | None
) -> list[dict[str, float]]:
    """The features of every unit of a passage, most of them from 0 to 1.

    Args:
        vectors: of the units, shape ``(len(units), dim)``; ``None`` without an embedding model.
    """
    passage = hit.passage
    around = f"{passage.title}\n{passage.heading or ''}"
    around_terms, around_codes, around_concepts = set(tokens.tokens(around)), tokens.codes(around), concepts(around)
    total = sum(ask.term_weights.values()) or 1.0
    found = []
    for i, unit in enumerate(units):
        text = f"{unit.lead}\n{unit.shown}"
        terms, held = set(tokens.tokens(text)), tokens.normalized(text)
        unit_concepts = concepts(text)
        found.append(
            {
                "meaning": float(vectors[i] @ question) if vectors is not None and question is not None else 0.0,
                "words": sum(w for t, w in ask.term_weights.items() if t in terms) / total,
                "context_words": sum(w for t, w in ask.term_weights.items() if t in terms or t in around_terms) / total,
                "concepts": unit_concepts,
                "context_concepts": unit_concepts | around_concepts,
                "code": _code_match(ask.codes, tokens.codes(text), around_codes),
                "kind": _kind_match(ask.kinds, held),
                "passage": hit.score,
                "language": 1.0 if passage.language == ask.language else 0.0,
            }
        )
    return found


def _share(wanted: frozenset[str], held: frozenset[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0


def _code_match(asked: set[str], held: set[str], around: set[str]) -> float:
    """1 when the unit names the product asked for, less when its title does, negative when it names another."""
    if not asked:
        return 0.0
    if asked & held:
        return len(asked & held) / len(asked)
    if asked & around:
        return 0.3 if held else 0.7
    return -1.0 if held or around else 0.0


def _kind_match(kinds: Sequence[str], text: str) -> float:
    if not kinds:
        return 0.0
    text = _CODE.sub(" ", text)
    return sum(1.0 for kind in kinds if _GIVES[kind].search(text)) / len(kinds)
