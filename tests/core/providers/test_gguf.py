"""llama.cpp in this process, on a tiny model of random weights: the real engine, in milliseconds."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from core.errors import (
    BadRequest,
    ConfigurationError,
    ContextTooLong,
    EngineBusy,
    InvalidResponse,
    MissingFile,
    ProviderError,
    ServerFailed,
    StreamInterrupted,
    TimedOut,
    Unsupported,
)
from core.providers import gguf, llama
from core.providers.gguf import GgufChat, open_chat, open_embedding
from core.providers.gguf_file import read_header
from core.providers.llama import CACHE_FLOOR_BYTES, Shape, shape_of
from core.providers.local_queue import LocalQueue
from core.settings import Settings, load_settings
from core.types import (
    Completion,
    Deadlines,
    Done,
    Event,
    Image,
    Message,
    Options,
    Queued,
    TextDelta,
    Tool,
    system,
    user,
)
from tests.core.providers.tiny_gguf import CHATML, metadata, write_gguf

SLOTS, CONTEXT = 3, 4096
ENDLESS = Options(max_tokens=4000, extra={"ignore_eos": True})
QUESTION = [user("hi")]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a folder that holds tiny.gguf."""
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(folder / "tiny.gguf")
    variables = {
        "TOUCHSTONE_LOCAL_SLOTS": str(SLOTS),
        "TOUCHSTONE_LOCAL_CONTEXT": str(CONTEXT),
        "TOUCHSTONE_LOCAL_THREADS": "1",
    }
    return load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), **variables})


@pytest.fixture(scope="module")
def model(here: Settings) -> Iterator[GgufChat]:
    opened = open_chat("tiny.gguf", engine="gguf", settings=here)
    yield opened
    asyncio.run(opened.aclose())


@pytest.fixture(autouse=True)
def _no_call_left(model: GgufChat) -> Iterator[None]:
    """Every test leaves all slots free."""
    yield
    asyncio.run(until(lambda: all_free(model), 5))


async def events_of(model: GgufChat, messages: Sequence[Message], options: Options) -> list[Event]:
    async with aclosing(model.stream(messages, options)) as events:
        return [event async for event in events]


def ask(model: GgufChat, options: Options, messages: Sequence[Message] = QUESTION) -> list[Event]:
    return asyncio.run(asyncio.wait_for(events_of(model, messages, options), 60))


def answer(model: GgufChat, options: Options, messages: Sequence[Message] = QUESTION) -> Completion:
    last = ask(model, options, messages)[-1]
    assert isinstance(last, Done)
    return last.completion


async def until(condition: Callable[[], bool], within_s: float) -> float:
    """Seconds until ``condition`` holds."""
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < within_s, "it did not happen in time"
        await asyncio.sleep(0.005)
    return time.perf_counter() - started


def all_free(model: GgufChat) -> bool:
    return gguf.QUEUE.running(model.name) == 0


# --- answers ----------------------------------------------------------------------------------


def test_an_answer_comes_in_pieces_and_ends_in_done(model: GgufChat) -> None:
    events = ask(model, Options(max_tokens=12, extra={"ignore_eos": True}))
    *pieces, done = events
    assert isinstance(done, Done)
    assert [type(piece) for piece in pieces] == [TextDelta] * 12
    found = done.completion
    assert found.text == "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert (found.model, found.provider, found.finish_reason) == ("tiny.gguf", "gguf", "length")
    assert (found.usage.output_tokens, found.reasoning, found.tool_calls) == (12, None, ())
    assert found.usage.input_tokens is not None
    assert found.usage.input_tokens > 10
    assert found.timings.first_token_s is not None
    assert found.timings.total_s is not None
    assert 0 < found.timings.first_token_s <= found.timings.total_s
    assert found.timings.queued_s is not None
    assert found.request_id
    assert found.raw["object"] == "chat.completion.chunk"


def test_in_one_piece(model: GgufChat) -> None:
    events = ask(model, Options(max_tokens=5, stream=False, extra={"ignore_eos": True}))
    assert [type(event) for event in events] == [Done]
    assert answer(model, Options(max_tokens=5, stream=False, extra={"ignore_eos": True})).text


