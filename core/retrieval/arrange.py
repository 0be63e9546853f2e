"""From fused candidates to the hits that are shown: boosts, recency, near-duplicates folded, diversity, the cut.

Scores are moved in units of the candidates' spread (best minus worst), so that a weight means the same whatever
fusion or reranker made them. Only the first ``SearchOptions.depth`` candidates are looked at: what neither leg
found cannot be boosted into the result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from core.retrieval import filters, sentences, structure, tokens, vectors
from core.retrieval.options import Recency, SearchOptions
from core.retrieval.records import Found
from core.types import Hit
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_array

_SHINGLE = 3  # terms in a row that likeness is counted over
_RUN, _ONE_IN, _TELLING = 6, 8, 16  # characters in a row; share of them in a sample; a smaller sample tells nothing
_SAMPLED_FROM = 0.6  # likeness; for a smaller one a sample is too rough
_MIXER = 0x9E3779B97F4A7C15  # odd, so that no bit of the terms before is lost
_DAY = 86_400.0
_normalized = lru_cache(4096)(tokens.normalized)  # a query that grows by a letter finds nearly the same


def arranged(workspace: Workspace, found: Found, options: SearchOptions, model: str | None) -> Found:
    """The hits of ``found``, which are candidates in fused order, as ``options`` want them.

    Args:
        model: the embedding model's name, for the vectors that diversity compares; without it terms are compared.
    """
    if not (options.arranges or options.sentences) and len(found.hits) <= options.top_k:
        return found
    hits = list(found.hits)
    if options.boosts or options.recency:
        hits = _moved(workspace, hits, found.weights, options)
    if options.collapse is not None:
        hits = collapsed(hits, options.collapse, options.top_k if not options.diversity else len(hits))
    if options.diversity and len(hits) > 1:
        hits = diverse(hits, _likeness(workspace, hits, model), options.diversity, options.top_k)
    hits = hits[: options.top_k]
    if options.sentences:
        hits = [with_sentence(hit, found.weights) for hit in hits]
    return replace(found, hits=tuple(hits))


# --- boosts and recency -------------------------------------------------------------------------


def _moved(
    workspace: Workspace, hits: Sequence[Hit], weights: Mapping[str, float], options: SearchOptions
) -> list[Hit]:
    if not hits:
        return []
    scores = _ordering(hits)
    unit = max(scores) - min(scores) or 1.0
    moments = _moments(workspace, hits, options.recency) if options.recency else {}
    moved = []
    for hit, score in zip(hits, scores, strict=True):
        parts = {"fused" if hit.rerank_score is None else "rerank": score}
        for name, weight in options.boosts.items():
            text = hit.passage.title if name == "title" else hit.passage.heading or ""
            parts[name] = unit * weight * coverage(text, weights)
        if options.recency is not None:
            fresh = freshness(moments.get(hit.passage.document_id), options.recency)
            parts["recency"] = unit * options.recency.weight * fresh
        moved.append(replace(hit, score=sum(parts.values()), parts=parts))
    return sorted(moved, key=lambda hit: (-hit.score, hit.passage.id))


def _ordering(hits: Sequence[Hit]) -> list[float]:
    """What the hits are ordered by: the reranker's scores, and below them those it was not shown."""
    shown = [hit.rerank_score for hit in hits if hit.rerank_score is not None]
    rest = [hit.score for hit in hits if hit.rerank_score is None]
    lift = min(shown) - max(rest) if shown and rest else 0.0
    return [hit.score + lift if hit.rerank_score is None else hit.rerank_score for hit in hits]


def coverage(text: str, weights: Mapping[str, float]) -> float:
    """The share of the question's content terms, by their weight, that stand in ``text``."""
    whole = sum(weights.values())
    there = set(_terms(text))
    return sum(weight for term, weight in weights.items() if term in there) / whole if whole else 0.0


def freshness(moment: float | None, recency: Recency) -> float:
    """0.5 ^ (age / half-life): 1 for now and what is dated ahead, 0.5 without a date."""
    if moment is None:
        return 0.5
    now = time.time() if recency.now is None else recency.now
    return float(0.5 ** (max(0.0, now - moment) / (recency.half_life_days * _DAY)))


