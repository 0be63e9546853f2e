"""``python -m benchmarks.recommendation_client SYSTEM FILE``: one recommender in a process of its own.

``FILE`` is an ``.npz`` with a log: ``user``, ``item`` (numbers from 0) and ``at``, in the order of time. Prints one
line of JSON: seconds to fit, time of one list, lists a second for everybody at once, peak memory. This module
imports nothing of Touchstone unless Touchstone is the system: it also runs in the peers' own environment.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.process import peak_mb

NEIGHBORS = 20  # implicit's default
TOP, LISTS, THREADS, EVERYBODY, SEED = 10, 300, 2, 20_000, 20_261
One = Callable[[int], object]  # a list for the user with this number
All = Callable[[int], object]  # lists for the first so many users

Fitted = tuple[One, All]


def _matrix(user: np.ndarray, item: np.ndarray) -> Any:
    from scipy import sparse

    seen = sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)))
    seen.data[:] = 1
    return seen


def implicit_item_item(user: np.ndarray, item: np.ndarray, at: np.ndarray) -> Fitted:
    from implicit.nearest_neighbours import CosineRecommender

    seen = _matrix(user, item)
    model = CosineRecommender(K=NEIGHBORS, num_threads=THREADS)
    model.fit(seen, show_progress=False)
    return (lambda u: model.recommend(u, seen[u], N=TOP)), (lambda n: model.recommend(np.arange(n), seen[:n], N=TOP))


def implicit_als(user: np.ndarray, item: np.ndarray, at: np.ndarray) -> Fitted:
    from implicit.als import AlternatingLeastSquares

    seen = _matrix(user, item)
    model = AlternatingLeastSquares(factors=64, num_threads=THREADS, random_state=SEED)
    model.fit(seen, show_progress=False)
    return (lambda u: model.recommend(u, seen[u], N=TOP)), (lambda n: model.recommend(np.arange(n), seen[:n], N=TOP))


def touchstone_item_item(user: np.ndarray, item: np.ndarray, at: np.ndarray) -> Fitted:
    from apps.recommendation import batch
    from apps.recommendation.generators import History, item_item
    from apps.recommendation.log import Log

    log = Log.of([str(u) for u in range(user.max() + 1)], [str(i) for i in range(item.max() + 1)], user, item, at)
    model = batch.nearest(item_item(log), NEIGHBORS)
    bounds = log.bounds()

    def one(number: int) -> object:
        seen = log.item[bounds[number] : bounds[number + 1]]
        scores = model.scores(History.of(seen, 0.0))
        scores[seen] = -np.inf
        best = np.argpartition(-scores, TOP)[:TOP]
        return best[np.argsort(-scores[best])]

    def everybody(count: int) -> object:
        return batch.best(model, Log(log.users[:count], log.items, *(c[: bounds[count]] for c in _columns(log))), n=TOP)

    return one, everybody


def _columns(log: Any) -> tuple[np.ndarray, ...]:
    return log.user, log.item, log.at, log.value


SYSTEMS = {
    "implicit item-item": implicit_item_item,
    "implicit ALS": implicit_als,
    "Touchstone item-item": touchstone_item_item,
}


def main(system: str, file: str) -> None:
    warnings.simplefilter("ignore")  # implicit on the format of its input
    given = np.load(file)
    began, used = time.perf_counter(), time.process_time()
    one, everybody = SYSTEMS[system](given["user"], given["item"], given["at"])
    fitted = {"fit_s": time.perf_counter() - began, "fit_cpu_s": time.process_time() - used}
    people = int(given["user"].max()) + 1
    waits = []
    for number in np.random.default_rng(SEED).choice(people, min(LISTS, people), replace=False).tolist():
        began = time.perf_counter()
        one(number)
        waits.append((time.perf_counter() - began) * 1000)
    count = min(EVERYBODY, people)
    rates = []
    for _ in range(3):
        began = time.process_time()
        everybody(count)
        rates.append(count / (time.process_time() - began))
    found: dict[str, float | None] = {
        **fitted,
        "p50_ms": float(np.percentile(waits, 50)),
        "p95_ms": float(np.percentile(waits, 95)),
    }
    found |= {"users_s": max(rates), "memory_mb": peak_mb()}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
