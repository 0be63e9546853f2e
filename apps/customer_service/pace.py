"""Events read in a task of their own and handed on in bursts, so that a fast model costs few writes and redraws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Bursts(Generic[T]):
    """Reads ``source`` from now on, with the context variables of this moment; :meth:`read` gives what has come.

    A trace opened around the constructor belongs to everything that ``source`` does.
    """

    def __init__(self, source: AsyncGenerator[T, None], every_s: float = 0.05) -> None:
        self._source = source
        self._every_s = every_s
        self._ready: list[T] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._collect())
        self._task.add_done_callback(lambda _: self._news.set())

    async def read(self) -> AsyncGenerator[list[T], None]:
        """What came, in order, in lists at least ``every_s`` apart; the source's exception at its end."""
        while not self._task.done() or self._ready:
            await self._news.wait()
            self._news.clear()
            if self._ready:
                burst, self._ready = self._ready, []
                yield burst
                await asyncio.wait([self._task], timeout=self._every_s)
        self._task.result()

    async def aclose(self) -> None:
        """Cancel the source and wait until it has let go of what it holds."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _collect(self) -> None:
        try:
            async for event in self._source:
                self._ready.append(event)
                self._news.set()
        finally:
            await self._source.aclose()