def test_a_seed_repeats_an_answer(model: GgufChat) -> None:
    first, again, other = (answer(model, Options(max_tokens=40, seed=seed)).text for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_temperature_zero_needs_no_seed(model: GgufChat) -> None:
    texts = {answer(model, Options(max_tokens=20, temperature=0)).text for _ in range(2)}
    assert len(texts) == 1


def test_stop_words_end_the_answer_and_stay_out_of_it(model: GgufChat) -> None:
    options = Options(max_tokens=60, seed=3, extra={"ignore_eos": True})
    whole = answer(model, options).text
    word = whole[30:32]
    stopped = answer(model, Options(max_tokens=60, seed=3, stop=(word,), extra={"ignore_eos": True}))
    assert stopped.text == whole[: whole.index(word)]
    assert stopped.finish_reason == "stop"


def test_logprobs_of_each_token_best_first(model: GgufChat) -> None:
    found = answer(model, Options(max_tokens=6, temperature=0, top_logprobs=4))
    assert "".join(token.token for token in found.logprobs) == found.text
    for token in found.logprobs:
        assert len(token.top) == 4
        assert token.top[0] == (token.token, token.logprob)
        values = [logprob for _, logprob in token.top]
        assert values == sorted(values, reverse=True)
        assert all(value <= 0 for value in values)


def test_a_schema_is_kept_by_a_model_that_knows_nothing(model: GgufChat) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["kind", "count"],
        "additionalProperties": False,
    }
    found = json.loads(answer(model, Options(max_tokens=200, seed=1, schema=schema)).text)
    assert found["kind"] in ("a", "b")
    assert 0 <= found["count"] <= 9


def test_a_schema_that_is_none_is_refused_in_words(model: GgufChat) -> None:
    with pytest.raises(BadRequest, match="nonsense"):
        ask(model, Options(schema={"type": "nonsense"}))


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800", "你好🙂", "a" * 300, "<|im_end|>"])
def test_any_text_can_be_asked(model: GgufChat, text: str) -> None:
    found = answer(model, Options(max_tokens=2, extra={"ignore_eos": True}), [system("s"), user(text)])
    assert found.usage.output_tokens == 2


def test_too_long_a_prompt_is_a_typed_error_that_says_how_long(model: GgufChat) -> None:
    with pytest.raises(ContextTooLong, match=rf"tokens.*{CONTEXT}"):
        ask(model, Options(max_tokens=2), [user("word " * 1000)])
    with pytest.raises(ContextTooLong):
        ask(model, Options(max_tokens=2), [user("x" * 1_000_000)])


def test_what_the_model_cannot_do_is_refused_before_anything_runs(model: GgufChat) -> None:
    with pytest.raises(Unsupported, match="images"):
        ask(model, Options(), [user((Image(data=b"x"),))])
    with pytest.raises(Unsupported, match="tools"):
        ask(model, Options(tools=(Tool("t", "", {"type": "object"}),)))
    assert all_free(model)


# --- slots, queue, cancellation, deadlines ------------------------------------------------------


def test_calls_beyond_the_slots_wait_and_see_their_place(model: GgufChat) -> None:
    async def scene() -> None:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, gguf.QUEUE.running(model.name))
                await asyncio.sleep(0.002)

        watching = asyncio.create_task(watch())
        calls = [
            events_of(model, QUESTION, Options(max_tokens=40, extra={"ignore_eos": True})) for _ in range(SLOTS + 3)
        ]
        found = await asyncio.gather(*calls)
        watching.cancel()
        positions = [[e.position for e in events if isinstance(e, Queued)] for events in found]
        assert positions[:SLOTS] == [[]] * SLOTS
        assert [p[0] for p in positions[SLOTS:]] == [1, 2, 3]
        assert all(p == sorted(p, reverse=True) and p[-1] >= 1 for p in positions[SLOTS:])
        assert most == SLOTS
        for events in found:
            done = events[-1]
            assert isinstance(done, Done)
            assert done.completion.usage.output_tokens == 40
            waited = any(isinstance(e, Queued) for e in events)
            assert (done.completion.timings.queued_s or 0) > (0.001 if waited else -1)

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_full_queue_refuses_at_once(model: GgufChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "QUEUE", LocalQueue(limit=1))

    async def scene() -> None:
        streams = [model.stream(QUESTION, ENDLESS) for _ in range(SLOTS + 2)]
        for stream in streams[:SLOTS]:
            assert isinstance(await anext(stream), TextDelta)
        assert await anext(streams[SLOTS]) == Queued(1)
        with pytest.raises(EngineBusy, match="1 calls wait and 1 may"):
            await anext(streams[-1])
        for stream in streams:
            await stream.aclose()
        await until(lambda: all_free(model), 5)

    asyncio.run(scene())


