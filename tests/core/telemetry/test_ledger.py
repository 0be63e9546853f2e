"""One row per call: what it says, who asked, and that no call is lost or held up."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.contracts import DEFAULT_OPTIONS, BlockingEmbedding, ChatModel, EmbeddingModel
from core.errors import RateLimited, StoreError, StreamInterrupted
from core.telemetry.ledger import Call, Ledger, Recorded, RecordedEmbedding, Totals, recorded_embedding
from core.telemetry.trace import trace
from core.types import (
    Caller,
    Capabilities,
    Completion,
    Done,
    EmbeddingKind,
    Event,
    Message,
    Options,
    Queued,
    ReasoningDelta,
    TextDelta,
    Usage,
    user,
)
from core.workspace import Workspace


class Speaker:
    """A chat model that says ``events``; an exception among them is raised."""

    name = "fake:speaker"
    capabilities = Capabilities()

    def __init__(self, *events: Event | Exception, wait_s: float = 0.0) -> None:
        self.events = events
        self.wait_s = wait_s
        self.closed = False

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        try:
            for event in self.events:
                await asyncio.sleep(self.wait_s)
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def done(**changes: Any) -> Done:
    return Done(Completion(text="Hi", model="m-2026", provider="fake", finish_reason="stop", **changes))


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    workspace = Workspace.open(tmp_path)
    ledger = Ledger(workspace)
    yield ledger
    ledger.close()
    workspace.close()


async def collect(model: ChatModel, stop_after: int | None = None) -> list[Event]:
    found: list[Event] = []
    async with aclosing(model.stream([user("Hello")])) as events:
        async for event in events:
            found.append(event)
            if len(found) == stop_after:
                break
    return found


def test_a_call_leaves_a_row(ledger: Ledger) -> None:
    usage = Usage(input_tokens=7, output_tokens=2)
    model = Recorded(Speaker(Queued(1), TextDelta("Hi"), done(usage=usage), wait_s=0.02), ledger)
    with trace(Caller(tenant="shop", user="ann"), prompt="hello@0123456789ab") as current:
        events = asyncio.run(collect(model))
    (row,) = ledger.recent()
    assert isinstance(events[-1], Done)
    assert events[-1].completion.trace_id == current.trace_id == row["trace_id"]
    wanted = {
        "tenant": "shop",
        "user": "ann",
        "operation": "chat",
        "provider": "fake",
        "model": "m-2026",
        "prompt": "hello@0123456789ab",
        "input_tokens": 7,
        "output_tokens": 2,
        "finish_reason": "stop",
        "error": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert 0.04 <= row["first_token_s"] < row["total_s"] < 5
    assert abs(row["at"] - time.time()) < 10


def test_what_the_engine_did_not_say_is_unknown_and_not_zero(ledger: Ledger) -> None:
    asyncio.run(collect(Recorded(Speaker(done()), ledger)))
    (row,) = ledger.recent()
    assert (row["input_tokens"], row["output_tokens"], row["first_token_s"]) == (None, None, None)


def test_reasoning_counts_as_the_first_token(ledger: Ledger) -> None:
    asyncio.run(collect(Recorded(Speaker(ReasoningDelta("hm"), TextDelta("x"), done()), ledger)))
    assert ledger.recent()[0]["first_token_s"] is not None


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (RateLimited(provider="fake", status=429), "rate_limited"),
        (StreamInterrupted(partial="Hi", provider="fake", detail="cut"), "stream_interrupted"),
        (ValueError("a mistake of ours"), "ValueError"),
    ],
)
def test_a_failed_call_leaves_a_row_with_its_code(ledger: Ledger, failure: Exception, code: str) -> None:
    with pytest.raises(type(failure)):
        asyncio.run(collect(Recorded(Speaker(TextDelta("Hi"), failure), ledger)))
    (row,) = ledger.recent()
    assert (row["error"], row["finish_reason"]) == (code, None)


def test_a_stopped_answer_leaves_a_row_and_stops_the_model(ledger: Ledger) -> None:
    speaker = Speaker(TextDelta("a"), TextDelta("b"), done())
    asyncio.run(collect(Recorded(speaker, ledger), stop_after=1))
    assert speaker.closed
    assert ledger.recent()[0]["error"] == "cancelled"


def test_who_stops_reading_after_the_last_event_has_cancelled_nothing(ledger: Ledger) -> None:
    asyncio.run(collect(Recorded(Speaker(TextDelta("Hi"), done()), ledger), stop_after=2))
    (row,) = ledger.recent()
    assert (row["error"], row["finish_reason"]) == (None, "stop")


def test_an_engine_that_ends_without_its_last_event_is_an_error_in_the_ledger(ledger: Ledger) -> None:
    asyncio.run(collect(Recorded(Speaker(TextDelta("Hi")), ledger)))
    assert ledger.recent()[0]["error"] == "no_done"


def test_recording_keeps_the_contract() -> None:
    speaker = Speaker()
    recorded = Recorded(speaker, None)  # type: ignore[arg-type]  # nothing is recorded here
    assert isinstance(recorded, ChatModel)
    assert (recorded.name, recorded.capabilities) == (speaker.name, speaker.capabilities)
    asyncio.run(recorded.aclose())
    assert speaker.closed


def test_embedding_calls_are_rows_too(ledger: Ledger) -> None:
    class Numbers:
        name = "fake:numbers"
        dim = 2

        async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
            if not texts:
                raise RateLimited(provider="fake")
            return np.ones((len(texts), 2), np.float32)

        async def aclose(self) -> None: ...

    model = RecordedEmbedding(Numbers(), ledger)
    assert isinstance(model, EmbeddingModel)
    assert asyncio.run(model.embed(["a"], kind="query")).shape == (1, 2)
    with pytest.raises(RateLimited):
        asyncio.run(model.embed([], kind="query"))
    newest, first = ledger.recent()
    assert (first["operation"], first["error"], newest["error"]) == ("embeddings", None, "rate_limited")


def test_a_model_that_can_be_asked_without_an_event_loop_still_can(ledger: Ledger) -> None:
    class Plain:
        name, dim = "fake:plain", 2

        async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
            return np.ones((len(texts), 2), np.float32)

        async def aclose(self) -> None: ...

    class Blocking(Plain):
        name = "fake:blocking"

        def embed_now(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
            if not texts:
                raise RateLimited(provider="fake")
            return np.ones((len(texts), 2), np.float32)

    model = recorded_embedding(Blocking(), ledger)
    assert isinstance(model, BlockingEmbedding)
    assert model.embed_now(["a"], kind="query").shape == (1, 2)
    with pytest.raises(RateLimited):
        model.embed_now([], kind="query")
    assert [row["error"] for row in ledger.recent()] == ["rate_limited", None]
    assert not isinstance(recorded_embedding(Plain(), ledger), BlockingEmbedding)


def test_rows_of_many_threads_are_all_stored(ledger: Ledger) -> None:
    def work() -> None:
        for _ in range(50):
            ledger.record(Call(1.0, "t", "local", "local", "chat", "p", "m", 0.1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.recent(1000)) == 200


def test_recording_does_not_wait_for_the_disk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    stored = ledger._store

    def slow(calls: list[Call]) -> None:
        free.wait(10)
        stored(calls)

    monkeypatch.setattr(ledger, "_store", slow)
    started = time.perf_counter()
    for _ in range(100):
        ledger.record(Call(1.0, "t", "local", "local", "chat", "p", "m", 0.1))
    assert time.perf_counter() - started < 1
    assert not ledger.flush(timeout_s=0.05)
    free.set()
    assert len(ledger.recent(1000)) == 100


@pytest.mark.parametrize(
    "failure",
    [StoreError(path="touchstone.db", detail="database or disk is full"), sqlite3.ProgrammingError("disk is full")],
)
def test_a_full_disk_stops_no_answer_and_is_remembered(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def full() -> Any:
        raise failure

    monkeypatch.setattr(ledger._workspace, "write", full)
    assert isinstance(asyncio.run(collect(Recorded(Speaker(done()), ledger)))[-1], Done)
    assert ledger.flush()
    assert "disk is full" in (ledger.failed or "")
    monkeypatch.undo()
    asyncio.run(collect(Recorded(Speaker(done()), ledger)))
    assert len(ledger.recent()) == 1
    assert ledger.failed is None


def test_closing_stores_what_is_left_and_recording_goes_on_after_it(ledger: Ledger) -> None:
    call = Call(1.0, "t", "local", "local", "chat", "p", "m", 0.1)
    ledger.record(call)
    ledger.close()
    ledger.close()
    ledger.record(call)
    assert len(ledger.recent()) == 2


def test_the_summary_adds_up_by_model(ledger: Ledger) -> None:
    def call(model: str, at: float, **changes: Any) -> Call:
        return Call(at, "t", "local", "local", "chat", "p", model, 2.0, **changes)

    for row in (
        call("a", 10, input_tokens=5, output_tokens=1, first_token_s=0.5),
        call("a", 20, input_tokens=7, first_token_s=1.5),
        call("a", 30, error="rate_limited"),
        call("b", 40, error="cancelled"),
        call("b", 1, input_tokens=1000),
    ):
        ledger.record(row)
    first, second = ledger.summary(since=5)
    assert first == Totals("chat", "p", "a", 3, 1, 0, 12, 1, 1.0, 2.0)
    assert second == Totals("chat", "p", "b", 1, 0, 1, None, None, None, 2.0)
    assert ledger.summary(since=100) == []
