"""How search and index grow: 10,000 to a million passages in one workspace, searched by processes of their own."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growing import Writer, pool, questions
from benchmarks.report import HERE, Result, Table, Target
from core.settings import load_settings
from core.workspace import Workspace

QUESTIONS = 220


def run(given: argparse.Namespace) -> Result:
    sizes = [int(size) for size in given.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="touchstone-growth-") as folder:
        home = Path(folder) / "home"
        made = pool(given.data)
        asked = questions(given.data, QUESTIONS)
        vectors, query_vectors = asyncio.run(embedded(Path(folder), made, asked, given.real))
        np.savez(Path(folder) / "queries.npz", texts=np.array(asked), vectors=query_vectors)
        workspace = Workspace.open(home)
        writer = Writer(workspace, made, vectors)
        rows = []
        for size in sizes:
            before, wall, cpu = writer.written, time.perf_counter(), time.process_time()
            writer.write(size)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            workspace.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            measured = _searched(home, Path(folder) / "queries.npz")
            rows.append(
                {
                    "passages": size,
                    "written_per_s": (size - before) / wall,
                    "write_cpu_us": cpu / (size - before) * 1e6,
                    "vocabulary": len(writer.words),
                    "terms": writer.terms,
                    "disk_mb": (home / "touchstone.db").stat().st_size / 2**20,
                    "keyword_disk_mb": _keyword_bytes(workspace) / 2**20,
                    **measured,
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        workspace.close()
    return _result(rows, len(made), given.real)


async def embedded(
    folder: Path, made: list[tuple[str, str]], asked: list[str], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """A vector for every sentence of the pool and for every question."""
    from core.providers.registry import open_model

    settings = load_settings(folder, {"TOUCHSTONE_HOME": str(folder)})
    model = open_model("embedding", "embedded:e5", settings)
    parts = [
        await model.embed([text for _, text in made[a : a + 64]], kind="document")
        for a in range(0, min(count, len(made)), 64)
    ]
    real = np.concatenate(parts)
    query_vectors = np.concatenate(
        [await model.embed(asked[a : a + 32], kind="query") for a in range(0, len(asked), 32)]
    )
    await model.aclose()
    rng = np.random.default_rng(1)
    rest = len(made) - len(real)
    a, b = real[rng.integers(len(real), size=rest)], real[rng.integers(len(real), size=rest)]
    mixed = 0.7 * a + 0.3 * b + rng.normal(scale=0.01, size=a.shape)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.concatenate([real, mixed]).astype(np.float32), query_vectors


def _searched(home: Path, queries: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.growth_client", str(home), str(queries)],
        capture_output=True, text=True, cwd=HERE.parent, timeout=1800, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _keyword_bytes(workspace: Workspace) -> int:
    with workspace.read() as db:
        sql = (
            "SELECT coalesce((SELECT sum(length(data)) FROM keyword_blocks), 0)"
            " + coalesce((SELECT sum(length(numbers) + length(lengths) + length(firsts) + length(dead))"
            " FROM keyword_segments), 0)"
        )
        return int(db.execute(sql).fetchone()[0])


def _result(rows: list[dict[str, Any]], sentences: int, real: int) -> Result:
    largest = rows[-1]
    at_100k = [row for row in rows if row["passages"] == 100_000]
    million = largest["p95_ms"] if largest["passages"] >= 1_000_000 else None
    return Result(
        "growth",
        ("Growth of the index", "索引的增长"),
        [
            Table(
                ("One search of both legs, beside the embedding", "一次双路检索，不含向量化"),
                [
                    ("passages", "段落"), "p50 ms", "p95 ms", ("keyword p95 ms", "关键词 p95 ms"),
                    ("vector p95 ms", "向量 p95 ms"), ("20 users p95 ms", "20 用户 p95 ms"),
                    ("searches/s, 20 users", "20 用户每秒检索"), ("first search ms", "首次检索 ms"), ("memory MB", "内存 MB"),
                    ("vector recall@10", "向量 recall@10"),
                ],
                [
                    [
                        f"{row['passages']:,}", row["p50_ms"], row["p95_ms"], row["keyword_p95_ms"], row["vector_p95_ms"],
                        row["users_p95_ms"], row["users_per_s"], row["first_ms"], row["memory_mb"],
                        f"{row['recall_at_10']:.4f}",
                    ]
                    for row in rows
                ],
            ),
            Table(
                ("The index", "索引"),
                [
                    ("passages", "段落"), ("distinct terms", "不同的词项"), ("terms", "词项总数"),
                    ("written per s", "每秒写入"), ("CPU µs per passage", "每段 CPU µs"), ("disk MB", "磁盘 MB"),
                    ("of it keyword leg", "其中关键词"),
                ],
                [
                    [
                        f"{row['passages']:,}", f"{row['vocabulary']:,}", f"{row['terms']:,}", row["written_per_s"],
                        row["write_cpu_us"], row["disk_mb"], row["keyword_disk_mb"],
                    ]
                    for row in rows
                ],
            ),
        ],
        [
            Target(("p95 at a million passages", "一百万段落时的 p95"), million, 150, "ms"),
            Target(
                ("vector recall@10 against exact at 100,000", "十万段落时向量 recall@10（对照精确检索）"),
                at_100k[0]["recall_at_10"] if at_100k else None,
                0.98,
                "",
                at_least=True,
            ),
        ],
        [
            (
                f"Passages are two to five of {sentences:,} real sentences (SciFact, CMRC 2018) and two names from a "
                f"Pitman–Yor process; {real:,} sentences are embedded by embedded:e5, the others take the mix of two of "
                "those and noise; a passage's vector is the mean of its sentences' with noise. Questions are real. "
                "Writing counts text, terms and vectors, not embedding.",
                f"段落由 {sentences:,} 个真实句子（SciFact、CMRC 2018）中的二至五句和两个 Pitman–Yor 过程产生的名称组成；"
                f"其中 {real:,} 句由 embedded:e5 向量化，其余取两句的混合加噪声；段落向量是各句向量的均值加噪声。问题都是真实的。"
                "写入速度包括正文、词项和向量，不含向量化。",
            )
        ],
        {"rows": rows},
    )  # fmt: skip
