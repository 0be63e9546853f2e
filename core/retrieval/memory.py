"""Vectors in memory as float16, every one of them compared with the question.

What limits a product over all is how much memory it reads. float16 is what the workspace stores, so nothing is lost
by it, and numkong multiplies it as it is. From ``COARSE_FROM`` vectors on, a copy in int8 (one scale for each vector) is
read in its place, half as large and in blocks that numkong has put in the order in which it multiplies. Those of either
look that may be among the nearest are then compared in float32: a cosine of int8 is off by some 0.0002. Figures:
docs/decisions/0025-vectors-are-scanned.md, 0044-a-query-in-arrays.md and 0060-vectors-are-packed.md.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.errors import InputError
from core.retrieval.largest import largest
from core.retrieval.places import Places

if TYPE_CHECKING:
    import numpy as np
    from numkong import PackedMatrix

COARSE_FROM = 1000  # vectors
CANDIDATES = 1000  # of the first look, compared in float32, at most; or four times as many as are wanted
_OFF_INT8 = 8.0  # deviations that two cosines of the first look may lie apart, and the better one still be the worse
_OFF_FLOAT16 = 5e-3  # the same as a difference of cosines; some processors add the products up in float16, too
_LEAST = 30  # vectors that a spread is taken from
_STEPS = 127  # of int8, on each side of 0
_BLOCK = 16_384  # rows that are packed together; the last block is packed anew at every write, in .3 ms at most


@dataclass(frozen=True, slots=True)
class _Block:
    """Up to ``_BLOCK`` vectors in steps of their own: ``rows * steps``."""

    rows: PackedMatrix
    steps: np.ndarray  # (_BLOCK,) float32, of which those of the rows are set


@dataclass(frozen=True, slots=True)
class _Coarse:
    """Vectors in few bits, in their order, without what the first of them have in common.

    That is most of a vector of e5, and tells nothing: every product has it. Steps are half as long without it.
    """

    common: np.ndarray  # (dim,) float32
    blocks: tuple[_Block, ...]
    last: np.ndarray  # (_BLOCK, dim) int8: the rows of the last block, as they were before they were packed
    size: int = 0
    step: float = 0.0  # the largest of all
    norm: float = 0.0  # of the longest vector, without what is common

    @classmethod
    def empty(cls, dim: int) -> _Coarse:
        import numpy as np

        return cls(np.zeros(dim, np.float32), (), np.empty((_BLOCK, dim), np.int8))

    def with_more(self, vectors: np.ndarray) -> _Coarse:
        """These and ``vectors``, of shape ``(count, dim)`` in float16, behind them. Whoever reads the old state is not disturbed."""
        import numpy as np
        from numkong import dots_pack

        if not len(vectors):
            return self
        common = self.common if self.size else _float32(vectors[:_BLOCK]).mean(axis=0)
        blocks, last, step, norm, done = list(self.blocks), self.last, self.step, self.norm, 0
        while done < len(vectors):
            at = (self.size + done) % _BLOCK
            if at == 0:
                last, steps = np.empty_like(last), np.empty(_BLOCK, np.float32)
            else:
                steps = blocks.pop().steps
            some = vectors[done : done + _BLOCK - at]
            rows = _float32(some)
            rows -= common
            norm = max(norm, float(np.linalg.norm(rows, axis=1).max()))
            here = np.maximum(np.maximum(rows.max(axis=1), -rows.min(axis=1)), 1e-9) / _STEPS
            rows /= here[:, None]
            end = at + len(some)
            last[at:end], steps[at:end] = np.rint(rows, out=rows), here
            blocks.append(_Block(dots_pack(last[:end]), steps))
            step, done = max(step, float(here.max())), done + len(some)
        return _Coarse(common, tuple(blocks), last, self.size + done, step, norm)

    def products(self, vector: np.ndarray) -> _Look:
        """The products of all rows with ``vector``."""
        import numpy as np
        from numkong import dots_packed

        step = max(float(np.abs(vector).max()), 1e-9) / _STEPS
        asked = np.rint(vector / step).astype(np.int8)[None]
        found = np.empty(self.size, np.float32)
        for at, block in zip(range(0, self.size, _BLOCK), self.blocks, strict=True):
            whole = np.asarray(dots_packed(asked, block.rows))[0]  # numbers that float32 holds, or nearly
            np.multiply(
                whole, block.steps[: len(whole)], out=found[at : at + len(whole)], dtype=np.float32, casting="unsafe"
            )
        # A value in int8 is off by up to half a step, evenly; the errors of 384 values add up as a deviation does.
        off = _OFF_INT8 * math.hypot(step * self.norm, self.step) / 12**0.5
        return _Look(found, off / step, step, float(vector @ self.common))


@dataclass(frozen=True, slots=True)
class _Look:
    """What a first look saw: cosines are ``values * scale + shift``, which is left undone, for few are looked at again."""

    values: np.ndarray  # (vectors,) float32
    off: float  # by how much two of them may be off against each other
    scale: float = 1.0
    shift: float = 0.0

    def spread(self) -> tuple[float, float] | None:
        """Mean and deviation of the cosines."""
        from numkong import moments

        count = len(self.values)
        if count < _LEAST:
            return None
        total, squares = moments(self.values)
        mean = total / count
        return mean * self.scale + self.shift, max(0.0, squares / count - mean * mean) ** 0.5 * self.scale


@dataclass(frozen=True)
class _State:
    """What a search reads: rows up to ``size`` never change, so writers add behind them or make a new state."""

    numbers: np.ndarray  # (capacity,) passage numbers
    vectors: np.ndarray  # (capacity, dim) float16
    alive: np.ndarray  # (capacity,) bool, copied when it changes
    size: int = 0
    dead: int = 0
    coarse: _Coarse | None = None  # of the first ``size`` vectors
    places: list[Places] = field(default_factory=list)  # of the numbers, at the first lookup


class Memory:
    """Vectors by passage number. Threads may search while one writes."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._lock = threading.Lock()
        self._state = self._roomy()

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
            coarse = None if state.coarse is None else state.coarse.with_more(state.vectors[a:b])
            self._state = replace(state, size=b, coarse=coarse, places=[])

    def drop(self, numbers: np.ndarray) -> None:
        """Forget ``numbers``; unknown ones are ignored."""
        with self._lock:
            state = self._without(self._state, numbers)
            if state.dead * 4 > state.size:
                state = self._grown(state, 0)
            self._state = state

    def clear(self, room: int = 0) -> None:
        """Forget everything, and make room for so many: growing to it would copy and round again what came before."""
        with self._lock:
            self._state = self._roomy(room)

    def count(self) -> int:
        return self._state.size - self._state.dead

    def search(
        self, vector: np.ndarray, top_k: int, *, also: np.ndarray | None = None, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, float] | None]:
        """Numbers and cosines of the ``top_k`` nearest, best first, and mean and deviation of the cosines of all.

        Args:
            also: passage numbers that stand beside the nearest, in the same order, where they are here.
            allowed: the only passage numbers that may be among the nearest.
        """
        import numpy as np

        state = self._state
        look = self._first_look(state, vector)
        if allowed is not None:
            rows = self._rows(state, allowed)
            rows = rows[_likely(_products(state.vectors[rows], vector), top_k, _OFF_FLOAT16)]
        else:
            rows = _likely(look.values, top_k, look.off)
            if state.dead:
                rows = np.flatnonzero(state.alive[: state.size])[rows]
        among = np.zeros(state.size, np.int8)  # 1 the candidates, 2 those that are wanted anyway
        among[rows] = 1
        if also is not None and len(also):
            others = self._rows(state, also)
            rows = np.concatenate([rows, others[among[others] == 0]])
            among[others] |= 2
        scores = _exact(state.vectors.take(rows, axis=0), vector)
        order = np.lexsort((state.numbers[rows], -scores))
        rows, scores = rows[order], scores[order]
        kind = among[rows]
        kept, near = kind > 1, (kind & 1).nonzero()[0]
        kept[: near[top_k] if len(near) > top_k else None] = True
        return state.numbers[rows[kept]], scores[kept], look.spread()

    def _first_look(self, state: _State, vector: np.ndarray) -> _Look:
        """At all that live, from the coarse copy where there is one."""
        import numpy as np

        if state.coarse is None:
            look = _Look(_products(state.vectors[: state.size], vector), _OFF_FLOAT16)
        else:
            look = state.coarse.products(vector)
        return replace(look, values=look.values[np.flatnonzero(state.alive[: state.size])]) if state.dead else look

    def _rows(self, state: _State, numbers: np.ndarray) -> np.ndarray:
        """The rows of those of ``numbers`` that are here."""
        import numpy as np

        if not state.places:
            alive = np.flatnonzero(state.alive[: state.size])
            state.places.append(Places(state.numbers[alive], alive))
        return state.places[0].of(numbers)[1]

    def _without(self, state: _State, numbers: np.ndarray) -> _State:
        rows = self._rows(state, numbers)
        if not len(rows):
            return state
        alive = state.alive.copy()
        alive[rows] = False
        return replace(state, alive=alive, dead=state.dead + len(rows), places=[])

    def _grown(self, state: _State, more: int) -> _State:
        """The living rows in new arrays with room for ``more``, with a coarse copy when there are many."""
        import numpy as np

        rows = np.flatnonzero(state.alive[: state.size])
        size = len(rows)
        grown = self._roomy(size + more)
        grown.numbers[:size] = state.numbers[rows]
        grown.vectors[:size] = state.vectors[rows]
        grown.alive[:size] = True
        coarse = None
        if size + more > COARSE_FROM:
            kept = state.coarse is not None and not state.dead
            coarse = state.coarse if kept else _Coarse.empty(self.dim).with_more(grown.vectors[:size])
        return replace(grown, size=size, coarse=coarse)

    def _roomy(self, wanted: int = 0) -> _State:
        """An empty state with room for half as many again; what is not used yet takes no memory."""
        import numpy as np

        capacity = max(256, wanted + wanted // 2)
        return _State(
            np.zeros(capacity, np.int64),
            np.zeros((capacity, self.dim), np.float16),
            np.zeros(capacity, bool),
            coarse=_Coarse.empty(self.dim) if wanted > COARSE_FROM else None,
        )


def _products(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The product of every row with ``vector``, in the matrix's own number format. Shape: ``(rows,)`` float32."""
    import numpy as np
    from numkong import dot

    if not len(matrix):
        return np.empty(0, np.float32)
    return np.asarray(dot(vector.astype(matrix.dtype), matrix, out_dtype="float32"))


def _exact(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The same in float32, for few rows of float16: the question is not rounded."""
    return _products(_float32(matrix), vector)


def _float32(matrix: np.ndarray) -> np.ndarray:
    """float16 as float32, in a tenth of the time of numpy's ``astype``."""
    import numpy as np
    from numkong import astype

    return np.asarray(astype(matrix, "float32"))


def _likely(rough: np.ndarray, count: int, off: float) -> np.ndarray:
    """Where the ``count`` largest may stand, when two of these numbers may be ``off`` against each other."""
    import numpy as np

    if len(rough) <= count:
        return np.arange(len(rough))
    found = largest(rough, count, off)
    most = max(CANDIDATES, 4 * count)
    return found if len(found) <= most else _best(rough, most)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Where the ``count`` largest stand, in no order."""
    import numpy as np

    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - count)[-count:]
