"""The catalogue searched by text: words by BM25 and meaning by vectors, put together as core/retrieval does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from apps.recommendation.data import Item
from apps.recommendation.log import Array, dots
from core.retrieval import fuse
from core.retrieval.bm25 import idf
from core.retrieval.tokens import query_terms, tokens

K1, B = 1.2, 0.75
DEEP = 200  # of each leg
NEAR = 2.5  # deviations above the mean that a text must be nearer to the question, to be found by meaning alone


class Words:
    """The words of all items. Made once for a fit."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._postings: dict[str, list[tuple[int, int]]] = {}
        lengths = []
        for number, item in enumerate(items):
            counts = Counter(tokens(item.text()))
            lengths.append(sum(counts.values()))
            for term, count in counts.items():
                self._postings.setdefault(term, []).append((number, count))
        self._lengths = np.array(lengths, float)
        self._mean = max(1.0, float(self._lengths.mean())) if lengths else 1.0

    def scores(self, text: str) -> dict[int, float]:
        """BM25 of the items that have a word of ``text``."""
        found: dict[int, float] = {}
        for term in query_terms(text):
            held = self._postings.get(term, ())
            weight = idf(len(held), len(self._lengths))
            for number, count in held:
                long = 1 - B + B * float(self._lengths[number]) / self._mean
                found[number] = found.get(number, 0.0) + weight * count * (K1 + 1) / (count + K1 * long)
        return found


def found(words: Words, text: str, vectors: Array | None, question: Array | None) -> list[int]:
    """Numbers of the items found, the best first; none when no word is there and no text is near."""
    keyword = words.scores(text)
    near: dict[int, float] = {}
    if vectors is not None and question is not None:
        cosines = dots(vectors, question)
        floor = float(cosines.mean() + NEAR * cosines.std())
        best = np.argsort(-cosines, kind="stable")[:DEEP]
        near = {int(number): float(cosines[number]) for number in best if cosines[number] > floor or number in keyword}
    mixed = fuse.mix(_named(keyword), _named(near))
    return [int(name) for name, _ in sorted(mixed.items(), key=lambda pair: (-pair[1], int(pair[0])))]


def _named(leg: dict[int, float]) -> dict[str, float]:
    best = sorted(leg.items(), key=lambda pair: (-pair[1], pair[0]))[:DEEP]
    return {str(number): score for number, score in best}
