"""The trace of a question, in threads and tasks."""

from __future__ import annotations

import asyncio
import re
from contextvars import copy_context

from core.telemetry.trace import current_trace, new_trace_id, trace
from core.types import LOCAL, Caller

ANN = Caller(tenant="shop", user="ann")


def test_ids_are_32_hex_digits_and_different() -> None:
    ids = {new_trace_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)


def test_outside_any_trace_each_call_has_its_own() -> None:
    assert current_trace().trace_id != current_trace().trace_id
    assert current_trace().caller == LOCAL


def test_a_trace_narrows_and_is_left_again() -> None:
    with trace(ANN) as outer:
        with trace(prompt="p@1") as inner:
            assert (inner.trace_id, inner.caller, inner.prompt) == (outer.trace_id, ANN, "p@1")
            assert current_trace() == inner
        assert current_trace() == outer
        assert outer.prompt is None
    assert current_trace().trace_id != outer.trace_id


def test_a_trace_id_may_be_given() -> None:
    with trace(trace_id="0" * 32), trace(trace_id="1" * 32):
        assert current_trace().trace_id == "1" * 32


def test_tasks_do_not_see_each_other() -> None:
    async def ask(name: str) -> tuple[str, str]:
        with trace(Caller(user=name)) as mine:
            await asyncio.sleep(0.01)
            return current_trace().caller.user, mine.trace_id

    async def both() -> list[tuple[str, str]]:
        return await asyncio.gather(ask("a"), ask("b"))

    (first, id_a), (second, id_b) = asyncio.run(both())
    assert (first, second) == ("a", "b")
    assert id_a != id_b


def test_a_copied_context_takes_the_trace_along() -> None:
    with trace(ANN) as mine:
        context = copy_context()
    assert context.run(current_trace) == mine
