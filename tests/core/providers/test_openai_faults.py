"""The openai engine against a server that misbehaves: what comes out, when, after how many attempts, and what stays open."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.contracts import ChatModel
from core.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectFailed,
    ContentFiltered,
    ContextTooLong,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
    StreamInterrupted,
    TimedOut,
)
from core.providers import openai as engine
from core.providers.registry import open_model
from core.settings import load_settings
from core.types import Completion, Deadlines, Done, Event, Options, TextDelta, user
from tests.servers.misbehaving import (
    DONE,
    END,
    STREAM_HEAD,
    Close,
    Endless,
    Hang,
    Misbehaving,
    Pause,
    Request,
    Reset,
    Script,
    Slowly,
    chunk,
    completion,
    error,
    event,
    framed,
    head,
    pieces,
    response,
    sse,
    whole,
)

KEY = "sk-test-canary-0123456789"
ONE_PIECE = Options(stream=False)
FAST = Deadlines(connect_s=2, first_token_s=2, idle_s=2, total_s=10)


@dataclass(frozen=True)
class Outcome:
    events: list[Event]
    error: ProviderError | None
    seconds: float

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, TextDelta))

    @property
    def completion(self) -> Completion:
        assert isinstance(self.events[-1], Done), self.error
        return self.events[-1].completion


def opened(url: str, **variables: str) -> ChatModel:
    environment = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, **variables}
    model: ChatModel = open_model("chat", "openai:m", load_settings(Path("/nowhere"), environment))
    return model


def ask(url: str, options: Options | None = None, **variables: str) -> Outcome:
    """One call on a fresh model, in a loop of its own."""
    given = options or Options(deadlines=FAST)

    async def call() -> Outcome:
        model, events, failure = opened(url, **variables), [], None
        started = time.monotonic()
        try:
            async with aclosing(model.stream([user("hi")], given)) as stream:
                async for item in stream:
                    events.append(item)
        except ProviderError as raised:
            failure = raised
        seconds = time.monotonic() - started
        await model.aclose()
        return Outcome(events, failure, seconds)

    return asyncio.run(call())


def outcome_of(
    scripts: Sequence[Script], options: Options | None = None, **variables: str
) -> tuple[Outcome, Misbehaving]:
    with Misbehaving(scripts) as server:
        outcome = ask(server.url, options, **variables)
        assert server.wait_until_closed(), "a connection leaked"
    return outcome, server


# --- refusals ---------------------------------------------------------------------------------

REFUSALS = [
    (400, "what is this", {}, BadRequest),
    (401, "no", {}, AuthenticationFailed),
    (403, "no", {}, AuthenticationFailed),
    (404, "no such path", {}, ModelNotFound),
    (422, "no", {}, BadRequest),
    (400, "This model's maximum context length is 8 tokens", {"code": "context_length_exceeded"}, ContextTooLong),
    (400, "flagged", {"code": "content_filter"}, ContentFiltered),
    (402, "Insufficient Balance", {}, BadRequest),
    (429, "You exceeded your current quota", {"code": "insufficient_quota"}, BadRequest),
]


@pytest.mark.parametrize(("status", "message", "more", "kind"), REFUSALS)
def test_what_is_no_use_to_repeat_is_asked_once(
    status: int, message: str, more: dict[str, Any], kind: type[ProviderError]
) -> None:
    outcome, server = outcome_of([(error(status, message, "x-request-id: req-9", **more),)])
    assert type(outcome.error) is kind
    assert len(server.requests) == 1
    assert outcome.error.status == status
    assert outcome.error.request_id == "req-9"
    assert outcome.seconds < 1.0


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
def test_a_server_that_fails_is_asked_again(status: int) -> None:
    outcome, server = outcome_of([(error(status, "x"),), (error(status, "x"),), sse("Hel", "lo.")])
    assert outcome.text == outcome.completion.text == "Hello."
    assert len(server.requests) == 3


def test_a_server_that_always_fails_is_given_up_after_the_attempts_set() -> None:
    outcome, server = outcome_of([(error(500, "boom"),)], TOUCHSTONE_ATTEMPTS="2")
    assert isinstance(outcome.error, ServerFailed)
    assert len(server.requests) == 2
    assert "boom" in str(outcome.error)


@pytest.mark.parametrize("header", ["retry-after: 1", "retry-after: 1.0", "retry-after-ms: 1000"])
def test_retry_after_is_obeyed(header: str) -> None:
    outcome, server = outcome_of([(error(429, "slow down", header),), sse("Hello.")])
    assert outcome.text == "Hello."
    assert 1.0 <= server.gaps()[0] <= 1.4


def test_retry_after_beyond_the_waiting_allowed_is_an_error_at_once() -> None:
    outcome, server = outcome_of([(error(429, "slow down", "retry-after: 3600"),)])
    assert isinstance(outcome.error, RateLimited)
    assert outcome.error.retry_after_s == 3600
    assert outcome.seconds < 0.5
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["-10", "inf", "nan", "1e35", "soon", "", "Fri, 31 Dec 100000 23:59:59 GMT"])
def test_nonsense_in_retry_after_falls_back_to_the_backoff(value: str) -> None:
    outcome, server = outcome_of([(error(429, "slow down", f"retry-after: {value}"),), sse("Hello.")])
    assert outcome.text == "Hello."
    assert server.gaps()[0] <= 0.8


# --- no answer --------------------------------------------------------------------------------


def test_a_port_where_nobody_listens() -> None:
    with Misbehaving([()]) as server:
        url = server.url
    outcome = ask(url, TOUCHSTONE_ATTEMPTS="2")
    assert isinstance(outcome.error, ConnectFailed)
    assert url.removesuffix("/v1") in str(outcome.error)


def test_a_name_that_does_not_resolve() -> None:
    outcome = ask("http://no-such-host.invalid/v1", TOUCHSTONE_ATTEMPTS="1")
    assert isinstance(outcome.error, ConnectFailed)


@pytest.mark.parametrize("acts", [(Reset(),), (Close(),), (head(200)[:9], Reset()), (STREAM_HEAD[:40], Close())])
def test_a_connection_lost_before_the_answer_is_tried_again(acts: Script) -> None:
    outcome, server = outcome_of([acts, sse("Hello.")])
    assert outcome.text == "Hello."
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "acts", [(STREAM_HEAD, Reset()), (STREAM_HEAD, framed(event(chunk(role="assistant"))), Close())]
)
def test_a_stream_lost_before_its_first_text_is_tried_again(acts: Script) -> None:
    outcome, server = outcome_of([acts, sse("Hello.")])
    assert outcome.text == "Hello."
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nplain",
    ],
)
def test_what_is_not_http_is_an_invalid_response(data: bytes) -> None:
    outcome, server = outcome_of([(data, Close())])
    assert isinstance(outcome.error, InvalidResponse)
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed_and_names_the_address() -> None:
    outcome, server = outcome_of([(response(301, b"", "location: http://127.0.0.1:1/v2"),)])
    assert isinstance(outcome.error, BadRequest)
    assert "http://127.0.0.1:1/v2" in str(outcome.error)
    assert len(server.requests) == 1


# --- deadlines --------------------------------------------------------------------------------

TOTAL_S = 1.2
DEADLINES = Deadlines(connect_s=0.5, first_token_s=0.6, idle_s=0.7, total_s=TOTAL_S)
ROLE = framed(event(chunk(role="assistant")))


@pytest.mark.parametrize(
    ("acts", "phase", "after_s"),
    [
        ((Hang(),), "first_token", 0.6),
        ((STREAM_HEAD, Hang()), "first_token", 0.6),
        ((STREAM_HEAD, ROLE, Hang()), "first_token", 0.6),
        ((STREAM_HEAD, Endless(framed(b": ping\n\n"), 0.1)), "first_token", 0.6),
        ((head(500, "content-length: 10"), Hang()), "first_token", 0.6),
    ],
)
def test_a_silent_server_passes_the_first_deadline(acts: Script, phase: str, after_s: float) -> None:
    outcome, _ = outcome_of([acts], Options(deadlines=DEADLINES), TOUCHSTONE_ATTEMPTS="1")
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.params["phase"] == phase
    assert outcome.error.params["after_s"] == after_s
    assert after_s - 0.01 <= outcome.seconds <= after_s + 0.3


def test_a_slow_connect_passes_its_deadline() -> None:
    """A listener whose queue is full lets the handshake wait."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        outcome = ask(f"http://127.0.0.1:{address[1]}/v1", Options(deadlines=DEADLINES), TOUCHSTONE_ATTEMPTS="1")
        for filler in fillers:
            filler.close()
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.params["phase"] == "connect"
    assert 0.49 <= outcome.seconds <= 0.8


