"""Whether a claim names one of a class (a colour, a gas, a relative) where its source names another.

No name tells a pig from a sheep; a table of things of one class does (``data/classes.yaml``). What counts is one that the source
has in no form, beside another of its class that the source has and the claim leaves out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from core.i18n import detect_language
from core.retrieval import tokens
from core.retrieval.measures import plain
from core.retrieval.synonyms import groups

TABLE = Path(__file__).parent / "data" / "classes.yaml"
_ENDS = "代朝"  # 明洪武 is of 明代
_Classes = tuple[re.Pattern[str], dict[str, list[tuple[int, int]]]]  # each word's classes, and which thing of it


def another(claim: str, source: str) -> bool:
    """Whether ``claim`` has one of a class that ``source`` has not, and ``source`` another that the claim has not.

    >>> another("The koala eats acacia leaves.", "It feeds on eucalyptus leaves.")
    True
    >>> another("The koala eats eucalyptus.", "It feeds on eucalyptus leaves, not acacia."), another("车上装的是羊", "活猪")
    (False, True)
    """
    language = "zh" if detect_language(claim) == "zh" else "en"
    mine = _things(claim, language)
    if not mine:
        return False
    there = _things(source, language)
    known = tokens.normalized(source)
    for word, (row, thing) in mine:
        held = {other for _, (r, other) in there if r == row}
        own = {other for _, (r, other) in mine if r == row}
        if (
            held
            and thing not in held
            and not held & own
            and word.rstrip(_ENDS) not in known
            and not _called_so(word, there, row)
        ):
            return True
    return False


def _called_so(word: str, there: list[tuple[str, tuple[int, int]]], row: int) -> bool:
    """Whether it is another word for what the source has: 学生 for 学员."""
    return any(groups(word) & groups(other) for other, (r, _) in there if r == row)


def _things(text: str, language: str) -> list[tuple[str, tuple[int, int]]]:
    pattern, table = _table()[language]
    text = tokens.normalized(plain(text))
    return [(match[1], place) for match in pattern.finditer(text) for place in table[match[1]]]


@lru_cache(maxsize=1)
def _table() -> dict[str, _Classes]:
    import yaml

    read: dict[str, _Classes] = {}
    for language, rows in yaml.safe_load(TABLE.read_text("utf-8")).items():
        table: dict[str, list[tuple[int, int]]] = {}
        for row, line in enumerate(rows):
            for thing, names in enumerate(line.split(",")):
                for name in names.split("="):
                    table.setdefault(tokens.normalized(name.strip()), []).append((row, thing))
        longest = "|".join(re.escape(word) for word in sorted(table, key=len, reverse=True))
        read[language] = (re.compile(f"({longest})" if language == "zh" else rf"\b({longest})(?:s|es)?\b"), table)
    return read
