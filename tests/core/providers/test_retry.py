"""The retry wrapper: what is repeated, when, how often; and what Retry-After means."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest

from core.contracts import DEFAULT_OPTIONS
from core.errors import (
    AuthenticationFailed,
    ConnectFailed,
    ProviderError,
    RateLimited,
    ServerFailed,
    StreamInterrupted,
    TimedOut,
)
from core.providers.retry import Attempts, Retrying, RetryingEmbedding, retry_after_s
from core.types import (
    Capabilities,
    Completion,
    Deadlines,
    Done,
    EmbeddingKind,
    Event,
    Message,
    Options,
    Queued,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    user,
)

NOW = 1_700_000_000.0
P: dict[str, Any] = {"provider": "p", "model": "m"}


def at(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": at(20)}, 20.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 -0000"}, 10.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": at(-20)}, None),
        ({"retry-after": "-10"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e35"}, None),
        ({"retry-after": "99999999999999999999"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Zun, 29 Sep 2016 12:26:27 GMT"}, None),
        ({"retry-after": "Sun, 99 Sep 2023 12:26:27 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 100000 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    found = retry_after_s(headers, NOW)
    assert found == (pytest.approx(seconds) if seconds is not None else None)


class Flaky:
    """Does what its script says, one entry per call: events, then an error or ``Done``."""

    name = "p:m"
    capabilities = Capabilities(tools=True)

    def __init__(self, *script: list[Event | ProviderError]) -> None:
        self.script = list(script)
        self.options: list[Options] = []
        self.closed = 0

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        self.options.append(options)
        acts = self.script[min(len(self.options), len(self.script)) - 1]
        for act in acts:
            if isinstance(act, ProviderError):
                raise act
            yield act
        yield Done(Completion("ok", "m", "p", "stop"))

    async def aclose(self) -> None:
        self.closed += 1


def run(model: Flaky, options: Options = DEFAULT_OPTIONS, **kwargs: Any) -> tuple[list[Event], ProviderError | None]:
    kwargs = {"uniform": lambda low, high: 0.0, **kwargs}

    async def call() -> tuple[list[Event], ProviderError | None]:
        events: list[Event] = []
        try:
            async for item in Retrying(model, **kwargs).stream([user("hi")], options):
                events.append(item)
        except ProviderError as error:
            return events, error
        return events, None

    return asyncio.run(call())


RETRYABLE = [
    ConnectFailed(**P, url="u", detail="d"),
    TimedOut(**P, phase="connect", after_s=1),
    TimedOut(**P, phase="first_token", after_s=1),
    RateLimited(**P, status=429),
    ServerFailed(**P, status=500, detail="d"),
    StreamInterrupted(**P, partial="", detail="d"),
]


@pytest.mark.parametrize("error", RETRYABLE, ids=lambda e: e.code)
def test_what_may_help_is_tried_again(error: ProviderError) -> None:
    model = Flaky([error], [error], [TextDelta("ok")])
    events, raised = run(model)
    assert raised is None
    assert isinstance(events[-1], Done)
    assert len(model.options) == 3


@pytest.mark.parametrize(
    "error", [AuthenticationFailed(**P, status=401), TimedOut(**P, phase="total", after_s=1)], ids=lambda e: e.code
)
def test_what_cannot_help_is_not(error: ProviderError) -> None:
    model = Flaky([error])
    assert run(model)[1] is error
    assert len(model.options) == 1


@pytest.mark.parametrize("shown", [TextDelta("a"), ReasoningDelta("a"), ToolCallDelta(0, "", "i", "f")])
def test_nothing_is_repeated_once_something_was_shown(shown: Event) -> None:
    error = StreamInterrupted(**P, partial="a", detail="d")
    model = Flaky([shown, error])
    events, raised = run(model)
    assert events == [shown]
    assert raised is error
    assert len(model.options) == 1


def test_waiting_in_a_queue_shows_nothing() -> None:
    model = Flaky([Queued(1), ServerFailed(**P, detail="d")], [TextDelta("ok")])
    _, raised = run(model)
    assert raised is None
    assert len(model.options) == 2


def test_the_last_error_is_the_one_raised() -> None:
    first, last = ServerFailed(**P, detail="1"), ServerFailed(**P, detail="2")
    model = Flaky([first], [last])
    assert run(model, attempts=2)[1] is last


def test_waits_grow_with_full_jitter_and_are_capped() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    attempts = Attempts(10, 60.0, uniform=uniform)
    error = ServerFailed(**P, detail="d")
    waits = [attempts.wait_s(error) for _ in range(10)]
    assert asked[:7] == [(0.0, 0.5), (0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 8.0), (0.0, 8.0), (0.0, 8.0)]
    assert waits[-1] is None
    assert [w for w in waits if w is not None] == [high for _, high in asked][: len(waits) - 1]


def test_two_callers_do_not_wait_alike() -> None:
    error = ServerFailed(**P, detail="d")
    waits = {Attempts(3, 60.0, uniform=random.Random(seed).uniform).wait_s(error) for seed in range(5)}
    assert len(waits) == 5


def test_the_waiting_allowed_is_for_all_attempts() -> None:
    attempts = Attempts(10, 5.0)
    error = RateLimited(**P, retry_after_s=2.0)
    assert [attempts.wait_s(error) for _ in range(3)] == [2.0, 2.0, None]


def test_no_wait_beyond_the_total_deadline() -> None:
    error = RateLimited(**P, retry_after_s=2.0)
    model = Flaky([error])
    started = time.monotonic()
    assert run(model, Options(deadlines=Deadlines(total_s=1.0)))[1] is error
    assert time.monotonic() - started < 0.5


def test_retry_after_is_waited_exactly() -> None:
    model = Flaky([RateLimited(**P, retry_after_s=0.3)], [TextDelta("ok")])
    started = time.monotonic()
    assert run(model)[1] is None
    assert 0.299 <= time.monotonic() - started <= 0.5


def test_later_attempts_get_what_is_left_of_the_total() -> None:
    model = Flaky([RateLimited(**P, retry_after_s=0.2)], [TimedOut(**P, phase="total", after_s=0.3)])
    _, raised = run(model, Options(deadlines=Deadlines(idle_s=3, total_s=0.5)))
    first, second = (o.deadlines for o in model.options)
    assert first is not None
    assert second is not None
    assert first.total_s == 0.5
    assert 0.2 <= second.total_s <= 0.31
    assert second.idle_s == 3
    assert raised is not None
    assert raised.params["after_s"] == 0.5  # the caller's setting


def test_settings_give_the_deadlines_where_options_do_not() -> None:
    model = Flaky([TextDelta("ok")])
    run(model, deadlines=Deadlines(idle_s=7))
    assert model.options[0].deadlines == Deadlines(idle_s=7)


def test_it_keeps_the_contract_of_what_it_holds() -> None:
    model = Flaky([TextDelta("ok")])
    wrapper = Retrying(model)
    assert (wrapper.name, wrapper.capabilities) == (model.name, model.capabilities)
    asyncio.run(wrapper.aclose())
    assert model.closed == 1


class FlakyEmbedding:
    name = "p:e"
    dim = 2

    def __init__(self, errors: list[ProviderError]) -> None:
        self.errors = errors
        self.calls = 0

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return np.ones((len(texts), 2), np.float32)

    async def aclose(self) -> None: ...


def test_embeddings_are_tried_again_too() -> None:
    model = FlakyEmbedding([ServerFailed(**P, detail="d"), RateLimited(**P)])
    wrapper = RetryingEmbedding(model, uniform=lambda low, high: 0.0)
    assert asyncio.run(wrapper.embed(["a"], kind="query")).shape == (1, 2)
    assert (model.calls, wrapper.dim) == (3, 2)
    refused = FlakyEmbedding([AuthenticationFailed(**P, status=401)])
    with pytest.raises(AuthenticationFailed):
        asyncio.run(RetryingEmbedding(refused).embed(["a"], kind="query"))
    assert refused.calls == 1
