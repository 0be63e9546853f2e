"""How well a unit of a source answers a question: words, concepts, meaning, product codes, kind of answer.

The features are few and readable, so that "why this sentence?" has an answer, and their weights are a linear
model fitted on tuning questions (docs/decisions/0004-quotes-before-generation.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from core.i18n import detect_language
from core.retrieval import bm25, kinds, tokens
from core.retrieval.concepts import concepts, concepts_by_term
from core.retrieval.meaning import Scale
from core.retrieval.units import Unit
from core.types import Hit

if TYPE_CHECKING:
    import numpy as np

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


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
        """What kinds of value it asks for."""
        return kinds.asked(self.text)

    @cached_property
    def figures(self) -> frozenset[str]:
        """Those of ``kinds`` that only a figure answers."""
        return kinds.figures(self.text)

    @cached_property
    def names(self) -> frozenset[str]:
        """The terms of the names in it, products with a code left out."""
        return frozenset(
            term for name in tokens.names(self.text) for term in tokens.tokens(name) if term in self.weights
        )

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


# Weights of a linear model over the features: the log-odds of a unit against the others of its question (a
# conditional logit), fitted together on the sample shop's tuning questions, CMRC 2018 trial and, for words
# alone, SciFact train; see docs/decisions/0009-answers-that-stand-out.md.
WEIGHTS: Mapping[str, float] = {
    "relative": 8.2,
    "words": 0.6,
    "beyond": 3.3,
    "passage": 4.9,
    "concepts": 3.1,
    "code": 6.6,
    "kind": 1.5,
}
# Without an embedding model words and concepts carry the weight.
WEIGHTS_WITHOUT_MEANING: Mapping[str, float] = {
    "words": 2.1,
    "beyond": 5.3,
    "passage": 6.9,
    "concepts": 2.2,
    "code": 1.9,
    "kind": 1.8,
}
# The log-odds that one of the two best units answers, over the same questions with and without their answers.
CONFIDENCE: Mapping[str, float] = {
    "bias": -8.6,
    "meaning": 2.9,
    "beyond": 2.25,
    "words": 0.8,
    "clear": 3.1,
    "chinese": 1.15,
    "concepts": 0.8,
    "strange": -0.8,
    "lacking": -3.0,
    "unheard": -1.7,
}
# The bias without an embedding model lies 0.2 higher than fitted, so that one threshold serves both.
CONFIDENCE_WITHOUT_MEANING: Mapping[str, float] = {
    "bias": -4.43,
    "beyond": 1.7,
    "about": 2.65,
    "silent": -1.3,
    "strange": -1.45,
    "clear": 2.25,
}
# Where the best unit is in the other language words say nothing; fitted on sixty questions about the sample shop
# asked across the languages, and moved so that the threshold of the others serves here, too.
CONFIDENCE_ACROSS: Mapping[str, float] = {
    "bias": -5.1,
    "meaning": 1.4,
    "clear": 1.7,
    "kind": 1.3,
    "relative": 1.3,
}
NEARLY = 3.0  # units that score this much less than the best (log-odds) may answer as well
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
    *,
    passages: int = 0,
) -> list[Scored]:
    """Score every unit and sort them, best first.

    Args:
        passages: in the collections searched.
        vectors: of the units' texts, shape ``(len(units), dim)``; ``None`` without an embedding model.
    """
    rows = _features(ask, units, passages)
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
    """Whether the best units answer the question.

    Does anything mean the same, is what was asked about there, do one or two units stand out from the rest? Against
    it speak a price, weight or number that is asked for and not given, and a name that the collection never uses.

    Args:
        passages: in the collections searched; tells which words of the question occur nowhere in them.
    """
    if not ranked:
        return Evidence(0.0, {})
    best = ranked[:3]
    mine = [s for s in ranked if s.unit.passage.language == ask.language]
    about = ask.about({s.unit.passage.title for s in ranked})
    crossed = best[0].unit.passage.language != ask.language
    nowhere = bm25.idf(0, passages) - 1e-9
    found = {
        "words": NEUTRAL if crossed else best[0].features["words"],
        "beyond": NEUTRAL if crossed else max(s.features["beyond"] for s in best),
        "about": NEUTRAL if crossed else max(_share_spoken_of(ask, about, s.unit, nowhere) for s in best),
        "clear": clarity([s.score for s in ranked]),
        "kind": best[0].features["kind"],
        "chinese": 1.0 if ask.language == "zh" else 0.0,
    }
    near = [s for s in best if s.score >= best[0].score - NEARLY]
    found["lacking"] = 1.0 if ask.figures and not any(s.features["figure"] for s in near) else 0.0
    found["unheard"] = 1.0 if any(ask.weights[term] >= nowhere for term in ask.names) else 0.0
    found["silent"] = max(0.0, 1 - found["about"] / _HARDLY)
    found["strange"] = max(0.0, 2 * _share_nowhere(ask, nowhere) - 1) * (1 - found["about"])
    # What a question of another world shares with this one by concept (a tyre to repair) says little.
    found["concepts"] = max(s.features["concepts"] for s in best) * (1 - found["strange"])
    weights = CONFIDENCE_WITHOUT_MEANING
    if "meaning" in best[0].features and crossed:
        weights = CONFIDENCE_ACROSS
        found["meaning"] = max(s.features["meaning"] for s in best)
        found["relative"] = best[0].features["relative"]
    elif "meaning" in best[0].features:
        weights = CONFIDENCE
        found["meaning"] = max(s.features["meaning"] for s in mine or ranked)
    logit = weights["bias"] + sum(weight * found[name] for name, weight in weights.items() if name != "bias")
    return Evidence(1 / (1 + math.exp(-logit)), found)


def clarity(scores: Sequence[float]) -> float:
    """The share of the two best in the softmax of all ``scores`` (best first): 1 when nothing else comes near.

    >>> round(clarity([9.0, 8.0, 1.0]), 3), round(clarity([2.0, 2.0, 2.0, 2.0]), 3)
    (0.999, 0.5)
    """
    powers = [math.exp(score - scores[0]) for score in scores]
    return sum(powers[:2]) / sum(powers)


def spoken_of(ask: Ask, unit: Unit, passages: int) -> float:
    """The share of the whole question that a unit speaks of with the title it stands under.

    Args:
        passages: in the collections searched.
    """
    return _share_spoken_of(ask, ask.term_weights, unit, bm25.idf(0, passages) - 1e-9, title=True)


def _share_nowhere(ask: Ask, nowhere: float) -> float:
    """The share of the question in words that no passage holds: a question of another world is mostly such words."""
    total = sum(ask.weights.values())
    return sum(weight for weight in ask.weights.values() if weight >= nowhere) / total if total else 0.0


def _share_spoken_of(ask: Ask, about: Mapping[str, float], unit: Unit, nowhere: float, *, title: bool = False) -> float:
    """The share of what is asked about that a unit speaks of.

    A term counts in full when the unit holds it, nearly so when the unit names its concept, and a Han pair in
    part when the unit holds its characters. A Han pair that occurs nowhere (its idf is ``nowhere``) may be two
    halves of two words, so it is expected less.
    """
    above = f"{unit.passage.title}\n{unit.passage.heading or ''}" if title else unit.passage.heading or ""
    said = _said(f"{unit.lead}\n{unit.shown}\n{above}")
    share = total = 0.0
    for term, weight in about.items():
        pair = len(term) == 2 and term > "\u4e00"
        known_as = ask.concepts_by_term.get(term, frozenset())
        if pair and not known_as and ask.weights[term] >= nowhere:
            weight *= _UNSEEN_PAIR
        total += weight
        if term in said.terms:
            share += weight
        elif known_as & said.concepts:
            share += _BY_CONCEPT * weight
        elif pair:
            share += _BY_CHARACTER * weight * sum(c in said.terms and c not in tokens.STOP_HAN for c in term) / 2
    return share / total if total else NEUTRAL


@dataclass(frozen=True, slots=True)
class _Said:
    """What a text says, taken apart once: passages that are asked for often come again and again."""

    terms: frozenset[str]
    concepts: frozenset[str]
    codes: frozenset[str]


@lru_cache(maxsize=8192)
def _said(text: str) -> _Said:
    return _Said(frozenset(tokens.tokens(text)), concepts(text), frozenset(tokens.codes(text)))


def _features(ask: Ask, units: Sequence[tuple[Hit, Unit]], passages: int) -> list[dict[str, float]]:
    """The features of every unit that need no vectors, each about 0 to 1."""
    total = sum(ask.term_weights.values()) or 1.0
    texts = [_said(f"{unit.lead}\n{unit.shown}") for _, unit in units]
    about = [said.concepts & ask.concepts for said in texts]
    rarity = {c: bm25.idf(sum(c in held for held in about), len(units)) for c in ask.concepts}
    wanted = sum(rarity.values()) or 1.0
    titles = {hit.passage.id: _said(f"{hit.passage.title}\n{hit.passage.heading or ''}") for hit, _ in units}
    products = ask.codes & set().union(*(title.codes for title in titles.values()))
    asked = ask.about({hit.passage.title for hit, _ in units})
    nowhere = bm25.idf(0, passages) - 1e-9
    found = []
    for (hit, unit), said, held in zip(units, texts, about, strict=True):
        title = titles[hit.passage.id]
        beyond = {term: weight for term, weight in asked.items() if term not in title.terms}
        given = kinds.given(ask.kinds, f"{unit.lead}\n{unit.shown}")
        found.append(
            {
                "words": sum(w for t, w in ask.term_weights.items() if t in said.terms) / total,
                "beyond": _share_spoken_of(ask, beyond, unit, nowhere),
                "concepts": sum(rarity[c] for c in held) / wanted,
                "code": _code_match(ask.codes, products, said.codes, title.codes),
                "kind": len(given) / len(ask.kinds) if ask.kinds else 0.0,
                "figure": len(given & ask.figures) / len(ask.figures) if ask.figures else 0.0,
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


def _code_match(asked: Set[str], products: Set[str], held: Set[str], around: Set[str]) -> float:
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
