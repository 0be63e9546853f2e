"""Who is on which side of what happened between two: who beat whom, who was chosen over whom, who stands first in a list.

A claim can have every word of its source and still give the victory to the loser. Verbs that have two sides tell who is
on which, in the active and in the passive voice; a list in order tells who is first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from core.retrieval import tokens
from core.retrieval.measures import plain

# What stands after these has lost, or was not chosen; after the second ones it has won.
_OVER = re.compile(
    r"\b(?:beat(?:s|ing)?|defeat(?:s|ed|ing)|overc[ao]m(?:e|es|ing)|edg(?:ed|ing)|thrash(?:ed|ing)|outbid(?:ding)?|outsold|outsell(?:s|ing)?|overt(?:ook|aking)|knock(?:ed|ing) out|eliminat(?:ed|ing)"
    r"|w[io]n(?:s|ning)? (?:\w+ ){0,5}?against|rather than|instead of|over(?= (?:bids? |proposals? |offers? |those |that )?(?:by |from |of )?(?-i:[A-Z]))|ahead of|acquir(?:ed|es|ing)|bought|t(?:ook|aking) over|su(?:ed|es|ing)|replac(?:ed|es|ing)|succeed(?:ed|s|ing)?)\b"
    r"|战胜|击败|打败|力克|击退|险胜|淘汰|收购|并购|取代|接替|领先于?|起诉",
    re.IGNORECASE,
)
_UNDER = re.compile(
    r"\b(?:(?:was|were|been|being|is|are) (?:\w+ly )?(?:beaten|defeated|overcome|edged|thrashed|outbid|outsold|overtaken|knocked out|eliminated|acquired|bought|taken over|sued|replaced|succeeded) by|los(?:t|es|ing) (?:\w+ ){0,5}?(?:to|against))\b"
    r"|负于|不敌|输给|败给|被(?=[^，。；]{1,12}(?:战胜|击败|打败|淘汰|收购|取代|接替|起诉))",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b[A-Z][A-Za-z]+(?:['’]s)?(?: [A-Z][A-Za-z]+)*")
_WON = re.compile(
    r"\b(?:w[io]n(?:s|ner|ning)?|victor(?:y|ious)|champions?|title|first|gold|recommended|chosen|chose|selected|preferred|picked|awarded)\b|赢|冠军|夺冠|获胜|取胜|胜出|金牌|中标|首次捧|选中",
    re.IGNORECASE,
)
_LOST = re.compile(
    r"\b(?:los(?:t|e|es|ing|er|ers)|beaten|defeated|runner|second|silver|final(?:ist|ists)|despite|not|n['’]t|without|behind|rejected|passed over)\b|输|负|亚军|第二|不敌|失利|没|未|不|落选|止步",
    re.IGNORECASE,
)
_ORDERED = re.compile(r"(?:依次(?:是|为|有)?|排名前[^，。；]{1,12}(?:是|为))(?P<list>[^，。；]+)")
_FIRST = re.compile(r"最[多大高]|第一|首位|榜首|居首|冠军|头名")
_NOT_FIRST = re.compile(r"第[二三四五]|其次|次之|仅次|紧随|之后|除")
_AFTER = re.compile(
    r"(?:\bsecond\b[^.;]*?\b(?:after|behind|to|only to)\s+(?:the )?(?P<a>(?-i:[A-Z])[\w'’ -]+)|仅次于(?P<b>[^，。；]+))",
    re.IGNORECASE,
)
_SECOND = re.compile(r"\bsecond\b|第二|次之|居次", re.IGNORECASE)
_BEHIND = re.compile(r"\b(?:after|behind|first|only)\b|仅次于|之后|第一|最", re.IGNORECASE)
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_BEFORE, _BEHIND_IT = 40, 24  # characters on either side of a Chinese verb that name who is there


def changed(claim: str, sentences: Sequence[str]) -> bool:
    """Whether ``claim`` puts somebody on the other side than ``sentences`` do.

    >>> changed("Dubois won the final against Nakashima.", ["In the final, Nakashima beat Dubois 6-4."])
    True
    >>> changed("Argentina lost the final to Uruguay.", ["Uruguay won the Cup, beating Argentina 4-2."])
    False
    >>> changed("陈明夺得冠军", ["决赛中，林远战胜陈明，首次夺得冠军。"]), changed("出口最多的是乙公司", ["排名前三的依次为甲公司、乙公司和丙公司。"])
    (True, True)
    """
    mine = list(_sides(claim))
    for sentence in sentences:
        for above, below in _sides(sentence):
            if any(_same(above, other) and _same(below, one) for one, other in mine):
                return True
            if not mine and _names(claim, below, above) and _WON.search(claim) and not _LOST.search(claim):
                return True
        if _out_of_order(claim, sentence) or _behind(claim, sentence):
            return True
    return False


def _sides(text: str) -> Iterator[tuple[str, str]]:
    """Who is above and who is below, as written."""
    chinese = bool(_HAN.search(text))
    for pattern, turned in ((_OVER, False), (_UNDER, True)):
        for match in pattern.finditer(text):
            if not turned and any(m.start() <= match.start() < m.end() + 16 for m in _UNDER.finditer(text)):
                continue
            before, behind = text[: match.start()], text[match.end() :]
            if chinese:
                one, other = re.split("[，。；]", before)[-1][-_BEFORE:], re.split("[，。；]", behind)[0][:_BEHIND_IT]
            else:
                names = [m[0] for m in _NAME.finditer(before) if not tokens.is_stop(m[0].lower())]
                one = names[-1] if names else ""
                following = _NAME.search(re.split(r"[.;]", behind)[0])
                other = following[0] if following else ""
            if one and other:
                yield (other, one) if turned else (one, other)


def _same(one: str, other: str) -> bool:
    """Whether both name the same, as far as either is named at all."""
    return bool(_own(one, "") & _own(other, ""))


def _names(claim: str, one: str, other: str) -> bool:
    """Whether ``claim`` has what only ``one`` has, and nothing that only ``other`` has."""
    there, own = _own(claim, ""), _own(one, other)
    least = min(2, len(own)) if _HAN.search(one) else 1
    return bool(own) and len(there & own) >= least and not there & _own(other, one)


def _own(text: str, other: str) -> set[str]:
    return set(_parts(text)) - set(_parts(other))


def _parts(text: str) -> Iterator[str]:
    """Words with a capital, or pairs of Han characters."""
    for run in _HAN.findall(tokens.normalized(plain(text))):
        yield from (run[n : n + 2] for n in range(len(run) - 1))
    for match in _NAME.finditer(text):
        yield from (word.lower().removesuffix("'s").removesuffix("’s") for word in match[0].split())


def _out_of_order(claim: str, sentence: str) -> bool:
    """Whether the claim puts first what stands further down a list."""
    match = _ORDERED.search(sentence)
    if not match or not _FIRST.search(claim) or _NOT_FIRST.search(claim):
        return False
    first, *others = re.split("[、和及与]", match["list"])
    return first not in claim and any(len(other) > 1 and other in claim for other in others)


def _behind(claim: str, sentence: str) -> bool:
    """Whether the claim calls second what something else is second to."""
    match = _AFTER.search(sentence)
    if not match or not _SECOND.search(claim) or _BEHIND.search(_SECOND.sub("", claim)):
        return False
    ahead = match["a"] or match["b"]
    rest = sentence.replace(ahead, "")
    return _names(claim, ahead, rest) and not _names(claim, rest, ahead)
