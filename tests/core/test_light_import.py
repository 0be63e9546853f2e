"""``import core`` is light, and so is opening the runtime's module: everything heavy waits until it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "langchain", "langchain_core", "chromadb", "streamlit", "openai", "numpy")
LIMIT_S = 0.2
LIMIT_MB = 40.0
PROBE = """
import sys, time
started = time.perf_counter(), time.process_time()
{statement}
wall_s, cpu_s = time.perf_counter() - started[0], time.process_time() - started[1]
import json
try:
    with open("/proc/self/status") as status:
        mb = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
except OSError:
    mb = None
print(json.dumps(dict(wall_s=wall_s, cpu_s=cpu_s, mb=mb, modules=sorted(m for m in sys.modules if "." not in m))))
"""


def probe(statement: str) -> dict[str, object]:
    code = PROBE.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("statement", "clock"),
    [
        ("import core", "wall_s"),
        # CPU time, because a busy machine must not fail a test; 0.13 s of wall time on an idle one.
        ("from core import Runtime, load_settings, open_runtime", "cpu_s"),
    ],
)
def test_imports_are_light(statement: str, clock: str) -> None:
    runs = [probe(statement) for _ in range(5)]
    modules = runs[0]["modules"]
    assert isinstance(modules, list)
    assert "core" in modules
    assert not [m for m in HEAVY if m in modules]
    assert min(float(str(run[clock])) for run in runs) <= LIMIT_S
    if runs[0]["mb"] is not None:
        assert min(float(str(run["mb"])) for run in runs) <= LIMIT_MB


def test_the_probe_sees_a_heavy_module() -> None:
    modules = probe("import numpy")["modules"]
    assert isinstance(modules, list)
    assert "numpy" in modules
