"""Recommendation as a shop grows, and its item-item method beside ``implicit``'s.

Growth: import, fit, memory and the time of a list, on drawn logs of some sizes.

A log of ``n`` events has ``n / 50`` people and ``n / 50`` items, at most 20,000 of these. An item's chance falls with
its rank by Zipf's law, and everybody keeps to one of 20 worlds four times out of five, so that there is something to
learn. Item texts are left out: embedding is measured elsewhere. Each size runs in a process of its own, that is stopped
after ``--limit`` seconds by the clock.

Peers: :mod:`benchmarks.recommendation_client`, with 20 neighbors an item on either side, on ml-latest-small (when the
public data are there) and on a drawn log of a million events and 20,000 items. ``--peers`` is a Python with
``implicit``.
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
PEERS_EVENTS = 1_000_000
ML = "ml-latest-small/ratings_useridplus1000.csv"
CLIENT = "benchmarks.recommendation_client"
SYSTEMS = ("Touchstone item-item", "implicit item-item", "implicit ALS")
OURS, THEIRS = SYSTEMS[:2]
PEER_COLUMNS = ("log", "system", "fit_cpu_s", "fit_s", "memory_mb", "p50_ms", "p95_ms", "users_s")
PEER_HEADS = (
    ("log", "日志"),
    ("system", "系统"),
    ("fit, CPU s", "学习 CPU 秒"),
    ("fit, s", "学习秒"),
    ("memory, peak MB", "内存峰值 MB"),
    ("list p50 ms", "列表 p50 ms"),
    ("list p95 ms", "列表 p95 ms"),
    ("lists a CPU s, all people", "每 CPU 秒列表数，全部用户"),
)


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
        told = (Event(f"u{u}", f"i{i}", t) for u, i, t in zip(user, item, at.tolist(), strict=True))
        items = [Item(f"i{i}", {"": f"Thing {i}"}, tags=(f"world {i % WORLDS}",)) for i in range(int(item.max()) + 1)]
        clock, began = time.perf_counter(), time.process_time()
        service.store.replace(items, told)
        imported_s = time.process_time() - began
        began = time.process_time()
        service.fit()
        fitted_s = time.process_time() - began
        whole_s = time.perf_counter() - clock
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
        "whole_s": whole_s,
        "memory_mb": peak_mb() or 0.0,
        "p50_ms": float(np.percentile(waits, 50)),
        "p95_ms": float(np.percentile(waits, 95)),
    }


def side_by_side(given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each log and system; a system that is not installed has no figures."""
    logs = {"1M × 20,000": drawn(PEERS_EVENTS)}
    ratings = given.data / ML
    if ratings.exists():
        from apps.recommendation.protocol import read

        log, _ = read(ratings, None, 5)
        order = np.argsort(log.at, kind="stable")
        logs = {"ml-latest-small": (log.user[order], log.item[order], log.at[order]), **logs}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (user, item, at) in logs.items():
            file = Path(folder) / "log.npz"
            np.savez(file, user=user, item=item, at=at)
            for system in SYSTEMS:
                python = sys.executable if system.startswith("Touchstone") else str(given.peers)
                rows.append({"log": name, "system": system, **_child(python, CLIENT, system, str(file))})
    return rows


def _child(python: str, module: str, *arguments: str, limit_s: float | None = None) -> dict[str, Any]:
    """The figures that a process of its own prints, or none when it lacks a package or is not through in time."""
    try:
        done = subprocess.run(
            [python, "-m", module, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "2"},
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return {}
    if done.returncode and "ModuleNotFoundError" in done.stderr:
        return {}
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def sizes(given: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for events in (int(size) for size in given.events.split(",") if size):
        found = _child(sys.executable, "benchmarks.recommendation", str(events), limit_s=given.limit)
        rows.append({"events": float(events), **found})
    return rows


def run(given: argparse.Namespace) -> Result:
    return result(sizes(given), side_by_side(given), given.limit)


def result(rows: list[dict[str, Any]], beside: list[dict[str, Any]], limit_s: float) -> Result:
    slow = [f"{row['events']:,.0f}" for row in rows if "p95_ms" not in row]
    small = [row["p95_ms"] for row in rows if row["events"] <= SMALL and "p95_ms" in row]
    columns = ("events", "items", "import_s", "fit_s", "whole_s", "memory_mb", "p50_ms", "p95_ms")
    heads = (
        ("events", "行为"),
        ("items", "物品"),
        ("import, CPU s", "导入 CPU 秒"),
        ("fit, CPU s", "学习 CPU 秒"),
        ("both, s", "合计秒"),
        ("memory, peak MB", "内存峰值 MB"),
        ("list p50 ms", "列表 p50 ms"),
        ("list p95 ms", "列表 p95 ms"),
    )
    rates = {(row["log"], row["system"]): row["users_s"] for row in beside if "users_s" in row}
    ratios = [rates[log, OURS] / rates[log, THEIRS] for log in {row["log"] for row in beside} if (log, THEIRS) in rates]
    return Result(
        "recommendation",
        ("Recommendation: as a shop grows, and beside implicit", "个性化推荐：随规模增长，并与 implicit 对比"),
        [
            Table(("Drawn logs, without item texts", "抽取生成的日志，不含物品文本"), heads, [[row.get(c) for c in columns] for row in rows]),
            Table(
                ("Beside implicit 0.7.3: 20 neighbors an item; two threads", "与 implicit 0.7.3 对比：每个物品 20 个近邻；两个线程"),
                PEER_HEADS,
                [[row.get(c) for c in PEER_COLUMNS] for row in beside],
            ),
        ],
        [
            Target(("p95 of a list with reasons, 100,000 events", "带理由的列表 p95，10 万条行为"), max(small, default=None), P95_MS, "ms"),
            Target(("item-item lists a CPU second, against implicit's", "item-item 每 CPU 秒列表数，对 implicit"), min(ratios, default=None), 1.0, at_least=True),
        ],
        [(f"Not through in {limit_s:.0f} s: {', '.join(slow)} events.", f"{limit_s:.0f} 秒内未完成：{'、'.join(slow)} 条行为。")] if slow else [],
        {"sizes": rows, "peers": beside},
    )  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(int(sys.argv[1]))) + "\n")