def test_a_stall_after_text_interrupts_with_what_came() -> None:
    outcome, server = outcome_of([(STREAM_HEAD, pieces("Hel", "lo"), Hang())], Options(deadlines=DEADLINES))
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.error.partial == outcome.text == "Hello"
    assert 0.69 <= outcome.seconds <= 1.0
    assert len(server.requests) == 1


def test_pings_do_not_hide_a_stall() -> None:
    outcome, _ = outcome_of(
        [(STREAM_HEAD, pieces("Hello"), Endless(framed(b": ping\n\n"), 0.1))], Options(deadlines=DEADLINES)
    )
    assert isinstance(outcome.error, StreamInterrupted)
    assert 0.69 <= outcome.seconds <= 1.0


def test_a_body_that_stalls_in_one_piece_passes_the_total() -> None:
    deadlines = Deadlines(connect_s=0.5, first_token_s=0.2, idle_s=0.2, total_s=0.6)
    outcome, _ = outcome_of([(whole()[:-5], Hang())], Options(stream=False, deadlines=deadlines))
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.params["phase"] == "total"
    assert 0.59 <= outcome.seconds <= 0.9


def test_one_byte_at_a_time_for_ever_is_stopped_by_the_total() -> None:
    deadlines = Deadlines(connect_s=0.5, first_token_s=9, idle_s=9, total_s=TOTAL_S)
    acts = (STREAM_HEAD, Slowly(framed(event(chunk("x" * 400))), 0.1))
    outcome, server = outcome_of([acts], Options(deadlines=deadlines))
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.params["phase"] == "total"
    assert TOTAL_S - 0.01 <= outcome.seconds <= TOTAL_S + 0.3
    assert len(server.requests) == 1


