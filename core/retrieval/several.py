"""Several collections searched as one, as when a person's own documents stand beside a shop's.

Each collection weighs words by its own statistics: in one that holds a single document every word is common.
So what the collections find is scored anew with the statistics of all of them together, and only then mixed
with the vector leg, whose cosines compare as they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from core.retrieval import bm25, fuse, keyword, tokens
from core.retrieval.candidates import ranks, terms_of
from core.retrieval.finding import QueryVector
from core.retrieval.index import Index
from core.retrieval.meaning import Meaning
from core.retrieval.names import Names
from core.retrieval.options import SearchOptions, plain
from core.retrieval.records import Found
from core.types import Hit

CANDIDATES = 30  # taken from each collection


class Several:
    """Finds in all of ``indexes`` as :meth:`core.retrieval.index.Index.find` does in one.

    The collections are those of one library: they share workspace and embedding model.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        if not indexes:
            raise ValueError("no collection to search")
        self.indexes = tuple(indexes)

    async def find(
        self,
        query: str,
        top_k: int = 8,
        *,
        terms_from: str | None = None,
        options: SearchOptions | None = None,
        vector: QueryVector | None = None,
    ) -> Found:
        """The best passages of all collections; ranks and weights are those over all of them.

        Args:
            vector: the question's, when it is there already; the others as in
                :meth:`core.retrieval.index.Index.find`.
        """
        chosen = options or plain(top_k)
        first, terms = self.indexes[0], terms_from or query
        vector = vector or await first.query_vector(query, chosen)
        return await first.ordered(await asyncio.to_thread(self.candidates, query, vector, terms, chosen), chosen)

    def candidates(self, query: str, vector: QueryVector, terms: str, options: SearchOptions) -> Found:
        """The candidates of all collections in one order; blocks."""
        if len(self.indexes) == 1:
            return self.indexes[0].find_with(query, vector, terms, self.indexes[0].deep(options))
        one = options.candidates(max(CANDIDATES, options.depth))
        parts = [index.find_with(query, vector, terms, one) for index in self.indexes]
        filled = [(index, part) for index, part in zip(self.indexes, parts, strict=True) if part.passages]
        if len(filled) < 2:
            return filled[0][1] if filled else parts[0]
        return _merged(query, terms, self.indexes[0].deep(options), filled)

    def meaning(self) -> Meaning | None:
        """The embedding model of the library; see :meth:`core.retrieval.index.Index.meaning`."""
        return self.indexes[0].meaning()


class Narrowed:
    """``places`` with everything but ``top_k`` settled: what an answer may be made of, and how it is looked for."""

    def __init__(self, places: Several, options: SearchOptions) -> None:
        self.indexes, self._places, self._options = places.indexes, places, options

    async def find(self, query: str, top_k: int = 8, *, terms_from: str | None = None) -> Found:
        return await self._places.find(query, terms_from=terms_from, options=replace(self._options, top_k=top_k))

    def meaning(self) -> Meaning | None:
        return self._places.meaning()


def _merged(query: str, terms_from: str, options: SearchOptions, filled: Sequence[tuple[Index, Found]]) -> Found:
    parts = [part for _, part in filled]
    total = sum(part.passages for part in parts)
    words = [index.vocabulary() for index, _ in filled]
    added = [term for w in words for term in w.added_terms(query, synonyms=options.synonyms)]
    content = tokens.content_terms(terms_from)
    asked = dict.fromkeys([*tokens.tokens(query), *tokens.query_terms(query), *added, *content])
    hits = {hit.passage.id: hit for part in parts for hit in part.hits}
    with filled[0][0].workspace.snapshot() as db:
        views = {index.id(): keyword.view(db, index.id()) for index, _ in filled}
        frequency: Counter[str] = Counter()
        for id_, view in views.items():
            frequency.update(keyword.document_frequency(db, id_, asked, view=view))
        terms = [*terms_of(query, lambda asking: frequency, total), *added] if options.mode != "vector" else []
        weights = {term: bm25.idf(frequency[term], total) for term in dict.fromkeys([*terms, *content])}
        together = bm25.Statistics(weights, sum(v.average * v.passages for v in views.values()) / max(1, total))
        by_word: dict[str, float] = {}
        for index, part in filled:
            view = views[index.id()]
            numbers = Names(db, index.id(), view).numbers(hit.passage.id for hit in part.hits)
            scores = keyword.scores(db, index.id(), terms, numbers.values(), view=view, statistics=together)
            by_word |= {id_: scores[number] for id_, number in numbers.items()}
    by_meaning = {id_: hit.vector_score for id_, hit in hits.items() if hit.vector_score is not None}
    weight = fuse.keyword_weight([len(hit.passage.text) for hit in hits.values()])
    fused = fuse.mix(by_word if terms else {}, by_meaning, weight)
    word_ranks = ranks({id_: score for id_, score in by_word.items() if score > 0})
    meaning_ranks = ranks(by_meaning)
    best = tuple(
        Hit(
            hits[id_].passage,
            fused[id_],
            word_ranks.get(id_),
            by_word.get(id_),
            meaning_ranks.get(id_),
            by_meaning.get(id_),
            hits[id_].matched_terms,
            collection=hits[id_].collection,
        )
        for id_ in fuse.ranked(fused)[: options.depth]
    )
    notices = tuple(dict.fromkeys(code for part in parts for code in part.notices))
    return Found(query, best, {t: weights[t] for t in content}, total, parts[0].vector, _spread(parts), notices)


def _spread(parts: Sequence[Found]) -> tuple[float, float] | None:
    """Mean and deviation over all passages, from those of the collections that are large enough to have them."""
    known = [(part.passages, *part.spread) for part in parts if part.spread]
    if not known:
        return None
    total = sum(count for count, _, _ in known)
    mean = sum(count * m for count, m, _ in known) / total
    square = sum(count * (s * s + m * m) for count, m, s in known) / total
    return mean, max(0.0, square - mean * mean) ** 0.5
