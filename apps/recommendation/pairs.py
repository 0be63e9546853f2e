"""Matrices of pairs of items, made a block of rows at a time, so that memory does not grow with the square of the catalogue.

A catalogue of at most :data:`LARGE` items keeps every cell, dense where that is the smaller form or there are at most
:data:`SMALL` items. A larger one keeps the :data:`KEPT` greatest cells of each row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.recommendation.log import Array, Log

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SMALL = 1000  # items; 4 MB a matrix, and choosing rows of a sparse one takes longer than adding up dense ones
LARGE, KEPT = 6000, 500
CELLS = 2**22  # of a block: 16 MB
PRIOR = 5.0  # events that every item is taken to have had, in ratios
Block = Callable[[int, int], Array]  # rows ``begin`` to ``end``, dense


def together(log: Log) -> Block:
    """How many people took both items; no item with itself."""
    people = seen(log)
    of_items = people.T.tocsr()

    def block(begin: int, end: int) -> Array:
        counted = (of_items[begin:end] @ people).toarray()
        counted[np.arange(end - begin), np.arange(begin, end)] = 0
        return counted

    return block


def in_order(log: Log, *, window: int, within: float, back: float) -> Block:
    """How often an item came after another: ``d`` steps apart it counts ``within ** (d - 1)``, before it ``back`` of that."""
    n, order = len(log.items), np.argsort(log.item, kind="stable")
    begins = np.searchsorted(log.item[order], np.arange(n + 1))

    def block(begin: int, end: int) -> Array:
        counted = np.zeros((end - begin) * n, np.float32)
        here = order[begins[begin] : begins[end]]
        row = (log.item[here].astype(np.int64) - begin) * n
        for step in range(1, window + 1):
            for way, share in ((step, 1.0), (-step, back)):
                there = here + way
                inside = (there >= 0) & (there < len(log)) if share else np.zeros(len(here), bool)
                inside[inside] = log.user[there[inside]] == log.user[here[inside]]
                cells = row[inside] + log.item[there[inside]]
                np.add.at(counted, cells, np.float32(share * within ** (step - 1)))
        return counted.reshape(end - begin, n)

    return block


def shared_out(block: Block, log: Log, first: float, second: float, *, large: int = LARGE, kept: int = KEPT) -> Any:
    """The matrix whose rows ``block`` makes, each cell divided by powers of how often its two items were taken."""
    from scipy import sparse

    n, counts = len(log.items), log.counts() + PRIOR
    of_row, of_column = (counts**-first).astype(np.float32), (counts**-second).astype(np.float32)
    rows = max(1, CELLS // max(1, n))
    made = []
    for begin in range(0, n, rows):
        end = min(begin + rows, n)
        cells = block(begin, end) * of_row[begin:end, None] * of_column
        made.append(sparse.csr_matrix(cells) if n <= large else largest(cells, kept))
    whole = sparse.vstack(made, format="csr", dtype=np.float32) if made else sparse.csr_matrix((n, n), dtype=np.float32)
    return whole.toarray() if n <= large and (n <= SMALL or 2 * whole.nnz > n * n) else whole


def largest(cells: Array, kept: int) -> csr_matrix:
    """The ``kept`` greatest of each row that are not zero."""
    from scipy import sparse

    n = cells.shape[1]
    place = (
        np.argpartition(-cells, kept - 1, axis=1)[:, :kept] if kept < n else np.broadcast_to(np.arange(n), cells.shape)
    )
    values = np.take_along_axis(cells, place, axis=1)
    there = values != 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return sparse.csr_matrix((values[there], place[there], ends), shape=cells.shape)


def seen(log: Log) -> csr_matrix:
    """Who took what, once each. Shape: ``(users, items)``."""
    from scipy import sparse

    shape = (len(log.users), len(log.items))
    taken = sparse.csr_matrix((np.ones(len(log), np.float32), (log.user, log.item)), shape=shape)
    taken.data[:] = 1  # who took an item twice is one person still
    return taken
