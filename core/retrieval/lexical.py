"""A reranker that reads only words: ``embedded:lexical``. It needs no model, and knows Chinese as well as English.

Source: BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009) over the passages at hand, with two
additions: the share of the question's meaning that a passage covers, and how near together its words stand there.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import UnknownName
from core.retrieval.tokens import query_terms, tokens
from core.settings import Settings

if TYPE_CHECKING:
    import numpy as np

NAME = "lexical"
K1, B = 1.2, 0.75  # as in the source
NEARNESS = 0.3  # of a passage whose words stand side by side, in units of full coverage


def open_reranker(model: str, *, engine: str, settings: Settings) -> LexicalReranker:
    """Open ``embedded:lexical``."""
    if model != NAME:
        raise UnknownName(kind="rerank model", value=f"{engine}:{model}", allowed=f"{engine}:{NAME}")
    return LexicalReranker(f"{engine}:{model}")


class LexicalReranker:
    """Scores lie between 0 and about 3. How rare a word is, is judged by the passages of the call."""

    def __init__(self, name: str = f"embedded:{NAME}") -> None:
        self.name = name

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        import numpy as np

        wanted = query_terms(query)
        texts = [tokens(passage) for passage in passages]
        counts = [Counter(words) for words in texts]
        held = {term: sum(term in count for count in counts) for term in wanted}
        weights = {
            term: math.log(1 + (len(texts) - number + 0.5) / (number + 0.5)) + 0.1 for term, number in held.items()
        }
        mean = sum(map(len, texts)) / max(1, len(texts)) or 1.0
        found = [_score(words, count, weights, mean) for words, count in zip(texts, counts, strict=True)]
        return np.array(found, np.float32)

    async def aclose(self) -> None:
        """Nothing is held."""


def _score(words: list[str], count: Counter[str], weights: dict[str, float], mean_length: float) -> float:
    total = sum(weights.values())
    if not total:
        return 0.0
    length = K1 * (1 - B + B * len(words) / mean_length)
    frequency = sum(w * count[t] * (K1 + 1) / (count[t] + length) for t, w in weights.items() if count[t])
    coverage = sum(w for t, w in weights.items() if count[t])
    return (frequency + coverage * NEARNESS * _nearness(words, weights)) / total


def _nearness(words: list[str], wanted: dict[str, float]) -> float:
    """The share of neighbouring wanted words among those found: 1 when they stand in one run."""
    places = [at for at, word in enumerate(words) if word in wanted]
    if len(places) < 2:
        return 0.0
    return sum(b - a <= 2 for a, b in itertools.pairwise(places)) / (len(places) - 1)
