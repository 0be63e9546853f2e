"""The examples in the docstrings of core.evaluation are true, and importing it is light."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module

import pytest

MODULES = [
    f"core.evaluation.{name}" for name in ("ranking", "spans", "labels", "selective", "significance", "unchecked")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_importing_is_light() -> None:
    code = (
        "import sys, core.evaluation; light = 'numpy' not in sys.modules\n"
        "import core.evaluation.tasks, core.evaluation.judges, core.evaluation.gate, core.evaluation.reports\n"
        "import core.evaluation.loaders, core.evaluation.scoreboard, core.jobs\n"
        "heavy = {'pandas', 'sklearn', 'scipy', 'torch', 'chromadb', 'streamlit', 'jinja2', 'rich', 'openai'}\n"
        "print(light, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"
