"""What documents in the other language have, beside the results of a search and never among them.

A search puts first what is written in its own words and language, so that what only the other language has comes too
late to be seen (docs/decisions/0017). Vectors of a model that knows both find it when they are asked for it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.contracts import EmbeddingModel
from core.i18n import detect_language
from core.retrieval.finding import QueryVector
from core.retrieval.index import Index
from core.retrieval.options import SearchOptions
from core.retrieval.records import Found
from core.retrieval.several import Several
from core.types import Hit, Language

FIRST = 5  # documents that are looked at: one in the other language among them, and nothing is hidden
MOST = 3  # documents that are shown beside


@dataclass(frozen=True, slots=True)
class Beside:
    """The best passages in ``language``, one of each document."""

    language: Language
    hits: tuple[Hit, ...]


async def other_language(
    indexes: Sequence[Index], found: Found, options: SearchOptions, model: EmbeddingModel | None, usual: str = "en"
) -> Beside | None:
    """What the other language has for the search that gave ``found``; ``None`` when it is among the first already.

    Args:
        options: those of the search; without vectors there is nothing to find by.
        model: made the vector of ``found``.
        usual: the language of a query that tells none.
    """
    if found.vector is None or model is None or options.mode == "keyword":
        return None
    other: Language = "en" if detect_language(found.query, usual) == "zh" else "zh"
    first = list(dict.fromkeys(hit.passage.document_id for hit in found.hits))[:FIRST]
    if any(hit.passage.language == other for hit in found.hits if hit.passage.document_id in first):
        return None
    asked = replace(options.narrowed({"language": other}), top_k=4 * MOST, explain=False)
    there = await Several(indexes).find(found.query, options=asked, vector=QueryVector(found.vector, model))
    best: dict[str, Hit] = {}
    for hit in there.hits:
        best.setdefault(hit.passage.document_id, hit)
    return Beside(other, tuple(best.values())[:MOST]) if best else None
