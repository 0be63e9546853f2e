"""Lists for everybody at once by one method: for a mail, a cache, another system.

The scores of a block of people are one sparse product. Only scores that are not zero are ranked, in rows moved
together to the left, so that a catalogue of 20,000 items costs as much as the few hundred that a history leads to.
Reasons, wishes and diversity are for one person at a time: :meth:`apps.recommendation.service.Recommender.recommend`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from apps.recommendation.generators import REMEMBERED, ItemToItem
from apps.recommendation.log import Array, Log

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK = 1024  # people
NOBODY = -1  # where a list ends early


def best(method: ItemToItem, log: Log, *, n: int = 10, allowed: Array | None = None) -> tuple[Array, Array]:
    """The ``n`` best unseen items for each person of ``log``, best first.

    Args:
        allowed: which items may be in a list, ``(items,)`` bool; by default all.

    Returns:
        Numbers of items, :data:`NOBODY` where nothing is left that the history leads to, and their scores.
        Shape: ``(len(log.users), n)`` int64 and float32.
    """
    from scipy import sparse

    shape = (len(log.users), len(log.items))
    from_last = log.from_last()
    late = from_last < REMEMBERED
    weights = (method.decay ** from_last[late]).astype(np.float32)
    taken = sparse.csr_matrix((weights, (log.user[late], log.item[late])), shape=shape)
    seen = sparse.csr_matrix((np.full(len(log), np.inf, np.float32), (log.user, log.item)), shape=shape)
    matrix = sparse.csr_matrix(method.matrix)
    if allowed is not None and not allowed.all():
        matrix = matrix @ sparse.diags(allowed.astype(np.float32))
        matrix.eliminate_zeros()
    items = np.full((shape[0], n), NOBODY, np.int64)
    scores = np.zeros((shape[0], n), np.float32)
    for begin in range(0, shape[0], BLOCK):
        rows = slice(begin, begin + BLOCK)
        items[rows], scores[rows] = _best(taken[rows] @ matrix - seen[rows], n)
    return items, scores


def nearest(method: ItemToItem, kept: int) -> ItemToItem:
    """``method`` with the ``kept`` largest entries of each row only: less memory, faster lists, other neighbors lost."""
    from scipy import sparse

    matrix = sparse.csr_matrix(method.matrix)
    blocks = (matrix[begin : begin + BLOCK] for begin in range(0, matrix.shape[0], BLOCK))
    return replace(method, matrix=sparse.vstack([_largest(block, kept) for block in blocks], format="csr"))


def _largest(matrix: csr_matrix, kept: int) -> csr_matrix:
    from scipy import sparse

    place, values = _left(matrix)
    if values.shape[1] <= kept:
        return matrix
    first = np.argpartition(-values, kept - 1, axis=1)[:, :kept]
    chosen = np.take_along_axis(values, first, axis=1)
    there = np.isfinite(chosen)
    rows = np.repeat(np.arange(matrix.shape[0]), there.sum(axis=1))
    columns = np.take_along_axis(place, first, axis=1)[there]
    return sparse.csr_matrix((chosen[there], (rows, columns)), shape=matrix.shape)


def _best(found: csr_matrix, n: int) -> tuple[Array, Array]:
    place, values = _left(found.tocsr())
    width = min(n, values.shape[1])
    items = np.full((found.shape[0], n), NOBODY, np.int64)
    scores = np.zeros((found.shape[0], n), np.float32)
    if not width:
        return items, scores
    first = np.argpartition(-values, width - 1, axis=1)[:, :width]
    order = np.argsort(-np.take_along_axis(values, first, axis=1), axis=1, kind="stable")
    first = np.take_along_axis(first, order, axis=1)
    chosen = np.take_along_axis(values, first, axis=1)
    there = chosen > 0  # what was seen is minus infinity, as is the room at the end of a row
    items[:, :width] = np.where(there, np.take_along_axis(place, first, axis=1), NOBODY)
    scores[:, :width] = np.where(there, chosen, 0)
    return items, scores


def _left(matrix: csr_matrix) -> tuple[Array, Array]:
    """The columns and values of each row, moved to the left; minus infinity where a row has no more."""
    lengths = np.diff(matrix.indptr)
    width = int(lengths.max(initial=0))
    there = np.arange(width) < lengths[:, None]
    place = np.zeros(there.shape, np.int64)
    values = np.full(there.shape, -np.inf, np.float32)
    place[there], values[there] = matrix.indices, matrix.data
    return place, values
