"""What an import costs: seconds and memory of a fresh interpreter, minus those of an empty one."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys

from benchmarks.report import Result, Table, Target

ROUNDS = 5
STATEMENTS = {
    "import core": "import core",
    "core, runtime opened": (
        "import os, tempfile; os.environ['TOUCHSTONE_HOME'] = tempfile.mkdtemp(); "
        "from core import open_runtime; open_runtime()"
    ),
    "core with its OpenAI engine": "import core.providers.openai",
    "httpx2": "import httpx2",
    "openai": "import openai",
    "langchain_openai": "import langchain_openai",
    "litellm": "import litellm",
}
_PROBE = """
import sys, time
started = time.perf_counter(), time.process_time()
{statement}
wall_s, cpu_s = time.perf_counter() - started[0], time.process_time() - started[1]
from benchmarks.process import peak_mb
print(wall_s, cpu_s, peak_mb() or "nan", len(sys.modules))
"""


def run() -> Result:
    names = [n for n in STATEMENTS if n != "litellm" or importlib.util.find_spec("litellm")]
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for n in range(ROUNDS):
        for name in names[n % len(names) :] + names[: n % len(names)]:
            found[name].append(_probe(STATEMENTS[name]))
    best = {name: min(row[0] for row in rows) for name, rows in found.items()}
    rows: list[list[str | float | None]] = [
        [name, best[name], *(statistics.median(row[i] for row in rows) for i in (0, 1, 2)), str(int(rows[0][3]))]
        for name, rows in found.items()
    ]
    return Result(
        "imports",
        ("Import time and memory", "导入时间与内存"),
        [
            Table(
                (f"{ROUNDS} fresh interpreters each", f"每项 {ROUNDS} 个新解释器"),
                [
                    "module",
                    ("best s", "最快 s"),
                    ("median s", "中位数 s"),
                    ("median CPU s", "CPU 中位数 s"),
                    ("memory MB", "内存 MB"),
                    ("modules", "模块数"),
                ],
                rows,
            )
        ],
        [
            Target(("import core, best time", "import core，最快时间"), best["import core"], 0.2, "s"),
            Target(("import core, memory", "import core，内存"), max(r[2] for r in found["import core"]), 40.0, "MB"),
        ],
        raw=dict(found),
    )


def _probe(statement: str) -> tuple[float, ...]:
    code = _PROBE.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return tuple(map(float, done.stdout.split()))
