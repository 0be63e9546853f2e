"""Checks a written sentence against the passages it cites, before anybody reads it.

Numbers with their units, product codes, foreign names and negation must stand in a cited passage, and enough of
the sentence's words must be found there. What fails is removed and counted; the reason is kept. A language model may judge what
rules of words let pass, and what they refuse for a reason that can be argued about.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from core.contracts import EmbeddingModel
from core.errors import TouchstoneError, code_of
from core.i18n import detect_language
from core.retrieval import alignment, amounts, doubts, numerals, sentences, tokens
from core.retrieval.classes import another
from core.retrieval.doubts import Doubt
from core.retrieval.judge import Judge, shown
from core.retrieval.measures import plain
from core.retrieval.stem import stem
from core.retrieval.unheard import unheard
from core.retrieval.units import Unit, units
from core.types import Passage

log = logging.getLogger(__name__)
Reason = Literal[
    "uncited", "number", "unit", "date", "code", "name", "negation", "comparison", "attribution", "overlap", "judged"
]
ARGUABLE = frozenset(["name", "negation", "comparison", "attribution", "overlap"])  # reasons that a judge may overrule
OVERLAP = 0.4  # share of a sentence's content terms that its passages must hold
MARK = re.compile(r"\s*[\[【［](?:来源|source)?\s*(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\s*[\]】］]", re.IGNORECASE)
_NAME = re.compile(r"(?<![.!?。！？\n] )(?<!^)\b[A-Z][A-Za-z]{2,}\b")
_BEGINS = 4  # letters that Asian and Asia have in common
_EVERYBODY_KNOWS = frozenset(["Earth", "Internet", "Web", "Sun", "Moon", "Sundays", "English"])
_MOST = 24  # sentences of the sources that a sentence in quite other words is compared with
_FORMULAS = frozenset(
    ["co2", "h2o", "o2", "n2", "o3", "so2", "no2", "ch4", "nh3", "h2", "pm25", "pm10", "m2", "m3", "km2", "cm2", "cm3"]
)  # which a source may spell out
_COUNTED, _PARTS = re.compile(r"\d+(?:[a-z]{4,}|s)|[a-z]{4,}\d+s"), re.compile(r"[a-z]{2,}|\d+")
_LATIN = re.compile(r"[A-Za-z]{3,}")


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome for one sentence: its words without marks, and the unit of each passage that carries it."""

    text: str
    support: Mapping[int, Unit]  # by number of the source
    failed: Reason | None = None
    doubts: tuple[Doubt, ...] = ()  # what its words do not tell
    unjudged: str = ""  # why a judge that was to be asked did not answer


async def checked(
    written: str,
    sources: Sequence[Passage],
    question: str = "",
    *,
    model: EmbeddingModel | None = None,
    judge: Judge | None = None,
) -> Checked:
    """As :func:`check`, and what its words do not tell is told by ``model``, and by ``judge`` where there is one.

    Without ``model``, or where it fails, a thing named otherwise than in the source passes, and a sentence in quite other words
    fails. A judge that fails is as none, and the outcome says so.
    """
    outcome = _outcome(written, sources, question)
    if model is not None and outcome.doubts:
        try:
            outcome = replace(outcome, failed=await doubts.wrong(outcome.doubts, model))
        except TouchstoneError as error:
            log.warning("a claim is checked by its words alone: %s", error)
    if judge is not None and outcome.support:
        try:
            outcome = replace(outcome, failed=await _overruled(outcome, sources, judge))
        except TouchstoneError as error:
            log.warning("a claim is not judged: %s", error)
            outcome = replace(outcome, unjudged=code_of(error))
    return _without_support(outcome)


async def _overruled(outcome: Checked, sources: Sequence[Passage], judge: Judge) -> Reason | None:
    texts = [sources[number - 1].text for number in outcome.support]
    if outcome.failed is None and any(_repeats(outcome.text, text) for text in texts):
        return None
    # No titles, nor headings: before the text they make a judge doubt what it says.
    says = await judge.says("\n\n".join(shown(text, outcome.text) for text in texts), outcome.text)
    if outcome.failed is None:
        return "judged" if says is False else None
    return None if says else outcome.failed


def _repeats(text: str, source: str) -> bool:
    return tokens.normalized(text).strip(" .。!！;；") in tokens.normalized(source)


def check(written: str, sources: Sequence[Passage], question: str = "") -> Checked:
    """Check one sentence with its ``[n]`` marks by its words alone.

    Args:
        sources: numbered from 1 as the model saw them.
        question: its words and names may be repeated; its numbers may not.
    """
    return _without_support(_outcome(written, sources, question))


