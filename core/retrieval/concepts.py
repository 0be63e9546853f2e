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
    han, latin = _patterns()
    normal = tokens.normalized(text)
    found = {name for match in han.finditer(normal) for name in _owners()[match[0]]}
    words = " ".join(stem(word) for word in _WORD.findall(normal))
    found.update(name for match in latin.finditer(words) for name in _owners()[match[0]])
    return frozenset(found)


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
