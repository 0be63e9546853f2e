"""A runtime whose embedding model needs no weights, and rows that can be learned from."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from core.providers.openmp import be_polite
from core.runtime import Runtime
from core.settings import Settings, load_settings

VERBS = {
    "good": ("rises", "jumps", "gains", "soars"),
    "bad": ("falls", "drops", "sinks", "loses"),
    "flat": ("stays", "rests", "waits", "idles"),
}
FIRMS = ("Acme", "Borealis", "Cobalt", "Delta", "Ember", "Fjord", "Gamma", "Helix", "Indigo", "Jade")


def rows(*, noise: bool = False, verbs: int = 4) -> list[tuple[str, str]]:
    """Headlines whose verb decides the label; with ``noise`` nothing does."""
    found = [
        (f"{firm} stock {verb} after the report", label)
        for label, said in VERBS.items()
        for verb in said[:verbs]
        for firm in FIRMS
    ]
    if noise:
        labels = [label for _, label in found]
        found = [(text, labels[(7 * n) % len(labels)]) for n, (text, _) in enumerate(found)]
    return found


def table(path: Path, content: list[tuple[str, str]], head: str = "text,label") -> Path:
    path.write_text("\n".join([head, *(f"{text},{label}" for text, label in content)]) + "\n", "utf-8")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environment = {
        "TOUCHSTONE_HOME": str(tmp_path / "home"),
        "TOUCHSTONE_LANG": "en",
        "TOUCHSTONE_EMBEDDING": "scripted:hash",
    }
    return load_settings(tmp_path, environment)


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    with Runtime(settings) as opened:
        yield opened


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch computes in one thread, in child processes too. Models of these sizes gain nothing by a second one, and
    where the processors are busy every step waits for it: 28 s of test_language.py were 9 s."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if find_spec("torch") is None:
        yield
        return
    be_polite()  # before torch is there
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
