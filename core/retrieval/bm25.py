"""What passages score by the terms of one question, in one view of the keyword index.

Scores are those of a full scan; what is left out is only what cannot be among the best: once the terms that are
still to come cannot lift a new passage over the worst of the best so far, they are looked up for the candidates alone.

Source: Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with title and text
as weighted fields of one frequency; Turtle, Flood, "Query evaluation: strategies and optimizations", 1995
(MaxScore, term at a time).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from core.retrieval.largest import largest
from core.retrieval.postings import hashed
from core.retrieval.segment_views import Held, Live, Placed, View

if TYPE_CHECKING:
    import numpy as np

    Weighted = tuple[float, Held]  # a term's weight and its postings

K1, B = 1.2, 0.75
_SLACK = 1e-3  # of float32 sums, when a bound is compared with a score
_LEAST = 1e-9  # of a passage that holds a term at all
_AT_ONCE = 16_384  # postings that are added up together: few calls, and what they need stays in the processor's cache


@dataclass(frozen=True, slots=True)
class Statistics:
    """What passages are scored by where it is not that of their own collection: idf by term, length of a passage."""

    idf: Mapping[str, float]
    average: float


@lru_cache(maxsize=16_384)  # asked for each term of each query
def idf(frequency: int, passages: int) -> float:
    """BM25's inverse document frequency, never below zero: how much a term tells in this collection."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


