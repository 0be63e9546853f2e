"""Fifty customers talk to the customer service at once: our own time per turn, cross-talk, memory.

The chat model follows a script and answers at once, so that what is timed is ours: hearing, intents, policy, tools, search, checking
of the answer, journal, checkpoint, transcript. Half of the customers share one tenant, the others have tenants of their
own and return something. Everybody has uploaded a document with a code; each asks for it and must be told that one.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Result, Table, Target

CUSTOMERS, EVERY_S = 50, 5.0
WORDS = "scripted:none"  # no such model: intents and search go by words, so that no time is a model's
TURNS_BY = {WORDS: 40, "embedded:e5": 10}  # of each customer
P95_MS = 80.0
GROWTH = 1.05  # memory at the end against a quarter of the way
SCRIPT = r"""
rules:
  - match: '(?s)<source n="1"[^>]*>\s*(?P<first>[^\n<]+)'
    reply: "{first}[1]"
  - {contains: "<customer", reply: none}  # asked for tools, it calls none: rules read these messages
"""
CODE = {"zh": "{name}的储物柜密码是 {code}。", "en": "The locker code of {name} is {code}."}
TURNS_OF = {
    "zh": (
        "你好",
        "KT-210 几天内可以退货？",
        "{name}的储物柜密码是多少？",
        "查订单 PW26110001，尾号 2468",
        "HP-70 有货吗",
        "KT-310 水壶的保修期是多久？",
        "{name}的储物柜密码是多少？",
        "TW-5 Pro 我要退货，不想要了",
        "算了",
        "谢谢",
    ),
    "en": (
        "hello",
        "How many days do I have to return a KT-210?",
        "What is the locker code of {name}?",
        "track order PW26110005, ending 0312",
        "Is the HP-70 in stock?",
        "How long is the warranty of the KT-310 kettle?",
        "What is the locker code of {name}?",
        "I want to return the TW-5 Pro, I changed my mind",
        "never mind",
        "thanks",
    ),
}
RETURN = 7  # its place among the turns; customers with a tenant of their own agree to the first one


@dataclass
class Customer:
    number: int
    times: list[tuple[str, float]] = field(default_factory=list)  # what was said, seconds of the turn
    wrong: list[str] = field(default_factory=list)
    returned: bool = False

    @property
    def alone(self) -> bool:
        return self.number % 2 == 1

    @property
    def language(self) -> str:
        return "zh" if self.number % 4 < 2 else "en"

    @property
    def name(self) -> str:
        return f"Locker{self.number:03d}"

    @property
    def code(self) -> str:
        return f"73{self.number:03d}19"


def run(_: object = None) -> Result:
    """In a process of its own, because memory is measured."""
    found = {}
    for embedding, turns in TURNS_BY.items():
        command = [
            sys.executable,
            "-m",
            "benchmarks.conversations",
            embedding,
            str(CUSTOMERS),
            str(turns),
            str(EVERY_S),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[embedding] = json.loads(done.stdout.splitlines()[-1])
    return shown(found)


def shown(found: dict[str, dict[str, Any]]) -> Result:
    columns = (
        ("search and intents by", "搜索与意图所用"),
        ("turns", "轮次"),
        ("p50 ms", "p50 毫秒"),
        ("p95 ms", "p95 毫秒"),
        ("longest ms", "最长毫秒"),
        ("CPU ms per turn", "每轮 CPU 毫秒"),
        ("MB at a quarter", "四分之一处 MB"),
        ("MB at the end", "结束时 MB"),
    )
    names = {"embedded:e5": "embedded:e5", WORDS: "words alone · 仅词语"}
    rows = [
        (names[n], f["turns"], f["p50_ms"], f["p95_ms"], f["max_ms"], f["cpu_ms"], f["quarter_mb"], f["end_mb"])
        for n, f in found.items()
    ]
    words = found[WORDS]
    every = list(found.values())
    return Result(
        "conversations",
        (f"{CUSTOMERS} conversations at once", f"{CUSTOMERS} 个会话同时进行"),
        [Table((f"A turn every {EVERY_S:.0f} s of each", f"每个会话每 {EVERY_S:.0f} 秒一轮"), columns, rows)],
        [
            Target(("p95 of a turn without models' time", "不含模型时间的每轮耗时 p95"), words["p95_ms"], P95_MS, "ms"),
            Target(
                (f"memory after {words['turns']:,} turns / at a quarter", f"{words['turns']:,} 轮后内存 / 四分之一处"),
                words["end_mb"] / words["quarter_mb"] if words["quarter_mb"] else None,
                GROWTH,
            ),
            Target(
                ("customers told what is another's, or nothing", "得到他人内容或未得到回答的客户"),
                sum(len(f["wrong"]) for f in every),
                0,
                "",
            ),
            Target(
                ("returns made, one for each who agreed", "已办退货，同意者各一次"),
                words["returns"],
                CUSTOMERS // 2,
                "",
                True,
            ),
        ],
        notes=[
            (
                "The time of a turn is from the message to its last event. Words alone: the chat model's answer costs nothing"
                " and no text is embedded. With e5 each message is embedded on the same cores, which is included.",
                "一轮的时间从收到消息到最后一个事件。仅词语：对话模型不耗时，也不计算向量。用 e5 时，每条消息在同样的核上计算向量，"
                "其时间包含在内。",
            )
        ],
        raw=found,
    )


@contextmanager
def opened(folder: Path, embedding: str) -> Iterator[Any]:
    """The service over a workspace in ``folder``, its desk closed to nobody."""
    from apps.customer_service import CustomerService
    from core.runtime import Runtime
    from core.settings import load_settings, override

    (folder / "script.yaml").write_text(SCRIPT, "utf-8")
    plain = load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LANG": "en"})
    service = CustomerService(
        Runtime(override(plain, models__chat="scripted:script.yaml", models__embedding=embedding))
    )
    try:
        service.prepare()
        yield service
    finally:
        service.close()


def measure(embedding: str, customers: int, turns: int, every_s: float) -> dict[str, Any]:
    """All conversations, their turns spread evenly over ``every_s``."""
    from core.providers.sync import run as run_async
    from core.types import Caller

    people = [Customer(number) for number in range(customers)]
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), embedding) as service:
        callers = [Caller(f"own{p.number}" if p.alone else "shared", p.name.lower(), frozenset()) for p in people]
        for person, caller in zip(people, callers, strict=True):
            text = CODE[person.language].format(name=person.name, code=person.code)
            service.upload(f"{person.name}.md", f"{text}\n".encode(), caller)
        for caller in callers:
            while service.embedding(caller) is not None:
                time.sleep(0.05)
        memory: list[float] = []

        async def everybody() -> float:
            start = time.perf_counter() + 0.2
            tasks = [
                asyncio.create_task(_talk(service, person, caller, turns, every_s, start + every_s * at / customers))
                for at, (person, caller) in enumerate(zip(people, callers, strict=True))
            ]
            watch = asyncio.create_task(_watch(memory, every_s))
            cpu = time.process_time()
            await asyncio.gather(*tasks)
            watch.cancel()
            return time.process_time() - cpu

        cpu_s = run_async(everybody())
        returns = sum(_checked(service, person, caller) for person, caller in zip(people, callers, strict=True))
    by: dict[str, list[float]] = {}
    for person in people:
        for said, seconds in person.times:
            by.setdefault(said, []).append(1000 * seconds)
    times = sorted(ms for all_ms in by.values() for ms in all_ms)
    return {
        "turns": len(times),
        "p50_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * (len(times) - 1))],
        "max_ms": times[-1],
        "cpu_ms": 1000 * cpu_s / len(times),
        "quarter_mb": memory[len(memory) // 4] if memory else 0.0,
        "end_mb": memory[-1] if memory else 0.0,
        "memory_mb": memory,
        "p50_ms_by_message": {said: statistics.median(all_ms) for said, all_ms in by.items()},
        "p95_ms_by_message": {said: sorted(all_ms)[int(0.95 * (len(all_ms) - 1))] for said, all_ms in by.items()},
        "returns": returns,
        "wrong": [text for person in people for text in person.wrong],
    }


async def _talk(service: Any, person: Customer, caller: Any, turns: int, every_s: float, start: float) -> None:
    conversation = await asyncio.to_thread(service.conversations.create, caller)
    said = TURNS_OF[person.language]
    for turn in range(turns):
        await asyncio.sleep(max(0.0, start + turn * every_s - time.perf_counter()))
        at = (turn + person.number // 4) % len(said)  # not everybody says the same at once
        text, pressed = said[at].format(name=person.name), None
        if at == RETURN + 1 and person.alone and not person.returned:
            messages = await asyncio.to_thread(service.conversations.messages, caller, conversation.id, limit=2)
            card = next((m.card for m in reversed(messages) if m.card and m.card["kind"] == "confirm"), None)
            if card is not None:
                person.returned, text, pressed = True, "Confirm", (card["id"], True)
        began, answer = time.perf_counter(), ""
        async for event in service.stream(text, caller=caller, conversation_id=conversation.id, pressed=pressed):
            if done := getattr(event, "answer", None):
                answer = done.text
        person.times.append((said[at] if pressed is None else "(confirm)", time.perf_counter() - began))
        if not answer:
            person.wrong.append(f"{person.name}, turn {turn}: no answer to '{text}'")
        if person.name in text and person.code not in answer:
            person.wrong.append(f"{person.name}, turn {turn}: '{answer}' does not say {person.code}")


async def _watch(memory: list[float], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        memory.append(resident_mb())


def _checked(service: Any, person: Customer, caller: Any) -> int:
    """How many returns were made; what is another's goes to ``wrong``."""
    from core.tools import Journal

    for conversation in service.conversations.recent(caller):
        text = "\n".join(m.text for m in service.conversations.messages(caller, conversation.id, limit=1000))
        person.wrong += [f"{person.name} was told {c}" for c in re.findall(r"73\d{3}19", text) if c != person.code]
    entries = Journal(service.runtime.workspace).entries(caller, tool="start_return", outcome="done")
    return len(entries)


def resident_mb() -> float:
    """What this process holds now; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