def test_text_that_never_ends_is_stopped_by_the_total() -> None:
    acts = (STREAM_HEAD, Endless(pieces("ha "), 0.05))
    outcome, _ = outcome_of([acts], Options(deadlines=DEADLINES))
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.error.partial == outcome.text
    assert TOTAL_S - 0.01 <= outcome.seconds <= TOTAL_S + 0.3


def test_the_total_spans_all_attempts() -> None:
    deadlines = Deadlines(connect_s=0.5, first_token_s=0.5, idle_s=9, total_s=1.2)
    outcome, server = outcome_of([(Hang(),)], Options(deadlines=deadlines), TOUCHSTONE_ATTEMPTS="10")
    assert isinstance(outcome.error, TimedOut)
    assert outcome.seconds <= 1.5
    assert 2 <= len(server.requests) <= 3


def test_a_slow_first_attempt_is_tried_again() -> None:
    outcome, server = outcome_of([(Hang(),), sse("Hello.")], Options(deadlines=DEADLINES))
    assert outcome.text == "Hello." or outcome.error.params["phase"] in ("total", "first_token")
    assert len(server.requests) <= 2


def test_a_reader_who_takes_his_time_is_not_a_stall() -> None:
    async def call(url: str) -> str:
        model = opened(url)
        options = Options(deadlines=Deadlines(connect_s=1, first_token_s=0.3, idle_s=0.3, total_s=10))
        async with aclosing(model.stream([user("hi")], options)) as events:
            got = []
            async for item in events:
                got.append(item)
                await asyncio.sleep(0.5)
        await model.aclose()
        assert isinstance(got[-1], Done)
        return got[-1].completion.text

    with Misbehaving([sse("Hel", "lo.", gap_s=0.2)]) as server:
        assert asyncio.run(call(server.url)) == "Hello."