def test_closing_the_stream_frees_its_slot_within_a_second(model: GgufChat) -> None:
    async def scene() -> None:
        stream = model.stream(QUESTION, ENDLESS)
        assert isinstance(await anext(stream), TextDelta)
        await stream.aclose()
        await until(lambda: all_free(model), 1.0)

    asyncio.run(scene())


def test_cancelling_the_task_frees_its_slot_within_a_second(model: GgufChat) -> None:
    async def scene() -> None:
        task = asyncio.create_task(events_of(model, QUESTION, ENDLESS))
        await until(lambda: not all_free(model), 5)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: all_free(model), 1.0)

    asyncio.run(scene())


def test_leaving_the_queue_frees_the_place(model: GgufChat) -> None:
    async def scene() -> None:
        running = [model.stream(QUESTION, ENDLESS) for _ in range(SLOTS)]
        for stream in running:
            await anext(stream)
        waiting = model.stream(QUESTION, ENDLESS)
        assert await anext(waiting) == Queued(1)
        await waiting.aclose()
        assert gguf.QUEUE.waiting() == 0
        for stream in running:
            await stream.aclose()
        await until(lambda: all_free(model), 1.0)

    asyncio.run(scene())


def test_an_event_loop_that_dies_leaves_no_call_behind(model: GgufChat) -> None:
    async def abandon() -> None:
        await anext(model.stream(QUESTION, ENDLESS))

    asyncio.run(abandon())
    asyncio.run(until(lambda: all_free(model), 1.0))


def test_nothing_happens_before_the_first_step(model: GgufChat) -> None:
    async def scene() -> None:
        stream = model.stream([user((Image(data=b"x"),))], ENDLESS)
        assert all_free(model)
        await stream.aclose()

    asyncio.run(scene())