def _moments(workspace: Workspace, hits: Sequence[Hit], recency: Recency) -> dict[str, float]:
    """Seconds since 1970 by document id; documents without a date are left out."""
    import json

    wanted = {hit.passage.document_id for hit in hits}
    found: dict[str, float] = {}
    with workspace.read() as db:
        for chunk in vectors.chunks(sorted(wanted), 500):
            marks = ",".join("?" * len(chunk))
            rows = db.execute(f"SELECT id, updated_at, metadata FROM documents WHERE id IN ({marks})", chunk)
            for row in rows:
                if recency.date == "updated_at":
                    found[row["id"]] = float(row["updated_at"])
                    continue
                value = json.loads(row["metadata"]).get(recency.date.removeprefix("metadata."))
                moment = filters.moment(value) if isinstance(value, str) else None
                if moment is not None:
                    found[row["id"]] = moment
    return found


# --- near-duplicates ----------------------------------------------------------------------------


def collapsed(hits: Sequence[Hit], likeness: float, top_k: int) -> list[Hit]:
    """The first ``top_k`` hits that do not repeat a better one; what is folded stands in ``Hit.similar``.

    Likeness is the Jaccard index of the passages' term triples. It is exact, but most passages are like no other,
    which a sample of their characters tells in a third of the time.
    """
    import numpy as np

    texts = [hit.passage.text for hit in hits]
    alike = np.zeros((len(texts), len(texts)), bool)
    suspects = _suspects(texts, likeness)
    alike[np.ix_(suspects, suspects)] = _alike(_shingled([texts[i] for i in suspects]), likeness)
    kept: list[int] = []
    folded: dict[int, list[Hit]] = {}
    for place, hit in enumerate(hits):
        better = np.flatnonzero(alike[place, kept])
        if len(better):
            folded.setdefault(kept[better[0]], []).append(hit)
        elif len(kept) < top_k:  # go on: a later one may repeat one of these
            kept.append(place)
    return [replace(hits[i], similar=tuple(folded[i])) if i in folded else hits[i] for i in kept]


def _suspects(texts: Sequence[str], likeness: float) -> np.ndarray:
    """Places of the texts that may be like another one: nearly so many of their sampled characters are the same.

    Half of the likeness asked for is enough, for a word that is changed spoils runs beside it, and a sample is one.
    """
    import numpy as np

    if likeness < _SAMPLED_FROM:
        return np.arange(len(texts))
    samples = _sampled(texts)
    found = _alike(samples, likeness / 2)
    np.fill_diagonal(found, False)
    few = np.diff(samples.indptr) < _TELLING
    return np.flatnonzero(found.any(axis=1) | few)


def _alike(sets: csr_array, likeness: float) -> np.ndarray:
    """Which of the ``sets``, a row each, have a Jaccard index of ``likeness`` and more. Shape: ``(rows, rows)``."""
    import numpy as np

    sizes = np.diff(sets.indptr)
    both = (sets @ sets.T).toarray()
    found: np.ndarray = both >= likeness * (sizes[:, None] + sizes - both)
    return found


def _rows(places: np.ndarray, numbers: np.ndarray, count: int) -> csr_array:
    """``count`` sets as rows of ones: the set at ``places[i]`` holds ``numbers[i]``, once or more."""
    import numpy as np
    from scipy.sparse import csr_array

    distinct, columns = np.unique(numbers, return_inverse=True)
    rows = csr_array((np.ones(len(columns), np.int32), (places, columns)), shape=(count, len(distinct)))
    rows.data[:] = 1  # what a set holds twice was added up
    return rows


