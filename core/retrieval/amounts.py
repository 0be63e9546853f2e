"""Whether a claim's numbers, units and dates are those of its source, however either writes them.

A source tells some without writing them: two of what it lists twice, three years from 1908 to 1911, a tenth left where
nine tenths are done, 6,213 for one who says more than six thousand. And a number can stand in it for something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from core.retrieval import numerals, sentences
from core.retrieval.measures import Measure, Moment, Quantities, plain, quantities

Failure = Literal["number", "unit", "date"]
_FEW = 10  # that are counted when they are listed
_LIST = re.compile(
    r"[\w'’“”《》·-]{1,16}(?: [\w'’-]{1,16}){0,3}(?:(?:、|, (?:and )?|和|与|及| and |以及)[\w'’“”《》·-]{1,16}(?: [\w'’-]{1,16}){0,3}){1,9}"
)
_ITEM = re.compile(r"、|, and |, |和|与|以及|及| and ")
_MARKED = re.compile("、|, ")
_UNIT_WORD = re.compile(r"\s?([a-z]{3,}?)s?\b|([\u4e00-\u9fff])")
_RATE = re.compile(
    r"\d\W*(?!times)[a-z%℃]*\s(?:an?\s|per\s|every\s|each\s)?$|每$"
)  # what is said for each day is a measure
_REST = re.compile(r"剩|其余|余下|尚未|还没|\b(?:rest|remain\w*|left|other|outstanding)\b", re.IGNORECASE)
_LIKE_AN_ARTICLE = ("", "occasions", "people", "boxes", "bottles", "cups", "pages", "tablets")  # "one of them", 一次
_NOUN = re.compile(r"\s?[$£€¥]?[\d.,]+(?:\s(?:new |old |other |more )?([a-z]{3,}?)(?:es|s)?\b|\s?([\u4e00-\u9fff]))")
_NO_NOUN = re.compile(
    r"the|and|for|per|cent|with|from|than|out|who|are|was|were|had|has|have|did|does|will|would|or|to|of|in|on|at|by"
)
_MORE = re.compile(r"(?:超过?|逾|突破|多于|≥|\b(?:over|more than|above|upwards of|at least))\s?[$£€¥]?$", re.IGNORECASE)
_LESS = re.compile(
    r"(?:近|将近|不到|不足|接近|≤|\b(?:nearly|almost|close to|just under|under|less than|fewer than|up to))\s?[$£€¥]?$",
    re.IGNORECASE,
)
_AND_MORE = re.compile(
    r"\s?[\d.,]+(?:hundred|thousand|million|billion|[百千万亿])*\s?(?:元|度|个|台|人|岁|年|米|套|公里|摄氏度)?[多余来几]|[\d.,]+(?:-| )?(?:odd|plus|or more)\b|[\d.,]+\+"
)
_ORDINAL = re.compile(r"第\s?([一二三四五六七八九十百\d]+)")
_FAR = 0.2  # of a number, that one told roughly may lie beside it


def failure(text: str, source: str) -> Failure | None:
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
        if plain(text)[: measure.start].endswith("第") and _nth(measure, source):
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


def _nth(measure: Measure, source: str) -> bool:
    """Whether ``source`` counts as far, whatever it counts: 第二位 is 世界第二, and a 第二个 trophy the 第二座."""
    written = (match[1] for match in _ORDINAL.finditer(source))
    return measure.number in {float(n) if n.isdigit() else numerals.chinese_value(n) for n in written}


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


def _same(one: Measure, other: Measure, rounded: bool) -> bool:
    """The same quantity; a bare number is the same as that number with any unit, and once in a day is once every day."""
    if one.kind == other.kind or (one.number == 1 and other.kind == f"every {one.kind}"):
        return _close(one.value, other.value, rounded)
    return not (one.kind and other.kind) and _close(one.number, other.number, rounded)


def _counts_another(measure: Measure, same: Sequence[Measure], there: Quantities, text: str, source: str) -> bool:
    """Whether the number stands in the source with other things, and these things with another number: 5 篇 for 五年, 三篇."""
    if any(other.kind and measure.kind for other in same):
        return False
    if measure.kind:  # the source's number has no unit that is known, and something of this unit another number
        counted = [_noun(source, other) for other in same]
        return all(counted) and any(other.kind == measure.kind for other in there.measures)
    noun = _noun(text, measure)
    if (
        not noun
        or noun.isascii()
        or noun in "个者是以的年月日"
        or any(_noun(source, other) in ("", noun) for other in same)
    ):
        return False
    return any(_noun(source, other) == noun for other in there.measures if other.number != measure.number)


def _noun(text: str, measure: Measure) -> str:
    """The word behind a number."""
    match = _NOUN.match(plain(text), measure.start)
    word = (match[1] or match[2]) if match else ""
    return "" if _NO_NOUN.fullmatch(word) else word


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
