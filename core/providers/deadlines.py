"""Hold a call in this process to its deadlines: the first token, the pause between two pieces, the whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from core.errors import StreamInterrupted, TimedOut
from core.i18n import Phrase
from core.types import Deadlines

T = TypeVar("T")


class Clock:
    """Runs from its creation. Without ``pieces`` only ``total_s`` counts: there is no first token to wait for."""

    def __init__(self, deadlines: Deadlines, provider: str, model: str, *, pieces: bool = True) -> None:
        self._deadlines, self._provider, self._model, self._pieces = deadlines, provider, model, pieces
        self._started = time.perf_counter()
        self._given: float | None = None  # when the caller took the last piece and came back for the next
        self.first_token_s: float | None = None

    def elapsed(self) -> float:
        return time.perf_counter() - self._started

    def arrived(self) -> None:
        """A piece of the answer is here."""
        if self.first_token_s is None:
            self.first_token_s = self.elapsed()

    def given(self) -> None:
        """The caller has taken what was there: the next pause begins now."""
        self._given = self.elapsed()

    async def wait(self, work: Awaitable[T], partial: str | None = None) -> T:
        """``await work`` while the deadlines allow; ``partial`` is the text of an answer that has begun.

        Raises:
            TimedOut: nothing was shown yet.
            StreamInterrupted: the answer had begun.
        """
        phase, until, after_s = self._next()
        try:
            async with asyncio.timeout(until - self.elapsed()):
                return await work
        except TimeoutError as error:
            if partial is None:
                raise TimedOut(provider=self._provider, model=self._model, phase=phase, after_s=after_s) from error
            late = Phrase("local.deadline", phase=phase, after_s=after_s)
            raise StreamInterrupted(partial=partial, provider=self._provider, model=self._model, detail=late) from error

    def _next(self) -> tuple[str, float, float]:
        """The deadline that comes first: its name, when it passes, how long it is."""
        limits = self._deadlines
        total = ("total", limits.total_s, limits.total_s)
        if not self._pieces:
            return total
        if self._given is None:
            piece = ("first_token", limits.first_token_s, limits.first_token_s)
        else:
            piece = ("idle", self._given + limits.idle_s, limits.idle_s)
        return min(piece, total, key=lambda deadline: deadline[1])
