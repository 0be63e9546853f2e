"""The loop thread: results, errors, context, cancelling, back-pressure; from many threads and from none."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import numpy as np
import pytest

from core.contracts import DEFAULT_OPTIONS
from core.errors import RateLimited, StreamInterrupted
from core.providers import sync as module
from core.providers.sync import iterate, run, sync
from core.telemetry.trace import current_trace, trace
from core.types import Capabilities, Completion, Decision, Done, Event, Message, Options, Question, TextDelta, user

VARIABLE: ContextVar[str] = ContextVar("test_sync", default="unset")


async def value_of(variable: ContextVar[str]) -> str:
    await asyncio.sleep(0)
    return variable.get()


async def numbers(count: int) -> AsyncGenerator[int, None]:
    for n in range(count):
        yield n


class Watched:
    """A generator that never ends by itself and remembers what became of it."""

    def __init__(self, pause_s: float = 0.001, clean_up_s: float = 0.0) -> None:
        self.pause_s, self.clean_up_s = pause_s, clean_up_s
        self.produced = 0
        self.closed = threading.Event()

    async def events(self) -> AsyncGenerator[int, None]:
        try:
            while True:
                await asyncio.sleep(self.pause_s)
                self.produced += 1
                yield self.produced
        finally:
            await asyncio.sleep(self.clean_up_s)
            self.closed.set()


# --- run --------------------------------------------------------------------------------------


def test_run_returns_raises_and_works_on_one_thread_of_its_own() -> None:
    async def where() -> int:
        return threading.get_ident()

    async def fail() -> None:
        raise RateLimited(provider="p", status=429)

    assert run(where()) == run(where()) != threading.get_ident()
    with pytest.raises(RateLimited) as caught:
        run(fail())
    assert caught.value.status == 429


def test_run_carries_context_variables() -> None:
    token = VARIABLE.set("mine")
    try:
        assert run(value_of(VARIABLE)) == "mine"
    finally:
        VARIABLE.reset(token)
    assert run(value_of(VARIABLE)) == "unset"


def test_run_past_its_time_is_cancelled() -> None:
    ended = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    started = time.perf_counter()
    with pytest.raises(TimeoutError):
        run(slow(), timeout_s=0.05)
    assert ended.is_set()
    assert time.perf_counter() - started < 1.0


def test_run_does_not_wait_for_a_coroutine_that_refuses_to_end() -> None:
    released = threading.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            while not released.is_set():
                await asyncio.sleep(0.01)

    started = time.perf_counter()
    with pytest.raises(TimeoutError):
        run(stubborn(), timeout_s=0.05)
    released.set()
    assert time.perf_counter() - started < 1.6


def test_run_on_the_loop_thread_says_why_it_cannot() -> None:
    async def nested() -> None:
        run(value_of(VARIABLE))

    with pytest.raises(RuntimeError, match="await the model's asynchronous methods"):
        run(nested())

    async def nested_iterate() -> None:
        list(iterate(numbers(1)))

    with pytest.raises(RuntimeError, match="iterate"):
        run(nested_iterate())


def test_run_inside_a_running_loop_of_somebody_else() -> None:
    async def notebook() -> tuple[str, list[int]]:
        return run(value_of(VARIABLE)), list(iterate(numbers(3)))

    assert asyncio.run(notebook()) == ("unset", [0, 1, 2])


def test_an_exit_in_a_coroutine_reaches_its_caller_and_leaves_the_loop_running() -> None:
    async def leave(error: type[BaseException]) -> None:
        raise error("on the loop")

    for error in (SystemExit, KeyboardInterrupt):
        with pytest.raises(error, match="on the loop"):
            run(leave(error))
    assert run(value_of(VARIABLE)) == "unset"


def test_a_dead_loop_thread_is_replaced() -> None:
    before = module._loop_thread()
    before.close()
    assert not before.thread.is_alive()
    assert run(value_of(VARIABLE)) == "unset"
    assert module._loop_thread() is not before


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot signal one thread")
def test_interrupt_while_waiting_cancels_the_coroutine() -> None:
    ended = threading.Event()
    main = threading.main_thread().ident or 0

    async def slow() -> None:
        try:
            await asyncio.sleep(0.2)  # until it waits in run(): a signal before that is seen when the waiting ends
            signal.pthread_kill(main, signal.SIGINT)  # as Ctrl-C does
            await asyncio.sleep(30)
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        run(slow())
    assert ended.wait(1.0)


def test_many_threads_at_once() -> None:
    def work(n: int) -> tuple[str, int]:
        VARIABLE.set(str(n))
        total = sum(iterate(numbers(500), limit=16))
        return run(value_of(VARIABLE)), total

    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(work, range(96)))
    assert results == [(str(n), sum(range(500))) for n in range(96)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_a_loop_thread_of_its_own() -> None:
    code = (
        "import asyncio, os\n"
        "from core.providers.sync import run\n"
        "async def pid(): return os.getpid()\n"
        "assert run(pid()) == os.getpid()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if run(pid(), timeout_s=10) == os.getpid() else 1)\n"
        "assert run(pid()) == os.getpid()\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_process_ends_quietly_with_work_under_way() -> None:
    code = (
        "import asyncio\n"
        "from core.providers.sync import iterate\n"
        "async def forever():\n"
        "    try:\n"
        "        while True:\n"
        "            yield 1\n"
        "            await asyncio.sleep(0.01)\n"
        "    finally:\n"
        "        print('released', flush=True)\n"
        "events = iterate(forever())\n"
        "next(events)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "released", "")


# --- iterate ----------------------------------------------------------------------------------


def test_iterate_keeps_order_and_every_item() -> None:
    assert list(iterate(numbers(10_000))) == list(range(10_000))
    assert list(iterate(numbers(0))) == []


def test_a_burst_wakes_the_reader_once_and_not_per_item(monkeypatch: pytest.MonkeyPatch) -> None:
    wakes: list[int] = []
    wake = module._Channel._wake

    def counted(channel: module._Channel[int]) -> None:
        wakes.append(len(channel.buffer))
        wake(channel)

    monkeypatch.setattr(module._Channel, "_wake", counted)
    assert len(list(iterate(numbers(200)))) == 200
    assert len(wakes) <= 3
    assert max(wakes) == 200


def test_nothing_happens_before_the_first_next() -> None:
    watched = Watched()
    events = iterate(watched.events())
    time.sleep(0.05)
    assert watched.produced == 0
    next(events)
    assert watched.produced >= 1
    events.close()


def test_errors_keep_their_type_and_come_after_the_items_before_them() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        yield "half "
        yield "an answer"
        raise StreamInterrupted(partial="half an answer", provider="p", detail="cut")

    seen: list[str] = []
    with pytest.raises(StreamInterrupted) as caught:
        seen.extend(iterate(broken()))
    assert seen == ["half ", "an answer"]
    assert caught.value.partial == "half an answer"


def test_iterate_carries_the_context_of_its_call() -> None:
    async def traced() -> AsyncGenerator[str, None]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield current_trace().trace_id

    with trace() as mine:
        events = iterate(traced())
    assert set(events) == {mine.trace_id}


def test_close_cancels_the_generator_within_a_second() -> None:
    watched = Watched(pause_s=0.01)
    events = iterate(watched.events())
    next(events)
    started = time.perf_counter()
    events.close()
    assert watched.closed.is_set()
    assert time.perf_counter() - started < 0.5


def test_close_cancels_a_generator_that_has_nothing_to_say() -> None:
    async def quiet(ended: threading.Event) -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(30)
        finally:
            ended.set()

    ended = threading.Event()
    events = iterate(quiet(ended))
    next(events)
    time.sleep(0.02)
    events.close()
    assert ended.is_set()


def test_close_waits_at_most_a_second_for_the_clean_up() -> None:
    watched = Watched(clean_up_s=1.6)
    events = iterate(watched.events())
    next(events)
    started = time.perf_counter()
    events.close()
    waited = time.perf_counter() - started
    assert 0.9 <= waited < 1.5
    assert not watched.closed.is_set()
    assert watched.closed.wait(2.0)


def test_an_exception_in_the_reading_loop_cancels() -> None:
    class StopScript(BaseException):
        """As a page's framework stops its script."""

    watched = Watched()

    def script() -> None:
        for n in iterate(watched.events()):
            if n == 3:
                raise StopScript

    with pytest.raises(StopScript):
        script()
    assert watched.closed.wait(1.0)


