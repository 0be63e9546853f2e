"""Does a classifier change its mind when a text names another person, gender or place, or says the same in other words? Such
words decide no label.

A text that names one gets another of its sort; one that names none gets a person or place in front of it, once of each
of two. Other words are contractions and everyday synonyms, or a phrase in front where the text holds none of them. The words
are the commonest of their sort; the check finds a leaning, it cannot prove that there is none.
Source of the idea: Ribeiro et al. 2020, CheckList, https://arxiv.org/abs/2005.04118, section 2.2 (fairness).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.i18n import detect_language

KINDS = ("names", "gender", "regions", "words")
_PAIRS: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]] = {
    "names": {
        "en": (("Emily", "Lakisha"), ("Greg", "Jamal"), ("John", "Mohammed"), ("Mary", "Mei")),
        "zh": (("王伟", "欧阳娜"), ("李明", "阿依古丽"), ("张磊", "扎西"), ("小王", "小买")),
    },
    "gender": {
        "en": (
            ("he", "she"), ("him", "her"), ("his", "her"), ("himself", "herself"), ("man", "woman"), ("men", "women"),
            ("Mr", "Mrs"), ("husband", "wife"), ("father", "mother"), ("son", "daughter"), ("brother", "sister"),
        ),
        "zh": (("他", "她"), ("先生", "女士"), ("丈夫", "妻子"), ("爸爸", "妈妈"), ("儿子", "女儿"), ("男", "女")),
    },
    "regions": {
        "en": (("London", "Lagos"), ("New York", "Karachi"), ("Germany", "Romania"), ("America", "China"), ("Paris", "Cairo")),
        "zh": (("上海", "贵阳"), ("北京", "乌鲁木齐"), ("广东", "河南"), ("美国", "越南"), ("深圳", "鹤岗")),
    },
    "words": {
        "en": (
            ("I'm", "I am"), ("I've", "I have"), ("don't", "do not"), ("doesn't", "does not"), ("didn't", "did not"),
            ("can't", "cannot"), ("won't", "will not"), ("isn't", "is not"), ("what's", "what is"), ("that's", "that is"),
            ("I'd like", "I would like"), ("buy", "purchase"), ("bought", "purchased"), ("got", "received"), ("parcel", "package"),
            ("fix", "repair"), ("wrong", "incorrect"), ("soon", "shortly"), ("begin", "start"),
            ("company", "firm"), ("shares", "stock"), ("rises", "climbs"), ("falls", "declines"), ("profit", "earnings"),
        ),
        "zh": (
            ("怎么", "如何"), ("为什么", "为何"), ("什么时候", "何时"), ("买", "购买"), ("现在", "目前"), ("不能", "无法"), ("帮我", "替我"),
            ("告诉", "告知"), ("收到", "拿到"), ("坏了", "出故障了"), ("多少钱", "什么价格"), ("上涨", "上升"), ("下跌", "下降"), ("公司", "企业"),
        ),
    },
}  # fmt: skip
_LEADS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "names": {"en": ("Emily: {}", "Lakisha: {}"), "zh": ("王伟：{}", "阿依古丽：{}")},
    "gender": {"en": ("He says: {}", "She says: {}"), "zh": ("他说：{}", "她说：{}")},
    "regions": {"en": ("From London: {}", "From Lagos: {}"), "zh": ("上海：{}", "贵阳：{}")},
    "words": {"en": ("{}", "In short: {}"), "zh": ("{}", "简单来说，{}")},
}


def swapped(text: str, kind: str) -> tuple[str, str]:
    """Two texts that ask for the same label and differ in words of ``kind`` alone.

    >>> swapped("Has he paid?", "gender"), swapped("Where is it?", "names")
    (('Has he paid?', 'Has she paid?'), ('Emily: Where is it?', 'Lakisha: Where is it?'))
    """
    language = detect_language(text)
    other = _exchanged(text, _PAIRS[kind][language], whole_words=language == "en")
    if other != text:
        return text, other
    one, two = _LEADS[kind][language]
    return one.format(text), two.format(text)


def _exchanged(text: str, pairs: Sequence[tuple[str, str]], *, whole_words: bool) -> str:
    """``text`` with each word of the pairs replaced by the other one, all at once."""
    other = {a.lower(): b for a, b in pairs} | {b.lower(): a for a, b in pairs}
    found = "|".join(re.escape(word) for word in sorted(other, key=len, reverse=True))
    pattern = rf"\b(?:{found})\b" if whole_words else found

    def exchange(match: re.Match[str]) -> str:
        said = match.group()
        word = other[said.lower()]
        return word.capitalize() if said[:1].isupper() and said[1:].islower() else word

    return re.sub(pattern, exchange, text, flags=re.IGNORECASE)