def _without_support(outcome: Checked) -> Checked:
    return replace(outcome, support={}) if outcome.failed else outcome


def _outcome(written: str, sources: Sequence[Passage], question: str) -> Checked:
    """The outcome by words, with support also where it fails for a reason that can be argued about."""
    text, numbers = unmarked(written)
    cited = [n for n in dict.fromkeys(numbers) if 1 <= n <= len(sources)]
    if not cited:
        cited = _nearest(text, sources)
        if not cited:
            return Checked(text, {}, "uncited")
    outcome = Checked(text, {})
    for chosen in [cited] if len(cited) == 1 else [cited, *[[n] for n in cited]]:
        passages = [sources[n - 1] for n in chosen]
        failed, unsure = _judged(text, passages, question)
        support = {n: best_unit(text, sources[n - 1]) for n in chosen} if failed is None or failed in ARGUABLE else {}
        if outcome.failed != "overlap" or failed is None:
            outcome = Checked(text, support, failed, tuple(unsure))
        if failed is None:
            break
    return outcome


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


def _judged(text: str, passages: Sequence[Passage], question: str) -> tuple[Reason | None, list[Doubt]]:
    """What is wrong with a sentence, and what its words do not tell."""
    source = "\n".join(
        f"{p.title}\n{p.heading or ''}\n{p.metadata.get('table_header', '')}\n{p.text}" for p in passages
    )
    codes = tokens.codes(text) - tokens.codes(source) - _FORMULAS
    if any(not _spelled_apart(code, source) for code in codes):
        return "code", []
    bare = _without_codes(text)
    if amount := amounts.failure(bare, source):
        return amount, []
    known = tokens.normalized(f"{source}\n{question}")
    language = detect_language(text)
    same_language = language == detect_language("\n".join(p.text for p in passages))
    if language == "zh":
        if any(word.lower() not in known for word in _LATIN.findall(bare)):
            return "name", []
    elif same_language and any(_unknown_name(name, known) for name in _NAME.findall(bare)):
        return "name", []
    if not same_language:
        return None, []  # words cannot be compared; numbers, dates, units, codes and names were
    failed, renamed = alignment.compared(text, [(p.title, p.text) for p in passages], question)
    if failed:
        return failed, []
    if language == "zh" and unheard(bare, f"{known}{plain(source)}"):
        return "name", []
    if another(bare, f"{source}\n{question}"):
        return "name", []
    unsure = [Doubt("name", slot.swapped, (slot.told,)) for slot in renamed]
    if not _overlaps(bare, source):
        there = [p.text[a:b] for p in passages for a, b in sentences.spans(p.text)]
        return "overlap", [Doubt("overlap", text, tuple(there[:_MOST])), *unsure]
    return None, unsure


def _spelled_apart(code: str, source: str) -> bool:
    """Whether a number with a word (6.1-magnitude, 94th-minute, under-20s) is no code, but what the source writes apart."""
    code = re.sub(r"(?<=\d)(?:st|nd|rd|th)(?=[a-z])", "", code)
    written = re.sub(r"[.-]", "", tokens.normalized(source))
    return bool(_COUNTED.fullmatch(code)) and all(part in written for part in _PARTS.findall(code))


def _unknown_name(name: str, known: str) -> bool:
    """A word with a capital letter that stands nowhere, in no form: Parisian is known where Paris is."""
    return name.lower() not in known and stem(name.lower())[:_BEGINS] not in known and name not in _EVERYBODY_KNOWS


def _overlaps(text: str, source: str) -> bool:
    """Whether enough of the words of ``text`` stand in ``source``, as written or with all numbers in digits.

    Numbers and dates were compared before: 一五八九年 is not one word more that the source lacks.
    """
    return _share(text, source) >= OVERLAP or _share(plain(text), plain(source)) >= OVERLAP


def _share(text: str, source: str) -> float:
    terms = [term for term in tokens.content_terms(text) if not term[0].isdigit()]
    held = set(tokens.tokens(source))
    found = sum(1.0 if term in held else _partly(term, held) for term in terms)
    return found / len(terms) if terms else 1.0


def _partly(term: str, held: Set[str]) -> float:
    """Half for a Han pair whose characters are there, in whatever order."""
    return 0.5 * sum(c in held for c in term) / 2 if len(term) == 2 and term > "\u4e00" else 0.0


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


def _without_codes(text: str) -> str:
    return re.sub(r"\b[A-Za-z]{1,5}-?\d[\w-]*\b", " ", text)
