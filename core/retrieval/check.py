"""Checks a written sentence against the passages it cites, before anybody reads it.

Numbers with their units, product codes, foreign names and negation must stand in a cited passage, and enough of
the sentence's words must be found there. What fails is removed and counted; the reason is kept.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from core.contracts import EmbeddingModel
from core.errors import TouchstoneError
from core.i18n import detect_language
from core.retrieval import alignment, doubts, numerals, sentences, tokens
from core.retrieval.doubts import Doubt
from core.retrieval.measures import Measure, Moment, Quantities, plain, quantities
from core.retrieval.stem import stem
from core.retrieval.unheard import unheard
from core.retrieval.units import Unit, units
from core.types import Passage

log = logging.getLogger(__name__)
Reason = Literal[
    "uncited", "number", "unit", "date", "code", "name", "negation", "comparison", "attribution", "overlap"
]
OVERLAP = 0.4  # share of a sentence's content terms that its passages must hold
MARK = re.compile(r"\s*[\[【［](?:来源|source)?\s*(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\s*[\]】］]", re.IGNORECASE)
_NAME = re.compile(r"(?<![.!?。！？\n] )(?<!^)\b[A-Z][A-Za-z]{2,}\b")
_BEGINS = 4  # letters that Asian and Asia have in common
_EVERYBODY_KNOWS = frozenset(["Earth", "Internet", "Web", "Sun", "Moon", "Sundays", "English"])
_MOST = 24  # sentences of the sources that a sentence in quite other words is compared with
_FORMULAS = frozenset(
    ["co2", "h2o", "o2", "n2", "o3", "so2", "no2", "ch4", "nh3", "h2", "pm25", "pm10"]
)  # which a source may spell out
_LATIN = re.compile(r"[A-Za-z]{3,}")


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome for one sentence: its words without marks, and the unit of each passage that carries it."""

    text: str
    support: Mapping[int, Unit]  # by number of the source
    failed: Reason | None = None
    doubts: tuple[Doubt, ...] = ()  # what its words do not tell


async def checked(
    written: str, sources: Sequence[Passage], question: str = "", *, model: EmbeddingModel | None = None
) -> Checked:
    """As :func:`check`, and what its words do not tell is told by ``model``.

    Without one, or where it fails, a thing named otherwise than in the source passes, and a sentence in quite other words
    fails.
    """
    outcome = _outcome(written, sources, question)
    if model is not None and outcome.doubts:
        try:
            outcome = replace(outcome, failed=await doubts.wrong(outcome.doubts, model))
        except TouchstoneError as error:
            log.warning("a claim is checked by its words alone: %s", error)
    return _without_support(outcome)


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
    """The outcome by words, with support also where only too few of the words are shared."""
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
        support = {n: best_unit(text, sources[n - 1]) for n in chosen} if failed in (None, "overlap") else {}
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
    if tokens.codes(text) - tokens.codes(source) - _FORMULAS:
        return "code", []
    bare = _without_codes(text)
    if failed := _quantities_failure(bare, source):
        return failed, []
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
    unsure = [Doubt("name", slot.swapped, (slot.told,)) for slot in renamed]
    if not _overlaps(bare, source):
        there = [p.text[a:b] for p in passages for a, b in sentences.spans(p.text)]
        return "overlap", [Doubt("overlap", text, tuple(there[:_MOST])), *unsure]
    return None, unsure


def _quantities_failure(text: str, source: str) -> Reason | None:
    """A number, a unit or a date that the source does not have."""
    claimed, there = quantities(text), quantities(source)
    loose = numerals.numbers(source)
    regular = any(measure.kind.startswith("every ") for measure in there.measures)
    for measure in claimed.measures:
        an_article = measure.number == 1 and (measure.kind in _LIKE_AN_ARTICLE or _spoken_of(measure, text, source))
        if an_article or (measure.kind.startswith("every ") and not regular):
            continue
        same = [other for other in there.measures if _same(measure, other, claimed.rounded)]
        if same and not _counts_another(measure, same, there, text, source):
            continue
        if any(_about(measure, other, text) for other in there.measures) or _day_or_days(measure, there):
            continue
        if not measure.kind and not same and numerals.canonical(measure.number) in loose:
            continue
        if _counted(measure, text, source) or _spanned(measure, there) or _the_rest(measure, text, there):
            continue
        written = any(_close(other.number, measure.number, claimed.rounded) for other in there.measures)
        return "unit" if written else "number"
    for moment in claimed.moments:
        if moment == Moment(year=moment.year) and str(moment.year) in loose:
            continue  # (1958-1964)
        if not any(moment.agrees(other) for other in there.moments) and not _days_or_day(moment, there):
            return "date"
    return None


