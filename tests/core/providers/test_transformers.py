"""The transformers engine on tiny models with random weights: files, devices, memory, adapters, faults."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import (
    BadRequest,
    ConfigurationError,
    ContextTooLong,
    EngineBusy,
    InvalidSetting,
    MissingFile,
    OutOfMemory,
    ServerFailed,
    StreamInterrupted,
    TouchstoneError,
    UnknownName,
    Unsupported,
    code_of,
)
from core.providers import torch_loading, torch_memory, transformers
from core.providers.local_queue import QUEUE, LocalQueue
from core.providers.torch_device import Device, devices
from core.providers.torch_files import read_safetensors_header, split_adapter
from core.providers.torch_memory import MIB, MemoryBook
from core.providers.transformers import TransformersChat, open_chat
from core.settings import load_settings
from core.types import (
    Completion,
    Done,
    Event,
    Image,
    Message,
    Options,
    Queued,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    user,
)
from tests.contracts.chat_model import PIXEL, YES_NO
from tests.core.providers.tiny_transformers import CHATML, TOOLS, write_adapter, write_text_model, write_vision_model

HELLO = [user("Hello")]
SHORT = Options(max_tokens=8, temperature=0.0)
CPU = Device("cpu", "cpu", "CPU")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("models")
    write_text_model(found / "text")
    write_text_model(found / "tools", template=TOOLS)
    write_adapter(found / "lora")
    return found


def opened(folder: Path, model: str, **variables: str) -> TransformersChat:
    values = {
        "TOUCHSTONE_HOME": str(folder / "home"),
        "TOUCHSTONE_LOCAL_THREADS": "1",
        "TOUCHSTONE_FIRST_TOKEN_S": "300",
    }
    return open_chat(model, engine="transformers", settings=load_settings(folder, {**values, **variables}))


async def events_of(model: TransformersChat, options: Options = SHORT, messages: Any = HELLO) -> list[Event]:
    return [event async for event in model.stream(messages, options)]


def ask(model: TransformersChat, options: Options = SHORT, messages: Any = HELLO) -> Completion:
    async def asked() -> Completion:
        events = await events_of(model, options, messages)
        await model.aclose()
        assert isinstance(events[-1], Done)
        return events[-1].completion

    return asyncio.run(asked())


def refusal(work: Callable[[], Any], kind: type[TouchstoneError], reason: str | None = None) -> TouchstoneError:
    """The error ``work`` raises; both languages have words for it."""
    with pytest.raises(kind) as raised:
        work()
    error = raised.value
    assert error.reason == reason
    for language in ("en", "zh"):
        assert code_of(error) not in error.text(language)
        assert "?" not in error.text(language).replace("free_mib", "")
    return error


# --- files ------------------------------------------------------------------------------------


def test_opening_a_model_imports_no_torch(folder: Path) -> None:
    code = """
    import sys
    from pathlib import Path
    from core.providers.registry import open_model
    from core.settings import load_settings
    model = open_model("chat", "transformers:text", load_settings(Path(sys.argv[1]), {}))
    print(model.capabilities.context_tokens, "torch" in sys.modules, "transformers" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["4096", "False", "False"]


def test_what_is_not_there_is_named(folder: Path) -> None:
    refusal(lambda: opened(folder, "nowhere"), MissingFile)
    refusal(lambda: opened(folder, "nowhere.gguf"), MissingFile)
    refusal(lambda: opened(folder, "text+nowhere"), MissingFile)


def test_a_hub_model_without_a_network_is_an_honest_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    for offline in (True, False):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        error = refusal(lambda: opened(folder, "nobody/nothing"), ConfigurationError, "not_in_cache")
        assert "nobody/nothing" in str(error)


def test_a_hub_model_in_the_cache_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    revision = "0" * 40
    cache = folder / "hub2" / "models--somebody--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(revision)
    (cache / "snapshots").mkdir()
    (cache / "snapshots" / revision).symlink_to(folder / "text", target_is_directory=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub2"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = opened(folder, "somebody/tiny")
    assert model.name == "transformers:somebody/tiny"

    async def weights() -> int:
        found = (await model.engine.running()).weights
        await model.aclose()
        return found

    size = (folder / "text" / "model.safetensors").stat().st_size
    assert asyncio.run(weights()) == pytest.approx(1.1 * size, rel=0.05), "the plan counts what was fetched"
    assert ask(model).text == ask(opened(folder, "text")).text


def test_a_model_without_a_chat_template_is_no_chat_model(folder: Path, tmp_path: Path) -> None:
    write_text_model(tmp_path / "base", template=None)
    refusal(lambda: opened(tmp_path, "base"), ConfigurationError, "no_chat_template")


def test_code_that_comes_with_a_model_is_never_run(folder: Path, tmp_path: Path) -> None:
    copied(folder / "text", tmp_path / "own")
    edit(tmp_path / "own" / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Model"})
    (tmp_path / "own" / "modeling.py").write_text("raise SystemExit('run')")
    refusal(lambda: opened(tmp_path, "own"), ConfigurationError, "remote_code")


def test_a_pickle_that_would_run_something_is_refused(folder: Path, tmp_path: Path) -> None:
    copied(folder / "text", tmp_path / "evil")
    (tmp_path / "evil" / "model.safetensors").unlink()
    proof = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(proof),))

    torch.save({"lm_head.weight": Evil()}, tmp_path / "evil" / "pytorch_model.bin")
    refusal(lambda: ask(opened(tmp_path, "evil")), ConfigurationError, "bad_model_file")
    (tmp_path / "evil" / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    refusal(lambda: ask(opened(tmp_path, "evil")), ConfigurationError, "bad_model_file")
    assert not proof.exists()


def test_broken_safetensors_are_found_before_loading(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "text" / "model.safetensors").read_bytes()
    for name, damaged in {
        "cut": whole[:-100],
        "header": whole[:200],
        "not": b"not at all",
        "json": (5).to_bytes(8, "little") + b"{abc}" + whole[13:],
        "empty": b"",
    }.items():
        copied(folder / "text", tmp_path / name)
        (tmp_path / name / "model.safetensors").write_bytes(damaged)
        refusal(lambda name=name: opened(tmp_path, name), ConfigurationError, "bad_model_file")  # type: ignore[misc]
    assert "lm_head.weight" in read_safetensors_header(folder / "text" / "model.safetensors")


def test_weights_of_another_shape_are_a_typed_error(folder: Path, tmp_path: Path) -> None:
    copied(folder / "text", tmp_path / "other")
    edit(tmp_path / "other" / "config.json", hidden_size=32)
    refusal(lambda: ask(opened(tmp_path, "other")), ConfigurationError, "bad_model_file")


# --- device, number format, memory ------------------------------------------------------------


def test_a_device_that_is_missing_is_named_with_those_there_are(folder: Path) -> None:
    here = {device.kind for device in devices()}
    missing = next(kind for kind in ("cuda", "mps") if kind not in here)
    error = refusal(lambda: ask(opened(folder, "text", TOUCHSTONE_LOCAL_DEVICE=missing)), InvalidSetting, "no_device")
    assert "cpu" in str(error)


def test_a_number_format_the_device_lacks_is_refused(folder: Path) -> None:
    wrong = {"TOUCHSTONE_LOCAL_DTYPE": "float16", "TOUCHSTONE_LOCAL_DEVICE": "cpu"}
    error = refusal(lambda: ask(opened(folder, "text", **wrong)), InvalidSetting, "not_on_device")
    assert "float32" in str(error)
    wrong = {"TOUCHSTONE_LOCAL_QUANTIZATION": "int4", "TOUCHSTONE_LOCAL_DEVICE": "cpu"}
    refusal(lambda: ask(opened(folder, "text", **wrong)), InvalidSetting, "not_on_device")
    assert ask(opened(folder, "text", TOUCHSTONE_LOCAL_DTYPE="bfloat16", TOUCHSTONE_LOCAL_DEVICE="cpu")).text


def test_no_room_is_known_before_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_memory, "free_bytes", lambda device: 3 * MIB)
    model = opened(folder, "text")
    error = refusal(lambda: ask(model), OutOfMemory, "no_room")
    assert error.params["free_mib"] == 3
    assert error.params["needed_mib"] > 3
    monkeypatch.undo()
    assert ask(model).text, "once there is room the same model answers"


def test_models_that_share_a_device_know_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_memory, "free_bytes", lambda device: 100 * MIB)
    book = MemoryBook()
    first = book.reserve("a", CPU, 70 * MIB, provider="transformers")
    with pytest.raises(OutOfMemory) as raised:
        book.reserve("b", CPU, 40 * MIB, provider="transformers")
    assert (raised.value.params["needed_mib"], raised.value.params["free_mib"], raised.value.params["others"]) == (
        40,
        30,
        "a",
    )
    first.held = 70 * MIB  # loaded: the device's own figure knows of it now
    book.reserve("b", CPU, 40 * MIB, provider="transformers")
    book.release(first)
    book.release(first)
    assert book.free(CPU) == 60 * MIB


