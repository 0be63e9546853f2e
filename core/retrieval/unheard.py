"""Names in a Chinese claim that nothing of its source hints at.

No capital tells a Chinese name. What tells it is that none of its characters stands in the source, where other words for
the same thing mostly share one with it, and the place: after "is" or "and", or between the items of a list. Names of
places that everybody knows are told by a table (``data/places.yaml``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from core.retrieval import tokens
from core.retrieval.measures import plain
from core.retrieval.synonyms import said
from core.retrieval.wording import words

TABLE = Path(__file__).parent / "data" / "places.yaml"
_IN_A_ROW, _NAMED, _SHORT = 5, 3, 2  # characters: anywhere, where a name can begin, and where one ends there, too
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_BEGINS = re.compile(r"(?<=[、和与及是为由叫即])(?=([\u4e00-\u9fff]{2,}))")
_BETWEEN = re.compile(r"[\u4e00-\u9fff]+?(?=[,，。、;；和与及]|$)")
_LONGEST = 6


def unheard(claim: str, known: str) -> bool:
    """Whether ``claim`` has a name that ``known``, its source and what else may be repeated, has nothing of.

    >>> unheard("作者是纳撒尼尔森", "作者是小林"), unheard("作者也能拿回画作", "画归还给作者"), unheard("请提前通知经理", "")
    (True, False, False)
    >>> unheard("前身是朵云轩，建于清代", "前身为松竹斋，建于清代"), unheard("他生于四川", "他生于湖南")
    (True, True)
    >>> unheard("黄河南岸有渡口", "渡口在黄河的南边"), unheard("以上海拔适合种茶", "高海拔地区适合种茶")
    (False, False)
    """
    claim, known = tokens.normalized(plain(claim)), tokens.normalized(known)
    if any(match[0] not in known for match in _places().finditer(claim)):
        return True
    shared = {c for c in known if c > "\u4e00"}
    usual = {c for unit in said(claim).units if unit.groups for c in unit.key}
    if any(len(run) >= _IN_A_ROW for run in _strange(claim, shared | usual)):
        return True
    return any(_name_begins(match[1], shared) for match in _BEGINS.finditer(claim))


def _strange(text: str, heard: set[str]) -> list[str]:
    """Runs of characters that are not ``heard`` and do not say how or whether."""
    runs = "".join(" " if c in heard else c for c in text)
    return [
        piece
        for run in _HAN.findall(runs)
        for piece in "".join(" " if word.light else word.text for word in words(run)).split()
    ]


def _name_begins(text: str, shared: set[str]) -> bool:
    runs = _strange(text, shared)
    first = runs[0] if runs and text.startswith(runs[0]) else ""
    item = _BETWEEN.match(text)
    whole = item is not None and item[0] == first and len(first) <= _LONGEST
    return len(first) >= (_SHORT if whole else _NAMED) and not any(unit.groups for unit in said(first).units)


@lru_cache(maxsize=1)
def _places() -> re.Pattern[str]:
    import yaml

    read = yaml.safe_load(TABLE.read_text("utf-8"))
    sure, unsure = (
        "|".join(sorted((name for line in read[key] for name in line.split()), key=len, reverse=True))
        for key in ("zh", "zh_where_a_name_can_be")
    )
    return re.compile(f"{sure}|(?<=[在到于从往赴自去来抵为由是和与及、])(?:{unsure})|(?:{unsure})(?=[省市人籍])")