# --- streams that break -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "said"),
    [
        ((STREAM_HEAD, pieces("Hello"), END), "without a finish reason"),
        ((STREAM_HEAD, pieces("Hello"), DONE), "without a finish reason"),
        ((STREAM_HEAD, pieces("Hello"), Close()), "before the end of the body"),
        ((STREAM_HEAD, pieces("Hello"), Reset()), "reset"),
        ((head(200, "content-type: text/event-stream"), event(chunk("Hello")), Close()), "without a finish reason"),
        ((STREAM_HEAD, pieces("Hello"), framed(b'data: {"choices": [{"delta"\n\n'), DONE), "byte"),
        ((STREAM_HEAD, pieces("Hello"), framed(event(b"null")), DONE), "piece 2"),
        ((STREAM_HEAD, pieces("Hello"), framed(event({"error": {"message": "worker died"}})), END), "worker died"),
        ((STREAM_HEAD, pieces("Hello"), framed(event(chunk(finish="network_error"))), DONE), "network_error"),
        ((STREAM_HEAD, pieces("Hello"), b"zz\r\n"), "chunk"),
    ],
)
def test_a_stream_that_breaks_after_text_gives_what_came_and_is_not_repeated(acts: Script, said: str) -> None:
    outcome, server = outcome_of([acts, sse("never asked")])
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.error.partial == outcome.text == "Hello"
    assert said in str(outcome.error)
    assert not any(isinstance(e, Done) for e in outcome.events)
    assert len(server.requests) == 1
    assert outcome.seconds < 1.5


def test_an_error_object_before_any_text_is_the_error_it_names() -> None:
    outcome, server = outcome_of(
        [(STREAM_HEAD, framed(event({"error": {"message": "busy", "code": 503}})), END), sse("Hello.")]
    )
    assert outcome.text == "Hello."
    assert len(server.requests) == 2
    outcome, server = outcome_of(
        [(STREAM_HEAD, framed(event({"error": {"message": "x", "code": "context_length_exceeded"}})), END)]
    )
    assert isinstance(outcome.error, ContextTooLong)
    assert len(server.requests) == 1


def test_an_answer_whose_postscript_is_missing_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "AFTER_FINISH_S", 0.3)
    finish = framed(event(chunk(finish="stop")))
    for after in (END, b"", Hang(), Close(), Reset()):
        outcome, _ = outcome_of([(STREAM_HEAD, pieces("Hello"), finish, *([after] if after else [Hang()]))])
        assert outcome.completion.text == "Hello"
        assert outcome.completion.usage.output_tokens is None
        assert outcome.seconds < 0.6


# --- answers of the wrong form ----------------------------------------------------------------