def test_a_dropped_iterator_cancels() -> None:
    watched = Watched()
    events = iterate(watched.events())
    next(events)
    del events
    assert watched.closed.wait(1.0)


def test_an_iterator_collected_on_the_loop_thread_does_not_block_it() -> None:
    gc.collect()
    gc.freeze()  # what stands in memory already is not looked through: late in a run that alone takes a second
    watched = Watched()
    events = iterate(watched.events())
    next(events)
    cycle: list[object] = [events]
    cycle.append(cycle)
    del events, cycle

    async def collect() -> float:
        started = time.perf_counter()
        gc.collect()
        return time.perf_counter() - started

    assert run(collect()) < 0.9
    assert watched.closed.wait(1.0)


def test_a_reader_that_does_not_read_stops_the_generator() -> None:
    produced = 0

    async def fast() -> AsyncGenerator[int, None]:
        nonlocal produced
        for n in range(1000):
            produced += 1
            yield n

    events = iterate(fast(), limit=10)
    assert next(events) == 0
    time.sleep(0.05)
    assert produced == 10
    assert [next(events) for _ in range(10)] == list(range(1, 11))
    time.sleep(0.05)
    assert produced == 20
    assert list(events) == list(range(11, 1000))


def test_closing_a_generator_that_waits_for_room() -> None:
    watched = Watched(pause_s=0.0)
    events = iterate(watched.events(), limit=2)
    next(events)
    time.sleep(0.05)
    assert watched.produced == 2
    events.close()
    assert watched.closed.is_set()


