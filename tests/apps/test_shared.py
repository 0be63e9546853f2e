"""The service of an app is opened once for a runtime, and whoever stays has the model made ready."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest

from apps.ui import session
from apps.ui.shared import SETTLED_AFTER, WARM_AFTER, Shared


def test_a_page_that_is_used_makes_the_model_ready_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []
    runtimes: dict[str, Any] = {
        name: SimpleNamespace(warm=lambda name=name: warmed.append(name)) for name in ("first", "second")
    }
    opened: list[Any] = []
    monkeypatch.setattr(session, "t", lambda key: key)
    service: Shared[Any] = Shared(
        lambda runtime: opened.append(runtime) or SimpleNamespace(runtime=runtime), "preparing"
    )
    for name, runtime in runtimes.items():
        monkeypatch.setattr(session, "runtime", lambda runtime=runtime: runtime)
        for _ in range(WARM_AFTER):
            service()
        assert name not in warmed, "somebody who only looks pays nothing"
        for _ in range(2 * WARM_AFTER):
            service()
        assert warmed.count(name) == 1
    assert opened == list(runtimes.values())


def test_what_a_used_page_has_loaded_is_looked_through_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Any = SimpleNamespace(warm=lambda: None)
    monkeypatch.setattr(session, "t", lambda key: key)
    monkeypatch.setattr(session, "runtime", lambda: runtime)
    service: Shared[Any] = Shared(lambda runtime: SimpleNamespace(runtime=runtime), "preparing")
    begun = gc.get_freeze_count()
    for _ in range(SETTLED_AFTER):
        service()
    assert gc.get_freeze_count() <= begun, "what a few looks have loaded may go again"
    before, kept = gc.get_freeze_count(), [[] for _ in range(1000)]
    service()
    assert gc.get_freeze_count() >= before + len(kept)