HTML = "<!DOCTYPE html><title>Sign in</title>" + f"<!-- {KEY} -->" + "x" * 1000
WRONG = [
    response(200, HTML, kind="text/html"),
    response(200, b""),
    response(200, b"null"),
    response(200, b"[]"),
    response(200, b"{}"),
    response(200, b'{"choices": []}'),
    response(200, b'{"choices": [{"message": null, "finish_reason": "stop"}]}'),
    response(200, json.dumps(completion(None))),
    response(200, b'{"choices": 7}'),
    response(200, b'{"choices": [{"message": {"content": 7}}]}'),
    response(200, b'{"error": {"message": "something odd"}}'),
    response(200, b'{"choices": [{'),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("data", WRONG)
def test_a_wrong_form_is_an_invalid_response_that_shows_its_beginning(data: bytes, stream: bool) -> None:
    outcome, server = outcome_of([(data,)], Options(stream=stream, deadlines=FAST))
    assert isinstance(outcome.error, InvalidResponse)
    assert len(server.requests) == 1
    body = data.partition(b"\r\n\r\n")[2]
    assert body[:20].decode() in str(outcome.error)
    assert KEY not in str(outcome.error)
    assert KEY not in repr(outcome.error.params)
    assert len(str(outcome.error)) < 500


@pytest.mark.parametrize("announced", [10, 5000])
def test_a_wrong_content_length(announced: int) -> None:
    data = json.dumps(completion()).encode()
    acts = (head(200, "content-type: application/json", f"content-length: {announced}"), data, Close())
    outcome, server = outcome_of([acts], Options(stream=False, deadlines=FAST))
    assert isinstance(outcome.error, InvalidResponse)
    assert len(server.requests) == 1


def test_json_where_a_stream_was_asked_for_is_an_answer() -> None:
    outcome, _ = outcome_of([(whole("Hello."),)])
    assert outcome.text == outcome.completion.text == "Hello."
    assert outcome.completion.usage.output_tokens == 2


def test_compression_nobody_asked_for_is_undone() -> None:
    plain = b"".join(event(chunk(t)) for t in ("Hel", "lo.")) + event(chunk(finish="stop")) + event(b"[DONE]")
    packed = gzip.compress(plain)
    acts = (
        head(200, "content-type: text/event-stream", "content-encoding: gzip", f"content-length: {len(packed)}"),
        packed,
    )
    outcome, server = outcome_of([acts])
    assert outcome.completion.text == "Hello."
    assert server.requests[0].headers["accept-encoding"] == "identity"


# --- too much ---------------------------------------------------------------------------------


def test_an_endless_line_is_cut_with_bounded_memory() -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    acts = (STREAM_HEAD, pieces("Hello"), framed(b"data: "), Endless(framed(b"x" * 65536)))
    outcome, _ = outcome_of([acts])
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.error.partial == "Hello"
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 50
    assert outcome.seconds < 5


def test_an_endless_body_is_cut() -> None:
    acts = (head(200, "content-type: application/json"), b'{"a": "', Endless(b"x" * 65536))
    outcome, server = outcome_of([acts], Options(stream=False, deadlines=FAST))
    assert isinstance(outcome.error, InvalidResponse)
    assert server.sent < 80 * 1024 * 1024


def test_an_endless_refusal_is_cut() -> None:
    outcome, server = outcome_of([(head(400), Endless(b"no " * 1000))])
    assert isinstance(outcome.error, BadRequest)
    assert server.sent < 10 * 1024 * 1024


def test_a_compressed_bomb_is_refused() -> None:
    packed = gzip.compress(b"\0" * (40 * 1024 * 1024))
    acts = (head(200, "content-encoding: gzip", f"content-length: {len(packed)}"), packed)
    outcome, _ = outcome_of([acts], Options(stream=False, deadlines=FAST))
    assert isinstance(outcome.error, InvalidResponse)


def test_a_reader_who_stops_stops_the_server_too() -> None:
    """The socket is paused when too much waits unread, so memory stays bounded."""

    async def call(url: str) -> int:
        model = opened(url)
        events = model.stream([user("hi")])
        await anext(events)
        await asyncio.sleep(0.5)
        sent = server.sent
        await asyncio.sleep(0.3)
        assert server.sent == sent
        await events.aclose()
        await model.aclose()
        return sent

    with Misbehaving([(STREAM_HEAD, Endless(pieces("ha " * 1000)))]) as server:
        assert asyncio.run(call(server.url)) < 32 * 1024 * 1024
        assert server.wait_until_closed()


# --- leaving ----------------------------------------------------------------------------------


@pytest.mark.parametrize("acts", [(STREAM_HEAD, Endless(pieces("ha "), 0.05)), (STREAM_HEAD, pieces("ha"), Hang())])
def test_closing_the_generator_closes_the_connection(acts: Script) -> None:
    async def call(url: str) -> float:
        model = opened(url)
        events = model.stream([user("hi")])
        assert isinstance(await anext(events), TextDelta)
        closed_at = time.monotonic()
        await events.aclose()
        while not server.left:
            await asyncio.sleep(0.01)
        await model.aclose()
        return server.left[0] - closed_at

    with Misbehaving([acts]) as server:
        assert asyncio.run(asyncio.wait_for(call(server.url), 5)) < 1.0


@pytest.mark.parametrize("acts", [(Hang(),), (STREAM_HEAD, Hang()), (STREAM_HEAD, pieces("ha"), Hang())])
def test_cancelling_the_task_closes_the_connection(acts: Script) -> None:
    async def call(url: str) -> float:
        model = opened(url)

        async def read() -> None:
            async for _ in model.stream([user("hi")]):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.3)
        cancelled_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not server.left:
            await asyncio.sleep(0.01)
        await model.aclose()
        return server.left[0] - cancelled_at

    with Misbehaving([acts]) as server:
        assert asyncio.run(asyncio.wait_for(call(server.url), 5)) < 1.0
        assert len(server.requests) == 1


