"""Recommendation as a shop grows: import, fit, memory and the time of a list, on drawn logs of some sizes.

A log of ``n`` events has ``n / 50`` people and ``n / 50`` items, at most 20,000 of these. An item's chance falls with
its rank by Zipf's law, and everybody keeps to one of 20 worlds four times out of five, so that there is something to
learn. Item texts are left out: embedding is measured elsewhere. Each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import peak_mb
from benchmarks.report import Result, Table, Target

SEED = 20_261
PER_PERSON, PER_ITEM, MOST_ITEMS = 50, 50, 20_000
WORLDS, FAITH = 20, 0.8
LISTS = 300
P95_MS, SMALL = 20.0, 100_000  # the limit, and the size of ml-latest-small


def drawn(events: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(user, item, at)`` of a log, in the order of time. Shape: ``(events,)`` each."""
    rng = np.random.default_rng(SEED)
    people, items = max(2, events // PER_PERSON), max(WORLDS, min(events // PER_ITEM, MOST_ITEMS))
    user = rng.integers(people, size=events)
    chance = 1 / np.arange(1, items + 1)
    item = rng.choice(items, events, p=chance / chance.sum())
    own = item - item % WORLDS + user % WORLDS  # the item of the person's world beside it
    item = np.where((rng.random(events) < FAITH) & (own < items), own, item)
    return user, item, 1.6e9 + np.sort(rng.random(events)) * 1e8


def measured(events: int) -> dict[str, float]:
    from apps.recommendation import Recommender
    from apps.recommendation.data import Event, Item
    from core.settings import load_settings

    user, item, at = drawn(events)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            Path(folder), {"TOUCHSTONE_HOME": str(Path(folder) / "home"), "TOUCHSTONE_EMBEDDING": "scripted:none"}
        )
        service = Recommender.open(settings, catalogue="drawn")
        kept = [Event(f"u{u}", f"i{i}", t) for u, i, t in zip(user.tolist(), item.tolist(), at.tolist(), strict=True)]
        items = [Item(f"i{i}", {"": f"Thing {i}"}, tags=(f"world {i % WORLDS}",)) for i in range(int(item.max()) + 1)]
        began = time.process_time()
        service.store.replace(items, kept)
        imported_s = time.process_time() - began
        began = time.process_time()
        service.fit()
        fitted_s = time.process_time() - began
        people = np.unique(user)
        waits = []
        for number in np.random.default_rng(SEED).choice(people, min(LISTS, len(people)), replace=False).tolist():
            began = time.perf_counter()
            service.recommend(f"u{number}", n=10)
            waits.append((time.perf_counter() - began) * 1000)
        service.close()
    return {
        "events": float(events),
        "items": float(len(items)),
        "import_s": imported_s,
        "fit_s": fitted_s,
        "memory_mb": peak_mb() or 0.0,
        "p50_ms": float(np.percentile(waits, 50)),
        "p95_ms": float(np.percentile(waits, 95)),
    }


def run(given: argparse.Namespace) -> Result:
    rows: list[dict[str, Any]] = []
    for events in (int(size) for size in given.events.split(",")):
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.recommendation", str(events)],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
        rows.append(json.loads(child.stdout.splitlines()[-1]))
    small = [row["p95_ms"] for row in rows if row["events"] <= SMALL]
    columns = ("events", "items", "import_s", "fit_s", "memory_mb", "p50_ms", "p95_ms")
    heads = (
        ("events", "行为"),
        ("items", "物品"),
        ("import, CPU s", "导入 CPU 秒"),
        ("fit, CPU s", "学习 CPU 秒"),
        ("memory, peak MB", "内存峰值 MB"),
        ("list p50 ms", "列表 p50 ms"),
        ("list p95 ms", "列表 p95 ms"),
    )
    return Result(
        "recommendation",
        ("Recommendation as a shop grows", "个性化推荐：随规模增长"),
        [Table(("Drawn logs, without item texts", "抽取生成的日志，不含物品文本"), heads, [[row[c] for c in columns] for row in rows])],
        [Target(("p95 of a list with reasons, 100,000 events", "带理由的列表 p95，10 万条行为"), max(small, default=None), P95_MS, "ms")],
        [],
        {"sizes": rows},
    )  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(int(sys.argv[1]))) + "\n")
