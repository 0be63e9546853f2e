"""What is bound to a value: its side (before, after, at least), its rate (a month, a week), its start (from purchase).

A value can stand in the source and still be said of something else: 14:00 前 where the source has 14:00 后, $30 a
week for $30 a month, three days from the order for three days from delivery. And two values of one kind tell which
of two things has more of it, so a comparison that the source only implies can be checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from core.retrieval import denial, polarity, tokens
from core.retrieval.concepts import concepts
from core.retrieval.measures import plain, quantities

Failure = Literal["comparison", "unit", "date", "negation"]

# The value as written, with a unit of at most a few letters, and the sign of its side before or behind it.
_VALUE = r"(?P<value>\d+(?:[:.]\d+)*)"
_HAN_SIDE = re.compile(
    rf"(?P<bound>[≤≥])?\s{{0,2}}{_VALUE}\s?(?:周岁|[\u4e00-\u9fff]{{0,3}}?)\s{{0,2}}(?P<side>前|后|[≤≥])(?!台|往|来|者|续)"
    rf"|(?P<before>[≤≥])\s{{0,2}}(?P<bare>\d+(?:[:.]\d+)*)"
)
_WORD_SIDE = re.compile(
    r"(?P<side>≤|≥|\bbefore\b|\bafter\b|\buntil\b|\bfrom\b|\bsince\b)\s{0,2}(?:the )?[$£€¥]?(?P<value>\d+(?:[:.,]\d+)*)"
)
_FROM_TO = re.compile(
    r"(?P<least>\d+(?:[:.]\d+)*)\s?(?:至|到|[-–~]|\bto\b|\band\b)\s?(?P<most>\d+(?:[:.]\d+)*)(?![\d.])"
)
_THE_REST = re.compile(
    r"其余|否则|[超不][过足满]\d*[^，。；\d]{0,2}的|以上的|以下的|此后|其后|\b(?:after (?:which|that)|thereafter|beyond that|otherwise|(?:larg|small|long|short|old|young|high|low|cheap)er ones)\b"
)
_AHEAD = re.compile(
    r"(?i)\b(?:no|not) later than (?=\S+ \w+ (?:before|ahead|prior|in advance))"
)  # a day before, or more
_SIDE = {"前": "<", "before": "<", "until": "<", "≤": "<", "后": ">", "after": ">", "from": ">", "since": ">", "≥": ">"}
_RATE = re.compile(
    r"(?P<value>\d+(?:[.,]\d+)*)\s?(?:[a-z]+ )?(?:a|an|1|every 1|per|each|every) (?P<unit>second|minute|hour|day|night|week|month|year|quarter)\b"
)
_RATE_HAN = re.compile(
    r"每1?个?(?P<unit>秒|分钟|小时|天|日|晚|周|星期|月|季度|年)[^，。；\d]{0,6}(?P<value>\d+(?:\.\d+)?)"
)
_SAME_UNIT = {"日": "天", "星期": "周"}
_START_HAN = re.compile(
    r"自(?P<a>[^，。；自]{1,10}?)(?:之日|当日|当天|之时|日)?(?:起|开始|算起)"
    r"|从(?P<b>[^，。；从\d]{1,10}?)(?:之日|当日|当天|那天|那日|日)(?:起|开始|算起)"
    r"|(?P<c>[\u4e00-\u9fff]{2,6}?)(?:之日|当日)?[之以]?后(?:的)?(?=\d+(?:个工作日|工作日|小时|分钟|天|日|周|个月|个星期|年)内)"
)
_START_WORD = re.compile(
    r"\b(?:from|after|of|since|following|starting (?:on|from)) (?:the )?(?:(?:date|day|time|moment) (?:of|on which|that|when) )?"
    r"(?P<a>purchase|deliver\w*|receipt|receiv\w*|order\w*|issu\w*|install\w*|manufactur\w*|payment|registration|arriv\w*|dispatch\w*|ship\w*|opening|signing|production|sale|approval|application|booking|discharge|surgery)\b"
)
_MORE_HAN = re.compile(
    r"(?P<one>[^，。；比]{1,20})比(?P<two>[^，。；比]{1,20}?)(?:还|要|更|都|稍|略)*(?P<more>[大高长多重贵远久晚厚宽深]|[小低短少轻近早薄窄浅]|便宜)(?!家|学)"
)
_LESS_HAN = frozenset("小低短少轻近早薄窄浅便")
_COMPARED = re.compile(
    r"(?P<one>[^,.;]*?)\b(?P<word>more|longer|larger|higher|heavier|bigger|taller|greater|later|older|wider|thicker|deeper|hotter|warmer|pricier|dearer|farther|further|faster"
    r"|less|fewer|shorter|smaller|lower|lighter|earlier|younger|narrower|thinner|cheaper|cooler|colder|slower|more expensive)\b[^,.;]*?\bthan\b(?P<two>[^,.;]*)"
)
_LESS = frozenset(
    [
        "less",
        "fewer",
        "shorter",
        "smaller",
        "lower",
        "lighter",
        "earlier",
        "younger",
        "narrower",
        "thinner",
        "cheaper",
        "cooler",
        "colder",
        "slower",
    ]
)
# An exception of the source, and a claim that says there is none.
_EXCEPTION = re.compile(
    r"除非|除外|除[^，。；]{1,16}[外]|但[^，。；]{0,10}(?:除外|例外)|只(?!要)|仅|\b(?:only|unless|except(?:ing|ions?)?|apart from|other than)\b"
)
_NO_EXCEPTION = re.compile(
    r"[没未不][^，。；]{1,16}也(?:可|能|会)|任何[^，。；]{1,8}都|所有[^，。；]{1,8}都|即使|即便|哪怕|无论|不论|不管|无一例外|任何情况|一律不|无一例外|没有例外|全都|\b(?:even (?:if|when|though|with)|whether or not|(?:with|makes?|are|is) no exceptions?|in all|at all|regardless|no matter|in (?:any|every) case|without exception|under any circumstances)\b"
)


def failure(claim: str, sentences: Sequence[str]) -> Failure | None:
    """What the claim binds to a value otherwise than all ``sentences`` of its source that hold the value.

    >>> failure("下午两点前入住", ["房间下午两点后入住，十二点前退房。"])
    'comparison'
    >>> failure("It pays $30 a week.", ["For two days a week it pays $30 a month."])
    'unit'
    >>> failure("自出厂之日起保修三年", ["自安装之日起保修三年。"])
    'date'
    """
    source = "\n".join(sentences)
    if _no_exception(claim, source):
        return "negation"
    claim = _AHEAD.sub("at least ", claim)
    rest = denial.turns_twice(claim) or tells_the_rest(source)  # "larger ones need a guarantor" has no value of its own
    if (not rest and _otherwise(_sides(claim), _sides(source))) or compared_otherwise(claim, sentences):
        return "comparison"
    if _otherwise(_rates(claim), _rates(source)):
        return "unit"
    return "date" if _starts_otherwise(claim, source) or _another_season(claim, source) else None


_IN_SEASON = re.compile(
    r"\b(?:in|since|until|by|next|last) (?:the |early |late |mid-)*(?P<a>spring|summer|autumn|winter)\b(?! [a-z]+s\b)|(?P<b>[春夏秋冬])[天季]"
)


def _another_season(claim: str, source: str) -> bool:
    """Whether the claim is about a season that its source does not name, while it names another."""
    claim, source = tokens.normalized(claim), tokens.normalized(source)
    named = [match["a"] or match["b"] for match in _IN_SEASON.finditer(claim)]
    return any(season not in source for season in named) and bool(_IN_SEASON.search(source) or _SEASON.search(source))


_SEASON = re.compile(r"\b(?:spring|summer|autumn|winter)\b")


def tells_the_rest(text: str) -> bool:
    """Whether ``text`` goes on from a bound to what lies beyond it, without telling it again."""
    return bool(_THE_REST.search(tokens.normalized(plain(text))))


def _otherwise(mine: dict[str, set[str]], there: dict[str, set[str]]) -> bool:
    return any(value in there and not (bound & there[value]) for value, bound in mine.items())


def _sides(text: str) -> dict[str, set[str]]:
    """By value, on which sides of it something is said to lie."""
    spelled = polarity.spelled(plain(text))
    found: dict[str, set[str]] = {}
    for match in _HAN_SIDE.finditer(spelled):
        if side := match["side"] or match["bound"] or match["before"]:
            found.setdefault(match["value"] or match["bare"], set()).add(_SIDE[side])
    for match in _FROM_TO.finditer(spelled):
        found.setdefault(match["least"], set()).add(">")
        found.setdefault(match["most"], set()).add("<")
    for match in _WORD_SIDE.finditer(spelled):
        found.setdefault(match["value"], set()).add(_SIDE[match["side"]])
    return found


def _rates(text: str) -> dict[str, set[str]]:
    """By value, per what it is counted."""
    text = tokens.normalized(plain(text))
    found: dict[str, set[str]] = {}
    for pattern in (_RATE, _RATE_HAN):
        for match in pattern.finditer(text):
            unit = _SAME_UNIT.get(match["unit"], match["unit"])
            found.setdefault(match["value"], set()).add(unit)
    return found


def _starts_otherwise(claim: str, source: str) -> bool:
    """Whether a period runs from one event in the claim and from events unlike it in the source."""
    mine, there = _starts(claim), _starts(source)
    return bool(mine and there) and not any(_alike(a, b) for a in mine for b in there)


def _starts(text: str) -> list[str]:
    text = tokens.normalized(plain(text))
    matches = [m for pattern in (_START_HAN, _START_WORD) for m in pattern.finditer(text)]
    found = [next(group for group in m.groups() if group) for m in matches]
    return [event for event in found if not quantities(event).moments and not event[-1].isdigit()]


def _alike(one: str, other: str) -> bool:
    if one.isascii():
        return bool(set(tokens.tokens(one)) & set(tokens.tokens(other)) or concepts(one) & concepts(other))
    return bool(set(one) & set(other) or concepts(one) & concepts(other))


_EXCEPTED = re.compile(
    r"\b(?:except(?:ing)?(?: for)?|apart from|excluding|other than|with the exception of) (?:the |in |on |at |for )*(?P<a>[a-z]+(?: [a-z]+)?)|除(?:了)?(?P<b>[^，。；]{2,8}?)(?:外|以外|之外)|[，、](?P<c>[^，。；]{2,8}?)除外"
)
_INCLUDED = re.compile(
    r"\b(?:including|as well as|even) (?:the |in |on |at |for )*(?P<a>[a-z]+(?: [a-z]+)?)|(?:包括|连同|含)(?P<b>[^，。；]{2,8})|连(?P<c>[^，。；]{2,8}?)(?:也|都)"
)


def _added(one: re.Pattern[str], source: str, other: re.Pattern[str], claim: str) -> bool:
    """Whether what the source excepts is included in the claim, or the other way round."""
    excepted = [_own(next(filter(None, match.groups())), "") for match in one.finditer(source)]
    included = [_own(next(filter(None, match.groups())), "") for match in other.finditer(claim)]
    return any(a and b and (a <= b or b <= a) for a in excepted for b in included)


def _no_exception(claim: str, source: str) -> bool:
    claim, source = tokens.normalized(claim), tokens.normalized(source)
    if _added(_EXCEPTED, source, _INCLUDED, claim) or _added(_INCLUDED, source, _EXCEPTED, claim):
        return True
    return bool(_NO_EXCEPTION.search(claim) and _EXCEPTION.search(source) and not _NO_EXCEPTION.search(source))


def compared_otherwise(claim: str, sentences: Sequence[str]) -> bool:
    """Whether of two things the claim gives more to the one that has less in the source.

    The source either compares them itself, or gives both a value of one kind.

    >>> compared_otherwise("Junior matches are longer than senior matches.", ["Junior matches last 40 minutes and senior matches an hour."])
    True
    """
    for one, more, two in _comparisons(claim):
        mine, yours = _own(one, two), _own(two, one)
        if not mine or not yours:
            continue
        for other_one, other_more, other_two in (found for s in sentences for found in _comparisons(s)):
            first, second = _own(other_one, other_two), _own(other_two, other_one)
            straight, turned = bool(yours & second), bool(mine & second)
            if straight != turned and (first or second):
                if (straight and more != other_more) or (turned and more == other_more):
                    return True
                break
        else:
            if _values_say_otherwise(mine, yours, more, sentences):
                return True
    return False


def _comparisons(text: str) -> list[tuple[str, bool, str]]:
    """(one thing, whether it has more, the other thing); "longer than 2 days" compares no two things."""
    text = tokens.normalized(plain(text))
    found = [(m["one"], m["more"][0] not in _LESS_HAN, m["two"]) for m in _MORE_HAN.finditer(text)]
    two = ((m["one"], m["word"] not in _LESS, m["two"]) for m in _COMPARED.finditer(text))
    return found + [row for row in two if not row[2].lstrip()[:1].isdigit()]


def _own(one: str, other: str) -> set[str]:
    """What names ``one`` and not ``other``."""
    return set(tokens.content_terms(one)) - set(tokens.content_terms(other))


_PIECES = re.compile(r"[，,；;。]|\b(?:and|while|but|whereas|or)\b|而")


def _values_say_otherwise(mine: set[str], yours: set[str], more: bool, sentences: Sequence[str]) -> bool:
    pieces = [piece for sentence in sentences for piece in _PIECES.split(sentence) if piece.strip()]
    measured = [set(tokens.tokens(piece)) for piece in pieces if quantities(piece).measures]
    shared = {term for terms in measured for term in terms if sum(term in other for other in measured) > 1}
    mine, yours = mine - shared, yours - shared
    values: list[dict[str, float]] = []
    for names, others in ((mine, yours), (yours, mine)):
        held: dict[str, float] = {}
        for piece in pieces:
            terms = set(tokens.tokens(piece))
            if names & terms and not others & terms:
                for measure in quantities(piece).measures:
                    held.setdefault(measure.kind, measure.value)
        values.append(held)
    both = [kind for kind in values[0] if kind and kind in values[1] and values[0][kind] != values[1][kind]]
    return len(both) == 1 and (values[0][both[0]] > values[1][both[0]]) != more
