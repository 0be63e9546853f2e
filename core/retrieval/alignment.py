"""Which part of a source a claim repeats, and whether it says the same there: not denied, not reversed, not crossed."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from core.i18n import detect_language
from core.retrieval import (
    anchors,
    bounds,
    denial,
    focus,
    opposites,
    pairing,
    polarity,
    sentences,
    sides,
    slots,
    tokens,
    turned,
)
from core.retrieval.measures import Quantities, plain, quantities
from core.retrieval.slots import Slot
from core.retrieval.synonyms import said as said_of
from core.retrieval.wording import HEADS

Failure = Literal["name", "negation", "comparison", "attribution", "unit", "date"]
_CLAUSE = re.compile(
    r"[，；。！？]+|[,;：:!?]+(?!\d)|(?<!\b[A-Z][a-z])(?<!\bMrs)(?<!\b[A-Za-z])\.(?=\s|$)|(?<=\b[ap]\.m)\.(?=\s*$)|\s[-–—]\s|—+|\b(?:and|but|while|whereas|although|though|however)\b|(?<!\d)并且?|(?<![不非])但是?|而(?!且)",
    re.IGNORECASE,
)
_SENTENCES, _RELEVANT = (
    4,
    0.35,
)  # at most so many of a source are about the matter, those that say so much of what the best says
_ALIKE = 0.5  # of a clause that one of the source says in these or other words, if both can be compared
_NEAR = 0.8  # a clause this near to the best is as good
_HALF = 0.5  # a clause so near may be the one that is denied
_LOOSELY = 0.3  # a denial so near may be the one that is repeated
_SCOPE = 2  # terms behind a denial that are denied by it
_COPIED = 0.7  # of a claim of several clauses that a sentence repeats, so that what differs is something exchanged
_CROSSED = 2.0  # a rival clause must hold this many times more of what is said
_CAPITAL = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b(?! \d)")
_CALENDAR = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?|January|February|March|April|May|June|July|August|September|October|November|December"
)
_SURNAMES = "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚"
_PERSON = re.compile(
    rf"(?:^|[由与和、请是师理席长任员者总授士生官记手人的任命聘同及])([{_SURNAMES}][\u4e00-\u9fff]{{1,2}})(?=[提负说在于因担获以表宣建认指将已也则夺来去是的，。、；为做]|$)"
)
_NAMED = re.compile(f"(?<![假高上入开罢住进到离本全多])(?:{HEADS})(?![东西南北口家际区])")  # 地处山东 names no mountain
_OTHERS = re.compile(r"其他|其它|其余|否则|\b(?:others|otherwise|else)\b", re.IGNORECASE)
_LISTS = re.compile(r"包括|例如|比如|\b(?:including|such as|for example)\b", re.IGNORECASE)
_HALF_WIDTH = re.compile(r"(?<=[\u4e00-\u9fff”》）])[,;:?!]|[,;:?!](?=[\u4e00-\u9fff“《（])")
_FULL_WIDTH = str.maketrans(",;:?!", "，；：？！")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_POINTING = frozenset("该本此某每各全新旧原同另其这那一二三四五六七八九十两几多数所有任何第")


@dataclass(frozen=True)
class Clause:
    text: str

    @cached_property
    def terms(self) -> frozenset[str]:
        return _terms(self.text)

    @cached_property
    def denied(self) -> bool:
        return polarity.denies(plain(self.text))

    @cached_property
    def content(self) -> frozenset[str]:
        return frozenset(t for t in tokens.content_terms(polarity.affirmed(plain(self.text))))

    @cached_property
    def names(self) -> tuple[str, ...]:
        if detect_language(self.text) == "zh":
            return tuple(dict.fromkeys(m[1] for m in _PERSON.finditer(self.text)))
        found = (m[0] for m in _CAPITAL.finditer(self.text) if not tokens.is_stop(m[0].lower()))
        return tuple(dict.fromkeys(name for name in found if not _CALENDAR.fullmatch(name)))

    @cached_property
    def quantities(self) -> Quantities:
        return quantities(self.text)


@lru_cache(maxsize=2_048)
def _terms(text: str) -> frozenset[str]:
    return frozenset(t for t in tokens.tokens(plain(text)) if not tokens.is_stop(t))


def compared(claim: str, sources: Sequence[tuple[str, str]], question: str = "") -> tuple[Failure | None, list[Slot]]:
    """What is wrong with ``claim`` against ``sources`` of (title, text) in its language, if something is.

    If nothing is, also what it names instead of something in its source; words do not tell whether it is another thing.
    """
    claim, texts = marked(claim), [marked(text) for _, text in sources]
    said = clauses(claim)
    whole = [Clause(text[a:b]) for text in texts for a, b in sentences.spans(text)]
    cut = [_joined(clauses(sentence.text)) for sentence in whole]
    parts = [part for sentence in cut for part in sentence]
    if not said or not parts or any(_repeats(said, sentence) for sentence in cut):
        return None, []
    near = _near(claim, whole)
    beside = [[part.text for part in cut[n]] for n in near]
    weights = _weights(parts)
    denied = denial.otherwise(claim, [c.text for c in said], beside)
    if (
        denied
        or _denied_otherwise(claim, said, parts, weights)
        or opposites.opposed(claim, beside)
        or turned.affirmed(claim, beside)
    ):
        return "negation", []
    if any(
        _reversed(clause, claim, whole[n].text, part)
        for clause in said
        for n, part in _nearest_parts(clause, cut, near)
    ):
        return "comparison", []
    if slots.reversed_in_place([clause.text for clause in said], [part.text for part in parts]):
        return "comparison", []
    if bound := bounds.failure(claim, [sentence.text for sentence in whole]):
        return bound, []
    if _renamed(claim, "\n".join(texts + [title for title, _ in sources] + [question])):
        return "name", []
    exchanged = slots.exchanged([clause.text for clause in said], [part.text for part in parts])
    if len(said) > 1:
        exchanged += slots.exchanged([claim], [sentence.text for sentence in whole], least=_COPIED)
    told = [whole[n].text for n in near]
    if (
        pairing.crossed(claim, beside, told)
        or sides.changed(claim, told)
        or anchors.crossed([c.text for c in said], beside)
    ):
        return "attribution", []
    if singled_out := focus.moved(claim, beside):
        return singled_out, []
    if any(slot.crossed for slot in exchanged) or _crossed(claim, said, cut, weights):
        return "attribution", []
    lent = tokens.normalized("\n".join([title for title, _ in sources] + [question]))
    return None, [slot for slot in exchanged if slot.new not in lent]


def _repeats(said: Sequence[Clause], sentence: Sequence[Clause]) -> bool:
    """Whether the claim is clauses of a sentence in a row, word for word, and those it leaves out turn nothing round."""
    mine, there = _letters("".join(c.text for c in said)), [_letters(part.text) for part in sentence]
    for first in range(len(there)):
        for last in range(first + 1, len(there) + 1):
            if "".join(there[first:last]) == mine:
                left = [*sentence[:first], *sentence[last:]]
                return not any(
                    part.denied or polarity.exclusive(part.text) or denial.turns_twice(part.text) for part in left
                )
    return False


@lru_cache(maxsize=2_048)
def _letters(text: str) -> str:
    return "".join(c for c in tokens.normalized(text) if c.isalnum())


def _near(claim: str, whole: Sequence[Clause]) -> list[int]:
    """The numbers of the sentences that say most of ``claim``, in their order."""
    units = said_of(claim).units
    shares = {n: said_of(sentence.text).share(units) for n, sentence in enumerate(whole)}
    best = sorted(shares, key=lambda n: -shares[n])[:_SENTENCES]
    return sorted(n for n in best if shares[n] >= _RELEVANT * shares[best[0]])


def _nearest_parts(clause: Clause, cut: Sequence[Sequence[Clause]], near: Sequence[int]) -> list[tuple[int, Clause]]:
    """The clauses of the source that say most of ``clause``, if it is half of it, with the number of their sentence."""
    units = said_of(clause.text).units
    scored = [(said_of(part.text).share(units), n, part) for n in near for part in cut[n]]
    most = max((score for score, _, _ in scored), default=0.0)
    return [(n, part) for score, n, part in scored if score >= max(_ALIKE, _NEAR * most)]


def _reversed(clause: Clause, claim: str, sentence: str, part: Clause) -> bool:
    """Whether ``clause`` has the opposite of what stands in ``part``, and nothing beside either of them bears it."""
    if denial.turns_twice(claim) or bounds.tells_the_rest(sentence):
        return False
    return clause.denied == part.denied and all(
        polarity.reversed_axes(plain(a), plain(b), order=False)
        for a, b in ((clause.text, part.text), (claim, sentence))
    )


def _denied_otherwise(claim: str, said: Sequence[Clause], parts: Sequence[Clause], weights: dict[str, float]) -> bool:
    """Whether a clause is denied that the source affirms, or the other way round.

    A claim may cut a clause of the source in two, or draw two together; so a denial may stand in the neighbor.
    """
    if denial.turns_twice(claim):
        return False
    aligned = [[(score, part) for score, part in _scored(c, parts, weights) if not _other_time(c, part)] for c in said]
    for n, (clause, near) in enumerate(zip(said, aligned, strict=True)):
        best = near[0][0] if near else 0.0
        if not best:
            continue
        if clause.denied:
            if denial.conditional([c.text for c in said], n):
                continue
            if any(_OTHERS.search(part.text) and score >= _LOOSELY * best for score, part in near):
                continue
            if not any(part.denied and score >= _LOOSELY * best for score, part in near) and any(
                _denies(clause, part) and denial.head_held(clause.text, part.text)
                for score, part in near
                if score >= _HALF * best and not denial.forceful(part.text, claim)
            ):
                return True
        elif all(part.denied for score, part in near if score >= _NEAR * best):
            part = near[0][1]
            beside = [c for c in said if c.denied and c.content & part.content]
            if (
                not beside
                and not denial.forceful(claim, part.text)
                and not denial.required(claim, part.text)
                and _denies(part, clause)
                and denial.head_held(part.text, claim)
            ):
                return True
    return False


def _other_time(clause: Clause, part: Clause) -> bool:
    """Whether both name a time, and none of the one agrees with any of the other."""
    mine, there = clause.quantities.moments, part.quantities.moments
    return bool(mine and there) and not any(a.agrees(b) for a in mine for b in there)


def _denies(clause: Clause, other: Clause) -> bool:
    """Whether what ``clause`` denies is spoken of in ``other``."""
    if polarity.exclusive(clause.text) or polarity.exclusive(other.text):
        return False  # "only in the afternoon" and "not in the morning" say the same
    pieces = [piece for text in polarity.denied(plain(clause.text)) for piece in re.split("[,，、]", text)]
    scope = [[t for t in tokens.content_terms(piece) if len(t) > 1] for piece in pieces]
    return any(term in other.terms for terms in scope for term in terms[:_SCOPE])


def _renamed(claim: str, source: str) -> bool:
    """Whether a name's kind (华南厂, 文化中心) stands in the source only under other names."""
    if detect_language(claim) != "zh":
        return False
    claim, source = tokens.normalized(claim), tokens.normalized(source)
    for match in _NAMED.finditer(claim):
        head = match[0]
        before = claim[max(0, match.start() - 2) : match.start()]
        if (
            len(before) < 2
            or before in source
            or any(c in tokens.STOP_HAN or c in _POINTING for c in before)
            or not _HAN.fullmatch(before)
        ):
            continue
        others = [m[1] for m in re.finditer(rf"([\u4e00-\u9fff]{{2}}){head}", source)]
        if others and f"{before[-1]}{head}" not in source and all(other not in claim for other in others):
            return True
    return False


