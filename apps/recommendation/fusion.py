"""Methods put together: a weighted sum of evened-out scores, with weights learnt from what people did last.

The last events of each person are held out; the methods are fitted on the rest, and the weights are those under
which the held-out items are most likely among the best candidates of all methods (softmax cross-entropy). Held-out
items that no method has among its best say nothing about the order of a list, and would only teach a liking for
what is popular or reads alike (docs/decisions/0019); they are left out. Then the methods are fitted on everything.
Nothing else is tuned per data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.recommendation import generators as methods
from apps.recommendation.generators import Generator, History
from apps.recommendation.lesson import Lesson
from apps.recommendation.log import SEED, Array, Log, weighed

FOLDS = 2  # events of each person that the weights are learnt from
USERS = 2000  # people looked at, for each of the folds
BEST, FOUND = 60, 20  # candidates of each method, and among how many of them a held-out item must be
MOST = 1_000_000  # events that the weights are learnt from; the methods are fitted on all
LEAST = 3  # events a person must have before the one held out
FEW = 3  # an item with fewer events borrows from items with similar text
LENDERS = 3
NEW = 0.3  # deviations of the score that text counts beside: more finds more new items and fewer known ones
L2 = 1e-3
FREE = frozenset({"popularity", "recent", "liked"})  # a dislike of the popular may be learnt, one of the like may not
DEFAULT = {
    "ease": 0.3,
    "markov": 0.05,
    "near": 0.4,
    "far": 0.6,
    "item_item": 0.3,
    "recent": 0.2,
    "text": 0.4,
    "year": 0.1,
    "liked": 0.1,
}


@dataclass(frozen=True, slots=True)
class Features:
    """What each method says of each item for one history, evened out.

    Shape: ``values`` ``(methods, items)`` float32; ``centers`` and ``spreads`` ``(methods,)``, see :func:`evened`.
    """

    values: Array
    centers: Array
    spreads: Array


@dataclass(frozen=True)
class Fused:
    """Fitted methods with their weights. Immutable: a new fit takes its place whole."""

    log: Log
    generators: tuple[Generator, ...]
    weights: Mapping[str, float]
    learnt_from: int = 0  # held-out events
    lenders: Any = None  # csr_matrix (items, items): for each item with few events, those like it

    def features(self, history: History) -> Features:
        found = [evened(g.scores(history), g.power) for g in self.generators]
        values, centers, spreads = zip(*found, strict=True)
        return Features(np.stack(values), np.array(centers), np.array(spreads))

    def scores(self, history: History, features: Features | None = None) -> Array:
        """What the methods say together; of somebody without a history, what people take lately. Shape: ``(items,)``."""
        if not len(history.items):
            recent = self.generator("recent")
            return evened(recent.scores(history), recent.power)[0]
        found = (features or self.features(history)).values
        return self.borrowed(weighed(self.vector(), found), found)

    def vector(self) -> Array:
        return np.array([self.weights.get(g.name, 0.0) for g in self.generators], np.float32)

    def borrowed(self, scores: Array, features: Array) -> Array:
        """Items with few events score as those do that their text resembles, and by their text beside."""
        if self.lenders is None:
            return scores
        text = features[[g.name for g in self.generators].index("text")]
        lent = self.lenders @ scores + NEW * float(scores.std()) * text
        return np.where(np.diff(self.lenders.indptr) > 0, np.maximum(scores, lent), scores)

    def generator(self, name: str) -> Generator:
        return next(g for g in self.generators if g.name == name)


def evened(scores: Array, power: float) -> tuple[Array, float, float]:
    """Scores with their tail drawn in, of mean 0 and deviation 1, with the mean and the deviation they had.

    All zeros where nothing is told apart.
    """
    drawn = drawn_in(scores, power)
    center, spread = float(drawn.mean()), float(drawn.std())
    if spread <= 1e-9:
        return np.zeros(len(scores), np.float32), center, 1.0
    return ((drawn - center) / spread).astype(np.float32), center, spread


def leveled(scores: Array) -> Array:
    """``scores`` of deviation 1, so that wishes, boosts and diversity weigh the same whatever weights were learnt."""
    spread = float(scores.std())
    return scores / spread if spread > 1e-9 else scores


def drawn_in(scores: Array, power: float) -> Array:
    return np.sign(scores) * np.abs(scores) ** power if power != 1.0 else scores


def fitted(log: Log, vectors: Array | None, numbers: Array | None) -> tuple[Generator, ...]:
    """Every method that the data allow: text needs ``vectors``, nearness a number of most items, means ratings."""
    made: list[Generator] = [
        methods.ease(log),
        methods.sequence(log, "markov", window=1, within=1.0, back=0.3, by=(0.5, 0.2), decay=0.5),
        methods.sequence(log, "near", window=5, within=0.8, back=0.5, by=(0.5, 0.3), decay=0.8),
        methods.sequence(log, "far", window=20, within=0.95, back=1.0, by=(0.5, 0.5), decay=0.8),
        methods.item_item(log),
        methods.Popularity(log, 100_000.0, "popularity"),
        methods.Popularity(log, 250.0, "recent"),
    ]
    if vectors is not None:
        made.append(methods.text(vectors))
    if numbers is not None and np.isfinite(numbers).mean() > 0.5:
        made.append(methods.nearness("year", numbers, 5.0))
    if len(log) and float(log.value.std()) > 0:
        made.append(methods.liked(log))
    return tuple(made)


def fit(
    log: Log,
    *,
    vectors: Array | None = None,
    numbers: Array | None = None,
    progress: Callable[[str], None] = lambda _: None,
    lesson: Lesson | None = None,
) -> Fused:
    """Learn from ``log``.

    Args:
        vectors: embeddings of the items' texts, ``(items, dim)``.
        numbers: a number of each item such as its year, NaN where unknown.
        progress: told what is being done.
        lesson: what was learnt from the same data before.
    """
    if lesson is not None:
        final = fitted(log, vectors, numbers)
        return Fused(log, final, lesson.weights, lesson.learnt_from, _lenders(log, vectors))
    told_of = sampled(log)
    from_last = told_of.from_last()
    examples: list[tuple[Array, Array, Array]] = []
    used: tuple[Generator, ...] = ()
    for fold in range(FOLDS):
        rest, held = told_of.kept(from_last > fold), told_of.kept(from_last == fold)
        before = np.bincount(rest.user, minlength=len(log.users))[held.user]
        held = held.kept(before >= LEAST)
        if not len(held):
            continue
        progress(f"fold {fold + 1}/{FOLDS}: {len(held)} events")
        used = fitted(rest, vectors, numbers)
        examples += _examples(rest, held, used)
    progress("all events")
    final = fitted(log, vectors, numbers)
    bounds = [(None if g.name in FREE else 0.0, None) for g in used]
    weights = (
        dict(zip([g.name for g in used], _learnt(examples, bounds).tolist(), strict=True)) if examples else DEFAULT
    )
    return Fused(log, final, weights, sum(len(t) for _, t, _ in examples), _lenders(log, vectors))


def sampled(log: Log) -> Log:
    """The events of so many people that there are about :data:`MOST` of them, drawn with a fixed seed."""
    if len(log) <= MOST:
        return log
    drawn = np.random.default_rng(SEED).random(len(log.users)) < MOST / len(log)
    return log.kept(drawn[log.user])


def _examples(rest: Log, held: Log, used: Sequence[Generator]) -> list[tuple[Array, Array, Array]]:
    """``(features, targets, open)``: shapes (people, methods, candidates), (people,), (people, candidates).

    Candidates are at the front of each row; ``open`` says where they end.
    """
    people = np.arange(len(held))
    if len(people) > USERS:
        people = np.sort(np.random.default_rng(SEED).choice(people, USERS, replace=False))
    n, bounds = len(rest.items), rest.bounds()
    width = min(n, len(used) * BEST + 1)
    rows, targets, open_ = [], [], []
    for row in people.tolist():
        user, target = int(held.user[row]), int(held.item[row])
        seen = rest.item[bounds[user] : bounds[user + 1]]
        history = History.of(seen, float(held.at[row]))
        values = np.stack([evened(g.scores(history), g.power)[0] for g in used])
        values[:, seen[seen != target]] = -np.inf
        own = values[:, [target]]
        before = (values > own).sum(axis=1) + ((values == own).sum(axis=1) - 1) / 2
        if before.min() >= FOUND:
            continue
        best = np.argpartition(-values, min(BEST, n) - 1, axis=1)[:, :BEST]
        candidates = np.union1d(best.ravel(), [target])
        candidates = candidates[np.isfinite(values[0, candidates])]
        features = np.zeros((len(used), width), np.float32)
        features[:, : len(candidates)] = values[:, candidates]
        rows.append(features)
        targets.append(int(np.searchsorted(candidates, target)))
        open_.append(np.arange(width) < len(candidates))
    return [(np.stack(rows), np.array(targets), np.stack(open_))] if rows else []


def _learnt(
    examples: Sequence[tuple[Array, Array, Array]], bounds: Sequence[tuple[float | None, float | None]] | None = None
) -> Array:
    """The weights under which the targets are most likely. Shape: ``(methods,)``."""
    from scipy.optimize import minimize

    count = sum(len(targets) for _, targets, _ in examples)

    def loss(weights: Array) -> tuple[float, Array]:
        total, slope = 0.0, np.zeros_like(weights)
        for features, targets, allowed in examples:
            place = np.arange(len(targets))
            scores = np.einsum("m,umi->ui", weights.astype(np.float32), features).astype(np.float64)
            scores[~allowed] = -np.inf
            scores -= scores.max(axis=1, keepdims=True)
            share = np.exp(scores)
            norm = share.sum(axis=1, keepdims=True)
            total -= float((scores[place, targets] - np.log(norm[:, 0])).sum())
            share = (share / norm).astype(np.float32)
            slope += np.einsum("ui,umi->m", share, features) - features[place, :, targets].sum(axis=0)
        return total / count + L2 * float(weights @ weights), slope / count + 2 * L2 * weights

    start = np.full(examples[0][0].shape[1], 0.2)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 80}).x


def _lenders(log: Log, vectors: Array | None) -> Any:
    """For each item with few events, the items with enough of them whose texts are nearest, in equal shares."""
    from scipy import sparse

    counts = log.counts()
    few, enough = np.flatnonzero(counts < FEW), np.flatnonzero(counts >= FEW)
    if vectors is None or not len(few) or len(enough) < LENDERS:
        return None
    moved = methods.centered(vectors)
    nearest = np.argpartition(-(moved[few] @ moved[enough].T), LENDERS - 1, axis=1)[:, :LENDERS]
    rows = np.repeat(few, LENDERS)
    shares = np.full(len(rows), 1 / LENDERS, np.float32)
    return sparse.csr_matrix((shares, (rows, enough[nearest.ravel()])), shape=(len(log.items), len(log.items)))
