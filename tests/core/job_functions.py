"""Functions that jobs of tests/core/test_jobs.py name; a child process imports them, too."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from core.errors import MissingKey
from core.jobs import job


@job
async def double(item: int) -> int:
    return 2 * item


@job
async def noted(item: int, *, file: str, pause_s: float) -> int:
    """Write down that the item was begun, then take a while."""
    with Path(file).open("a") as notes:
        notes.write(f"{item}\n")
    await asyncio.sleep(pause_s)
    return 10 * item


@job
def in_a_thread(item: int, *, pause_s: float = 0.0) -> dict[str, int]:
    time.sleep(pause_s)
    return {"item": item, "pid": os.getpid()}


@job
@asynccontextmanager
async def with_set_up(*, file: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    path = Path(file)
    path.write_text(path.read_text() + "open ")

    async def work(item: str) -> str:
        return f"{item} after {path.read_text().strip()}"

    yield work
    path.write_text(path.read_text() + "closed ")


@job
async def odd_ones_fail(item: int) -> int:
    if item % 2:
        raise ValueError(f"{item} is odd; sk-abcdef1234567890 must not be shown")
    return item


@job
async def needs_a_key(item: int) -> int:
    raise MissingKey(provider="openai", variable="OPENAI_API_KEY")


async def unmarked(item: int) -> int:
    return item
