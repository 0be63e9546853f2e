"""The last word on the order of the best hits, by a model that reads query and passage together.

Any :class:`core.contracts.Reranker` will do (``models.rerank`` in the settings). Only the first hits are shown to
it: it is far slower than the search, and what the legs put further down is rarely what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core.contracts import Reranker
from core.errors import InvalidResponse, TouchstoneError
from core.retrieval import split
from core.retrieval.records import Found
from core.types import Hit

FIRST = 20  # hits that are reordered
Rerankers = Callable[[], Reranker | None]


async def reranked(found: Found, opened: Rerankers | None, *, first: int = FIRST) -> Found:
    """``found`` with its ``first`` hits in the reranker's order; the others follow as they were.

    A reranker that cannot be opened, fails or gives scores that are none leaves the order of the search, with the
    notice ``rerank_down``.
    """
    if opened is None or len(found.hits) < 2:
        return found
    try:
        model = opened()
        if model is None:
            return found
        best = found.hits[:first]
        scores = await _scores(model, found.query, best)
    except TouchstoneError:
        return replace(found, notices=(*found.notices, "rerank_down"))
    scored = [replace(hit, rerank_score=score) for hit, score in zip(best, scores, strict=True)]
    scored.sort(key=lambda hit: -(hit.rerank_score or 0.0))  # stable: of equals, the one that the search put first
    return replace(found, hits=(*scored, *found.hits[first:]))


async def _scores(model: Reranker, query: str, hits: tuple[Hit, ...]) -> list[float]:
    import numpy as np

    texts = [as_read(hit) for hit in hits]
    scores = np.asarray(await model.rerank(query, texts), dtype=np.float64)
    if scores.shape != (len(texts),) or not np.isfinite(scores).all():
        raise InvalidResponse(
            provider="rerank", model=model.name, detail=f"{scores.shape} {scores.ravel()[:3].tolist()}"
        )
    return [float(score) for score in scores]


def as_read(hit: Hit) -> str:
    """A passage as a reader sees it: under its title and headings."""
    passage = hit.passage
    context = split.context(passage.title, passage.heading, dict(passage.metadata))
    return f"{context}\n{passage.text}" if context else passage.text
