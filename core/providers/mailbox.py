"""Items from a thread that computes to a coroutine that waits: in order, woken once for all that has gathered."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Made on the event loop of the reader; ``put`` is called from one other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._items: deque[T] = deque()
        self._told = False

    def put(self, item: T) -> bool:
        """Hand an item over; ``False``: the reader's event loop was closed, nobody waits any more."""
        self._items.append(item)
        if not self._told:  # once for all that gathers until the reader comes, not once per item
            self._told = True
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:
                return False
        return True

    async def take(self) -> list[T]:
        """Wait for what has come; at least one item."""
        await self._news.wait()
        self._news.clear()
        self._told = False
        batch = list(self._items)
        for _ in batch:  # others may be appended meanwhile: those tell again
            self._items.popleft()
        return batch
