"""Interleaved rounds: every case is run in every round, so that a busy moment of the machine meets all of them.

Figures are the median over rounds of each round's median, with the quartiles over rounds; CPU time is that of
the whole process (the loop thread of the synchronous face included) and not of the server, which is another one.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

ROUNDS = 7
WARM_UP = 15


@dataclass(frozen=True, slots=True)
class Measured:
    """Per call, in milliseconds: wall time (median of rounds and quartiles) and CPU time (median of rounds)."""

    wall_ms: float
    low_ms: float
    high_ms: float
    cpu_ms: float

    @property
    def spread(self) -> str:
        return f"{self.low_ms:.2f}–{self.high_ms:.2f}"


def interleaved(
    cases: Mapping[str, Callable[[], object]], *, calls: int, rounds: int = ROUNDS, warm_up: int = WARM_UP
) -> dict[str, Measured]:
    """Measure blocking functions."""

    def series(case: Callable[[], object], count: int) -> list[float]:
        walls = []
        for _ in range(count):
            started = time.perf_counter()
            case()
            walls.append(time.perf_counter() - started)
        return walls

    return _rounds({name: _bound(series, case) for name, case in cases.items()}, calls, rounds, warm_up)


def interleaved_async(
    cases: Mapping[str, Callable[[], Awaitable[object]]],
    runner: asyncio.Runner,
    *,
    calls: int,
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP,
) -> dict[str, Measured]:
    """Measure coroutine functions, all on the runner's loop."""

    async def series(case: Callable[[], Awaitable[object]], count: int) -> list[float]:
        walls = []
        for _ in range(count):
            started = time.perf_counter()
            await case()
            walls.append(time.perf_counter() - started)
        return walls

    def on_loop(case: Callable[[], Awaitable[object]], count: int) -> list[float]:
        return runner.run(series(case, count))

    return _rounds({name: _bound(on_loop, case) for name, case in cases.items()}, calls, rounds, warm_up)


def _bound(series: Callable[..., list[float]], case: object) -> Callable[[int], list[float]]:
    return lambda count: series(case, count)


def _rounds(
    cases: Mapping[str, Callable[[int], list[float]]], calls: int, rounds: int, warm_up: int
) -> dict[str, Measured]:
    walls: dict[str, list[float]] = {name: [] for name in cases}
    cpus: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case(warm_up)
    names = list(cases)
    for n in range(rounds):
        start = n % len(names)
        for name in names[start:] + names[:start]:  # nobody always follows the same neighbor
            gc.collect()
            cpu = time.process_time()
            took = cases[name](calls)
            cpus[name].append((time.process_time() - cpu) / calls)
            walls[name].append(statistics.median(took))
    return {name: _measured(walls[name], cpus[name]) for name in names}


def _measured(walls: list[float], cpus: list[float]) -> Measured:
    low, _, high = statistics.quantiles(walls, n=4) if len(walls) > 1 else (walls * 3)
    return Measured(statistics.median(walls) * 1e3, low * 1e3, high * 1e3, statistics.median(cpus) * 1e3)
