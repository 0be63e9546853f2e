"""Who did what when, as arrays: the only thing the methods read.

Items and users are numbered; :class:`Log` keeps their ids. Rows are sorted by user, then by time; rows of one user
with the same time are in an order drawn at random with a fixed seed, because the order of a file is often that of
the item numbers and would leak what came last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SEED = 20261126
ALONE = 2**18  # multiplications up to which OpenBLAS stays in one thread (its interface/gemm.c)


@dataclass(frozen=True, slots=True)
class Log:
    """Events of users with items.

    Shape: ``user``, ``item`` (int32), ``at`` (float64, seconds) and ``value`` (float32, a rating or a weight; 1 where
    there is none) are aligned, one row per event.
    """

    users: Sequence[str]
    items: Sequence[str]
    user: Array
    item: Array
    at: Array
    value: Array

    @classmethod
    def of(
        cls,
        users: Sequence[str],
        items: Sequence[str],
        user: Sequence[int] | Array,
        item: Sequence[int] | Array,
        at: Sequence[float] | Array,
        value: Sequence[float] | Array | None = None,
        *,
        seed: int = SEED,
    ) -> Log:
        user, item = np.asarray(user, dtype=np.int32), np.asarray(item, dtype=np.int32)
        at = np.asarray(at, dtype=np.float64)
        values = np.ones(len(user), np.float32) if value is None else np.asarray(value, dtype=np.float32)
        drawn = np.random.default_rng(seed).random(len(user))
        order = np.lexsort((drawn, at, user))
        return cls(users, items, user[order], item[order], at[order], values[order])

    def __len__(self) -> int:
        return len(self.user)

    def kept(self, mask: Array) -> Log:
        """The rows where ``mask`` is true; users and items keep their numbers."""
        return Log(self.users, self.items, self.user[mask], self.item[mask], self.at[mask], self.value[mask])

    def bounds(self) -> Array:
        """Where the rows of each user begin. Shape: ``(len(users) + 1,)``."""
        return np.searchsorted(self.user, np.arange(len(self.users) + 1))

    def from_last(self) -> Array:
        """How many events the same user has after each row: 0 marks the last one."""
        ends = self.bounds()[1:]
        return ends[self.user] - 1 - np.arange(len(self))

    def counts(self) -> Array:
        """Events per item. Shape: ``(len(items),)`` float64."""
        return np.bincount(self.item, minlength=len(self.items)).astype(float)


def weighed(weights: Array, rows: Array) -> Array:
    """``weights @ rows`` in this thread.

    BLAS would wake its other threads for microseconds of work, and on a busy machine wait for them: with two threads
    a list of ml-latest-small took 30 ms instead of 6.
    """
    return np.einsum("i,ij->j", weights, rows)


def dots(rows: Array, vector: Array) -> Array:
    """``rows @ vector`` in this thread."""
    return np.einsum("ij,j->i", rows, vector)


def product(rows: Array, columns: Array) -> Array:
    """``rows @ columns`` in this thread, in pieces for which OpenBLAS wakes no other; see :func:`weighed`."""
    width = max(1, ALONE // max(1, rows.size))
    if columns.shape[1] <= width:
        return rows @ columns
    pieces = [rows @ columns[:, begin : begin + width] for begin in range(0, columns.shape[1], width)]
    return np.concatenate(pieces, axis=1)


def core(log: Log, least: int) -> Log:
    """Drop users and items with fewer than ``least`` events, repeatedly, and number what remains anew."""
    mask = np.ones(len(log), dtype=bool)
    while True:
        users = np.bincount(log.user[mask], minlength=len(log.users))
        items = np.bincount(log.item[mask], minlength=len(log.items))
        kept = mask & (users[log.user] >= least) & (items[log.item] >= least)
        if kept.sum() == mask.sum():
            break
        mask = kept
    users_left, user = np.unique(log.user[mask], return_inverse=True)
    items_left, item = np.unique(log.item[mask], return_inverse=True)
    return Log(
        [log.users[i] for i in users_left],
        [log.items[i] for i in items_left],
        user.astype(np.int32),
        item.astype(np.int32),
        log.at[mask],
        log.value[mask],
    )
