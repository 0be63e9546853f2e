"""A runtime whose embedding model needs no weights, and rows that can be learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
