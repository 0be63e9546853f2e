"""The words that a collection's passages hold, as they are written: what a slip of a query can have meant.

English words and codes are counted whole, Chinese as two and three neighboring characters, with the syllables they
are read as, so that no dictionary has to know a company's own words.
"""

from __future__ import annotations

import bisect
import re
from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from core.retrieval import tokens
from core.retrieval.stem import stem

_HAN = re.compile(r"[\u4e00-\u9fff]+")
_FUZZY = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ing", "in"), ("eng", "en"), ("ang", "an"))


MOST = 200_000  # different triples; beyond, those of one text are forgotten


class Lexicon:
    """How many of ``texts`` hold each word, pair and triple of Han characters. Threads may share it."""

    def __init__(self, texts: Iterable[str]) -> None:
        import numpy as np

        self.passages = 0
        self.words: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self.triples: Counter[str] = Counter()
        for text in texts:
            self.passages += 1
            normal = tokens.normalized(text)
            self.words.update(set(latin(normal)))
            runs = _HAN.findall(normal)
            self.pairs.update({run[i : i + 2] for run in runs for i in range(len(run) - 1)})
            self.triples.update({run[i : i + 3] for run in runs for i in range(len(run) - 2)})
            if len(self.triples) > 2 * MOST:
                self.triples = Counter({triple: count for triple, count in self.triples.items() if count > 1})
        self._sorted = sorted(self.words)
        self.stems = {stem(word) for word in self.words}
        self.codes = {bare(word): word for word in sorted(self.words) if tokens.is_code(word)}
        self._spellings = [word for word in self._sorted if len(word) >= 4 and not tokens.is_code(word)]
        self._letters = np.array([letters(word) for word in self._spellings], np.uint64)
        self._read_as: dict[str, list[str]] = {}
        self._read_exactly: dict[str, list[str]] = {}
        for character in sorted({c for pair in self.pairs for c in pair}):
            for syllable in readings(character):
                self._read_as.setdefault(fuzzy(syllable), []).append(character)
                self._read_exactly.setdefault(syllable, []).append(character)

    def knows(self, word: str) -> bool:
        """Whether a passage holds ``word`` (normalized) in some form, or nobody would look for it."""
        return word in self.words or stem(word) in self.stems or tokens.is_stop(stem(word)) or word in tokens.STOP_WORDS

    def begins(self, word: str) -> bool:
        """Whether a word begins with ``word``: somebody may still be typing it."""
        at = bisect.bisect_left(self._sorted, word)
        return at < len(self._sorted) and self._sorted[at].startswith(word)

    def near(self, word: str, distance: int) -> list[tuple[int, int, str]]:
        """``(distance, -passages, word)`` of the words within ``distance`` edits of ``word``, best first.

        Only those are compared whose letters are nearly the same, which a look at all of them tells in a millisecond;
        an index of what words are without a letter or two (Garbe, "SymSpell", 2012) takes a hundred times the memory.
        """
        import numpy as np

        apart = np.bitwise_count(self._letters ^ np.uint64(letters(word)))
        near = [self._spellings[i] for i in np.flatnonzero(apart <= 2 * distance)]
        close = (other for other in near if abs(len(other) - len(word)) <= distance)
        found = [(edits(word, other), -self.words[other], other) for other in close]
        return sorted(item for item in found if item[0] <= distance)

    def read_as(self, syllable: str) -> list[str]:
        """The characters of the collection that are read as ``syllable``."""
        return self._read_exactly.get(syllable, [])

    def homophones(self, syllable: str) -> list[str]:
        """The characters of the collection that are read as ``syllable``, or nearly (zh and z, ing and in)."""
        return self._read_as.get(fuzzy(syllable), [])


class Together:
    """Several lexicons read as one. Nothing is copied, so that it may be made for a single query."""

    def __init__(self, parts: Sequence[Lexicon]) -> None:
        self._parts = tuple(parts)
        self.words = _Sum([part.words for part in parts])
        self.pairs = _Sum([part.pairs for part in parts])
        self.triples = _Sum([part.triples for part in parts])
        self.codes: Mapping[str, str] = ChainMap(*[part.codes for part in parts])

    def knows(self, word: str) -> bool:
        return any(part.knows(word) for part in self._parts)

    def begins(self, word: str) -> bool:
        return any(part.begins(word) for part in self._parts)

    def near(self, word: str, distance: int) -> list[tuple[int, int, str]]:
        found = {(away, other) for part in self._parts for away, _, other in part.near(word, distance)}
        return sorted((away, -self.words[other], other) for away, other in found)

    def read_as(self, syllable: str) -> list[str]:
        return sorted({character for part in self._parts for character in part.read_as(syllable)})

    def homophones(self, syllable: str) -> list[str]:
        return sorted({character for part in self._parts for character in part.homophones(syllable)})


class _Sum:
    """Counts of several counters together."""

    def __init__(self, parts: Sequence[Counter[str]]) -> None:
        self._parts = tuple(parts)

    def __getitem__(self, key: str) -> int:
        return sum(part[key] for part in self._parts)

    def __contains__(self, key: str) -> bool:
        return any(key in part for part in self._parts)

    def __bool__(self) -> bool:
        return any(self._parts)


Words = Lexicon | Together


def latin(normal: str) -> Iterator[str]:
    """Words and codes of normalized text, without numbers."""
    for piece in tokens.pieces(normal):
        if not piece[0].isascii() or not any(c.isalpha() for c in piece):
            continue
        yield from [piece] if tokens.is_code(piece) else (part for part in re.split(r"[^a-z]+", piece) if part)


def bare(code: str) -> str:
    """``code`` without what people put between its parts or not."""
    return re.sub(r"[^a-z0-9]", "", code)


def letters(word: str) -> int:
    """Which letters ``word`` has, and which of them twice or more, as bits. One edit changes two of them at most."""
    once = twice = 0
    for character in word:
        bit = 1 << ord(character) % 32
        twice |= once & bit
        once |= bit
    return twice << 32 | once


def edits(a: str, b: str) -> int:
    """Insertions, deletions, changes and swaps of neighbors that make ``b`` of ``a``.

    >>> edits("secuirty", "security"), edits("filtre", "filters")
    (1, 2)
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, above, row = row, before, [i]
        for j, y in enumerate(b, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, above[j - 2] + 1)
            row.append(best)
    return row[-1]


@lru_cache(maxsize=20_000)
def readings(character: str) -> tuple[str, ...]:
    """The two most usual syllables a character is read as, without tones; ü is written v."""
    from pypinyin import Style, pinyin

    return tuple(dict.fromkeys(pinyin(character, style=Style.NORMAL, heteronym=True)[0]))[:2]


@lru_cache(maxsize=1)
def syllables() -> frozenset[str]:
    """All syllables that characters in use are read as."""
    from pypinyin.pinyin_dict import pinyin_dict

    common = (chr(code) for code in pinyin_dict if 0x4E00 <= code <= 0x9FFF)
    return frozenset(s for c in common for s in readings(c) if s.isascii() and s.isalpha() and set(s) & set("aeiouv"))


@lru_cache(maxsize=2000)
def fuzzy(syllable: str) -> str:
    """``syllable`` with what many speakers and keyboards do not tell apart made one."""
    for long, short in _FUZZY:
        if len(long) == 2 and syllable.startswith(long):
            syllable = short + syllable[2:]
        elif len(long) == 3 and syllable.endswith(long):
            syllable = syllable[:-3] + short
    return syllable
