"""``python -m benchmarks.growth_client HOME QUERIES.npz``: searches a workspace in a process of its own, prints JSON.

Its memory is that of searching alone, and its first search pays for reading what is kept in memory.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growing import MODEL
from core.providers.sync import run
from core.retrieval import keyword, tokens
from core.retrieval.finding import CANDIDATES
from core.retrieval.library import Library
from core.workspace import Workspace

USERS = 20
TOP_K = 10


class Model:
    """Stands for the embedding model: it looks the questions' vectors up, so that a search is timed without it."""

    name = MODEL

    def __init__(self, texts: list[str], vectors: np.ndarray) -> None:
        self.dim = vectors.shape[1]
        self.of = dict(zip(texts, vectors, strict=True))

    async def embed(self, texts: Any, *, kind: Any) -> Any:
        return np.stack([self.of[text] for text in texts])

    async def aclose(self) -> None: ...


def main() -> None:
    home, given = Path(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    texts, vectors = [str(t) for t in given["texts"]], given["vectors"].astype(np.float32)
    model = Model(texts, vectors)
    library = Library(Workspace.open(home), model, vectors="exact")
    index = library.collection()

    def find(n: int) -> float:
        started = time.perf_counter()
        found = run(index.find(texts[n], TOP_K))
        assert len(found.hits) == TOP_K
        return (time.perf_counter() - started) * 1e3

    before = _memory_mb()
    first = find(0)
    for n in range(20):  # warm-up, with questions that are not measured
        find(n)
    cpu = time.process_time()
    alone = [find(n) for n in range(20, len(texts))]
    cpu = (time.process_time() - cpu) / len(alone) * 1e3
    memory = _memory_mb() - before
    with ThreadPoolExecutor(USERS) as users:
        started = time.perf_counter()
        together = list(users.map(find, range(20, len(texts))))
        rate = len(together) / (time.perf_counter() - started)
    leg = library._leg(index.id(), model)
    words, meaning = [], []
    for text, vector in zip(texts[20:], vectors[20:], strict=True):
        started = time.perf_counter()
        with library.workspace.read() as db:
            keyword.search(db, index.id(), tokens.query_terms(text), CANDIDATES)
        words.append((time.perf_counter() - started) * 1e3)
        started = time.perf_counter()
        leg.search(vector, CANDIDATES)
        meaning.append((time.perf_counter() - started) * 1e3)
    print(
        json.dumps(
            {
                "first_ms": first,
                "p50_ms": statistics.median(alone),
                "p95_ms": p95(alone),
                "cpu_ms": cpu,
                "keyword_p50_ms": statistics.median(words),
                "keyword_p95_ms": p95(words),
                "vector_p50_ms": statistics.median(meaning),
                "vector_p95_ms": p95(meaning),
                "users_p95_ms": p95(together),
                "users_per_s": rate,
                "memory_mb": memory,
                "recall_at_10": _recall(leg, vectors),
            }
        )
    )
    run(model.aclose())


def p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


def _recall(leg: Any, asked: np.ndarray) -> float:
    """Of the ten nearest by a product with every vector, the share that the leg finds. Ties count as found."""
    state = leg._followed.memory._state
    best = np.full((len(asked), 10), -2.0, np.float32)
    for a in range(0, state.size, 20_000):
        scores = asked @ state.vectors[a : min(state.size, a + 20_000)].astype(np.float32).T
        best = np.sort(np.concatenate([best, scores], axis=1), axis=1)[:, -10:]
    hits = 0
    for vector, limit in zip(asked, best[:, 0], strict=True):
        _, scores, _ = leg._followed.memory.search(vector, 10)
        hits += int((scores >= limit - 1e-5).sum())
    return hits / (10 * len(asked))


def _memory_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
