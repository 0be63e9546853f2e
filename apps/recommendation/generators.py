"""The methods that propose items, behind one contract.

Most of them are an item-to-item matrix and a decay: the score of an item is a sum over a person's history, the event
``k`` steps back counting ``decay ** k``. So every score can be taken apart again (:meth:`Generator.parts`), which is
where reasons come from, and a new event counts at once, without training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from apps.recommendation import pairs
from apps.recommendation.log import Array, Log, dots, product, weighed

REMEMBERED = 50  # events of a history that are looked at
DAY_S = 86_400.0
STOPS = 64  # moments for which popularity is counted ahead


@dataclass(frozen=True, slots=True)
class History:
    """What one person did, oldest first.

    Shape: ``items`` (int) and ``weights`` (float, 1 for a plain event) are aligned. ``now`` is the time in seconds
    at which something is to be recommended.
    """

    items: Array
    weights: Array
    now: float

    @classmethod
    def of(cls, items: Array | list[int], now: float, weights: Array | None = None) -> History:
        numbers = np.asarray(items, dtype=np.int64)[-REMEMBERED:]
        given = np.ones(len(numbers)) if weights is None else np.asarray(weights, dtype=float)[-REMEMBERED:]
        return cls(numbers, given, now)

    def without(self, item: int) -> History:
        """The same history without the events with ``item``."""
        kept = self.items != item
        return History(self.items[kept], self.weights[kept], self.now)

    def decayed(self, decay: float) -> Array:
        """The weight of each event when ``k`` steps back count ``decay ** k``."""
        return self.weights * decay ** np.arange(len(self.items) - 1, -1, -1)


class Generator(Protocol):
    """A method.

    ``power`` evens out heavy-tailed scores before methods are put together; an event ``k`` steps back counts
    ``decay ** k``.
    """

    @property
    def name(self) -> str: ...

    @property
    def power(self) -> float: ...

    @property
    def decay(self) -> float: ...

    def scores(self, history: History) -> Array:
        """A score for every item, higher is better. Shape: ``(items,)``."""
        ...

    def parts(self, history: History, items: Array) -> Array:
        """How much each event adds to the scores of ``items``. Shape: ``(events, len(items))``."""
        ...


@dataclass(frozen=True)
class ItemToItem:
    """Scores by a matrix of shape ``(items, items)``: row ``h`` is what an event with ``h`` says for every item."""

    name: str
    matrix: Any  # a dense array or a csr_matrix
    decay: float
    power: float = 0.3

    def scores(self, history: History) -> Array:
        weights = history.decayed(self.decay)
        if isinstance(self.matrix, np.ndarray):
            return weighed(weights.astype(np.float32), self.matrix[history.items])
        return self.matrix[history.items].T @ weights.astype(np.float32)

    def parts(self, history: History, items: Array) -> Array:
        weights = history.decayed(self.decay)[:, None]
        if isinstance(self.matrix, np.ndarray):
            return weights * self.matrix[np.ix_(history.items, items)]
        rows = self.matrix[history.items]
        wanted, back = np.unique(items, return_inverse=True)
        place = np.full(rows.shape[1], -1)  # scipy's own choice of columns takes longer
        place[wanted] = np.arange(len(wanted))
        column = place[rows.indices]
        there = column >= 0
        row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        chosen = np.zeros((rows.shape[0], len(wanted)))
        chosen[row[there], column[there]] = rows.data[there]
        return weights * chosen[:, back]


@dataclass(frozen=True)
class Text:
    """Nearness of item texts. Shape of ``vectors``: ``(items, dim)``, centered, each of norm 1."""

    name: str
    vectors: Array
    decay: float = 0.8
    power: float = 1.0

    def scores(self, history: History) -> Array:
        taste = weighed(history.decayed(self.decay).astype(np.float32), self.vectors[history.items])
        return dots(self.vectors, taste)

    def parts(self, history: History, items: Array) -> Array:
        near = product(self.vectors[history.items], self.vectors[items].T)
        return history.decayed(self.decay)[:, None] * near


@dataclass(frozen=True)
class Nearness:
    """Nearness of a number that items have, such as the year. Items without it (NaN) are near to nothing.

    Shape: ``values`` are the ``n`` different numbers, ``place`` ``(items,)`` says which of them an item has.
    """

    name: str
    values: Array
    place: Array
    scale: float
    decay: float = 0.8
    power: float = 1.0

    def scores(self, history: History) -> Array:
        weights = history.decayed(self.decay)
        return (weights @ self._near(history))[self.place]

    def parts(self, history: History, items: Array) -> Array:
        return history.decayed(self.decay)[:, None] * self._near(history)[:, self.place[items]]

    def _near(self, history: History) -> Array:
        gaps = np.abs(self.values[self.place[history.items]][:, None] - self.values[None])
        return np.nan_to_num(np.exp(-gaps / self.scale))


class Popularity:
    """What many people took lately; an event ``half_life_days`` before now counts half. Nothing after now counts.

    Events that all lie within a day are not told apart: they have no dates, only an order.
    """

    power = decay = 1.0

    def __init__(self, log: Log, half_life_days: float, name: str = "popularity") -> None:
        self.name = name
        self._items = len(log.items)
        order = np.argsort(log.at, kind="stable")
        self._at, self._item = log.at[order], log.item[order]
        self._rate = np.log(2) / (half_life_days * DAY_S)
        self._step = max(1, -(-len(log) // STOPS))
        self._stops = self._counted_to_stops()
        self._latest = self._counted(float(self._at[-1])) if len(log) else np.zeros(self._items)

    def scores(self, history: History) -> Array:
        if not len(self._at) or history.now >= self._at[-1] or self._at[-1] - self._at[0] < DAY_S:
            return self._latest
        return self._counted(history.now)

    def parts(self, history: History, items: Array) -> Array:
        return np.zeros((len(history.items), len(items)))

    def _counted(self, now: float) -> Array:
        past = int(np.searchsorted(self._at, now, side="right"))
        stop = past // self._step
        counts = self._since(stop * self._step, past, now)
        if stop:
            counts = counts + self._stops[stop - 1] * np.exp(-self._rate * (now - self._at[stop * self._step - 1]))
        return np.log1p(counts)

    def _since(self, begin: int, end: int, now: float) -> Array:
        weights = np.exp(-self._rate * (now - self._at[begin:end]))
        return np.bincount(self._item[begin:end], weights, minlength=self._items)

    def _counted_to_stops(self) -> list[Array]:
        """Counts as of every so many events, from which one at any moment is not far: lists ask for thousands of moments."""
        found: list[Array] = []
        for end in range(self._step, len(self._at) + 1, self._step):
            now = self._at[end - 1]
            counts = self._since(end - self._step, end, now)
            if found:
                counts = counts + found[-1] * np.exp(-self._rate * (now - self._at[end - self._step - 1]))
            found.append(counts)
        return found


@dataclass(frozen=True)
class Liked:
    """The mean rating, drawn towards that of all items where there are few."""

    name: str
    means: Array
    decay: float = 1.0
    power: float = 1.0

    def scores(self, history: History) -> Array:
        return self.means

    def parts(self, history: History, items: Array) -> Array:
        return np.zeros((len(history.items), len(items)))


# --- fitting --------------------------------------------------------------------------------------


def ease(log: Log, *, l2: float = 200.0, decay: float = 0.9, limit: int = 6000, kept: int = 200) -> ItemToItem:
    """A linear autoencoder in closed form, with recency-weighted history.

    Above ``limit`` items only the ``limit`` most used ones take part, and each row keeps its ``kept`` largest
    weights, so that memory stays below ``8 * limit ** 2`` bytes.

    Source: Steck 2019, https://arxiv.org/abs/1905.03375; the recency weights are ours.
    """
    from scipy import linalg, sparse

    n = len(log.items)
    chosen = np.arange(n) if n <= limit else np.sort(np.argsort(-log.counts(), kind="stable")[:limit])
    seen = pairs.seen(log)[:, chosen]
    gram = (seen.T @ seen).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += l2
    factor, info = linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, info = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if info:
        raise ArithmeticError(f"EASE: the matrix is not positive definite (l2 {l2})")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    if n <= limit:
        return ItemToItem("ease", weights, decay)
    largest = np.argpartition(-np.abs(weights), kept, axis=1)[:, :kept]
    rows = np.repeat(chosen, kept)
    values = np.take_along_axis(weights, largest, axis=1).ravel()
    return ItemToItem("ease", sparse.csr_matrix((values, (rows, chosen[largest.ravel()])), shape=(n, n)), decay)


def item_item(log: Log, *, decay: float = 0.8) -> ItemToItem:
    """Cosine of the sets of people who took two items."""
    return ItemToItem("item_item", pairs.shared_out(pairs.together(log), log, 0.5, 0.5), decay)


def sequence(
    log: Log, name: str, *, window: int, within: float, back: float, by: tuple[float, float], decay: float
) -> ItemToItem:
    """What people took soon after, or before, taking an item.

    A pair ``d`` steps apart in somebody's history counts ``within ** (d - 1)`` forwards and ``back`` of that
    backwards; ``by`` are the powers of the counts of both items that it is divided by. A window of 1 forwards is a
    Markov chain.
    """
    block = pairs.in_order(log, window=window, within=within, back=back)
    return ItemToItem(name, pairs.shared_out(block, log, *by), decay)


def liked(log: Log) -> Liked:
    total = np.bincount(log.item, log.value, minlength=len(log.items))
    middle = float(log.value.mean()) if len(log) else 0.0
    return Liked("liked", (total + pairs.PRIOR * middle) / (log.counts() + pairs.PRIOR))


def nearness(name: str, numbers: Array, scale: float, decay: float = 0.8) -> Nearness:
    """From a number of each item, NaN where it has none; ``scale`` is the gap at which nearness is 1/e."""
    values, place = np.unique(numbers, return_inverse=True)
    return Nearness(name, values, place, scale, decay)


def text(vectors: Array) -> Text:
    """From embeddings of the items' texts. Shape: ``(items, dim)``."""
    return Text("text", centered(vectors))


def centered(vectors: Array) -> Array:
    """Without what all texts share, so that a cosine of 0 means no more alike than any two."""
    moved = vectors - vectors.mean(axis=0)
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)).astype(np.float32)
