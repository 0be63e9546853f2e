"""How well a unit of a source answers a question: words, concepts, meaning, product codes, kind of answer.

The features are few and readable, so that "why this sentence?" has an answer, and their weights are a linear
model fitted on tuning questions (docs/decisions/0004-quotes-before-generation.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from core.i18n import detect_language
from core.retrieval import keyword, tokens
from core.retrieval.concepts import concepts, concepts_by_term
from core.retrieval.meaning import Scale
from core.retrieval.units import Unit
from core.types import Hit

if TYPE_CHECKING:
    import numpy as np

# What a question asks for, and what a sentence must hold to give it.
_ASKS: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"多少钱|几块|几元|价钱|价格|费用|售价|how much(?! (?:does|do) .* weigh)|\bprice|\bcost|\bfees?\b|\bworth\b"),
    "duration": re.compile(
        r"几天|几日|几个月|几年|几周|几个?小时|几分钟|多少天|多久|多长时间|什么时候|啥时候|何时|哪天|来得及"
        r"|how long|how many (?:days|weeks|months|years|hours|minutes)|how soon|\bwhen\b|\bdeadline\b"
    ),
    "clock": re.compile(r"几点|营业时间|开门|关门|what time|\bhours\b|\bopen(?:s|ing)?\b|\bcloses?\b"),
    "weight": re.compile(r"多重|几斤|几公斤|重量|承重|\bweigh|\bheavy\b|\bload\b"),
    "volume": re.compile(r"几升|多少升|容量|水箱|\bcapacity\b|\bvolume\b|\blit(?:er|re)s?\b|\btank\b"),
    "length": re.compile(r"多长(?!时间)|多高|多宽|多远|多大|尺寸|直径|how (?:tall|wide|far|large|big)|\bsize\b|\bdimensions?\b|\bdiameter\b"),
    "power": re.compile(r"功率|多少瓦|几瓦|电压|多少伏|\bwatt|\bvolt|\bpower\b"),
    "heat": re.compile(r"多少度|几度|温度|\btemp|how hot"),
    "count": re.compile(r"多少|几[个张次件只台份双套层位]|how many|how often|\bmaximum\b|\bminimum\b|最多|最少"),
}  # fmt: skip
_TIME = r"个?工作日|个?自然日|天|日|号|个?月|年|周|个?小时|分钟|秒|-?\s?(?:working |business )?(?:day|week|month|year|hour|minute|second)s?\b|h\b|min\b"
_GIVES: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"[£$€¥￥]\s?\d|\d[\d.,]*\s?(?:元|块|万元|usd|gbp|eur|dollars?|pounds?|yuan|%|折)|免费|包邮|不收|\bfree\b|_gbp|_usd|价"),
    "duration": re.compile(
        rf"\d+(?:\.\d+)?\s?(?:{_TIME})|[一二三四五六七八九十半两]+(?:天|个月|年|周|小时|分钟)"
        r"|\b(?:one|two|three|four|five|six|seven|ten|fourteen|thirty) (?:day|week|month|year|hour|minute)s?\b"
        r"|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
    ),
    "clock": re.compile(r"\d{1,2}[:：]\d{2}|\d{1,2}\s?(?:点|am\b|pm\b|o'clock)|全天|24 小时|\bclosed\b|休息|不营业"),
    "weight": re.compile(r"\d+(?:\.\d+)?\s?(?:kg|g|克|千克|公斤|斤|吨|lbs?|oz|pounds?)\b|\d\s?(?:克|千克|公斤|斤|吨)"),
    "volume": re.compile(r"\d+(?:\.\d+)?\s?(?:ml|l|lit(?:er|re)s?)\b|\d\s?(?:升|毫升)"),
    "length": re.compile(r"\d+(?:\.\d+)?\s?(?:mm|cm|m|km|inch(?:es)?|ft)\b|\d\s?(?:米|厘米|毫米|公里|英寸)"),
    "power": re.compile(r"\d+(?:\.\d+)?\s?(?:w|kw|wh|kwh|v|mah)\b|\d\s?(?:瓦|伏)"),
    "heat": re.compile(r"\d+\s?(?:°c|℃|°|度)"),
    "count": re.compile(r"\d|[一二两三四五六七八九十]+[个张次件只台份双套层位项种条]|\b(?:one|two|three|four|five|six|once|twice)\b"),
}  # fmt: skip
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CODE = re.compile(r"\b[a-z]{1,5}-?\d[\w-]*", re.IGNORECASE)


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
    def concepts_by_term(self) -> Mapping[str, frozenset[str]]:
        return concepts_by_term(self.text)

    @cached_property
    def language(self) -> str:
        return detect_language(self.text)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What kinds of value it asks for; ``count`` only when nothing more exact was asked."""
        text = tokens.normalized(self.text)
        found = [kind for kind, pattern in _ASKS.items() if pattern.search(text)]
        return tuple(found if len(found) == 1 else [kind for kind in found if kind != "count"])

    def about(self, titles: Iterable[str]) -> dict[str, float]:
        """The terms that say what is asked about something, with their weights.

        Left out are the products that ``titles`` name (documents that name the product and say nothing of the
        thing asked are the usual way to a wrong answer) and bare numbers (mostly the asker's own situation).
        """
        products = self.codes & {code for title in titles for code in tokens.codes(title)}
        parts = {part for code in products for part in (code, *re.findall(r"[a-z]+|\d+", code))}
        return {t: w for t, w in self.term_weights.items() if t not in parts and not _NUMBER.fullmatch(t)}

    @cached_property
    def term_weights(self) -> dict[str, float]:
        """``weights`` with a long Han run toned down: its n pairs count like the square root of n."""
        runs = [
            len(run) - 1
            for run in re.findall(r"[\u4e00-\u9fff]+", tokens.without_question_words(tokens.normalized(self.text)))
        ]
        longest = max(runs, default=1) or 1
        return {t: w / longest**0.25 if len(t) == 2 and t[0] > "\u4e00" else w for t, w in self.weights.items()}


