"""Does the local engine batch, and does it lose anything against llama.cpp's own server?

Eight clients, each with a prompt of its own and a fixed number of tokens to write, nothing cached. Our engine runs
in this process; llama.cpp's server is ``xllamacpp``'s HTTP server in another process, with the same parameters, once
as it comes and once with OpenMP threads that sleep at barriers, as ours do (``core.providers.openmp``). Ratios are
taken within a round and their median over rounds is kept.

``python -m benchmarks.gguf serve`` is that server; it prints its address and ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.report import Result, Table, Target
from core.providers.gguf import GgufChat
from core.providers.openmp import be_polite
from core.providers.registry import open_model
from core.settings import load_settings
from core.types import Done, Options, user

CLIENTS = 8
TOKENS = 48
ROUNDS = 5
ONE, ALL = "Touchstone, one by one", "Touchstone, 8 at once"
SERVER, POLITE = "llama.cpp server, 8 at once", "llama.cpp server, 8 at once, sleeping threads"
ZH = {
    ONE: "Touchstone，逐个",
    ALL: "Touchstone，8 个并发",
    SERVER: "llama.cpp 服务器，8 个并发",
    POLITE: "llama.cpp 服务器，8 个并发，线程休眠",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """Of one case in one round. ``cpu_ms`` per token counts the client and the process that computes."""

    tokens_per_s: float
    cpu_ms: float


def run() -> Result:
    with TemporaryDirectory() as home, _server(polite=False) as plain, _server(polite=True) as polite:
        settings = load_settings(Path(home), {"TOUCHSTONE_HOME": home})
        model = open_model("chat", "embedded:smollm2", settings)
        rounds = asyncio.run(_rounds(model, {SERVER: plain, POLITE: polite}))
    batching = _ratio(rounds, ALL, (ONE,))
    against = _ratio(rounds, ALL, (SERVER, POLITE))
    return Result(
        "gguf",
        ("Local engine: eight clients", "本地引擎：8 个客户端"),
        [
            Table(
                (
                    f"SmolLM2-135M, {TOKENS} tokens for each client, medians of {ROUNDS} rounds",
                    f"SmolLM2-135M，每个客户端 {TOKENS} 个词元，{ROUNDS} 轮的中位数",
                ),
                [("case", "情形"), ("tokens/s", "词元/秒"), ("CPU ms per token", "每词元 CPU ms")],
                [
                    [f"{name} · {ZH[name]}", _median(rounds, name, "tokens_per_s"), _median(rounds, name, "cpu_ms")]
                    for name in rounds[0]
                ],
            )
        ],
        [
            Target(("8 at once / one by one", "8 个并发 / 逐个"), batching, 1.4, at_least=True),
            Target(
                (
                    "8 at once / llama.cpp's own server, the better of the two",
                    "8 个并发 / llama.cpp 自带服务器（取较好者）",
                ),
                against,
                0.95,
                at_least=True,
            ),
        ],
        raw={"rounds": [{name: [rate.tokens_per_s, rate.cpu_ms] for name, rate in row.items()} for row in rounds]},
    )


async def _rounds(model: GgufChat, servers: dict[str, tuple[str, int]]) -> list[dict[str, Rate]]:
    import httpx2

    async with httpx2.AsyncClient(timeout=600) as client:
        cases: dict[str, tuple[Callable[[int], Awaitable[int]], int]] = {
            ONE: (lambda n: _one_by_one(model, n), 0),
            ALL: (lambda n: _at_once(lambda text: _ours(model, text), n), 0),
        }
        for name, (url, pid) in servers.items():
            cases[name] = (lambda n, url=url: _at_once(lambda text: _theirs(client, url, text), n), pid)  # type: ignore[misc]
        for work, _ in cases.values():
            await work(-1)
        rounds = []
        for number in range(ROUNDS):
            names = [*cases]
            turn = number % len(names)
            found = {}
            for name in names[turn:] + names[:turn]:
                work, pid = cases[name]
                started, cpu = time.perf_counter(), _cpu_s(pid)
                tokens = await work(number)
                took = time.perf_counter() - started
                found[name] = Rate(tokens / took, (_cpu_s(pid) - cpu) / tokens * 1e3)
            rounds.append({name: found[name] for name in names})
        await model.aclose()
        return rounds


def _prompts(number: int) -> list[str]:
    return [f"Write a short story about {number + 2} travelers and the number {client}." for client in range(CLIENTS)]


async def _one_by_one(model: GgufChat, number: int) -> int:
    return sum([await _ours(model, text) for text in _prompts(number)[: CLIENTS // 2]])


async def _at_once(ask: Callable[[str], Awaitable[int]], number: int) -> int:
    return sum(await asyncio.gather(*(ask(text) for text in _prompts(number))))


async def _ours(model: GgufChat, text: str) -> int:
    extra = {"ignore_eos": True, "cache_prompt": False}
    tokens = 0
    async for event in model.stream([user(text)], Options(max_tokens=TOKENS, temperature=0.0, extra=extra)):
        if isinstance(event, Done):
            tokens = event.completion.usage.output_tokens or 0
    return tokens


async def _theirs(client: Any, url: str, text: str) -> int:
    import orjson

    body = {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": TOKENS,
        "temperature": 0.0,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    tokens = 0
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                tokens = (orjson.loads(line[6:]).get("usage") or {}).get("completion_tokens", tokens)
    return tokens


# --- llama.cpp's server -----------------------------------------------------------------------


@contextmanager
def _server(*, polite: bool) -> Iterator[tuple[str, int]]:
    """Address and process id of llama.cpp's own server."""
    command = [sys.executable, "-m", "benchmarks.gguf", "serve", *(["polite"] if polite else [])]
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.stdin.close()
            process.wait(30)


def serve(*, polite: bool) -> None:
    """Run llama.cpp's HTTP server with the parameters our engine uses, until the input ends."""
    if polite:
        be_polite()
    import xllamacpp

    model = open_model("chat", "embedded:smollm2", load_settings(Path(), {}))
    params = xllamacpp.CommonParams()
    params.model.path = str(model.engine.header.path)
    params.verbosity = -1
    for name, value in model.engine.plan.items():
        if "." not in name and name != "n_threads_http":
            setattr(params, name, value)
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


# --- figures ----------------------------------------------------------------------------------


def _cpu_s(pid: int) -> float:
    """CPU seconds of this process and, on Linux, of process ``pid``."""
    own = time.process_time()
    if not pid or not Path(f"/proc/{pid}/stat").exists():
        return own
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ratio(rounds: list[dict[str, Rate]], name: str, others: tuple[str, ...]) -> float:
    """The median over rounds of ``name`` against the faster of ``others``."""
    best = max(others, key=lambda other: _median(rounds, other, "tokens_per_s"))
    return statistics.median(row[name].tokens_per_s / row[best].tokens_per_s for row in rounds)


def _median(rounds: list[dict[str, Rate]], name: str, field: str) -> float:
    return statistics.median(getattr(row[name], field) for row in rounds)


if __name__ == "__main__":
    if sys.argv[1:2] != ["serve"]:
        sys.exit("usage: python -m benchmarks gguf, or python -m benchmarks.gguf serve [polite]")
    serve(polite="polite" in sys.argv)
