"""What a text is about, as concepts: the same concept for 反悔期, 无理由退货 and "changed my mind".

A customer's word and a document's word for one thing often share no character, and a small embedding model
does not always bridge the gap. The table is general for shops and services, holds Chinese and English words
together, and is one more feature beside words and vectors, never a filter.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from core.retrieval import tokens
from core.retrieval.stem import stem

TABLE = Path(__file__).parent / "data" / "concepts.yaml"
_WORD = re.compile(r"[a-z]+")


def concepts(text: str) -> frozenset[str]:
    """The concepts named in ``text``.

    >>> sorted(concepts("PS600 有几天反悔期")) == sorted(concepts("returned because I changed my mind"))
    True
    """
    normal = tokens.normalized(text)
    return frozenset(name for found in (_han(normal), _latin(normal)[1]) for _, _, names in found for name in names)


def concepts_by_term(text: str) -> dict[str, frozenset[str]]:
    """The content terms of ``text`` that a concept's words touch, with those concepts.

    >>> {term: sorted(names) for term, names in concepts_by_term("反悔期几天").items()}
    {'反悔': ['return'], '悔期': ['return']}
    """
    normal = tokens.normalized(text)
    words, in_words = _latin(normal)
    found: dict[str, set[str]] = {}
    for term in tokens.content_terms(text):
        place, matches = (normal, _han(normal)) if not term.isascii() else (words, in_words)
        for start, end, names in matches:
            at = place.find(term)
            while at >= 0:
                if at < end and start < at + len(term):
                    found.setdefault(term, set()).update(names)
                at = place.find(term, at + 1)
    return {term: frozenset(names) for term, names in found.items()}


_Matches = list[tuple[int, int, tuple[str, ...]]]


def _han(normal: str) -> _Matches:
    return [(m.start(), m.end(), _owners()[m[0]]) for m in _patterns()[0].finditer(normal)]


def _latin(normal: str) -> tuple[str, _Matches]:
    """The stemmed words of ``normal`` in a row, and the matches there."""
    words = " ".join(stem(word) for word in _WORD.findall(normal))
    return words, [(m.start(), m.end(), _owners()[m[0]]) for m in _patterns()[1].finditer(words)]


@lru_cache(maxsize=1)
def _owners() -> dict[str, tuple[str, ...]]:
    """Concepts by entry; English entries are stemmed."""
    import yaml

    owners: dict[str, list[str]] = {}
    for name, entries in yaml.safe_load(TABLE.read_text("utf-8")).items():
        for entry in map(str, entries):
            key = tokens.normalized(entry)
            if key.isascii():
                key = " ".join(stem(word) for word in _WORD.findall(key))
            owners.setdefault(key, []).append(name)
    return {key: tuple(dict.fromkeys(names)) for key, names in owners.items()}


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Entries as lookahead patterns, so that overlapping entries are all found."""
    keys = sorted(_owners(), key=len, reverse=True)
    han = "|".join(re.escape(key) for key in keys if not key.isascii())
    latin = "|".join(re.escape(key) for key in keys if key.isascii())
    return re.compile(han), re.compile(rf"\b(?:{latin})\b")
