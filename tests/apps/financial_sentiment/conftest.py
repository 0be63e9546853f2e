"""A desk over a workspace of the test, with the head that needs no embedding model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.financial_sentiment import Desk
from core.runtime import Runtime
from core.settings import load_settings, override

NOW = 1_790_000_000.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = override(load_settings(), home=str(tmp_path / "desk"), models__embedding="scripted:hash")
    with Runtime(settings) as runtime:
        yield Desk(runtime)