def test_ticks_come_while_there_is_nothing_else() -> None:
    async def slow() -> AsyncGenerator[str, None]:
        await asyncio.sleep(0.2)
        yield "at last"

    seen = list(iterate(slow(), tick_s=0.02))
    assert seen[-1] == "at last"
    assert 3 <= seen.count(None) <= 10


# --- faces ------------------------------------------------------------------------------------


class Parrot:
    """Says the last message back, word by word, or in one piece when no stream is wanted."""

    name = "parrot:grey"
    capabilities = Capabilities(tools=False)

    def __init__(self) -> None:
        self.closed = 0
        self.options: list[Options] = []

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        self.options.append(options)
        text = str(messages[-1].content)
        if options.stream:
            for word in text.split(" "):
                await asyncio.sleep(0)
                yield TextDelta(word)
        yield Done(Completion(text, "grey", "parrot", "stop"))

    async def aclose(self) -> None:
        self.closed += 1


class Mute(Parrot):
    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        yield TextDelta("half")


def test_the_chat_face() -> None:
    parrot = Parrot()
    chat = sync(parrot)
    assert (chat.name, chat.capabilities) == ("parrot:grey", parrot.capabilities)
    assert list(chat.stream([user("a b")]))[:2] == [TextDelta("a"), TextDelta("b")]
    assert list(chat.text("你好 世界")) == ["你好", "世界"]
    assert list(chat.text("in one piece", Options(stream=False))) == ["in one piece"]
    assert chat.complete("a b").text == "a b"
    assert chat.complete([user("a b")], Options(temperature=0.0)).finish_reason == "stop"
    assert parrot.options[-1] == Options(temperature=0.0, stream=False)
    chat.close()
    assert parrot.closed == 1


def test_an_engine_that_forgets_done_is_an_interrupted_stream() -> None:
    with pytest.raises(StreamInterrupted) as caught:
        sync(Mute()).complete("hello")
    assert (caught.value.partial, caught.value.provider, caught.value.model) == ("half", "parrot", "grey")


class Three:
    """Embeds, decides and reranks by length."""

    name = "three:lengths"


class Embeds(Three):
    dim = 2

    async def embed(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
        return np.array([[1.0, 0.0] if kind == "query" else [0.0, 1.0] for _ in texts], dtype=np.float32)

    async def aclose(self) -> None: ...


class Decides(Three):
    async def decide(self, state: str, questions: Sequence[Question]) -> dict[str, Decision]:
        return {q.id: Decision(q.id, state, 1.0, {state: 1.0}, self.name) for q in questions}


class Reranks(Three):
    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        return np.array([len(p) for p in passages], dtype=np.float32)


def test_the_other_faces() -> None:
    embedding = sync(Embeds())
    assert (embedding.name, embedding.dim) == ("three:lengths", 2)
    assert embedding.embed(["a"], kind="query").tolist() == [[1.0, 0.0]]
    embedding.close()
    assert sync(Decides()).decide("yes", [Question("q", "yes_no", "?")])["q"].answer == "yes"
    assert sync(Reranks()).rerank("q", ["a", "bbb"]).tolist() == [1.0, 3.0]
    with pytest.raises(TypeError, match="stream, embed, decide, rerank"):
        sync(object())  # type: ignore[call-overload]
