"""Counting words that point up or down, with negation: features for the head and the plainest of baselines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_FILE = Path(__file__).parent / "data" / "lexicon.yaml"
_WORD = re.compile(r"[a-z][a-z'-]*")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_REACH_WORDS, _REACH_CHARACTERS = 3, 3  # how far before a word a negation turns it
_ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ly")
_LONGEST = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """A word of the lexicon in a text; ``sign`` is 1 or -1, already turned by a negation."""

    start: int
    end: int
    sign: int


def marks(text: str) -> list[Mark]:
    """The pointing words of ``text``, in order.

    >>> [(m.sign, "profit fell sharply"[m.start:m.end]) for m in marks("profit fell sharply")]
    [(1, 'profit'), (-1, 'fell')]
    >>> [m.sign for m in marks("公司否认违约")]
    [1]
    """
    return sorted([*_english(text.lower()), *_chinese(text)], key=lambda mark: mark.start)


def score(text: str) -> int:
    """How many more words point up than down."""
    return sum(mark.sign for mark in marks(text))


def features(text: str) -> list[float]:
    """Shares that grow with the words pointing up and down, and their balance; each within [-1, 1]."""
    found = marks(text)
    up = sum(mark.sign > 0 for mark in found)
    down = len(found) - up
    return [up / (up + 1), down / (down + 1), (up - down) / (len(found) + 1)]


def _english(text: str) -> Iterator[Mark]:
    signs, negations = _tables()["en"]
    words = list(_WORD.finditer(text))
    for number, word in enumerate(words):
        if sign := signs.get(word.group()):
            before = {w.group() for w in words[max(0, number - _REACH_WORDS) : number]}
            yield Mark(word.start(), word.end(), -sign if before & negations else sign)


def _chinese(text: str) -> Iterator[Mark]:
    signs, negations = _tables()["zh"]
    begins = _beginnings()
    for run in _HAN.finditer(text):
        said, at = run.group(), 0
        while at < len(said):
            if said[at] not in begins:
                at += 1
                continue
            for size in range(min(_LONGEST, len(said) - at), 0, -1):
                if sign := signs.get(said[at : at + size]):
                    near = said[max(0, at - _REACH_CHARACTERS) : at]
                    turned = any(word in near for word in negations)
                    yield Mark(run.start() + at, run.start() + at + size, -sign if turned else sign)
                    at += size
                    break
            else:
                at += 1


@cache
def _beginnings() -> frozenset[str]:
    """The first characters of the Chinese words."""
    return frozenset(word[0] for word in _tables()["zh"][0])


@cache
def _tables() -> dict[str, tuple[dict[str, int], frozenset[str]]]:
    told = yaml.safe_load(_FILE.read_text("utf-8"))
    tables = {}
    for language, lists in told.items():
        signs: dict[str, int] = {}
        for name, sign in (("positive", 1), ("negative", -1)):
            for word in lists[name].split():
                signs[word] = sign
        if language == "en":
            for word, sign in list(signs.items()):
                for ending in _ENDINGS:
                    signs.setdefault(word + ending, sign)
        tables[language] = (signs, frozenset(lists["negation"].split()))
    return tables