_FEW = 10  # that are counted when they are listed
_LIST = re.compile(
    r"[\w'’“”《》·-]+(?: [\w'’-]+){0,4}(?:(?:、|, (?:and )?|和|与|及| and |以及)[\w'’“”《》·-]+(?: [\w'’-]+){0,4})+"
)
_ITEM = re.compile(r"、|, and |, |和|与|以及|及| and ")
_MARKED = re.compile("、|, ")
_UNIT_WORD = re.compile(r"\s?([a-z]{3,}?)s?\b|([\u4e00-\u9fff])")
_RATE = re.compile(
    r"\d\W*(?!times)[a-z%℃]*\s(?:an?\s|per\s|every\s|each\s)?$|每$"
)  # what is said for each day is a measure
_REST = re.compile(r"剩|其余|余下|尚未|还没|\b(?:rest|remain\w*|left|other|outstanding)\b", re.IGNORECASE)


def _spoken_of(measure: Measure, text: str, source: str) -> bool:
    """Whether "a day" is any day, of which ``source`` speaks, too: the whole day, 每日; within a day is a measure."""
    match = _UNIT_WORD.match(plain(text), plain(text).find("1", measure.start) + 1)
    if not match or measure.kind not in ("minutes", "months") or _RATE.search(plain(text)[: measure.start]):
        return False
    behind = plain(text)[match.end() : match.end() + 2]
    if match[2]:
        unit = next((same for same in ("天日", "周星期礼拜", "年岁") if match[2] in same), match[2])
        return (
            behind[:1] not in tuple("内后前以之半") and re.search(rf"(?<!\d)(?<!个)[{unit}]", plain(source)) is not None
        )
    return re.search(rf"(?i)(?<!\d )(?<!\d-)\b{match[1]}(?:s|ly)?\b", plain(source)) is not None and not re.search(
        r"(?i)\b(?:within|in|after|for|of|under|over|than) (?:an?|1|one) $|≤\s?$", plain(text)[: measure.start] + "1 "
    )


def _counted(measure: Measure, text: str, source: str) -> bool:
    """Whether a small number counts what the claim or the source lists: three scripts, A, B and C; twice, at five and at four."""
    if measure.number > _FEW or measure.kind not in ("", "occasions", "every occasions", "people", "months", "minutes"):
        return False
    listed = {
        len(pattern.split(match[0]))
        for t in (text, source)
        for match in _LIST.finditer(plain(t))
        for pattern in (_ITEM, _MARKED)
    }
    if measure.kind in ("", "people") and int(measure.number) in listed:
        return True
    sentence_moments = [
        {(m.minute, m.weekday, m.month) for m in quantities(source[a:b]).moments} for a, b in sentences.spans(source)
    ]
    return measure.kind not in ("months", "minutes") and any(
        len(moments) == measure.number > 1 for moments in sentence_moments
    )


def _spanned(measure: Measure, there: Quantities) -> bool:
    """Whether years or hours that lie between two times of the source are told: three years, from 1908 to 1911."""
    years = [moment.year for moment in there.moments if moment.year]
    years += [int(other.number) for other in there.measures if not other.kind and 1000 <= other.number <= 2100]
    minutes = [moment.minute for moment in there.moments if moment.minute is not None]
    if measure.kind == "months":
        return any(measure.value in (12 * abs(a - b), 12 * (abs(a - b) + 1)) for a in years for b in years if a != b)
    return measure.kind == "minutes" and any(measure.value == abs(a - b) for a in minutes for b in minutes if a != b)


def _the_rest(measure: Measure, text: str, there: Quantities) -> bool:
    """Whether a share is what another leaves: a tenth is left where nine tenths are done."""
    return (
        measure.kind == "percent"
        and bool(_REST.search(text))
        and any(other.kind == "percent" and _close(100 - other.value, measure.value, False) for other in there.measures)
    )