@dataclass(frozen=True, slots=True)
class Scored:
    """A unit with its score for a question and what the score is made of."""

    unit: Unit
    hit: Hit
    score: float
    features: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How likely the sources hold the answer (0 to 1), and why."""

    confidence: float
    features: Mapping[str, float]


# Weights of a linear model over the features, fitted on the tuning questions of the sample shop; refit with
# ``python -m apps.customer_service.evaluate --fit``.
WEIGHTS: Mapping[str, float] = {
    "relative": 4.85,
    "words": 1.45,
    "passage": 6.0,
    "concepts": 1.9,
    "code": 0.3,
    "kind": 1.05,
}
# Without an embedding model words and concepts carry the weight.
WEIGHTS_WITHOUT_MEANING: Mapping[str, float] = {
    "words": 2.5,
    "passage": 3.8,
    "concepts": 2.15,
    "code": 1.05,
    "kind": 0.95,
}
CONFIDENCE: Mapping[str, float] = {
    "bias": -6.65,
    "meaning": 4.0,
    "about": 2.05,
    "silent": -3.05,
    "chinese": 1.8,
}
CONFIDENCE_WITHOUT_MEANING: Mapping[str, float] = {"bias": -1.9, "about": 4.15, "silent": -4.0, "chinese": 0.1}
NEUTRAL = 0.45  # of ``about`` where words cannot match, because the source is in the other language
_HARDLY = 0.2  # a smaller share of what is asked about is as good as none
_BY_CONCEPT, _BY_CHARACTER, _UNSEEN_PAIR = 0.8, 0.5, 0.6


def unit_text(unit: Unit) -> str:
    """What of a unit is embedded: its words under title, last heading and lead."""
    heading = (unit.passage.heading or "").rpartition(" › ")[2]
    return "\n".join(part for part in (unit.passage.title, heading, unit.lead, unit.shown) if part)


def rank(
    ask: Ask,
    units: Sequence[tuple[Hit, Unit]],
    vectors: np.ndarray | None = None,
    question: np.ndarray | None = None,
    scale: Scale | None = None,
) -> list[Scored]:
    """Score every unit and sort them, best first.

    Args:
        vectors: of the units' texts, shape ``(len(units), dim)``; ``None`` without an embedding model.
    """
    rows = _features(ask, units)
    weights = WEIGHTS_WITHOUT_MEANING
    if vectors is not None and question is not None and scale is not None:
        weights = WEIGHTS
        _add_meaning(rows, ask, units, vectors @ question, scale)
    scored = [
        Scored(unit, hit, sum(weight * row.get(name, 0.0) for name, weight in weights.items()), row)
        for (hit, unit), row in zip(units, rows, strict=True)
    ]
    return sorted(scored, key=lambda s: (-s.score, s.hit.passage.id, s.unit.position))


def judge(ask: Ask, ranked: Sequence[Scored], passages: int) -> Evidence:
    """Whether the best units answer the question: does anything mean the same, and is what was asked about there?

    Args:
        passages: in the collections searched; tells which words of the question occur nowhere in them.
    """
    if not ranked:
        return Evidence(0.0, {})
    best = ranked[:3]
    mine = [s for s in ranked if s.unit.passage.language == ask.language]
    about = ask.about({s.unit.passage.title for s in ranked})
    crossed = best[0].unit.passage.language != ask.language
    found = {
        "about": NEUTRAL if crossed else max(_share_spoken_of(ask, about, s.unit, passages) for s in best),
        "chinese": 1.0 if ask.language == "zh" else 0.0,
    }
    found["silent"] = max(0.0, 1 - found["about"] / _HARDLY)
    weights = CONFIDENCE_WITHOUT_MEANING
    if "meaning" in best[0].features:
        weights = CONFIDENCE
        found["meaning"] = max(s.features["meaning"] for s in mine or ranked)
    logit = weights["bias"] + sum(weights[name] * value for name, value in found.items())
    return Evidence(1 / (1 + math.exp(-logit)), found)


def _share_spoken_of(ask: Ask, about: Mapping[str, float], unit: Unit, passages: int) -> float:
    """The share of what is asked about that a unit speaks of.

    A term counts in full when the unit holds it, nearly so when the unit names its concept, and a Han pair in
    part when the unit holds its characters. A Han pair that occurs nowhere may be two halves of two words, so
    it is expected less.
    """
    text = f"{unit.lead}\n{unit.shown}\n{unit.passage.heading or ''}"
    held, named = set(tokens.tokens(text)), concepts(text)
    nowhere = keyword.idf(0, passages) - 1e-9
    share = total = 0.0
    for term, weight in about.items():
        pair = len(term) == 2 and term > "\u4e00"
        known_as = ask.concepts_by_term.get(term, frozenset())
        if pair and not known_as and ask.weights[term] >= nowhere:
            weight *= _UNSEEN_PAIR
        total += weight
        if term in held:
            share += weight
        elif known_as & named:
            share += _BY_CONCEPT * weight
        elif pair:
            share += _BY_CHARACTER * weight * sum(c in held and c not in tokens.STOP_HAN for c in term) / 2
    return share / total if total else NEUTRAL


def _features(ask: Ask, units: Sequence[tuple[Hit, Unit]]) -> list[dict[str, float]]:
    """The features of every unit that need no vectors, each about 0 to 1."""
    total = sum(ask.term_weights.values()) or 1.0
    about = [concepts(f"{unit.lead}\n{unit.shown}") & ask.concepts for _, unit in units]
    rarity = {c: keyword.idf(sum(c in held for held in about), len(units)) for c in ask.concepts}
    wanted = sum(rarity.values()) or 1.0
    titles = {hit.passage.id: tokens.codes(f"{hit.passage.title}\n{hit.passage.heading or ''}") for hit, _ in units}
    products = ask.codes & set().union(*titles.values())
    found = []
    for (hit, unit), held in zip(units, about, strict=True):
        text = f"{unit.lead}\n{unit.shown}"
        terms = set(tokens.tokens(text))
        found.append(
            {
                "words": sum(w for t, w in ask.term_weights.items() if t in terms) / total,
                "concepts": sum(rarity[c] for c in held) / wanted,
                "code": _code_match(ask.codes, products, tokens.codes(text), titles[hit.passage.id]),
                "kind": _kind_match(ask.kinds, tokens.normalized(text)),
                "passage": hit.score,
            }
        )
    return found


def _add_meaning(
    rows: Sequence[dict[str, float]], ask: Ask, units: Sequence[tuple[Hit, Unit]], cosines: np.ndarray, scale: Scale
) -> None:
    """Add ``meaning`` (on the model's scale) and ``relative``: above the average of the units in its language.

    Texts in the question's language lie nearer to it whatever they say; ``relative`` evens that out.
    """
    by_language: dict[str, list[float]] = {}
    for row, (_, unit), cosine in zip(rows, units, cosines, strict=True):
        language = unit.passage.language or ask.language
        row["meaning"] = scale(float(cosine), ask.language, language)
        by_language.setdefault(language, []).append(row["meaning"])
    mean = {language: sum(values) / len(values) for language, values in by_language.items()}
    for row, (_, unit) in zip(rows, units, strict=True):
        row["relative"] = row["meaning"] - mean[unit.passage.language or ask.language]


def _code_match(asked: set[str], products: set[str], held: set[str], around: set[str]) -> float:
    """1 when the unit names the product asked for, less when its title does, negative when it names another.

    ``products`` are the asked codes that documents are about: the E2 of another product is no answer.
    """
    if not asked:
        return 0.0
    named = held | around
    if products and not products & named and named - asked:
        return -1.0
    if asked & held:
        return len(asked & named) / len(asked)
    if asked & around:
        return 0.3 if held else 0.7
    return -1.0 if held or around else 0.0


def _kind_match(kinds: Sequence[str], text: str) -> float:
    if not kinds:
        return 0.0
    text = _CODE.sub(" ", text)
    return sum(1.0 for kind in kinds if _GIVES[kind].search(text)) / len(kinds)