def _sampled(texts: Sequence[str]) -> csr_array:
    """One in ``_ONE_IN`` of the distinct runs of ``_RUN`` characters of each text.

    All texts are gone through at once: one after the other, most of the time is what numpy takes to begin.
    """
    import numpy as np

    parts = [_normalized(text) for text in texts]
    characters = np.frombuffer("".join(parts).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    places = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    count = max(0, len(characters) - _RUN + 1)
    mixed = np.zeros(count, np.uint64)
    for at in range(_RUN):
        mixed = (mixed + characters[at : at + count]) * np.uint64(_MIXER)
    mixed ^= mixed >> np.uint64(32)
    chosen = (mixed % np.uint64(_ONE_IN) == 0) & (
        places[:count] == places[len(places) - count :]
    )  # not over a text's end
    return _rows(places[:count][chosen], mixed[chosen], len(texts))


def _shingled(texts: Sequence[str]) -> csr_array:
    """The distinct term triples of each text."""
    import numpy as np

    sets = [_shingles(text) for text in texts]
    places = np.repeat(np.arange(len(sets)), [len(numbers) for numbers in sets])
    return _rows(places, np.concatenate([*sets, np.empty(0, np.uint64)]), len(sets))


@lru_cache(maxsize=4096)
def _shingles(text: str) -> np.ndarray:
    """The distinct term triples of a text as hashes of this process; a text of fewer terms is one of them."""
    import numpy as np

    terms = _terms(text)
    hashes = np.array([hash(term) for term in terms], np.int64).view(np.uint64)
    mixed = np.zeros(max(1, len(terms) - _SHINGLE + 1), np.uint64)
    for at in range(min(_SHINGLE, len(terms))):
        mixed = mixed * np.uint64(_MIXER) + hashes[at : at + len(mixed)]
    return np.unique(mixed)


# --- diversity ----------------------------------------------------------------------------------


def diverse(hits: Sequence[Hit], likeness: np.ndarray, diversity: float, top_k: int) -> list[Hit]:
    """Maximal marginal relevance: each next hit is the one with the most score and the least likeness to those above.

    Shape of ``likeness``: ``(len(hits), len(hits))``.
    Source: Carbonell, Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries", SIGIR 1998, with λ = 1 - ``diversity``; scores and likenesses are scaled to [0, 1] over the
    candidates, because cosines of one embedding model lie within a narrow band.
    """
    import numpy as np

    relevance = _scaled(np.array([hit.score for hit in hits]))
    others = likeness[~np.eye(len(hits), dtype=bool)]
    low, high = float(others.min()), float(others.max())
    alike = (likeness - low) / (high - low) if high > low else np.zeros_like(likeness)
    chosen: list[int] = []
    nearest = np.zeros(len(hits))  # likeness to the most alike of the chosen
    while len(chosen) < min(top_k, len(hits)):
        value = (1 - diversity) * relevance - diversity * nearest
        value[chosen] = -np.inf
        best = int(np.argmax(value))  # of equals, the better ranked
        chosen.append(best)
        nearest = np.maximum(nearest, alike[best])
    return [hits[i] for i in chosen]


def _likeness(workspace: Workspace, hits: Sequence[Hit], model: str | None) -> np.ndarray:
    """Pairwise cosines of the stored vectors; of term sets where a passage has none yet."""
    import numpy as np

    ids = [hit.passage.id for hit in hits]
    if model is not None:
        with workspace.read() as db:
            marks = ",".join("?" * len(ids))
            hashes = dict(db.execute(f"SELECT id, text_hash FROM passages WHERE id IN ({marks})", ids).fetchall())
            stored = vectors.get(db, model, set(hashes.values()))
        if all(hashes.get(id_) in stored for id_ in ids):
            matrix = np.stack([stored[hashes[id_]] for id_ in ids])
            return np.asarray(matrix @ matrix.T)
    sets = [set(_terms(hit.passage.text)) for hit in hits]
    return np.array([[len(a & b) / (len(a) * len(b)) ** 0.5 if a and b else 0.0 for b in sets] for a in sets])


def _scaled(values: np.ndarray) -> np.ndarray:
    import numpy as np

    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.ones_like(values)


# --- the sentence to look at --------------------------------------------------------------------


def with_sentence(hit: Hit, weights: Mapping[str, float]) -> Hit:
    """``hit`` with the place of its best sentence."""
    return replace(hit, sentence=best_sentence(hit.passage.text, weights, hit.passage.start))


def best_sentence(text: str, weights: Mapping[str, float], offset: int = 0) -> tuple[int, int] | None:
    """Where the sentence with the largest share of the question's terms stands, moved by ``offset``.

    ``None`` when no sentence has any. Of equals the shorter one, then the first. The header of a table names its
    columns and says nothing of what stands in them, so it is no sentence.
    """
    best: tuple[float, int, int, int] | None = None
    headers = _table_headers(text)
    for start, end in sentences.spans(text):
        if any(first <= start < last for first, last in headers):
            continue
        share = coverage(text[start:end], weights)
        if share and (best is None or (-share, end - start) < best[:2]):
            best = (-share, end - start, start, end)
    return (best[2] + offset, best[3] + offset) if best else None


def _table_headers(text: str) -> list[tuple[int, int]]:
    """Where the headers of pipe tables, and the rules below them, stand."""
    if "|" not in text or "--" not in text:  # most texts; they need not be taken apart
        return []
    return [(b.start, b.end) for b in structure.blocks(text, markdown=True) if b.kind == "table_rule"]


@lru_cache(maxsize=8192)
def _terms(text: str) -> tuple[str, ...]:
    """Terms of a text; the same passages are candidates again and again."""
    return tuple(tokens.tokens(text))