def test_callers_of_several_threads_share_the_engine(model: GgufChat) -> None:
    found: list[str] = []
    options = Options(max_tokens=15, seed=4, extra={"ignore_eos": True})
    threads = [threading.Thread(target=lambda: found.append(answer(model, options).text)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 5
    assert all(len(text) == 15 for text in found)


def test_waiting_in_the_queue_counts_for_the_first_token(model: GgufChat) -> None:
    async def scene() -> None:
        running = [model.stream(QUESTION, ENDLESS) for _ in range(SLOTS)]
        for stream in running:
            await anext(stream)
        waiting = model.stream(QUESTION, Options(deadlines=Deadlines(first_token_s=0.05)))
        assert await anext(waiting) == Queued(1)
        with pytest.raises(TimedOut, match=r"first_token deadline of 0\.05 s"):
            await anext(waiting)
        assert gguf.QUEUE.waiting() == 0
        for stream in running:
            await stream.aclose()

    asyncio.run(scene())


def test_in_one_piece_only_the_total_deadline_counts(model: GgufChat) -> None:
    deadlines = Deadlines(first_token_s=0.0001, idle_s=0.0001)
    found = answer(model, Options(max_tokens=30, stream=False, deadlines=deadlines, extra={"ignore_eos": True}))
    assert found.usage.output_tokens == 30
    with pytest.raises(TimedOut, match="total"):
        ask(model, Options(stream=False, deadlines=Deadlines(total_s=0.05), extra={"ignore_eos": True}))


# --- what llama.cpp may do wrong ---------------------------------------------------------------


class FakeServer:
    """Stands in for xllamacpp's server: ``play`` is given the callback."""

    def __init__(self, play: Callable[[Callable[[bytes], bool]], None]) -> None:
        self.play = play

    def handle_chat_completions(self, body: bytes, callback: Callable[[bytes], bool]) -> None:
        assert json.loads(body)["stream"] is True
        self.play(callback)


def chunk(text: str = "", finish: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}).encode()


def sends(*chunks: bytes) -> Callable[[Callable[[bytes], bool]], None]:
    def play(send: Callable[[bytes], bool]) -> None:
        for one in chunks:
            send(one)

    return play


def fake(here: Settings, play: Callable[[Callable[[bytes], bool]], None]) -> GgufChat:
    model = open_chat("tiny.gguf", engine="gguf", settings=here)

    async def server() -> Any:
        return FakeServer(play)

    setattr(model.engine, "server", server)  # noqa: B010 (a method is replaced on purpose)
    return model


def test_an_end_without_a_finish_reason_is_an_interruption(here: Settings) -> None:
    with pytest.raises(StreamInterrupted) as caught:
        ask(fake(here, sends(chunk("half"))), Options())
    assert caught.value.partial == "half"


def test_a_stall_is_an_interruption_and_the_call_is_told_to_stop(here: Settings) -> None:
    told = threading.Event()

    def stall(send: Callable[[bytes], bool]) -> None:
        send(chunk("half"))
        for _ in range(500):
            time.sleep(0.01)
            if send(json.dumps({"choices": [], "prompt_progress": {}}).encode()):
                told.set()
                return

    model = fake(here, stall)
    with pytest.raises(StreamInterrupted, match=r"idle deadline of 0\.1 s") as caught:
        ask(model, Options(deadlines=Deadlines(idle_s=0.1)))
    assert caught.value.partial == "half"
    assert told.wait(1)
    asyncio.run(until(lambda: all_free(model), 1))


def test_the_total_deadline_keeps_the_partial_text(here: Settings) -> None:
    told = threading.Event()

    def play(send: Callable[[bytes], bool]) -> None:
        while not send(chunk("a")):
            time.sleep(0.02)
        told.set()

    with pytest.raises(StreamInterrupted, match=r"total deadline of 0\.3 s") as caught:
        ask(fake(here, play), Options(deadlines=Deadlines(total_s=0.3)))
    assert set(caught.value.partial) == {"a"}
    assert told.wait(1)


def test_a_slow_reader_is_not_a_stall(here: Settings) -> None:
    def play(send: Callable[[bytes], bool]) -> None:
        send(chunk("a"))
        time.sleep(0.25)
        send(chunk("b", "stop"))

    async def scene() -> list[Event]:
        found = []
        async for event in fake(here, play).stream(QUESTION, Options(deadlines=Deadlines(idle_s=0.2))):
            found.append(event)
            await asyncio.sleep(0.15)
        return found

    done = asyncio.run(scene())[-1]
    assert isinstance(done, Done)
    assert done.completion.text == "ab"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b'{"error": {"code": 500, "message": "no room", "type": "server_error"}}', ServerFailed),
        (b'{"error": {"code": 400, "message": "no", "type": "invalid_request_error"}}', BadRequest),
        (b'{"error": {"code": 400, "message": "n", "type": "exceed_context_size_error"}}', ContextTooLong),
        (b'{"choices": 5}', InvalidResponse),
        (b"not json", InvalidResponse),
    ],
)
def test_errors_in_chunks_are_typed_and_interrupt_what_has_begun(
    here: Settings, sent: bytes, error: type[ProviderError]
) -> None:
    with pytest.raises(error):
        ask(fake(here, sends(sent)), Options())
    with pytest.raises(StreamInterrupted) as caught:
        ask(fake(here, sends(chunk("half"), sent)), Options())
    assert caught.value.partial == "half"


@pytest.mark.parametrize(("raised", "error"), [(ValueError("bad role"), BadRequest), (RuntimeError("x"), ServerFailed)])
def test_exceptions_of_llama_cpp_are_typed(here: Settings, raised: Exception, error: type[ProviderError]) -> None:
    def play(send: Callable[[bytes], bool]) -> None:
        raise raised

    with pytest.raises(error, match=str(raised)):
        ask(fake(here, play), Options())


