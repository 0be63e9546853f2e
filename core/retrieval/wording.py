"""The words of a claim and of its source in order, and which of them can be a name.

Chinese is read character by character: no dictionary knows a company's own names. What tells a name from the words
around it are the characters that hardly ever stand in one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.retrieval import tokens
from core.retrieval.measures import plain
from core.retrieval.stem import stem


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What ends a Chinese name of a place, a body or a product.
HEADS = (
    "中心|公司|集团|基金会|委员会|协会|大学|医院|学院|银行|机场|码头|车站|酒店|超市|商场|公园|广场|体育馆|图书馆|博物馆"
    "|实验室|研究所|事务所|工厂|厂|局|厅|校|馆|站|路|街|区|市|省|县|镇|村|岛|山|湖|河|寺|桥|港|国|洲|州|班|队|社|店"
    "|座|舱|卡|集|奖|号线|药|剂|茶|色"
)
PAIRED_HEADS = frozenset(head for head in HEADS.split("|") if len(head) == 2)
# Characters that say how, when and whether.
_LIGHT = frozenset(
    "的了着过之其此该那这各某每不没未无非莫勿别能可须需要应当得会将已再又还也都就才只仅最更很便即则而并且若如倘因由于"
    "为被把让使给对向往从自到至在和与或及以按用经是有等时后前内中里外上下间共均皆约近够距离除请凡曾正所"
)
_DENIES = frozenset("不没未别能须需")
# Those of them that a name can hold in its middle at most.
_SAYS = frozenset(
    "不没未无非莫勿别能可须需要应当得会将已再又还也都就才只仅更则而并若如倘因为被把让使给对向往到至在和与或及是的了着过"
)
_EMPTY = frozenset(
    "的了着过之其此该那这每是在和与或及也都又则而从自到至于为对向将已"
)  # says nothing at either end of one
PLACES = frozenset("的了上下里内中")
OPPOSITE = frozenset("前后左右上下里外内东西南北")
_HAN_BEFORE_A_NAME = frozenset("在由于往到从自的为是因把被向对至和与或及入给按离")
_BEFORE_A_NAME = _words(
    "the a an in at on of by with for from and or no any each every this that these those its their his her our your"
    " into onto near"
)
POINTS_BACK = _words("it they them he she this that these those both one ones former latter who which")
_PRONOUN = re.compile(r"(?<![其吉])他|[她它牠]|^(?:自己|其|该|此|这|那)")
_CONNECTS = _words("所以 因此 因而 故 于是 但是 然而 不过 而且 并且 此外 另外 同时 后来 其后 随后 其中 如今 目前 现在")
_WORD = re.compile(r"[\u4e00-\u9fff]|[a-z]+(?:['’](?!s\b)[a-z]+)?|\d+(?:[.:]\d+)*%?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


@dataclass(frozen=True, slots=True)
class Word:
    """An English word, a Han character or a number, at ``start`` to ``end`` of the :func:`spelled` text."""

    text: str
    key: str
    start: int
    end: int

    @property
    def han(self) -> bool:
        return self.text > "\u4e00"

    @property
    def number(self) -> bool:
        return self.text[0].isdigit()

    @property
    def light(self) -> bool:
        """Whether it tells nothing apart."""
        return self.text in _LIGHT or tokens.is_stop(self.key)

    @property
    def empty(self) -> bool:
        """Whether it says nothing at the end of a name."""
        return self.text in _EMPTY if self.han else self.light


@lru_cache(maxsize=2_048)
def words(text: str) -> tuple[Word, ...]:
    """The words of ``text`` in order.

    >>> [word.key for word in words("运费 8 元, three bottles")]
    ['运', '费', '8', '元', '3', 'bottl']
    """
    return tuple(
        Word(m[0], stem(m[0]) if m[0].isascii() and m[0].isalpha() else m[0], m.start(), m.end())
        for m in _WORD.finditer(spelled(text))
    )


@lru_cache(maxsize=2_048)
def spelled(text: str) -> str:
    """``text`` normalised, with its numbers in plain digits."""
    return _THOUSANDS.sub("", tokens.normalized(plain(text)))


def stripped(found: Sequence[Word], a: int, b: int) -> tuple[int, int] | None:
    """The span without what is empty at its ends; ``None`` if nothing is left."""
    while a < b and found[a].empty:
        a += 1
    while b > a and found[b - 1].empty:
        b -= 1
    return (a, b) if a < b else None


def says(found: Sequence[Word]) -> bool:
    """Whether a Chinese run says how or whether, and is no name: 维也纳 and 因斯布鲁克 are names.

    >>> says(words("不能用")), says(words("维也纳")), says(words("因斯布鲁克"))
    (True, False, False)
    """
    if any(word.text in _DENIES for word in found):
        return True
    if len(found) > 3:
        return 3 * sum(word.text in _SAYS for word in found) > len(found)
    return any(word.text in _SAYS and not 0 < n < len(found) - 1 for n, word in enumerate(found))


def points_back(old: Sequence[Word], new: Sequence[Word]) -> bool:
    """Whether one of two runs only points to what the other names, or says no more than how the clause goes on.

    >>> points_back(words("它"), words("达曼港")), points_back(words("本鱼"), words("浪花鱼")), points_back(words("本"), words("丰"))
    (True, True, False)
    """
    if any(word.text in POINTS_BACK for word in (*old, *new)):
        return True
    run, other = ("".join(word.text for word in found) for found in (old, new))
    if any(text > "\u4e00" and (_PRONOUN.search(text) or text in _CONNECTS) for text in (run, other)):
        return True
    return run.startswith("本") and len(run) < 3 and len(other) > len(run)  # 本鱼, but not the 本 of 本田 for 丰田


def narrowed(found: Sequence[Word], span: tuple[int, int], both: bool) -> tuple[int, int]:
    """The number of a span where ``both`` hold one; else, first in a clause, the name that its verb follows.

    >>> narrowed(words("the judge ruled that the council had"), (0, 6), False)
    (5, 6)
    """
    a, b = span
    numbers = [n for n in range(a, b) if found[n].number]
    if both and len(numbers) == 1:
        return numbers[0], numbers[0] + 1
    if a == 0 and not found[a].han:
        a = max([n + 1 for n in range(a, b - 1) if found[n].text == "that"], default=a)
        return stripped(found, a, b) or span
    if a == 0 and found[b - 1].han and (says(found[a:b]) or numbers):
        a = max([n + 1 for n in range(a, b - 1) if found[n].text in _SAYS or found[n].number], default=a)
    return a, b


def named_at(found: Sequence[Word], a: int, *, alike: bool = True) -> bool:
    """Whether a name can stand at ``a``: after an article, a preposition or a number.

    In Chinese anywhere, if what is exchanged is ``alike`` in length.
    """
    if found[a].han:
        return alike or (a > 0 and found[a - 1].text in _HAN_BEFORE_A_NAME)
    return a > 0 and (found[a - 1].text in _BEFORE_A_NAME or found[a - 1].number)
