"""Vectors in memory as float16, every one of them compared with the question.

What limits a product over all is how much memory it reads. float16 is what the workspace stores, so nothing is lost
by it, and simsimd multiplies it as it is. From ``COARSE_FROM`` vectors on, a copy in int8 (one scale for each vector)
is read in its place, half as large. Those of either look that may be among the nearest are then compared in float32: a
cosine of int8 is off by some 0.0006. Figures: docs/decisions/0025-vectors-are-scanned.md and 0044-a-query-in-arrays.md.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.errors import InputError
from core.retrieval.largest import nth_largest

if TYPE_CHECKING:
    import numpy as np

COARSE_FROM = 10_000  # vectors
CANDIDATES = 1000  # of the first look, compared in float32, at most; or four times as many as are wanted
_OFF_INT8 = 8.0  # deviations that two cosines of the first look may lie apart, and the better one still be the worse
_OFF_FLOAT16 = 5e-3  # the same as a difference of cosines; some processors add the products up in float16, too
_LEAST = 30  # vectors that a spread is taken from
_STEPS = 127  # of int8, on each side of 0
_AT_ONCE = 4096  # rows that are made coarse together
_SIGN_AND_REST = -0x70002000  # of the bits of a float32: not the three below the sign, which copy it
_ORIGIN = 2.0**112  # of exponents in float32 against those in float16


@dataclass(frozen=True)
class _State:
    """What a search reads: rows up to ``size`` never change, so writers add behind them or make a new state."""

    numbers: np.ndarray  # (capacity,) passage numbers
    vectors: np.ndarray  # (capacity, dim) float16
    alive: np.ndarray  # (capacity,) bool, copied when it changes
    size: int = 0
    dead: int = 0
    coarse: np.ndarray | None = None  # (capacity, dim) int8
    steps: np.ndarray | None = None  # (capacity,) float32: what one step of a row's int8 is worth
    sorted: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # numbers and rows, at the first lookup


class Memory:
    """Vectors by passage number. Threads may search while one writes."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._lock = threading.Lock()
        self._state = self._empty(256, coarse=False)

    def put(self, numbers: np.ndarray, vectors: np.ndarray) -> None:
        """Keep ``vectors`` of shape ``(len(numbers), dim)``, of norm 1; distinct numbers; known ones are replaced."""
        if vectors.shape != (len(numbers), self.dim):
            raise InputError(reason="bad_value", name="vectors", value=vectors.shape, allowed=(len(numbers), self.dim))
        with self._lock:
            state = self._without(self._state, numbers)
            if state.size + len(numbers) > len(state.numbers):
                state = self._grown(state, len(numbers))
            a, b = state.size, state.size + len(numbers)
            state.numbers[a:b] = numbers
            state.vectors[a:b] = vectors
            state.alive[a:b] = True
            _coarsened(state, a, b)
            self._state = replace(state, size=b, sorted=[])

    def drop(self, numbers: np.ndarray) -> None:
        """Forget ``numbers``; unknown ones are ignored."""
        with self._lock:
            state = self._without(self._state, numbers)
            if state.dead * 4 > state.size:
                state = self._grown(state, 0)
            self._state = state

    def clear(self) -> None:
        with self._lock:
            self._state = self._empty(256, coarse=False)

    def count(self) -> int:
        return self._state.size - self._state.dead

    def search(
        self, vector: np.ndarray, top_k: int, *, also: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, float] | None]:
        """Numbers and cosines of the ``top_k`` nearest, best first, and mean and deviation of the cosines of all.

        Args:
            also: passage numbers that follow the nearest, where they are here and not among them.
            allowed: the only passage numbers that may be among the nearest.
        """
        import numpy as np

        state = self._state
        everything, off = self._everything(state, vector)
        if allowed is not None:
            rows = self._rows(state, allowed)
            rows = rows[_likely(_products(state.vectors[rows], vector), top_k, _OFF_FLOAT16)]
        else:
            rows = _likely(everything, top_k, off)
            if state.dead:
                rows = np.flatnonzero(state.alive[: state.size])[rows]
        scores = _exact(state.vectors[rows], vector)
        best = _best(scores, top_k)
        best = best[np.lexsort((state.numbers[rows[best]], -scores[best]))]
        rows, scores = rows[best], scores[best]
        if also is not None and len(also):
            others = self._rows(state, also)
            there = np.zeros(state.size, bool)
            there[rows] = True
            others = others[~there[others]]
            rows = np.concatenate([rows, others])
            scores = np.concatenate([scores, _exact(state.vectors[others], vector)])
        return state.numbers[rows], scores, self._spread(everything)

    def _everything(self, state: _State, vector: np.ndarray) -> tuple[np.ndarray, float]:
        """The cosines of all that live, from the coarse copy where there is one, and by how much two may be off."""
        import numpy as np

        if state.coarse is None or state.steps is None:
            found, off = _products(state.vectors[: state.size], vector), _OFF_FLOAT16
        else:
            (asked,), (step,) = _stepped(vector[None])
            steps = state.steps[: state.size]
            found = _products(state.coarse[: state.size], asked)
            found *= steps
            found *= step
            # A value in int8 is off by up to half a step, evenly; the errors of 384 values add up as a deviation does.
            off = _OFF_INT8 * float(np.hypot(step, steps.max(initial=0.0))) / 12**0.5
        return found[np.flatnonzero(state.alive[: state.size])] if state.dead else found, off

    def _spread(self, everything: np.ndarray) -> tuple[float, float] | None:
        if len(everything) < _LEAST:
            return None
        mean = everything.mean(keepdims=True)
        return float(mean[0]), float(everything.std(mean=mean))

    def _rows(self, state: _State, numbers: np.ndarray) -> np.ndarray:
        """The rows of those of ``numbers`` that are here."""
        import numpy as np

        if not state.sorted:
            alive = np.flatnonzero(state.alive[: state.size])
            order = np.argsort(state.numbers[alive], kind="stable")
            state.sorted.append((state.numbers[alive[order]], alive[order]))
        known, rows = state.sorted[0]
        if not len(known):
            return np.empty(0, np.int64)
        at = known.searchsorted(numbers)
        return rows[at[known.take(at, mode="clip") == numbers]]

    def _without(self, state: _State, numbers: np.ndarray) -> _State:
        rows = self._rows(state, numbers)
        if not len(rows):
            return state
        alive = state.alive.copy()
        alive[rows] = False
        return replace(state, alive=alive, dead=state.dead + len(rows), sorted=[])

    def _grown(self, state: _State, more: int) -> _State:
        """The living rows in new arrays with room for ``more``, with a coarse copy when there are many."""
        import numpy as np

        rows = np.flatnonzero(state.alive[: state.size])
        size, wanted = len(rows), len(rows) + more
        grown = self._empty(max(256, wanted + wanted // 2), coarse=wanted > COARSE_FROM)
        grown.numbers[:size] = state.numbers[rows]
        grown.vectors[:size] = state.vectors[rows]
        grown.alive[:size] = True
        _coarsened(grown, 0, size)
        return replace(grown, size=size)

    def _empty(self, capacity: int, *, coarse: bool) -> _State:
        import numpy as np

        return _State(
            np.zeros(capacity, np.int64),
            np.zeros((capacity, self.dim), np.float16),
            np.zeros(capacity, bool),
            coarse=np.zeros((capacity, self.dim), np.int8) if coarse else None,
            steps=np.zeros(capacity, np.float32) if coarse else None,
        )


def _products(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The product of every row with ``vector``, in the matrix's own number format. Shape: ``(rows,)`` float32."""
    import numpy as np
    import simsimd

    if not len(matrix):
        return np.empty(0, np.float32)
    asked = np.ascontiguousarray(vector[None], dtype=matrix.dtype)
    return np.asarray(simsimd.cdist(asked, matrix, "dot"))[0].astype(np.float32)


def _exact(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The same in float32, for few rows: the question is not rounded."""
    import numpy as np

    return _widened(matrix) @ np.asarray(vector, dtype=np.float32)


def _widened(matrix: np.ndarray) -> np.ndarray:
    """float16 as float32: what ``astype`` gives for finite numbers, in an eighth of its time.

    The bits of the one are those of the other, 13 places higher; the exponent counts from another origin, which the
    multiplication puts right.
    """
    import numpy as np

    bits = matrix.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _SIGN_AND_REST
    found: np.ndarray = bits.view(np.float32)
    found *= _ORIGIN
    return found


def _likely(rough: np.ndarray, count: int, off: float) -> np.ndarray:
    """Where the ``count`` largest may stand, when two of these numbers may be ``off`` against each other."""
    import numpy as np

    if len(rough) <= count:
        return np.arange(len(rough))
    found = np.flatnonzero(rough >= nth_largest(rough, count) - np.float32(off))
    most = max(CANDIDATES, 4 * count)
    return found if len(found) <= most else _best(rough, most)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Where the ``count`` largest stand, in no order."""
    import numpy as np

    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - count)[-count:]


def _coarsened(state: _State, a: int, b: int) -> None:
    """Write the coarse copy of rows ``a`` to ``b``, where there is one."""
    if state.coarse is None or state.steps is None:
        return
    for low in range(a, b, _AT_ONCE):
        high = min(b, low + _AT_ONCE)
        state.coarse[low:high], state.steps[low:high] = _stepped(state.vectors[low:high].astype("float32"))


def _stepped(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row in int8, and what one of its steps is worth."""
    import numpy as np

    steps = np.maximum(np.abs(vectors).max(axis=1), 1e-9) / _STEPS
    return np.round(vectors / steps[:, None]).astype(np.int8), steps.astype(np.float32)