def test_a_model_that_is_closed_lets_answers_under_way_finish() -> None:
    async def call(url: str) -> str:
        model = opened(url)
        events = model.stream([user("hi")])
        await anext(events)
        await model.aclose()
        rest = [e async for e in events]
        assert isinstance(rest[-1], Done)
        return rest[-1].completion.text

    with Misbehaving([sse("Hel", "lo.", gap_s=0.1)]) as server:
        assert asyncio.run(call(server.url)) == "Hello."
        assert server.wait_until_closed()


def test_connections_are_used_again_after_streams_and_calls() -> None:
    async def call(url: str) -> None:
        model = opened(url)
        for options in (Options(), ONE_PIECE, Options(), Options()):
            async for _ in model.stream([user("hi")], options):
                pass
        await model.aclose()

    with Misbehaving(
        [sse("Hello."), (whole(),), (*sse("Hello.")[:-1], Pause(0.05), sse("x")[-1]), sse("Hello.")]
    ) as server:
        asyncio.run(call(server.url))
        assert server.opened == 1
        assert server.wait_until_closed()


def test_many_loops_may_use_one_model() -> None:
    with Misbehaving([sse("Hello.")]) as server:
        model = opened(server.url)

        async def call() -> None:
            async for _ in model.stream([user("hi")]):
                pass
            await model.aclose()

        for _ in range(3):
            asyncio.run(call())
        assert len(server.requests) == 3
        assert server.wait_until_closed()


# --- for long ---------------------------------------------------------------------------------


def test_hundreds_of_calls_with_faults_in_between_leave_nothing_open() -> None:
    """One model for all calls, twenty at a time, every tenth meets a fault: all are answered, sockets stay few."""
    chance = random.Random(7)
    faults: list[tuple[Any, ...]] = [
        (error(500, "x"),),
        (Reset(),),
        (Close(),),
        (STREAM_HEAD, Reset()),
        (STREAM_HEAD, framed(event(chunk(role="assistant"))), END),
        (error(429, "slow down", "retry-after-ms: 10"),),
    ]

    def answer(_: Request) -> Sequence[Any]:
        return chance.choice(faults) if chance.random() < 0.1 else sse("Hel", "lo.")

    async def calls(url: str) -> list[str]:
        model = opened(url, TOUCHSTONE_ATTEMPTS="10")
        turn = asyncio.Semaphore(20)

        async def one() -> str:
            async with turn:
                events = [e async for e in model.stream([user("hi")])]
                assert isinstance(events[-1], Done)
                return events[-1].completion.text

        texts = await asyncio.gather(*(one() for _ in range(200)))
        assert server.open_connections <= 40
        await model.aclose()
        return texts

    began = time.monotonic()
    with Misbehaving([answer]) as server:
        assert asyncio.run(calls(server.url)) == ["Hello."] * 200
        assert time.monotonic() - began < 30, "a call waited for an answer that another call's connection had taken"
        assert len(server.requests) > 200
        assert server.wait_until_closed()