class Terms:
    """Distinct terms as ``view`` holds them. Made for one search: what :meth:`best` adds up, :meth:`scores` looks up."""

    def __init__(self, db: sqlite3.Connection, view: View, terms: Iterable[str]) -> None:
        self.terms = list(dict.fromkeys(terms))
        self._at = {term: at for at, term in enumerate(self.terms)}
        self._view = view
        self._held = view.terms(db, [hashed(term) for term in self.terms])
        self._weights = [idf(term.passages, view.passages) * (K1 + 1) for term in self._held]
        self._sums: dict[int, np.ndarray] = {}  # by part: the sum of all terms for each of its passages

    def holds(self, terms: Iterable[str]) -> bool:
        """Whether each of ``terms`` is among these."""
        return self._at.keys() >= set(terms)

    def frequency(self) -> dict[str, int]:
        """In how many passages each term occurs (context counts)."""
        return {name: term.passages for name, term in zip(self.terms, self._held, strict=True)}

    def idf(self, terms: Iterable[str]) -> dict[str, float]:
        """What each of ``terms``, which are among these, tells in this collection."""
        return {term: idf(self._held[self._at[term]].passages, self._view.passages) for term in terms}

    def best(self, limit: int, *, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and scores of the best ``limit`` passages that hold any of the terms, best first.

        Args:
            allowed: the only passage numbers that may be found; statistics are those of the whole collection.
        """
        import numpy as np

        numbers, scores = np.empty(0, np.int64), np.empty(0, np.float32)
        if not self._held or limit < 1:
            return numbers, scores
        weights = self._weights
        for i, part in enumerate(self._view.parts):  # small segments first: they set the bar
            bar = float(scores[-1]) if len(scores) == limit else 0.0
            found, values = self._best_of_part(i, part, weights, bar, limit, allowed)
            if len(numbers):
                found, values = np.concatenate([numbers, found]), np.concatenate([scores, values])
            order = np.lexsort((found, -values))[:limit]
            numbers, scores = found[order], values[order]
        return numbers, scores

    def scores(
        self, numbers: np.ndarray, places: Placed | None = None, *, statistics: Statistics | None = None
    ) -> np.ndarray:
        """The score of each of ``numbers``, which are distinct; 0 where no term occurs. Shape: ``(len(numbers),)`` f4.

        Args:
            places: of these numbers in the view, where they are known.
            statistics: those of several collections together, in place of this one's.
        """
        import numpy as np

        found = np.zeros(len(numbers), np.float32)
        if not len(numbers) or not self._held:
            return found
        weights, average = self._weights, self._view.average
        if statistics is not None:
            weights = [statistics.idf[term] * (K1 + 1) for term in self.terms]
            average = statistics.average
        for i, (part, (where, ordinals)) in enumerate(
            zip(self._view.parts, places or self._view.places(numbers), strict=True)
        ):
            if statistics is None and i in self._sums:
                found[where] = self._sums[i][ordinals]
                continue
            norms, _ = part.segment.norms(average, K1, B)
            times = _frequencies([term.parts[i] for term in self._held], ordinals)
            found[where] = _added(np.array(weights, np.float32)[:, None], times, norms[ordinals]).sum(axis=0)
        return _rounded(found)

    def matched(self, places: Placed, terms: Sequence[str], count: int) -> list[tuple[str, ...]]:
        """Which of ``terms``, which are among these, each of ``count`` passages holds, context included, in their order.

        Args:
            places: of the passages in the view.
        """
        import numpy as np

        found: list[list[str]] = [[] for _ in range(count)]
        held = [self._held[self._at[term]] for term in terms]
        for i, (where, ordinals) in enumerate(places):
            wanted = ordinals.astype("u2")
            holds = np.zeros((len(held), len(wanted)), bool)
            for row, term in zip(holds, held, strict=True):
                if (postings := term.parts[i]) is not None:
                    at = postings.ordinals.searchsorted(wanted)
                    np.equal(postings.ordinals.take(at, mode="clip"), wanted, out=row)
            which, at = holds.nonzero()
            for term_, place in zip(which.tolist(), where[at].tolist(), strict=True):
                found[place].append(terms[term_])
        return [tuple(names) for names in found]

    def _best_of_part(
        self, i: int, part: Live, weights: Sequence[float], bar: float, limit: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and scores of one segment's passages that may be among the best; ``bar`` is what they must reach."""
        import numpy as np

        norms, least = part.segment.norms(self._view.average, K1, B)
        lists = (term.parts[i] for term in self._held)
        there = [(w, held) for w, held in zip(weights, lists, strict=True) if held is not None]
        bounds = [w * held.peak / (held.peak + least) for w, held in there]
        order = sorted(range(len(there)), key=lambda at: -bounds[at])
        there, rest = [there[at] for at in order], [0.0] * (len(order) + 1)  # what the terms from here on add at most
        for at in range(len(order) - 1, -1, -1):
            rest[at] = rest[at + 1] + bounds[order[at]]
        done = next((at for at in range(len(order)) if rest[at] < bar - _SLACK), len(order))
        sums = _summed(there[:done], norms)
        sums[part.dead] = 0
        if done == len(there):
            self._sums[i] = sums
        if allowed is not None:
            mask = np.zeros(len(sums), bool)
            mask[part.segment.ordinals(allowed)[1]] = True
            sums = sums * mask
        if done == len(there) and len(sums) > limit:
            # First those that rounding may put among the best, for rounding thousands takes longer.
            candidates = largest(sums, limit, _SLACK)
            candidates = candidates[sums[candidates] >= max(bar - _SLACK, _LEAST)]
        else:
            candidates = (sums > max(0.0, bar - rest[done] - _SLACK)).nonzero()[0]
        for at in range(done, len(there)):
            weight, held = there[at]
            places, hit = _positions(held.ordinals, candidates)
            sums[candidates[hit]] += _added(np.float32(weight), held.frequencies[places], norms[candidates[hit]])
            candidates = candidates[sums[candidates] >= bar - rest[at + 1] - _SLACK]
        found = _rounded(sums[candidates])
        if len(found) > limit:
            kept = largest(found, limit)
            candidates, found = candidates[kept], found[kept]
        return part.segment.numbers[candidates], found


def _summed(there: Sequence[Weighted], norms: np.ndarray) -> np.ndarray:
    """What these terms add up to for every passage of a segment."""
    import numpy as np

    sums = np.zeros(len(norms), np.float32)
    for some in _runs(there):
        _weigh([weighted for weighted in some if weighted[1].added is None], norms)
        ordinals = np.concatenate([held.ordinals for _, held in some])
        np.add.at(sums, ordinals, np.concatenate([held.added for _, held in some]))  # four times as fast as +=
    return sums


def _weigh(fresh: Sequence[Weighted], norms: np.ndarray) -> None:
    """Put down what the postings of these terms add, all in few calls; where the view keeps its terms, for every query."""
    import numpy as np

    if not fresh:
        return
    sizes = [len(held.ordinals) for _, held in fresh]
    frequencies = np.concatenate([held.frequencies for _, held in fresh])
    weights = np.repeat(np.array([weight for weight, _ in fresh], np.float32), sizes)
    added = _added(weights, frequencies, norms.take(np.concatenate([held.ordinals for _, held in fresh])))
    low = 0
    for (_, held), size in zip(fresh, sizes, strict=True):
        held.added = added[low : low + size]
        low += size


def _runs(there: Sequence[Weighted]) -> Iterator[Sequence[Weighted]]:
    """Terms in a row that have some ``_AT_ONCE`` postings together."""
    first, size = 0, 0
    for at, (_, held) in enumerate(there):
        if size and size + len(held.ordinals) > _AT_ONCE:
            yield there[first:at]
            first, size = at, 0
        size += len(held.ordinals)
    if size:
        yield there[first:]


def _added(weights: np.ndarray | np.float32, frequencies: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """What terms add to passages that hold them so often."""
    import numpy as np

    times = frequencies.astype(np.float32)
    bottom = norms + times
    times *= weights
    times /= bottom
    return times


def _frequencies(held: Sequence[Held | None], ordinals: np.ndarray) -> np.ndarray:
    """How often each term occurs in each of these passages, in tenths. Shape: ``(len(held), len(ordinals))`` u1."""
    import numpy as np

    found, wanted = np.zeros((len(held), len(ordinals)), np.uint8), ordinals.astype(np.uint16)
    for row, postings in zip(found, held, strict=True):
        if postings is not None:
            at = postings.ordinals.searchsorted(wanted)
            there = postings.ordinals.take(at, mode="clip") == wanted
            np.multiply(postings.frequencies.take(at, mode="clip"), there, out=row)
    return found


def _positions(ordinals: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in ``ordinals`` (ascending) those of ``wanted`` stand, and which of ``wanted`` do."""
    import numpy as np

    wanted = wanted.astype(ordinals.dtype)
    at = np.searchsorted(ordinals, wanted)
    hit = np.flatnonzero(ordinals[np.minimum(at, len(ordinals) - 1)] == wanted)
    return at[hit], hit


def _rounded(scores: np.ndarray) -> np.ndarray:
    """Scores without the noise of the order in which they were summed, so that equal passages stay equal."""
    return scores.round(4)
