"""Vectors in memory, found exactly while they are few and through sign bits when they are many.

Up to ``SKETCH_FROM`` vectors are one float32 matrix and one product. Beyond that they are kept as float16 with a
sketch of one bit per dimension (the sign of the difference from the mean): the Hamming distance of sketches
picks a few thousand candidates, whose cosines are then computed exactly. A hundred thousand vectors of 384
dimensions take 154 MB exactly and 82 MB with sketches; recall and time stand in docs/decisions/0012-keyword-postings-and-sketches.md.

Source: Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002, with the coordinate
axes as hyperplanes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

SKETCH_FROM = 120_000  # vectors; below, a product over all is exact and fast enough: 100,000 take some 20 ms
CANDIDATES = 3000  # whose cosines are computed, at least
_SHARE = 200  # and one in so many of all
_LEAST = 30  # vectors that a spread is taken from
_SAMPLE = 4096
_FAR = 0xFFFF  # a distance no sketch has


@dataclass(frozen=True)
class _State:
    """What a search reads: rows up to ``size`` never change, so writers add behind them or make a new state."""

    numbers: np.ndarray  # (capacity,) passage numbers
    vectors: np.ndarray  # (capacity, dim) float32 or, with sketches, float16
    alive: np.ndarray  # (capacity,) bool, copied when it changes
    size: int = 0
    dead: int = 0
    sketches: np.ndarray | None = None  # (words, capacity) uint64
    mean: np.ndarray | None = None
    moments: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # filled at the first search
    sorted: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # numbers and rows, at the first lookup


class Memory:
    """Vectors by passage number. Threads may search while one writes."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._lock = threading.Lock()
        self._state = self._empty(256, sketched=False)

    def put(self, numbers: np.ndarray, vectors: np.ndarray) -> None:
        """Keep ``vectors`` of shape ``(len(numbers), dim)``, of norm 1; distinct numbers; known ones are replaced."""
        if vectors.shape != (len(numbers), self.dim):
            raise InputError(reason="bad_value", name="vectors", value=vectors.shape, allowed=(len(numbers), self.dim))
        with self._lock:
            state = self._without(self._state, numbers)
            if state.size + len(numbers) > len(state.numbers):
                state = self._grown(state, len(numbers), vectors)
            a, b = state.size, state.size + len(numbers)
            state.numbers[a:b] = numbers
            state.vectors[a:b] = vectors
            state.alive[a:b] = True
            if state.sketches is not None:
                state.sketches[:, a:b] = _sketched(state.vectors[a:b].astype("float32") - state.mean)
            self._state = replace(state, size=b, sorted=[])

    def drop(self, numbers: np.ndarray) -> None:
        """Forget ``numbers``; unknown ones are ignored."""
        with self._lock:
            state = self._without(self._state, numbers)
            if state.dead * 4 > state.size:
                state = self._grown(state, 0, None)
            self._state = state

    def clear(self) -> None:
        with self._lock:
            self._state = self._empty(256, sketched=False)

    def count(self) -> int:
        return self._state.size - self._state.dead

    def search(
        self, vector: np.ndarray, top_k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[list[tuple[int, float]], tuple[float, float] | None]:
        """``(number, cosine)`` of the ``top_k`` nearest, best first, and mean and deviation over all.

        Args:
            allowed: the only passage numbers that may be found.
        """
        import numpy as np

        state = self._state
        everything = None
        if allowed is not None:
            rows = self._rows(state, allowed)[1]
            scores = state.vectors[rows].astype(np.float32) @ vector
        elif state.sketches is None:
            everything = state.vectors[: state.size] @ vector
            rows, scores = np.arange(state.size), everything
            if state.dead:
                rows = np.flatnonzero(state.alive[: state.size])
                scores = everything = everything[rows]
        else:
            rows = self._candidates(state, vector, top_k)
            scores = state.vectors[rows].astype(np.float32) @ vector
        if len(scores) > top_k:
            best = np.argpartition(-scores, top_k - 1)[:top_k]
            rows, scores = rows[best], scores[best]
        numbers = state.numbers[rows]
        order = np.lexsort((numbers, -scores))
        found = list(zip(numbers[order].tolist(), scores[order].tolist(), strict=True))
        return found, self._spread(state, vector, everything)

    def scores(self, vector: np.ndarray, numbers: Iterable[int]) -> dict[int, float]:
        """The cosines of ``vector`` with those of ``numbers`` that are here."""
        import numpy as np

        asked = np.fromiter(numbers, dtype=np.int64)
        state = self._state
        where, rows = self._rows(state, asked)
        values = state.vectors[rows].astype(np.float32) @ vector
        return dict(zip(asked[where].tolist(), values.tolist(), strict=True))

    def _candidates(self, state: _State, vector: np.ndarray, top_k: int) -> np.ndarray:
        import numpy as np

        assert state.sketches is not None  # noqa: S101
        asked = _sketched((vector - state.mean)[None])[:, 0]
        distance = np.zeros(state.size, np.uint16)
        for word, bits in zip(state.sketches, asked, strict=True):
            distance += np.bitwise_count(word[: state.size] ^ bits)
        if state.dead:
            distance[~state.alive[: state.size]] = _FAR
        wanted = max(CANDIDATES, state.size // _SHARE, 4 * top_k)
        if wanted >= state.size - state.dead:
            return np.flatnonzero(distance != _FAR)
        limit = int(np.partition(distance, wanted)[wanted])
        nearer = np.flatnonzero(distance < limit)
        return np.concatenate([nearer, np.flatnonzero(distance == limit)[: wanted - len(nearer)]])

    def _spread(self, state: _State, vector: np.ndarray, everything: np.ndarray | None) -> tuple[float, float] | None:
        """From all cosines when they are there, else from the moments of a sample."""
        if state.size - state.dead < _LEAST:
            return None
        if everything is not None:
            return float(everything.mean()), float(everything.std())
        if not state.moments:
            state.moments.append(_moments(state))
        mean, second = state.moments[0]
        center = float(mean @ vector)
        return center, max(0.0, float(vector @ second @ vector) - center * center) ** 0.5

    def _rows(self, state: _State, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(positions in numbers, rows)`` of those of ``numbers`` that are here."""
        import numpy as np

        if not state.sorted:
            alive = np.flatnonzero(state.alive[: state.size])
            order = np.argsort(state.numbers[alive], kind="stable")
            state.sorted.append((state.numbers[alive[order]], alive[order]))
        known, rows = state.sorted[0]
        if not len(known):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        where = np.flatnonzero(known[at] == numbers)
        return where, rows[at[where]]

    def _without(self, state: _State, numbers: np.ndarray) -> _State:
        _, rows = self._rows(state, numbers)
        if not len(rows):
            return state
        alive = state.alive.copy()
        alive[rows] = False
        return replace(state, alive=alive, dead=state.dead + len(rows), sorted=[])

    def _grown(self, state: _State, more: int, coming: np.ndarray | None) -> _State:
        """The living rows in new arrays with room for ``more``, with sketches when there are many."""
        import numpy as np

        rows = np.flatnonzero(state.alive[: state.size])
        wanted = len(rows) + more
        sketched = wanted > SKETCH_FROM
        grown = self._empty(max(256, wanted + wanted // 2), sketched=sketched)
        size = len(rows)
        grown.numbers[:size] = state.numbers[rows]
        grown.vectors[:size] = state.vectors[rows]
        grown.alive[:size] = True
        if sketched:
            known = grown.vectors[:size] if size >= _SAMPLE or coming is None else coming
            mean = known[:: max(1, len(known) // _SAMPLE)].astype(np.float32).mean(axis=0)
            assert grown.sketches is not None  # noqa: S101
            for a in range(0, size, _SAMPLE):
                b = min(size, a + _SAMPLE)
                grown.sketches[:, a:b] = _sketched(grown.vectors[a:b].astype(np.float32) - mean)
            grown = replace(grown, mean=mean)
        return replace(grown, size=size)

    def _empty(self, capacity: int, *, sketched: bool) -> _State:
        import numpy as np

        words = -(-self.dim // 64)
        return _State(
            np.zeros(capacity, np.int64),
            np.zeros((capacity, self.dim), np.float16 if sketched else np.float32),
            np.zeros(capacity, bool),
            sketches=np.zeros((words, capacity), np.uint64) if sketched else None,
        )


def _moments(state: _State) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    rows = np.flatnonzero(state.alive[: state.size])
    sample = state.vectors[rows[:: max(1, len(rows) // _SAMPLE)]].astype(np.float32)
    return sample.mean(axis=0), sample.T @ sample / len(sample)


def _sketched(differences: np.ndarray) -> np.ndarray:
    """One bit per dimension. Shape: ``(n, dim)`` to ``(words, n)``."""
    import numpy as np

    bits = np.packbits(differences > 0, axis=1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view(np.uint64).T