_LIKE_AN_ARTICLE = ("", "occasions", "people", "boxes", "bottles", "cups", "pages")  # "one of them", 一次


def _same(one: Measure, other: Measure, rounded: bool) -> bool:
    """The same quantity; a bare number is the same as that number with any unit, and once in a day is once every day."""
    if one.kind == other.kind or (one.number == 1 and other.kind == f"every {one.kind}"):
        return _close(one.value, other.value, rounded)
    return not (one.kind and other.kind) and _close(one.number, other.number, rounded)


_NOUN = re.compile(r"\s?[$£€¥]?[\d.,]+(?:\s(?:new |old |other |more )?([a-z]{3,}?)(?:es|s)?\b|\s?([\u4e00-\u9fff]))")
_NO_NOUN = frozenset(
    [
        "the",
        "and",
        "for",
        "per",
        "cent",
        "with",
        "from",
        "than",
        "out",
        "who",
        "are",
        "was",
        "were",
        "had",
        "has",
        "have",
        "did",
        "does",
        "will",
        "would",
        "or",
        "to",
        "of",
        "in",
        "on",
        "at",
        "by",
    ]
)


def _counts_another(measure: Measure, same: Sequence[Measure], there: Quantities, text: str, source: str) -> bool:
    """Whether the number stands in the source with other things, and these things with another number: 5 篇 for 五年, 三篇."""
    if any(other.kind and measure.kind for other in same):
        return False
    if measure.kind:  # the source's number has no unit that is known, and something of this unit another number
        counted = [_noun(source, other) for other in same]
        return all(counted) and any(other.kind == measure.kind for other in there.measures)
    noun = _noun(text, measure)
    if not noun or noun in "个者是以的年月日" or any(_noun(source, other) in ("", noun) for other in same):
        return False
    return any(_noun(source, other) == noun for other in there.measures if other.number != measure.number)


def _noun(text: str, measure: Measure) -> str:
    """The word behind a number."""
    match = _NOUN.match(plain(text), measure.start)
    word = (match[1] or match[2]) if match else ""
    return "" if word in _NO_NOUN else word


_MORE = re.compile(r"(?:超过?|逾|突破|多于|≥|\b(?:over|more than|above|upwards of|at least))\s?[$£€¥]?$", re.IGNORECASE)
_LESS = re.compile(
    r"(?:近|将近|不到|不足|接近|≤|\b(?:nearly|almost|close to|just under|under|less than|fewer than|up to))\s?[$£€¥]?$",
    re.IGNORECASE,
)
_AND_MORE = re.compile(
    r"\s?[\d.,]+(?:hundred|thousand|million|billion|[百千万亿])*\s?(?:元|度|个|台|人|岁|年|米|套|公里|摄氏度)?[多余来几]|[\d.,]+(?:-| )?(?:odd|plus|or more)\b|[\d.,]+\+"
)
_FAR = 0.2  # of a number, that one told roughly may lie beside it


def _about(measure: Measure, other: Measure, text: str) -> bool:
    """Whether a number told roughly (over 6,000, 六千多) can be ``other``, which is told exactly."""
    if measure.kind and other.kind and measure.kind != other.kind:
        return False
    one, two = (measure.value, other.value) if measure.kind and other.kind else (measure.number, other.number)
    written = plain(text)
    before, here = written[: measure.start], written[measure.start :]
    if _MORE.search(before) or _AND_MORE.match(here):
        return one <= two <= (1 + _FAR) * one
    return bool(_LESS.search(before)) and (1 - _FAR) * one <= two <= one


def _day_or_days(measure: Measure, there: Quantities) -> bool:
    """三十日 is thirty days or the thirtieth, and what stands around it does not always tell."""
    return measure.kind == "minutes" and any(
        moment == Moment(day=moment.day) and moment.day and moment.day * 1440 == measure.value
        for moment in there.moments
    )


def _days_or_day(moment: Moment, there: Quantities) -> bool:
    return moment == Moment(day=moment.day) and any(
        other.kind == "minutes" and other.value == 1440 * (moment.day or 0) for other in there.measures
    )


def _close(one: float, other: float, rounded: bool) -> bool:
    return abs(one - other) <= (0.05 if rounded else 1e-4) * max(abs(one), abs(other))


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
