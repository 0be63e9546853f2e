"""The one retry layer: a model that holds a model and asks it again when that may help.

Only errors that say ``retryable`` (and a stream that broke before anything was shown) are tried again, and
only while nothing was shown. The server's ``Retry-After`` is obeyed exactly; without one the wait is
exponential with full jitter (Brooker, "Exponential backoff and jitter", 2015).
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from core.contracts import DEFAULT_OPTIONS, ChatModel, EmbeddingModel, Reranker
from core.errors import ProviderError, StreamInterrupted, TimedOut
from core.settings import Settings
from core.types import Deadlines, Done, EmbeddingKind, Event, Message, Options, ReasoningDelta, TextDelta, ToolCallDelta

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

FIRST_WAIT_S = 0.5
LONGEST_BACKOFF_S = 8.0
LONGEST_RETRY_AFTER_S = 30 * 24 * 3600.0  # beyond this a header is a mistake, not a wish
_SHOWN = (TextDelta, ReasoningDelta, ToolCallDelta, Done)


class Attempts:
    """Counts the attempts of one call and says how long to wait before the next.

    ``limit`` attempts, at most ``wait_s`` seconds of waiting in all, ending before ``until`` (a monotonic time).
    """

    def __init__(
        self, limit: int, wait_s: float, until: float = math.inf, uniform: Callable[[float, float], float] | None = None
    ) -> None:
        self._limit = limit
        self._left_s = wait_s
        self._until = until
        self._uniform = uniform or random.uniform
        self.made = 0

    def wait_s(self, error: ProviderError) -> float | None:
        """Seconds to wait before another attempt after ``error``; ``None`` when there is to be none."""
        self.made += 1
        if self.made >= self._limit or not (error.retryable or isinstance(error, StreamInterrupted)):
            return None
        if isinstance(error, TimedOut) and error.params.get("phase") == "total":
            return None
        if error.retry_after_s is not None:
            wait_s = error.retry_after_s
        else:
            wait_s = self._uniform(0.0, min(LONGEST_BACKOFF_S, FIRST_WAIT_S * 2 ** (self.made - 1)))
        if wait_s > self._left_s or time.monotonic() + wait_s >= self._until:
            return None
        self._left_s -= wait_s
        return wait_s


class Retrying:
    """A chat model that asks the model it holds again. ``total_s`` of the deadlines spans all attempts."""

    def __init__(
        self,
        model: ChatModel,
        *,
        attempts: int = 3,
        wait_s: float = 60.0,
        deadlines: Deadlines | None = None,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self.model = model
        self.name = model.name
        self.capabilities = model.capabilities
        self._attempts = attempts
        self._wait_s = wait_s
        self._deadlines = deadlines or Deadlines()
        self._uniform = uniform

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        deadlines = options.deadlines or self._deadlines
        until = time.monotonic() + deadlines.total_s
        attempts = Attempts(self._attempts, self._wait_s, until, self._uniform)
        given = replace(options, deadlines=deadlines)
        while True:
            shown = False
            try:
                async with aclosing(self.model.stream(messages, given)) as events:
                    async for event in events:
                        if not shown and isinstance(event, _SHOWN):
                            shown = True
                        yield event
                return
            except ProviderError as error:
                if isinstance(error, TimedOut) and error.params.get("phase") == "total":
                    error.params["after_s"] = deadlines.total_s  # the caller's setting, not what was left of it
                wait_s = None if shown else attempts.wait_s(error)
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)
            given = replace(options, deadlines=replace(deadlines, total_s=max(0.001, until - time.monotonic())))

    async def aclose(self) -> None:
        await self.model.aclose()


class RetryingEmbedding:
    """An embedding model that asks the model it holds again."""

    def __init__(
        self,
        model: EmbeddingModel,
        *,
        attempts: int = 3,
        wait_s: float = 60.0,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self.model = model
        self.name = model.name
        self._attempts = attempts
        self._wait_s = wait_s
        self._uniform = uniform

    @property
    def dim(self) -> int:
        return self.model.dim

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        attempts = Attempts(self._attempts, self._wait_s, uniform=self._uniform)
        return await until_answered(lambda: self.model.embed(texts, kind=kind), attempts)

    async def aclose(self) -> None:
        await self.model.aclose()


class RetryingReranker:
    """A reranker that asks the model it holds again."""

    def __init__(
        self,
        model: Reranker,
        *,
        attempts: int = 3,
        wait_s: float = 60.0,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self.model = model
        self.name = model.name
        self._attempts = attempts
        self._wait_s = wait_s
        self._uniform = uniform

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        attempts = Attempts(self._attempts, self._wait_s, uniform=self._uniform)
        return await until_answered(lambda: self.model.rerank(query, passages), attempts)

    async def aclose(self) -> None:
        await self.model.aclose()


async def until_answered(call: Callable[[], Awaitable[T]], attempts: Attempts) -> T:
    """The result of ``call``, made again as ``attempts`` allow."""
    while True:
        try:
            return await call()
        except ProviderError as error:
            wait_s = attempts.wait_s(error)
            if wait_s is None:
                raise
        await asyncio.sleep(wait_s)


def retrying(model: ChatModel, settings: Settings) -> Retrying:
    """``model`` with the attempts, waits and deadlines of ``settings``."""
    return Retrying(
        model,
        attempts=settings.values["retries.attempts"],
        wait_s=settings.values["retries.wait_s"],
        deadlines=settings.deadlines,
    )


def retrying_embedding(model: EmbeddingModel, settings: Settings) -> RetryingEmbedding:
    return RetryingEmbedding(
        model, attempts=settings.values["retries.attempts"], wait_s=settings.values["retries.wait_s"]
    )


def retrying_reranker(model: Reranker, settings: Settings) -> RetryingReranker:
    return RetryingReranker(
        model, attempts=settings.values["retries.attempts"], wait_s=settings.values["retries.wait_s"]
    )


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds the server asks to wait: ``retry-after-ms``, or ``retry-after`` as seconds or as an HTTP date.

    ``now`` is a Unix time. Nonsense (negative, infinite, unreadable, past, years ahead) counts as not said.

    >>> retry_after_s({"retry-after": "1.5"}), retry_after_s({"retry-after": "-10"})
    (1.5, None)
    """
    milliseconds = _sensible(headers.get("retry-after-ms"), 1000.0)
    if milliseconds is not None:
        return milliseconds
    value = headers.get("retry-after")
    seconds = _sensible(value, 1.0)
    if seconds is not None or not value:
        return seconds
    try:
        at = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    wait_s = at - (time.time() if now is None else now)
    return wait_s if 0.0 <= wait_s <= LONGEST_RETRY_AFTER_S else None


def _sensible(value: str | None, per_second: float) -> float | None:
    try:
        number = float(value or "") / per_second
    except ValueError:
        return None
    return number if 0.0 <= number <= LONGEST_RETRY_AFTER_S else None