# --- opening and closing -----------------------------------------------------------------------


def test_paths_may_be_relative_absolute_or_under_home(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here.folder))
    for name in ("tiny.gguf", "~/tiny.gguf", str(here.folder / "tiny.gguf")):
        opened = open_chat(name, engine="gguf", settings=here)
        assert opened.name == f"gguf:{name}"
        assert opened.engine.header.path == here.folder / "tiny.gguf"


def test_a_file_that_is_not_there_or_no_model_is_an_error_at_once(here: Settings) -> None:
    with pytest.raises(MissingFile, match=r"nowhere\.gguf"):
        open_chat("nowhere.gguf", engine="gguf", settings=here)
    with pytest.raises(MissingFile, match=r"nowhere\.gguf"):
        open_embedding("nowhere.gguf", engine="gguf", settings=here)
    (here.folder / "text.gguf").write_text("hello " * 100)
    with pytest.raises(ConfigurationError, match="not a GGUF file"):
        open_chat("text.gguf", engine="gguf", settings=here)


def test_a_model_without_a_template_cannot_chat(here: Settings) -> None:
    write_gguf(here.folder / "plain.gguf", metadata(template=None))
    with pytest.raises(ConfigurationError, match="no chat template"):
        open_chat("plain.gguf", engine="gguf", settings=here)
    open_embedding("plain.gguf", engine="gguf", settings=here)


def test_capabilities_follow_from_the_template(here: Settings, model: GgufChat) -> None:
    assert not model.capabilities.tools
    assert not model.capabilities.images
    assert model.capabilities.schema
    assert model.capabilities.logprobs
    assert model.capabilities.context_tokens == CONTEXT
    write_gguf(here.folder / "tools.gguf", metadata(template=CHATML + "{% if tools %}{{ tools }}{% endif %}"))
    assert open_chat("tools.gguf", engine="gguf", settings=here).capabilities.tools
    write_gguf(here.folder / "think.gguf", metadata(template=CHATML + "<think>"))
    assert open_chat("think.gguf", engine="gguf", settings=here).capabilities.reasoning


def test_what_llama_cpp_refuses_is_said_in_its_words_to_all_who_wait(here: Settings) -> None:
    write_gguf(here.folder / "strange.gguf", metadata(general__architecture="strange", strange__embedding_length=64))
    strange = open_chat("strange.gguf", engine="gguf", settings=here)

    async def scene() -> None:
        found = await asyncio.gather(*(events_of(strange, QUESTION, ENDLESS) for _ in range(2)), return_exceptions=True)
        assert all(
            isinstance(e, ConfigurationError) and "unknown model architecture: 'strange'" in str(e) for e in found
        )

    asyncio.run(scene())


def test_a_file_that_crashes_llama_cpp_does_not_crash_us(here: Settings) -> None:
    """The header is sound, but its numbers contradict the weights."""
    write_gguf(here.folder / "crash.gguf", metadata(llama__attention__head_count_kv=64, llama__rope__dimension_count=7))
    with pytest.raises(ConfigurationError, match=r"crash\.gguf.*llama\.cpp"):
        ask(open_chat("crash.gguf", engine="gguf", settings=here), Options(max_tokens=1))


