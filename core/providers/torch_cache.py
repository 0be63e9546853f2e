"""Keys and values of a batch whose rows come and go: right-aligned rows in buffers that are kept.

All rows end at the same column and begin where their length says, exactly as in a left-padded batch, so that every
model that can generate in a padded batch can be run by it, sliding windows included. A row that leaves is overwritten
by the last one; a row that joins is copied in. Nothing is concatenated from step to step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.cache_utils import Cache, CacheLayerMixin

if TYPE_CHECKING:
    import torch

GROWTH = 1.5
FIRST_COLUMNS = 256


class _Layer(CacheLayerMixin):
    """One model layer's buffers. Shape: ``(slots, heads, capacity, width)``; only the batch's window is in use."""

    is_sliding = False
    keys: Any
    values: Any

    def __init__(self, batch: BatchCache) -> None:
        super().__init__()
        self.batch = batch

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        slots, capacity = self.batch.slots, self.batch.capacity
        self.keys = key_states.new_zeros((slots, key_states.shape[1], capacity, key_states.shape[3]))
        self.values = value_states.new_zeros((slots, value_states.shape[1], capacity, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, start, end = key_states.shape[0], self.batch.start, self.batch.end
        after = end + key_states.shape[2]
        self.keys[:rows, :, end:after] = key_states
        self.values[:rows, :, end:after] = value_states
        return self.keys[:rows, :, start:after], self.values[:rows, :, start:after]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.batch.width + query_length, 0

    def get_seq_length(self) -> int:
        return self.batch.width

    def get_max_length(self) -> int:
        return -1

    def buffers(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.keys, self.values

    def resize(self, capacity: int, start: int, end: int) -> None:
        """Move columns ``start`` to ``end`` to the front of new buffers; one layer at a time is held twice."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros((*old.shape[:2], capacity, old.shape[3]))
            new[:, :, : end - start] = old[:, :, start:end]
            setattr(self, name, new)

    def shift(self, start: int, end: int, to: int) -> None:
        for buffer in self.buffers():
            buffer[:, :, to : to + end - start] = buffer[:, :, start:end].clone()


class BatchCache(Cache):
    """The caches of ``slots`` rows, in columns ``start`` to ``end`` of buffers with ``capacity`` columns.

    ``limit``: rows never get longer. ``lengths[i]`` columns before ``end`` belong to row i.
    """

    def __init__(self, layers: int, *, slots: int, limit: int, capacity: int = FIRST_COLUMNS) -> None:
        self.slots, self.limit = slots, limit
        self.capacity = min(capacity, limit + FIRST_COLUMNS)
        self.start = self.end = 0
        self.lengths: list[int] = []
        self._own = [_Layer(self) for _ in range(layers)]
        super().__init__(layers=list(self._own))

    @property
    def width(self) -> int:
        return self.end - self.start

    @property
    def held_bytes(self) -> int:
        return sum(b.numel() * b.element_size() for layer in self._filled() for b in layer.buffers())

    def room_for(self, columns: int) -> None:
        """Make sure that ``columns`` more fit behind the end: move to the front, or grow."""
        if self.end + columns <= self.capacity:
            return
        if self.width + columns <= self.capacity and self.start >= self.capacity // 8:
            self._move(0)
            return
        self._resize(max(self.width + columns, min(int(self.capacity * GROWTH), self.limit + FIRST_COLUMNS)))

    def advance(self, columns: int) -> None:
        """The model has written ``columns`` behind the end of every row."""
        self.end += columns
        self.lengths = [length + columns for length in self.lengths]

    def join(self, other: BatchCache) -> None:
        """Take the rows of ``other`` in behind those that are there."""
        if self.capacity < other.width:
            self._resize(other.width + FIRST_COLUMNS)
        if self.end < other.width:
            self._move(other.width - self.width)
        first = len(self.lengths)
        for own, new in zip(self._own, other._own, strict=True):
            for name in ("keys", "values"):
                source = getattr(new, name)[: len(other.lengths), :, other.start : other.end]
                if not own.is_initialized:
                    own.lazy_initialization(new.keys, new.values)
                target = getattr(own, name)
                target[first : first + len(other.lengths), :, self.end - other.width : self.end] = source
        self.lengths += other.lengths
        self.start = self.end - max(self.lengths)

    def leave(self, row: int) -> None:
        """Drop ``row``; the last row takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            for layer in self._filled():
                for buffer in layer.buffers():
                    buffer[row, :, self.start : self.end] = buffer[last, :, self.start : self.end]
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if self.lengths:
            self.start = self.end - max(self.lengths)
        else:
            self.start = self.end = 0

    def _resize(self, capacity: int) -> None:
        for layer in self._filled():
            layer.resize(capacity, self.start, self.end)
        self.capacity, self.start, self.end = capacity, 0, self.width

    def _move(self, to: int) -> None:
        width = self.width
        if width:
            for layer in self._filled():
                layer.shift(self.start, self.end, to)
        self.start, self.end = to, to + width

    def _filled(self) -> list[_Layer]:
        return [layer for layer in self._own if layer.is_initialized]
