"""What a chunk of a streamed answer costs: 201 chunks that arrive in one go, CPU of the whole client process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from benchmarks.measure import Measured, interleaved, interleaved_async
from benchmarks.overhead import FACES
from benchmarks.peers import OPENAI, STACK, Peer, close, peers
from benchmarks.report import Result, Table, Target
from benchmarks.server import BURST_CHUNKS, WORD, canned_server

STREAMS = 8
WARM_UP = 3


def run() -> Result:
    with canned_server() as url, peers(url) as clients, asyncio.Runner() as runner:
        blocking = {name: _reader(client) for name, client in clients.items()}
        awaited = {name: _reader_async(client) for name, client in clients.items()}
        measured = {
            "asynchronous": interleaved_async(awaited, runner, calls=STREAMS, warm_up=WARM_UP),
            "synchronous": interleaved(blocking, calls=STREAMS, warm_up=WARM_UP),
        }
        runner.run(close(clients))
    return Result(
        "chunks",
        ("CPU per streamed chunk", "每个流式片段的 CPU"),
        [_table(face, measured[face[0]]) for face in FACES],
        [
            Target(
                (f"{STACK} / {OPENAI}, CPU per chunk, {en}", f"{STACK} / {OPENAI}，每片段 CPU，{zh}"),
                measured[en][STACK].cpu_ms / measured[en][OPENAI].cpu_ms,
                0.7,
            )
            for en, zh in FACES
        ],
        raw={face: {name: asdict(m) for name, m in by_name.items()} for face, by_name in measured.items()},
    )


def _reader(client: Peer) -> Callable[[], None]:
    def read() -> None:
        assert [*client.stream("bench")] == [WORD] * BURST_CHUNKS, client.name

    return read


def _reader_async(client: Peer) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        assert [text async for text in client.stream_async("bench")] == [WORD] * BURST_CHUNKS, client.name

    return read


def _table(face: tuple[str, str], measured: dict[str, Measured]) -> Table:
    return Table(
        (f"{BURST_CHUNKS} chunks, {face[0]}", f"{BURST_CHUNKS} 个片段，{face[1]}"),
        [
            "client",
            ("stream ms", "整个流 ms"),
            ("quartiles ms", "四分位 ms"),
            ("CPU µs per chunk", "每片段 CPU µs"),
            (f"÷ {OPENAI}", f"÷ {OPENAI}"),
        ],
        [
            [name, m.wall_ms, m.spread, m.cpu_ms / BURST_CHUNKS * 1e3, m.cpu_ms / measured[OPENAI].cpu_ms]
            for name, m in measured.items()
        ],
    )
