"""Whether a claim has a word where its source has one that excludes it: accepted for turned down, 自愿 for 必须.

The rows of such words are in ``data/opposites.yaml``, two sides each; a side that is denied counts as the other. A row tells
something where all that the near sentences have of it is on the other side, and the clause that has it says much of
what the claim says besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from core.i18n import detect_language
from core.retrieval import denial, polarity, tokens
from core.retrieval.measures import plain
from core.retrieval.stem import stem
from core.retrieval.synonyms import matter, said
from core.retrieval.wording import words

TABLE = Path(__file__).parent / "data" / "opposites.yaml"
_ALIKE = 0.5  # of what the claim says besides, that the clause with the other word says, too
_WORD = re.compile(r"[a-z]+(?:['’-][a-z]+)*|\d+|[,.;:]")
_DENIES_HAN = re.compile(r"[不没未无非勿莫别免]|拒绝|禁止")
_DENIES = re.compile(r"\b(?:not|no|never|none|nobody|neither|nor|cannot|without|hardly|refus|fail|declin)\b|n['’]t\b")
_UN = re.compile(r"(?:un|non-?|ir|il)(\w{4,})$")
_BEFORE_HAN, _BEFORE = 3, 2  # characters or words before a word that can deny it
_Found = tuple[int, int, str]  # row, side, the word


def opposed(claim: str, sentences: Sequence[Sequence[str]]) -> bool:
    """Whether ``claim`` has the other side of a row than its source.

    Args:
        sentences: the clauses of each near sentence of the source.

    >>> opposed("He accepted the chair at Leiden", [["He was offered the chair at Leiden", "he turned it down"]])
    True
    >>> opposed("投票不是自愿的", [["投票是必须的"]])
    False
    """
    mine = _found(claim)
    if _prefixed(claim, sentences):
        return True
    if not mine or denial.turns_twice(claim) or polarity.exclusive(claim):
        return False
    for row in {row for row, _, _ in mine}:
        sides = {side for r, side, _ in mine if r == row}
        if len(sides) > 1:
            continue
        there = [
            (side, f"{before} {clause}")
            for parts in sentences
            for before, clause in zip(["", *parts], parts, strict=False)
            for r, side, _ in _found(clause)
            if r == row
        ]
        if not there or {side for side, _ in there} & sides:
            continue
        own = {word for r, _, word in mine if r == row}
        rest = [unit for unit in matter(claim) if unit.key not in own]
        if rest and any(said(text).share(rest) >= _ALIKE and not denial.turns_twice(text) for _, text in there):
            return True
    return False


def _prefixed(claim: str, sentences: Sequence[Sequence[str]]) -> bool:
    """Whether only one of both texts has a word with "un" before it, and neither denies it: secured, unsecured."""
    if detect_language(claim) == "zh" or polarity.plainly_denies(claim):
        return False
    mine = {word.text for word in words(claim)}
    for parts in sentences:
        for clause in parts:
            there = {word.text for word in words(clause)}
            for one, other in ((mine, there), (there, mine)):
                turned = {word for word in one - other if (base := _UN.match(word)) and base[1] in other - one}
                if turned and not polarity.plainly_denies(clause):
                    return True
    return False


@lru_cache(maxsize=2_048)
def _found(text: str) -> tuple[_Found, ...]:
    return tuple(_han(text) if detect_language(text) == "zh" else _english(text))


def _han(text: str) -> Iterator[_Found]:
    pattern, table = _table()["zh"]
    text = tokens.normalized(plain(text))
    for match in pattern.finditer(text):
        denied = bool(
            _DENIES_HAN.search(re.split("[,，。；]", text[max(0, match.start() - _BEFORE_HAN) : match.start()])[-1])
        )
        for row, side in table[match[0]]:
            yield row, 1 - side if denied else side, match[0]


def _english(text: str) -> Iterator[_Found]:
    pattern, table = _table()["en"]
    text = _stems(text)
    for match in pattern.finditer(text):
        before = " ".join(text[: match.start()].split()[-_BEFORE:])
        denied = bool(_DENIES.search(re.split("[,.;:]", before)[-1]))
        for row, side in table[match[0]]:
            yield row, 1 - side if denied else side, match[0]


def _stems(text: str) -> str:
    return " ".join(stem(w) if w.isalpha() else w for w in _WORD.findall(tokens.normalized(plain(text))))


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[re.Pattern[str], dict[str, list[tuple[int, int]]]]]:
    import yaml

    read = {}
    for language, rows in yaml.safe_load(TABLE.read_text("utf-8")).items():
        table: dict[str, list[tuple[int, int]]] = {}
        for row, sides in enumerate(rows):
            for side, entries in enumerate(sides):
                for word in entries:
                    table.setdefault(word if language == "zh" else _stems(word), []).append((row, side))
        longest = "|".join(re.escape(word) for word in sorted(table, key=len, reverse=True))
        read[language] = (re.compile(longest if language == "zh" else rf"(?<![\w'’-])(?:{longest})(?![\w'’-])"), table)
    return read