def test_models_are_built_one_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers sets torch's default number format, the process's own, while it builds one."""
    first, second = opened(folder, "text"), opened(folder, "text")
    load, busy, together = first.engine._weights, [0], [0]

    def slow(*args: Any) -> Any:
        busy[0] += 1
        together[0] = max(together[0], busy[0])
        time.sleep(0.1)
        try:
            return load(*args)
        finally:
            busy[0] -= 1

    async def both() -> None:
        for model in (first, second):
            model.engine._weights = slow
        await asyncio.gather(first.engine.running(), second.engine.running())
        await asyncio.gather(first.aclose(), second.aclose())

    asyncio.run(both())
    assert together == [1]


def test_running_out_while_loading_is_typed_and_gives_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaForCausalLM

    def refuses(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 2 bytes")

    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", refuses)
    model = opened(folder, "text")
    refusal(lambda: ask(model), OutOfMemory, "load")
    assert not torch_memory.BOOK._entries
    monkeypatch.undo()
    assert ask(model).text


def test_running_out_in_an_answer_is_typed_and_the_engine_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaForCausalLM

    model = opened(folder, "text")
    forward, left = LlamaForCausalLM.forward, [3]

    def refuses(self: Any, *args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, *args, **kwargs)

    async def run() -> None:
        monkeypatch.setattr(LlamaForCausalLM, "forward", refuses)
        with pytest.raises(StreamInterrupted) as shown:
            await events_of(model)
        assert len(shown.value.partial) == 3
        assert "MiB" in str(shown.value)
        with pytest.raises(OutOfMemory) as raised:
            await events_of(model)
        assert raised.value.reason == "batch"
        assert raised.value.params["needed_mib"] >= 1
        assert raised.value.params["free_mib"] > 0
        monkeypatch.undo()
        assert isinstance((await events_of(model))[-1], Done)
        await model.aclose()

    asyncio.run(run())


def test_an_error_of_the_models_code_is_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaForCausalLM

    def breaks(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("in the model")

    model = opened(folder, "text")
    monkeypatch.setattr(LlamaForCausalLM, "forward", breaks)
    assert "in the model" in str(refusal(lambda: ask(model), ServerFailed))


def test_closing_gives_the_memory_back(tmp_path: Path) -> None:
    """In a process of its own: what matters is what the system sees."""
    write_text_model(tmp_path / "wide", hidden_size=1024, intermediate_size=2048, num_hidden_layers=4)
    size = (tmp_path / "wide" / "model.safetensors").stat().st_size
    code = """
    import asyncio, os, sys
    from pathlib import Path
    from core.providers.transformers import open_chat
    from core.settings import load_settings
    from core.types import Options, user

    def resident():
        fields = Path("/proc/self/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    async def main():
        model = open_chat("wide", engine="transformers", settings=load_settings(Path(sys.argv[1]), {"TOUCHSTONE_LOCAL_THREADS": "1", "TOUCHSTONE_FIRST_TOKEN_S": "300"}))
        figures = []
        for _ in range(3):
            async for event in model.stream([user("hello")], Options(max_tokens=3)):
                pass
            loaded = resident()
            await model.aclose()
            figures.append((loaded, resident()))
        print(figures)
    asyncio.run(main())
    """
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not say how much a process holds")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True,
        timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    figures = json.loads(done.stdout.replace("(", "[").replace(")", "]"))
    for loaded, closed in figures:
        assert loaded - closed > 0.8 * size
    assert figures[-1][1] - figures[0][1] < 0.3 * size, "closing again and again holds no more"


# --- sharing ----------------------------------------------------------------------------------


def test_a_full_queue_refuses_and_a_place_in_it_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers, "QUEUE", LocalQueue(limit=1))
    model = opened(folder, "text", TOUCHSTONE_LOCAL_SLOTS="1")

    async def run() -> None:
        first = model.stream(HELLO, Options(max_tokens=3000, extra={"ignore_eos": True}))
        assert isinstance(await anext(first), TextDelta)
        second = model.stream(HELLO, SHORT)
        assert await anext(second) == Queued(1)
        with pytest.raises(EngineBusy):
            await events_of(model)
        await first.aclose()
        assert isinstance([event async for event in second][-1], Done)
        await model.aclose()

    asyncio.run(run())


def test_a_cancelled_client_frees_its_slot_within_a_second(folder: Path) -> None:
    model = opened(folder, "text", TOUCHSTONE_LOCAL_SLOTS="2")

    async def run() -> None:
        streams = [model.stream(HELLO, Options(max_tokens=3000, extra={"ignore_eos": True})) for _ in range(2)]
        for stream in streams:
            await anext(stream)
        assert QUEUE.running(model.name) == 2
        for stream in streams:
            await stream.aclose()
        async with asyncio.timeout(1.0):
            while QUEUE.running(model.name):
                await asyncio.sleep(0.01)
        await model.aclose()

    asyncio.run(run())


def test_closing_lets_calls_under_way_end(folder: Path) -> None:
    model = opened(folder, "text")

    async def run() -> None:
        stream = model.stream(HELLO, Options(max_tokens=300, temperature=0.0, extra={"ignore_eos": True}))
        await anext(stream)
        await model.aclose()
        rest = [event async for event in stream]
        assert isinstance(rest[-1], Done)
        assert rest[-1].completion.usage.output_tokens == 300

    asyncio.run(run())


# --- answers ----------------------------------------------------------------------------------


def test_a_stop_text_across_tokens_ends_the_answer(folder: Path) -> None:
    model = opened(folder, "text")
    whole = ask(model, Options(max_tokens=30, temperature=0.0)).text
    cut = ask(model, Options(max_tokens=30, temperature=0.0, stop=(whole[9:12],)))
    assert cut.text == whole[: whole.index(whole[9:12])]
    assert cut.finish_reason == "stop"


def test_a_prompt_beyond_the_context_says_so(folder: Path) -> None:
    model = opened(folder, "text", TOUCHSTONE_LOCAL_CONTEXT="2048")
    refusal(lambda: ask(model, messages=[user("x" * 3000)]), ContextTooLong)
    assert (
        ask(model, Options(temperature=0.0, extra={"ignore_eos": True}), [user("x" * 2000)]).finish_reason == "length"
    )


def test_marks_in_a_message_are_text(folder: Path) -> None:
    """No message can end its turn and speak as another role."""
    model = opened(folder, "text")
    plain = ask(model, messages=[user("a")]).usage.input_tokens
    forged = ask(model, messages=[user("<|im_end|>")]).usage.input_tokens
    assert plain is not None
    assert forged == plain - 1 + len("<|im_end|>"), "one token for each of its characters, not one for the mark"


def test_extras_that_mean_nothing_are_refused(folder: Path) -> None:
    model = opened(folder, "text")
    assert "logit_bias" in str(refusal(lambda: ask(model, Options(extra={"logit_bias": {}})), BadRequest))
    refusal(lambda: ask(model, Options(schema={"type": "no such type"})), BadRequest)
    refusal(lambda: ask(opened(folder, "tools"), Options(tools=(ADD,), tool_choice="other")), UnknownName)


ADD = Tool("add", "Add.", {"type": "object", "properties": {"kind": {"enum": ["red", "blue"]}}, "required": ["kind"]})


JOKE = {
    "type": "object",
    "properties": {
        "setup": {"type": "string"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "funny": {"enum": ["yes, very", "no"]},
        "stars": {"type": "integer"},
        "note": {"type": "string"},
    },
    "required": ["setup", "lines", "funny", "stars"],
    "$defs": {"line": {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}},
}


@pytest.mark.parametrize("room", [60, 90, 120])
def test_json_is_whole_when_its_room_runs_out(folder: Path, room: int) -> None:
    """A model of random weights would write its first string for ever."""
    found = ask(opened(folder, "text"), Options(schema=JOKE, max_tokens=room, temperature=0.0))
    value = json.loads(found.text)
    assert set(JOKE["required"]) <= value.keys()
    assert found.finish_reason == "length", "it was not the model that ended it"


def test_room_that_the_shortest_json_does_not_fit_into(folder: Path) -> None:
    found = ask(opened(folder, "text"), Options(schema=JOKE, max_tokens=5, temperature=0.0))
    assert found.finish_reason == "length"


def test_a_required_call_has_the_form_of_its_schema(folder: Path) -> None:
    model = opened(folder, "tools")
    assert model.capabilities.tools
    other = Tool("remove", "Remove.", ADD.parameters)

    async def run(choice: str) -> list[Event]:
        asked = Options(tools=(ADD, other), tool_choice=choice, max_tokens=80, temperature=0.0)
        events = await events_of(model, asked)
        await model.aclose()
        return events

    for choice in ("required", "remove"):
        events = asyncio.run(run(choice))
        done = events[-1]
        assert isinstance(done, Done)
        call = done.completion.tool_calls[0]
        assert call.name in (("remove",) if choice == "remove" else ("add", "remove"))
        assert json.loads(call.arguments)["kind"] in ("red", "blue")
        assert done.completion.finish_reason == "tool_calls"
        assert done.completion.text == ""
        assert any(isinstance(event, ToolCallDelta) for event in events)
    turn = Message("assistant", "", done.completion.tool_calls)
    asked = Options(tools=(ADD,), max_tokens=4, temperature=0.0)
    assert ask(model, asked, [*HELLO, turn, Message("tool", "done", tool_call_id=call.id)]).text


def test_a_template_that_refuses_says_why(folder: Path, tmp_path: Path) -> None:
    copied(folder / "text", tmp_path / "strict")
    (tmp_path / "strict" / "chat_template.jinja").write_text(
        "{{ raise_exception('System role not supported') }}" + CHATML
    )
    assert "System role not supported" in str(refusal(lambda: ask(opened(tmp_path, "strict")), BadRequest))


# --- images -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> TransformersChat:
    folder = tmp_path_factory.mktemp("eyes")
    write_vision_model(folder / "vision")
    return opened(folder, "vision")


def test_what_is_in_the_picture_changes_the_answer(seeing: TransformersChat) -> None:
    assert seeing.capabilities.images

    def picture(*color: int) -> bytes:
        import io

        from PIL import Image as Pictures

        data = io.BytesIO()
        Pictures.new("RGB", (16, 16), color).save(data, "PNG")
        return data.getvalue()

    seen = Options(max_tokens=1, temperature=0.0, top_logprobs=1)
    pictures = [picture(255, 0, 0), picture(0, 0, 255), picture(0, 255, 0)]
    answers = [ask(seeing, seen, [user((Text("What?"), Image(data=data)))]) for data in pictures]
    assert len({answer.logprobs[0].logprob for answer in answers}) == 3
    assert (
        ask(seeing, Options(schema=YES_NO, max_tokens=40), [user((Text("?"), Image(data=PIXEL)))]).finish_reason
        == "stop"
    )


def test_pictures_that_cannot_be_used_are_refused(seeing: TransformersChat, folder: Path) -> None:
    refusal(lambda: ask(seeing, messages=[user((Image(data=b"no picture"),))]), BadRequest)
    refusal(lambda: ask(seeing, messages=[user((Image(url="https://example.com/a.png"),))]), Unsupported)
    refusal(lambda: ask(opened(folder, "text"), messages=[user((Image(data=PIXEL),))]), Unsupported)


# --- adapters ---------------------------------------------------------------------------------


def test_an_adapter_changes_what_is_said(folder: Path) -> None:
    options = Options(max_tokens=1, temperature=0.0, top_logprobs=1)

    def chance(model: str) -> float:
        return ask(opened(folder, model), options).logprobs[0].logprob

    base = chance("text")
    assert abs(chance("text+lora") - base) > 0.001
    assert chance("text") == pytest.approx(base, abs=1e-5)


def test_a_plus_sign_in_a_folders_name_is_no_adapter(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a+b").mkdir()
    assert split_adapter("a+b", tmp_path) == ("a+b", None)
    assert split_adapter(f"a+b+{folder / 'lora'}", tmp_path) == ("a+b", folder / "lora")


def test_an_adapter_for_another_model_is_refused(folder: Path) -> None:
    write_adapter(folder / "wider", inputs=128)
    write_adapter(folder / "deeper", layer="model.layers.30.self_attn.q_proj")
    for name in ("wider", "deeper"):
        error = refusal(lambda name=name: ask(opened(folder, f"text+{name}")), ConfigurationError, "adapter_mismatch")  # type: ignore[misc]
        assert "q_proj" in str(error)
    (folder / "deeper" / "adapter_model.safetensors").write_bytes(b"broken")
    refusal(lambda: ask(opened(folder, "text+deeper")), ConfigurationError, "bad_model_file")
    assert ask(opened(folder, "text")).text


def test_memory_is_told_without_torch_and_matches_the_book(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(folder, {"TOUCHSTONE_LOCAL_SLOTS": "2", "TOUCHSTONE_LOCAL_CONTEXT": "2048"})
    cache = 2 * 1 * 32 * 2 * 4 * 2 * 2048  # layers, heads, width, keys and values, bytes, slots, tokens
    weights = (folder / "text" / "model.safetensors").stat().st_size
    assert transformers.memory_of("text", settings) == pytest.approx(weights + cache, rel=0.02)


def copied(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_two_conversions_at_once_leave_the_reader_as_it_was() -> None:
    import gguf

    plain, inside, leave, left = gguf.GGUFReader, threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with torch_loading._parsed_once():
            inside.set()
            leave.wait(10)
        left.set()

    def second() -> None:
        with torch_loading._parsed_once():
            left.wait(10)

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    assert inside.wait(10)
    assert gguf.GGUFReader is not plain
    two.start()
    two.join(0.2)
    leave.set()
    one.join(10)
    two.join(10)
    assert gguf.GGUFReader is plain
