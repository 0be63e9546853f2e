"""Words and pieces of words as features: TF-IDF over n-grams, Chinese and English.

Words give unigrams and pairs; inside a word, pieces of 2 to 5 characters forgive typos and endings. A run of Han
characters has no spaces, so its pieces of 1 to 3 characters take the place of words. The two kinds are weighted
apart, each to length 1, so that long words do not drown short ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECE = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+|[?!？！]")
_IS_HAN = re.compile(f"[{_HAN}]")
KINDS = ("w", "c")  # words and pairs of words; pieces of words and of Han runs


def grams(text: str) -> dict[str, Counter[str]]:
    """The n-grams of ``text`` by kind.

    >>> sorted(grams("退货 ok")["w"])
    ['ok', '退', '货', '退货']
    """
    words: list[str] = []
    pieces: list[str] = []
    before = ""
    for piece in _PIECE.findall(unicodedata.normalize("NFKC", text).lower()):
        if _IS_HAN.match(piece):
            words += piece
            words += [piece[i : i + 2] for i in range(len(piece) - 1)]
            pieces += _inner(piece, (2, 3, 4))
            before = ""
            continue
        words.append(piece)
        if before:
            words.append(f"{before} {piece}")
        before = piece
        pieces += _inner(piece, (2, 3, 4, 5))
    return {"w": Counter(words), "c": Counter(pieces)}


@lru_cache(maxsize=20_000)  # most words come again and again
def _inner(piece: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
    padded = f" {piece} "
    return tuple(padded[i : i + n] for n in sizes for i in range(len(padded) - n + 1))


@dataclass(frozen=True)
class Vocabulary:
    """The n-grams that count, and how much each tells: ``idf[i]`` belongs to ``terms[i]`` (``w:…`` or ``c:…``)."""

    terms: tuple[str, ...]
    idf: np.ndarray

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {term: i for i, term in enumerate(self.terms)}

    @cached_property
    def _places(self) -> Mapping[str, Mapping[str, int]]:
        """The place of each n-gram, by kind."""
        found: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        for i, term in enumerate(self.terms):
            kind, _, gram = term.partition(":")
            found[kind][gram] = i
        return found

    def rows(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``texts`` as a sparse matrix in CSR form: ``(indptr, indices, values)``, int32, int32 and float32.

        Values are (1 + log tf) · idf, each kind of a text scaled to length 1.
        """
        import numpy as np

        starts, columns, counts, ends = [0], list[int](), list[int](), list[int]()
        for text in texts:
            for kind, found in grams(text).items():
                place = self._places[kind].get
                known = [(i, count) for gram, count in found.items() if (i := place(gram)) is not None]
                if known:
                    columns += [i for i, _ in known]
                    counts += [count for _, count in known]
                    ends.append(len(columns))
            starts.append(len(columns))
        ids = np.array(columns, np.int32)
        values = (1 + np.log(np.array(counts, np.float32))) * self.idf[ids]
        if ends:
            begins = np.array([0, *ends[:-1]])
            lengths = np.sqrt(np.add.reduceat(values.astype(np.float64) ** 2, begins))
            values = values / np.repeat(lengths, np.diff([0, *ends]))
        return np.array(starts, np.int32), ids, values.astype(np.float32)


def learn(texts: Iterable[str], *, most: int = 30_000) -> Vocabulary:
    """The vocabulary of ``texts``: of each kind the ``most`` / 2 n-grams that occur in most texts.

    idf = 1 + log((1 + n) / (1 + df)), as in scikit-learn.
    """
    import numpy as np

    frequency = {kind: Counter[str]() for kind in KINDS}
    count = 0
    for text in texts:
        count += 1
        for kind, counts in grams(text).items():
            frequency[kind].update(counts.keys())
    kept = [
        (f"{kind}:{gram}", df)
        for kind, table in frequency.items()
        for gram, df in sorted(table.items(), key=lambda item: (-item[1], item[0]))[: most // 2]
    ]
    idf = 1 + np.log((1 + count) / (1 + np.array([df for _, df in kept], np.float32)))
    return Vocabulary(tuple(term for term, _ in kept), idf.astype(np.float32))
