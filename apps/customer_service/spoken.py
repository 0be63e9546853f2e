"""The language that a customer writes in, and the one in which they ask to be answered."""

from __future__ import annotations

import re
import unicodedata

from core.i18n import detect_language
from core.retrieval import tokens
from core.types import Language

_NOT_WORDS = re.compile(r"[^\w' ]+")
_REFERENCE = re.compile(
    r"[\w.+-]+@[\w.-]+|(?<![A-Za-z0-9])[A-Za-z]{0,4}(?:[ -]?\d){4,}(?![A-Za-z0-9])"
)  # belongs to no language
_ENGLISH = ("english", "英文", "英语")
_NAMED = rf"({'|'.join(_ENGLISH)}|chinese|mandarin|中文|汉语|普通话)"
_SAYS = r"(?:回答|回复|答复|告诉|介绍|解释|沟通|交流)"
_PLEASE = r"(?:(?:请|麻烦|你|您|能不能|可不可以|能|可以|直接|都|之后|接下来)*)"
_TO = r"(?:answer|reply|respond|speak|talk|write|tell me|explain|continue|switch|say (?:it|that))"
_REQUESTS = (
    re.compile(rf"{_PLEASE}(?:用|以|说|讲|换成?|改用|切换(?:到|成)?){_NAMED}(?:来|跟|和|对)*(?:{_SAYS}|说|讲|聊|答)?(?:我|一下|吧|吗|么|好吗|行吗|可以吗)*"),
    re.compile(rf"(?:(?:please|can|could|would|will|do|you|i|i'd|want|like|prefer|to|just|now|if) )*{_TO}(?: (?:it|that|me|to me|back|over))?(?: (?:in|to|with))? {_NAMED}(?: (?:please|instead|now|to me|for me|from (?:now|here) on))*"),
    re.compile(rf"(?:please )?(?:in )?{_NAMED} please|in {_NAMED}"),
)  # fmt: skip
_BEGINS = re.compile(
    rf"\s*(?:{_PLEASE}(?:用|以){_NAMED}(?:来)?{_SAYS}(?:我|一下)?(?=.)|(?:please )?{_TO} in {_NAMED} (?!please|instead|now|from|to me|for me))",
    re.IGNORECASE,
)


def plain(clause: str) -> str:
    """A clause in lower case and one width, without marks but apostrophes."""
    folded = unicodedata.normalize("NFKC", clause).lower().replace("’", "'")
    return " ".join(_NOT_WORDS.sub(" ", folded).split())


def requested(clause: str) -> Language | None:
    """The language that a clause, which says nothing else, asks to be answered in.

    >>> requested("请用英文回答"), requested("Can you speak Chinese?"), requested("Is the manual in English?")
    ('en', 'zh', None)
    """
    said = plain(clause)
    return next((_named(match) for pattern in _REQUESTS if (match := pattern.fullmatch(said))), None)


def begun_with(text: str) -> tuple[Language | None, str]:
    """The language that the beginning of a sentence asks for, and what it then says.

    >>> begun_with("用英文告诉我KT-210保修多久")
    ('en', 'KT-210保修多久')
    """
    match = _BEGINS.match(text)
    return (_named(match), text[match.end() :]) if match else (None, text)


def language_of(text: str, default: str) -> Language:
    """The language ``text`` is written in; codes, numbers and addresses of e-mail alone belong to none.

    >>> language_of("KT-210?", "zh"), language_of("KT-210 怎么退货", "en"), language_of("return KT-210", "zh")
    ('zh', 'zh', 'en')
    >>> language_of("PW 2611 0005", "zh"), language_of("PW-2611-0005", "zh")
    ('zh', 'zh')
    """
    text = unicodedata.normalize("NFKC", text)
    return "zh" if detect_language(tokens.PRODUCT.sub(" ", _REFERENCE.sub(" ", text)), default) == "zh" else "en"


def _named(match: re.Match[str]) -> Language:
    name = next(filter(None, match.groups()))
    return "en" if name.lower() in _ENGLISH else "zh"
