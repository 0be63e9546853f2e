"""Popularity among people of like taste: what those took lately in whose histories the same tag stands out.

The simplest way to be personal, and so a baseline: a method that cannot beat it has learnt no more than genres.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from apps.recommendation.generators import DAY_S, History
from apps.recommendation.log import Array, Log

USUAL = 3  # events with a tag that everybody is taken to have, so that a rare one needs more than a single event


class Segments:
    """Decayed counts as :class:`apps.recommendation.generators.Popularity` has them, of one segment.

    A person's segment is the tag whose share of their history is greatest against its share of all events; nobody's
    history is looked at twice, and nothing after the moment of the list counts.
    """

    name, power, decay = "segment", 1.0, 1.0

    def __init__(self, log: Log, tags: Iterable[Iterable[str]], half_life_days: float = 100_000.0) -> None:
        from scipy import sparse

        number: dict[str, int] = {}
        rows = [sorted({number.setdefault(tag, len(number)) for tag in of_one}) for of_one in tags]
        ends = np.cumsum([0, *map(len, rows)])
        columns = np.array([n for row in rows for n in row], np.int32)
        shape = (len(rows), len(number))
        self._tags = sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=shape)
        taken = sparse.csr_matrix((np.ones(len(log)), (log.user, log.item)), shape=(len(log.users), len(log.items)))
        theirs = np.asarray((taken @ self._tags).todense())
        self._all = theirs.sum(axis=0)
        segment = self._of(theirs)[log.user]
        self._rate = np.log(2) / (half_life_days * DAY_S)
        self._parts: dict[int, tuple[Array, Array]] = {}  # segment → times in order, and items
        for one in np.unique(segment).tolist():
            rows_of = np.flatnonzero(segment == one)
            order = rows_of[np.argsort(log.at[rows_of], kind="stable")]
            self._parts[one] = log.at[order], log.item[order]

    def scores(self, history: History) -> Array:
        mine = np.asarray(self._tags[history.items].sum(axis=0))
        at, item = self._parts.get(int(self._of(mine)[0]), (np.zeros(0), np.zeros(0, int)))
        past = int(np.searchsorted(at, history.now, side="right"))
        weights = np.exp(-self._rate * (history.now - at[:past]))
        return np.log1p(np.bincount(item[:past], weights, minlength=self._tags.shape[0]))

    def parts(self, history: History, items: Array) -> Array:
        return np.zeros((len(history.items), len(items)))

    def _of(self, counts: Array) -> Array:
        """The segments of people with so many events of each tag; -1 without any. Shape: ``(people, tags)`` → ``(people,)``."""
        if not counts.shape[1]:
            return np.full(len(counts), -1)
        usual = USUAL + counts.sum(axis=1, keepdims=True) * self._all / max(1.0, float(self._all.sum()))
        return np.where(counts.any(axis=1), np.argmax((counts + USUAL) / usual, axis=1), -1)