def _crossed(claim: str, said: Sequence[Clause], cut: Sequence[Sequence[Clause]], weights: dict[str, float]) -> bool:
    """Whether a name stands in the source beside other things than in the claim; for times see `anchors`, for values `slots`.

    What a later sentence says may be said of it, too.
    """
    around = "\n".join([claim, *(part.text for sentence in cut for part in sentence)])
    for clause in said:
        for name in clause.names:
            if " " not in name and re.search(rf"\b{name.lower()}\b", around):
                continue  # a word that a sentence begins with
            *first, head = name.lower().split()
            held = [[p for p in parts if name in p.text or (first and head in p.text.lower())] for parts in cut]
            own = [part for parts in held for part in parts]
            last = max((n for n, parts in enumerate(held) if parts), default=-1)
            rivals = [
                p for parts in cut[: last + 1] for p in parts if p not in own and any(n not in claim for n in p.names)
            ]
            if _elsewhere(clause, own, rivals, weights, name):
                return True
    return False


def _elsewhere(
    clause: Clause, own: Sequence[Clause], rivals: Sequence[Clause], weights: dict[str, float], anchor: str = ""
) -> bool:
    """Whether what the clause says beside ``anchor`` is said by one of ``rivals`` and hardly by any of ``own``."""
    if not own or not rivals:
        return False
    context = clause.terms - set(tokens.tokens(anchor))
    whole = sum(weights.get(t, 0.0) for t in context)

    def shared(parts: Sequence[Clause]) -> float:
        return max(sum(weights.get(t, 0.0) for t in context & p.terms) for p in parts)

    rival, mine = shared(rivals), shared(own)
    return rival > _CROSSED * mine and rival >= 0.5 * whole and mine < 0.35 * whole


