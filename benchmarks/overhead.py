"""What a call costs on top of raw httpx2: ask once, wait for the whole answer, half a kilobyte."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from benchmarks.measure import Measured, interleaved, interleaved_async
from benchmarks.peers import ENGINE, LANGCHAIN, OPENAI, RAW, STACK, close, peers
from benchmarks.report import Result, Table, Target
from benchmarks.server import REPLY, canned_server

CALLS = 60
FACES = (("asynchronous", "异步"), ("synchronous", "同步"))


def run() -> Result:
    with canned_server() as url, peers(url) as clients, asyncio.Runner() as runner:
        for client in clients.values():
            assert client.ask() == runner.run(_awaited(client.ask_async)) == REPLY, client.name
        measured = {
            "asynchronous": interleaved_async({n: c.ask_async for n, c in clients.items()}, runner, calls=CALLS),
            "synchronous": interleaved({n: c.ask for n, c in clients.items()}, calls=CALLS),
        }
        runner.run(close(clients))
    return Result(
        "overhead",
        ("Overhead of a call", "一次调用的开销"),
        [_table(face, measured[face[0]]) for face in FACES],
        [target for face in FACES for target in _targets(face, measured[face[0]])],
        [
            (
                "Whole stack: retries, deadlines and the ledger on disk included; the engine alone has only deadlines. "
                "Overhead is a client's median minus that of raw httpx2 in the same rounds; below zero means cheaper.",
                "“whole stack”含重试、期限和落盘的用量账本；“engine”只含期限。开销是该客户端的中位数减去同一轮中裸 httpx2 的中位数，"
                "小于零表示更省。",
            )
        ],
        {face: {name: asdict(m) for name, m in by_name.items()} for face, by_name in measured.items()},
    )


async def _awaited(ask: object) -> str:
    return await ask()  # type: ignore[operator]  # a runner takes coroutines, a client gives awaitables


def _table(face: tuple[str, str], measured: dict[str, Measured]) -> Table:
    raw = measured[RAW]
    return Table(
        (f"Per call, {face[0]}", f"每次调用，{face[1]}"),
        [
            "client",
            ("median ms", "中位数 ms"),
            ("quartiles ms", "四分位 ms"),
            ("CPU ms", "CPU ms"),
            ("overhead ms", "开销 ms"),
            ("CPU overhead ms", "CPU 开销 ms"),
        ],
        [
            [name, m.wall_ms, m.spread, m.cpu_ms, m.wall_ms - raw.wall_ms, m.cpu_ms - raw.cpu_ms]
            for name, m in measured.items()
        ],
    )


def _targets(face: tuple[str, str], measured: dict[str, Measured]) -> list[Target]:
    over = {name: m.wall_ms - measured[RAW].wall_ms for name, m in measured.items()}
    return [
        Target(
            (f"{ours} / {peer}, overhead, {face[0]}", f"{ours} / {peer}，开销，{face[1]}"),
            over[ours] / over[peer] if peer in over else None,
            limit,
        )
        for ours in (ENGINE, STACK)
        for peer, limit in ((OPENAI, 1.3), (LANGCHAIN, 0.4))
    ]
