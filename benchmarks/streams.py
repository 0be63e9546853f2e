"""A thousand streams at once in one client process, 100 chunks each at 10 a second.

Pacing alone takes 9.9 s. A client that needs more CPU than there is falls behind: the whole takes longer and
chunks arrive late and in lumps, which the gaps between chunks show. Each client runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from benchmarks.peers import OPENAI, STACK, Peer, peers
from benchmarks.process import peak_mb, raise_file_limit
from benchmarks.report import Result, Table, Target
from benchmarks.server import PACED_CHUNKS, PACED_PER_S, canned_server

STREAMS = 1000
PACING_S = (PACED_CHUNKS - 1) / PACED_PER_S
RUNS = ((STACK, "asynchronous"), (STACK, "synchronous"), (OPENAI, "asynchronous"))
ZH = {"asynchronous": "异步", "synchronous": "同步"}


def run() -> Result:
    found = {(name, face): _in_a_process(name, face) for name, face in RUNS}
    ours = {face: found[STACK, face] for face in ("asynchronous", "synchronous")}
    targets = []
    for face, got in ours.items():
        targets += [
            Target(
                (f"{STACK}, wall / pacing, {face}", f"{STACK}，总时间 / 节奏，{ZH[face]}"),
                got["wall_s"] / PACING_S,
                1.3,
            ),
            Target((f"{STACK}, p95 gap, {face}", f"{STACK}，片段间隔 p95，{ZH[face]}"), got["gap_p95_ms"], 300.0, "ms"),
        ]
    return Result(
        "streams",
        (f"{STREAMS:,} streams at once", f"{STREAMS:,} 个并发流"),
        [
            Table(
                (
                    f"{PACED_CHUNKS} chunks each, {PACED_PER_S} a second: {PACING_S} s at best, a gap of 100 ms",
                    f"每个流 {PACED_CHUNKS} 个片段，每秒 {PACED_PER_S} 个：最快 {PACING_S} s，间隔 100 ms",
                ),
                [
                    "client",
                    "face",
                    ("wall s", "总时间 s"),
                    ("÷ pacing", "÷ 节奏"),
                    ("gap p95 ms", "间隔 p95 ms"),
                    ("gap p99 ms", "间隔 p99 ms"),
                    ("first chunk p95 ms", "首片段 p95 ms"),
                    ("CPU s", "CPU s"),
                    ("CPU µs per chunk", "每片段 CPU µs"),
                    ("memory MB", "内存 MB"),
                    ("KB per stream", "每流 KB"),
                    ("failed", "失败"),
                ],
                [
                    [
                        name,
                        face,
                        got["wall_s"],
                        got["wall_s"] / PACING_S,
                        got["gap_p95_ms"],
                        got["gap_p99_ms"],
                        got["first_p95_ms"],
                        got["cpu_s"],
                        got["cpu_s"] / (STREAMS * PACED_CHUNKS) * 1e6,
                        got["memory_mb"],
                        got["kb_per_stream"],
                        str(got["failed"]),
                    ]
                    for (name, face), got in found.items()
                ],
            )
        ],
        targets,
        [
            (
                "The synchronous face is read by a thousand threads. Memory is the peak of the client process.",
                "同步接口由一千个线程读取。内存是客户端进程的峰值。",
            )
        ],
        {f"{name}, {face}": got for (name, face), got in found.items()},
    )


def _in_a_process(name: str, face: str) -> dict[str, Any]:
    with canned_server() as url:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.streams", name, face, url],
            stdout=subprocess.PIPE,
            text=True,
            timeout=180,
            check=True,
        )
    return json.loads(done.stdout)


# --- in the client's process ------------------------------------------------------------------

Arrivals = list[float]


async def _all_async(client: Peer) -> list[Arrivals | BaseException]:
    async def read() -> Arrivals:
        arrivals = [time.perf_counter()]
        async for _ in client.stream_async("paced"):
            arrivals.append(time.perf_counter())
        return arrivals

    found = await asyncio.gather(*(read() for _ in range(STREAMS)), return_exceptions=True)
    await client.close_async()
    return found


def _all_blocking(client: Peer) -> list[Arrivals | BaseException]:
    def read(_: int) -> Arrivals:
        arrivals = [time.perf_counter()]
        arrivals.extend(time.perf_counter() for _ in client.stream("paced"))
        return arrivals

    with ThreadPoolExecutor(STREAMS) as pool:
        futures = [pool.submit(read, n) for n in range(STREAMS)]
    return [future.exception() or future.result() for future in futures]


def _client(name: str, face: str, url: str) -> dict[str, Any]:
    raise_file_limit()
    with peers(url, (name,)) as clients:
        client = clients[name]
        assert client.ask()  # all is imported and open
        before = peak_mb()
        started, cpu = time.perf_counter(), time.process_time()
        if face == "asynchronous":
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                found = runner.run(_all_async(client))
        else:
            found = _all_blocking(client)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        memory = peak_mb()
    good = [a for a in found if not isinstance(a, BaseException) and len(a) == PACED_CHUNKS + 1]
    gaps = sorted(b - a for arrivals in good for a, b in pairwise(arrivals[1:]))
    firsts = sorted(arrivals[1] - arrivals[0] for arrivals in good)
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "gap_p50_ms": _percentile(gaps, 0.50),
        "gap_p95_ms": _percentile(gaps, 0.95),
        "gap_p99_ms": _percentile(gaps, 0.99),
        "first_p95_ms": _percentile(firsts, 0.95),
        "memory_mb": memory,
        "kb_per_stream": (memory - before) * 1024 / STREAMS if memory and before else None,
        "failed": len(found) - len(good),
        "errors": dict(Counter(type(e).__name__ for e in found if isinstance(e, BaseException))),
    }


def _loop_factory() -> Any:
    """uvloop where it is installed, as an HTTP server would choose; the same for every client."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _percentile(ordered: list[float], share: float) -> float | None:
    if len(ordered) < 2:
        return None
    return statistics.quantiles(ordered, n=100)[round(share * 100) - 1] * 1e3


if __name__ == "__main__":
    print(json.dumps(_client(*sys.argv[1:])))
