"""Twenty browser sessions at once on the customer-service page, over the real server and real websockets.

Each session asks for a parcel of its own, with a reference of its own in the question, in a conversation of its own:
it must get its own shelf every time and never see another's reference.
Then every session clicks as fast as the page answers, which is the worst there is, and once a second, which is
what twenty busy people do. CPU is that of the server's whole process: script, protocol and socket.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from apps.ui.launch import streamlit_arguments
from benchmarks.page_client import Session
from benchmarks.report import Result, Table, Target
from core.retrieval.library import Library
from core.runtime import Runtime
from core.settings import load_settings

SESSIONS = 20
QUESTIONS = 4  # as many as a page draws
CLICKS = 15
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase took: seconds per action, CPU milliseconds per action and per script run."""

    waits_s: Sequence[float]
    cpu_ms_per_action: float
    cpu_ms_per_run: float
    runs: int

    def wait_ms(self, share: float) -> float:
        return sorted(self.waits_s)[min(len(self.waits_s) - 1, int(len(self.waits_s) * share))] * 1000


def token(number: int) -> str:
    return f"QX-{4100 + 37 * number}"


def reference(number: int) -> str:
    """What only this session ever says."""
    return f"ref{hashlib.sha256(str(number).encode()).hexdigest()[:10]}"


def run() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "TOUCHSTONE_HOME": str(Path(folder) / "home"),
            "TOUCHSTONE_CHAT": "scripted:demo",
            "TOUCHSTONE_EMBEDDING": "scripted:hash",
        }
        _documents(Path(folder), environment)
        with _served(Path(folder), environment) as (address, pid):
            phases, crossed, answered, memory_mb = asyncio.run(_sessions(address, pid))
    rows = [
        [name, phase.wait_ms(0.5), phase.wait_ms(0.95), phase.cpu_ms_per_run, phase.cpu_ms_per_action, phase.runs]
        for name, phase in phases.items()
    ]
    clicks, paced = phases["click, no pause"], phases["click, once a second"]
    return Result(
        "pages",
        (f"{SESSIONS} browser sessions on the customer-service page", f"智能客服页面：{SESSIONS} 个浏览器会话"),
        [
            Table(
                (
                    f"{SESSIONS} sessions at once; every conversation holds {QUESTIONS} questions and answers with sources",
                    f"{SESSIONS} 个会话同时进行；每个对话有 {QUESTIONS} 个问题和带出处的回答",
                ),
                [
                    ("action", "动作"),
                    ("wait p50 ms", "等待 p50 ms"),
                    ("wait p95 ms", "等待 p95 ms"),
                    ("CPU ms per script run", "每次脚本运行 CPU ms"),
                    ("CPU ms per action", "每个动作 CPU ms"),
                    ("script runs", "脚本运行次数"),
                ],
                rows,
            )
        ],
        [
            Target(("CPU per script run", "每次脚本运行的 CPU"), paced.cpu_ms_per_run, 15.0, "ms"),
            Target(("CPU per script run, no pause", "每次脚本运行的 CPU，不停点击"), clicks.cpu_ms_per_run, 15.0, "ms"),
            Target(("p95 of a rerun", "重新运行 p95"), paced.wait_ms(0.95), 500.0, "ms"),
            Target(("p95 of a rerun, no pause", "重新运行 p95，不停点击"), clicks.wait_ms(0.95), 500.0, "ms"),
            Target(("sessions that saw another's question", "看到他人内容的会话数"), float(crossed), 0.0, ""),
            Target(("questions answered", "答出的问题数"), float(answered), SESSIONS * QUESTIONS, "", at_least=True),
        ],
        [
            (
                f"Memory of the server with {SESSIONS} sessions open: {memory_mb:.0f} MB.",
                f"{SESSIONS} 个会话打开时服务器占用内存 {memory_mb:.0f} MB。",
            )
        ],
        {name: {"waits_s": list(phase.waits_s), "runs": phase.runs} for name, phase in phases.items()},
    )


async def _sessions(address: str, pid: int) -> tuple[dict[str, Phase], int, int, float]:
    first = await Session.open(address, "support", "lang=en")  # loads the sample shop
    await first.close()
    sessions: list[Session] = []

    async def open_one(_: int) -> list[float]:
        began = time.perf_counter()
        sessions.append(await Session.open(address, "support", "lang=en"))
        return [time.perf_counter() - began]

    async def ask(number: int) -> list[float]:
        question = f"Which shelf holds the parcel {token(number)}? ({reference(number)})"
        return [await sessions[number].run(support_question=question) for _ in range(QUESTIONS)]

    async def click(number: int) -> list[float]:
        return [await sessions[number].run() for _ in range(CLICKS)]

    async def click_slowly(number: int) -> list[float]:
        waits = []
        await asyncio.sleep(number / SESSIONS)
        for _ in range(CLICKS):
            waits.append(await sessions[number].run())
            await asyncio.sleep(max(0.0, 1.0 - waits[-1]))
        return waits

    actions = {
        "open the page": open_one,
        "ask": ask,
        "click, no pause": click,
        "click, once a second": click_slowly,
    }
    phases = {name: await _phase(action, sessions, pid) for name, action in actions.items()}
    crossed = sum(
        any(reference(other) in text for text in session.seen for other in range(SESSIONS) if other != number)
        for number, session in enumerate(sessions)
    )
    answered = sum(_answers(session, number) for number, session in enumerate(sessions))
    wrong = [error for session in sessions for error in session.errors()]
    if wrong:
        raise RuntimeError(f"the page failed: {wrong[0]}")
    memory_mb = _memory_mb(pid)
    for session in sessions:
        await session.close()
    return phases, crossed, answered, memory_mb


def _answers(session: Session, number: int) -> int:
    """How many of the answers on the page name the session's token and its shelf."""
    shown = session.text().replace("\\", "").replace("\u2060", "")
    return sum(f"parcel {token(number)} lies on shelf {number + 10}" in line for line in shown.split("\n"))


async def _phase(action: Callable[[int], Awaitable[list[float]]], sessions: list[Session], pid: int) -> Phase:
    runs, cpu = sum(session.runs for session in sessions), _cpu_s(pid)
    waits = [wait for waits in await asyncio.gather(*map(action, range(SESSIONS))) for wait in waits]
    used_ms = (_cpu_s(pid) - cpu) * 1000
    runs = sum(session.runs for session in sessions) - runs
    return Phase(waits, used_ms / len(waits), used_ms / runs, runs)


def _documents(folder: Path, environment: dict[str, str]) -> None:
    """A document for each session in the default collection."""

    async def add(library: Library) -> None:
        for number in range(SESSIONS):
            text = (
                f"# Parcel {token(number)}\n\nThe parcel {token(number)} lies on shelf {number + 10}. "
                f"It is kept for {number + 3} days.\n"
            )
            await library.collection().add_text(text, f"parcel-{number}.md")

    with Runtime(load_settings(folder, environment)) as runtime:
        asyncio.run(add(Library.of(runtime)))


@contextmanager
def _served(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen(
        streamlit_arguments(port),
        cwd=folder,
        env={**kept, **environment, "PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                with urlopen(f"{address}/_stcore/health", timeout=2):
                    break
            except (URLError, OSError):
                time.sleep(0.1)
        yield address, server.pid
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
