"""Bursts keep every event and its order, pass errors on, and let go when closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from apps.customer_service.pace import Bursts
from core.telemetry.trace import current_trace, trace


async def numbers(count: int, wait_s: float = 0.0, fail: bool = False) -> AsyncGenerator[int, None]:
    for n in range(count):
        await asyncio.sleep(wait_s)
        yield n
    if fail:
        raise ValueError("at the end")


async def collected(bursts: Bursts[int]) -> list[list[int]]:
    return [burst async for burst in bursts.read()]


@pytest.mark.parametrize(("count", "wait_s"), [(0, 0), (1, 0), (500, 0), (30, 0.005)])
def test_every_event_comes_once_and_in_order(count: int, wait_s: float) -> None:
    async def scene() -> tuple[list[list[int]], float]:
        began = time.perf_counter()
        return await collected(Bursts(numbers(count, wait_s), 0.05)), time.perf_counter() - began

    bursts, took_s = asyncio.run(scene())
    assert [n for burst in bursts for n in burst] == list(range(count))
    assert len(bursts) <= took_s / 0.05 + 2  # however slowly they come: at least 0.05 s apart, but the last


def test_the_first_event_does_not_wait() -> None:
    async def scene() -> float:
        began = time.perf_counter()
        bursts = Bursts(numbers(3, 0.02), 5.0)
        async for _ in bursts.read():
            break
        await bursts.aclose()
        return time.perf_counter() - began

    assert asyncio.run(scene()) < 1.0


def test_an_error_comes_after_what_came_before_it() -> None:
    seen: list[int] = []

    async def scene() -> None:
        async for burst in Bursts(numbers(3, fail=True)).read():
            seen.extend(burst)

    with pytest.raises(ValueError, match="at the end"):
        asyncio.run(scene())
    assert seen == [0, 1, 2]


def test_closing_closes_the_source() -> None:
    closed = []

    async def source() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def scene() -> None:
        bursts = Bursts(source())
        async for _ in bursts.read():
            break
        await bursts.aclose()

    asyncio.run(scene())
    assert closed == [True]


def test_the_trace_of_the_constructor_reaches_the_source() -> None:
    async def source() -> AsyncGenerator[str, None]:
        await asyncio.sleep(0)
        yield current_trace().trace_id

    async def scene() -> list[str]:
        with trace(trace_id="abc"):
            bursts = Bursts(source())
        return [item async for burst in bursts.read() for item in burst]

    assert asyncio.run(scene()) == ["abc"]