def marked(text: str) -> str:
    """``text`` with the marks beside Han characters as Chinese writes them: 三人,四年 is no number of seven digits."""
    return _HALF_WIDTH.sub(lambda m: m[0].translate(_FULL_WIDTH), text)


def clauses(text: str) -> list[Clause]:
    """``text`` cut at commas and conjunctions; a piece without content joins the one after it."""
    found = [piece.strip() for piece in _CLAUSE.split(text) if piece and piece.strip()]
    return [Clause(piece) for piece in found if any(c.isalnum() for c in piece)]


def _joined(parts: Sequence[Clause]) -> list[Clause]:
    """``parts`` of a sentence, those that say nothing alone ("is forbidden", "including candles") with the one before."""
    found: list[Clause] = []
    for part in parts:
        if found and (_LISTS.match(part.text) or (part.denied and not part.content - _denying(part))):
            found[-1] = Clause(f"{found[-1].text}, {part.text}")
        else:
            found.append(part)
    return found


def _denying(part: Clause) -> set[str]:
    return {term for text in polarity.deniers(plain(part.text)) for term in tokens.tokens(text)}


def nearest(clause: Clause, others: Sequence[Clause], weights: dict[str, float]) -> list[Clause]:
    """Those of ``others`` that share most with ``clause``: the best, and those nearly as near."""
    scored = _scored(clause, others, weights)
    return [other for score, other in scored if score and score >= _NEAR * scored[0][0]]


def _scored(clause: Clause, others: Sequence[Clause], weights: dict[str, float]) -> list[tuple[float, Clause]]:
    scored = [(sum(weights.get(t, 0.0) for t in clause.terms & other.terms), other) for other in others]
    return sorted(scored, key=lambda pair: -pair[0])


def _weights(parts: Sequence[Clause]) -> dict[str, float]:
    """How much a term tells the parts apart."""
    counts = Counter(term for part in parts for term in part.terms)
    return {term: math.log(1 + len(parts) / count) * (1.0 if len(term) > 1 else 0.5) for term, count in counts.items()}