def test_concurrent_first_calls_load_once_and_close_frees(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[float] = []
    original = llama.Engine._open

    def counted(self: llama.Engine) -> Any:
        opened.append(time.perf_counter())
        return original(self)

    monkeypatch.setattr(llama.Engine, "_open", counted)
    model = open_chat("tiny.gguf", engine="gguf", settings=here)
    assert not model.engine.loaded

    async def scene() -> None:
        await asyncio.gather(*(events_of(model, QUESTION, Options(max_tokens=2)) for _ in range(3)))
        assert len(opened) == 1
        stream = model.stream(QUESTION, ENDLESS)
        await anext(stream)
        await model.aclose()
        await model.aclose()
        assert not model.engine.loaded
        assert isinstance(await anext(stream), TextDelta)  # a call under way keeps the model it began with
        await stream.aclose()
        await events_of(model, QUESTION, Options(max_tokens=2))
        assert len(opened) == 2
        await model.aclose()

    asyncio.run(scene())


def test_a_load_that_failed_is_tried_again(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_chat("tiny.gguf", engine="gguf", settings=here)
    original = llama.Engine._open

    def failing(self: llama.Engine) -> Any:
        raise OSError("disk gone")

    monkeypatch.setattr(llama.Engine, "_open", failing)
    with pytest.raises(OSError, match="disk gone"):
        ask(model, Options(max_tokens=1))
    monkeypatch.setattr(llama.Engine, "_open", original)
    assert answer(model, Options(max_tokens=1, extra={"ignore_eos": True})).usage.output_tokens == 1
    asyncio.run(model.aclose())


def test_two_models_live_side_by_side(here: Settings, model: GgufChat) -> None:
    other = open_chat(str(here.folder / "tiny.gguf"), engine="gguf", settings=here)
    options = Options(max_tokens=10, temperature=0)
    expected = answer(model, options).text
    assert answer(other, options).text == expected
    asyncio.run(other.aclose())
    assert answer(model, options).text == expected


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads Linux's list of open sockets")
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads Linux's list of sockets")
def test_no_port_is_opened(here: Settings) -> None:
    """In a process of its own: this one may hold servers of other tests."""
    program = """
        import asyncio, os, sys
        from pathlib import Path
        from core.providers.gguf import open_chat
        from core.settings import load_settings
        from core.types import Options, user

        async def main():
            settings = load_settings(Path(sys.argv[1]), {"TOUCHSTONE_HOME": sys.argv[1] + "/home"})
            model = open_chat("tiny.gguf", engine="gguf", settings=settings)
            async for event in model.stream([user("hi")], Options(max_tokens=1)):
                pass
            ours = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
            lines = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
            print("listening", [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in ours])
            await model.aclose()

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(here.folder)], capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "listening []\n", ended.stderr


def test_the_process_can_end_while_an_answer_is_written(here: Settings) -> None:
    program = """
        import asyncio, sys
        from pathlib import Path
        from core.providers.gguf import open_chat
        from core.settings import load_settings
        from core.types import Options, user

        async def main():
            settings = load_settings(Path(sys.argv[1]), {"TOUCHSTONE_HOME": sys.argv[1] + "/home"})
            model = open_chat("tiny.gguf", engine="gguf", settings=settings)
            stream = model.stream([user("hi")], Options(max_tokens=4000, extra={"ignore_eos": True}))
            await anext(stream)
            print("begun", flush=True)
            if sys.argv[2] == "error":
                raise SystemExit(3)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("ending", flush=True)
    """
    for way, code in (("quiet", 0), ("error", 3)):
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(here.folder), way],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == code, ended.stderr.decode()
        assert b"begun" in ended.stdout


# --- shape -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "trained", "slots", "wished", "expected"),
    [
        (1, 8192, 8, 4096, Shape(8, 4096)),  # a small model: as wished
        (1, 1024, 8, 4096, Shape(8, 1024)),  # never more context than it was trained for
        (32, 8192, 8, 4096, Shape(8, 4096)),  # just so
        (50, 8192, 8, 4096, Shape(8, 2560)),  # contexts shrink first
        (256, 8192, 8, 4096, Shape(2, 2048)),  # then there are fewer slots
        (100000, 8192, 8, 4096, Shape(1, 2048)),  # one call at least
        (50, 8192, 4, 8192, Shape(4, 5120)),
    ],
)
def test_slots_and_context_fit_the_memory(
    tmp_path: Path, layers: int, trained: int, slots: int, wished: int, expected: Shape
) -> None:
    values = metadata(context_tokens=trained, llama__block_count=layers)
    values |= {"llama.attention.key_length": 128, "llama.attention.value_length": 128}
    header = read_header(write_gguf(tmp_path / "m.gguf", values), "x")
    assert header.cache_bytes_per_token == layers * 2 * 256 * 2
    found = shape_of(header, slots=slots, context_tokens=wished)
    assert found == expected
    if found.slots > 1:
        assert header.cache_bytes_per_token * found.slots * found.context_tokens <= CACHE_FLOOR_BYTES
