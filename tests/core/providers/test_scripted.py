"""The scripted engine: rules, options, faults, deadlines, and files that are wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.contracts import DEFAULT_OPTIONS
from core.errors import (
    BadRequest,
    InputError,
    InvalidSetting,
    MissingFile,
    ProviderError,
    RateLimited,
    StreamInterrupted,
    TimedOut,
    TouchstoneError,
    UnknownName,
    Unsupported,
    code_of,
)
from core.prompts.library import library
from core.providers.registry import open_model
from core.providers.script_file import FAULTS, RULE
from core.providers.scripted import SCRIPTS, ScriptedChat, smallest
from core.providers.sync import sync
from core.settings import Settings
from core.types import (
    Completion,
    Deadlines,
    Done,
    Event,
    Image,
    Message,
    Options,
    ReasoningDelta,
    Text,
    TextDelta,
    Timings,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    assistant,
    system,
    user,
)

WEATHER = Tool(
    "weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
)


Opener = Callable[..., ScriptedChat]


@pytest.fixture
def script(settings: Settings) -> Opener:
    """``script(text)`` writes a file into the settings' folder and opens it by its name."""

    def opened(text: str, name: str = "answers.yaml") -> ScriptedChat:
        (settings.folder / name).write_text(text, "utf-8")
        return open_model("chat", f"scripted:{name}", settings)

    return opened


def events(model: ScriptedChat, messages: Sequence[Message] | str, options: Options = DEFAULT_OPTIONS) -> list[Event]:
    return list(sync(model).stream(messages, options))


def answer(model: ScriptedChat, messages: Sequence[Message] | str, options: Options = DEFAULT_OPTIONS) -> Completion:
    last = events(model, messages, options)[-1]
    assert isinstance(last, Done)
    return last.completion


# --- rules ------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_answers(script: Opener) -> None:
    model = script("- {match: 退款|refund, reply: 七天}\n- {contains: (a+b), reply: sum}\n- {reply: other}\n")
    assert answer(model, "How do I get a REFUND?").text == "七天"
    assert answer(model, "怎么退款").text == "七天"
    assert answer(model, "what is (a+b)").text == "sum"
    assert answer(model, "aab").text == "other"
    assert answer(model, [user("refund"), assistant("done"), user("thanks")]).text == "other"


def test_placeholders_are_filled_and_nothing_is_evaluated(script: Opener) -> None:
    model = script(
        "- match: 'order (?P<number>\\d+)( to (?P<place>\\w+))?'\n"
        '  reply: "{number}|{place}|{question}|{unknown}|{number.__class__}|{{number}}"\n'
    )
    assert answer(model, "order 17 {place}").text == ("17||order 17 {place}|{unknown}|{number.__class__}|{17}")


def test_last_role_and_tool_result(script: Opener) -> None:
    model = script(
        "- {match: weather, last_role: tool, reply: 'It says: {tool_result}'}\n"
        "- {match: weather, tool_calls: [{name: weather, arguments: {city: '{question}', days: 2}}]}\n"
    )
    asked = answer(model, "weather in 上海", Options(tools=(WEATHER,)))
    call = ToolCall("call_1_0", "weather", '{"city": "weather in 上海", "days": 2}')
    assert (asked.finish_reason, asked.tool_calls, asked.text) == ("tool_calls", (call,), "")
    conversation = [
        user("weather in 上海"),
        Message("assistant", tool_calls=asked.tool_calls),
        Message("tool", "rain", tool_call_id="call_1_0"),
    ]
    assert answer(model, conversation, Options(tools=(WEATHER,))).text == "It says: rain"


def test_times_limits_a_rule_to_its_first_uses(script: Opener) -> None:
    model = script("- {times: 2, fault: {kind: rate_limited, retry_after_s: 0.5}}\n- {reply: at last}\n")
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            answer(model, "hello")
        assert (caught.value.status, caught.value.retry_after_s) == (429, 0.5)
    assert answer(model, "hello").text == "at last"


def test_no_rule_fits(script: Opener) -> None:
    with pytest.raises(BadRequest, match="no rule of the script 'answers'"):
        answer(script("- {match: never, reply: x}\n"), "hello")


# --- events -----------------------------------------------------------------------------------


def test_events_are_pieces_that_add_up(script: Opener) -> None:
    model = script("- {reply: 一二三四五, reasoning: think, chunk: 2, tool_calls: [{name: weather}]}\n")
    got = events(model, "x", Options(tools=(WEATHER,)))
    assert got[:-1] == [
        *[ReasoningDelta(p) for p in ("th", "in", "k")],
        *[TextDelta(p) for p in ("一二", "三四", "五")],
        ToolCallDelta(0, id="call_1_0", name="weather"),
        ToolCallDelta(0, "{}"),
    ]
    done = got[-1]
    assert isinstance(done, Done)
    assert (done.completion.text, done.completion.reasoning) == ("一二三四五", "think")


def test_one_piece_when_no_stream_is_wanted(script: Opener) -> None:
    model = script("- {reply: 一二三四五, delay_s: 5}\n")
    got = events(model, "x", Options(stream=False))
    assert [type(e) for e in got] == [Done]


def test_usage_is_counted_in_fours_or_as_written(script: Opener) -> None:
    model = script("- {match: written, usage: {output_tokens: 9}, reply: x}\n- {reply: 12345, reasoning: '1234'}\n")
    assert answer(model, [system("123456789"), user("1")]).usage == Usage(4, 3)
    assert answer(model, "written").usage == Usage(output_tokens=9)


def test_the_same_calls_give_the_same_answers(script: Opener) -> None:
    def calls(name: str) -> list[Completion]:
        model = script("- {reply: '{question}!'}\n", name)
        return [replace(answer(model, f"q{n}"), timings=Timings()) for n in range(3)]

    assert calls("one.yaml") == [replace(c, model="one") for c in calls("two.yaml")]
    assert [c.request_id for c in calls("one.yaml")] == ["scripted-1", "scripted-2", "scripted-3"]


def test_delays(script: Opener) -> None:
    model = script("- {reply: abcdef, chunk: 2, first_delay_s: 0.1, delay_s: 0.05}\n")
    done = answer(model, "x")
    assert done.timings.first_token_s is not None
    assert done.timings.total_s is not None
    assert 0.1 <= done.timings.first_token_s < done.timings.total_s - 0.09


def test_cancel_is_immediate(script: Opener) -> None:
    model = script("- {reply: abcdef, chunk: 1, delay_s: 20}\n")

    async def cancelled() -> float:
        async def read() -> None:
            async with aclosing(model.stream([user("x")])) as stream:
                async for _ in stream:
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        task.cancel()
        await asyncio.wait([task])
        return time.perf_counter() - started

    assert asyncio.run(cancelled()) < 0.2


# --- options ----------------------------------------------------------------------------------


def test_stop_and_max_tokens(script: Opener) -> None:
    model = script("- {reply: 'one two three four'}\n- {reply: x}\n")
    stopped = answer(model, "x", Options(stop=("four", " three")))
    assert (stopped.text, stopped.finish_reason) == ("one two", "stop")
    short = answer(model, "x", Options(max_tokens=2))
    assert (short.text, short.finish_reason, short.usage.output_tokens) == ("one two ", "length", 2)
    assert answer(model, "x", Options(max_tokens=5)).finish_reason == "stop"


def test_schema(script: Opener) -> None:
    model = script(
        "- {match: yaml, json: {answer: '{question}', numbers: [1, 2.5, null, true]}}\n"
        "- {match: written, reply: '{\"answer\": 1}'}\n"
        "- {reply: 退货}\n"
    )
    assert json.loads(answer(model, "yaml").text) == {"answer": "yaml", "numbers": [1, 2.5, None, True]}
    schema = {
        "type": "object",
        "properties": {
            "answer": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "score": {"type": "number", "minimum": 3},
            "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            "optional": {"type": "string"},
        },
        "required": ["answer", "kind", "score", "list"],
    }
    assert answer(model, "written", Options(schema=schema)).text == '{"answer": 1}'
    expected = {"answer": "退货", "kind": "a", "score": 3, "list": [False, False]}
    assert json.loads(answer(model, "other", Options(schema=schema)).text) == expected


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 5}, 5),
        ({"default": "d", "type": "string"}, "d"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"type": ["string", "null"], "maxLength": 3}, "tex"),
        ({"type": "string", "minLength": 6}, "text.."),
        ({"type": "integer"}, 0),
        ({"properties": {"a": {"type": "boolean"}}}, {"a": False}),
        ({"type": "array"}, []),
    ],
)
def test_smallest(schema: dict[str, object], value: object) -> None:
    assert smallest(schema, "text") == value


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        (Options(), ()),
        (Options(tools=(WEATHER,)), ()),
        (Options(tools=(WEATHER,), tool_choice="none"), ()),
        (Options(tools=(WEATHER,), tool_choice="required"), (("weather", '{"city": ""}'),)),
        (Options(tools=(WEATHER, Tool("noon", "", {})), tool_choice="noon"), (("noon", "{}"),)),
    ],
)
def test_a_demanded_tool_call_comes(script: Opener, options: Options, calls: tuple[tuple[str, str], ...]) -> None:
    done = answer(script("- {reply: words}\n"), "x", options)
    assert tuple((c.name, c.arguments) for c in done.tool_calls) == calls


@pytest.mark.parametrize(
    ("feature", "messages", "options"),
    [
        ("tools", [user("x")], Options(tools=(WEATHER,))),
        ("schema", [user("x")], Options(schema={})),
        ("images", [user((Text("x"), Image(b"png")))], Options()),
        ("logprobs", [user("x")], Options(top_logprobs=2)),
    ],
)
def test_what_the_capabilities_exclude_is_refused(
    script: Opener, feature: str, messages: list[Message], options: Options
) -> None:
    model = script("capabilities: {tools: false, schema: false, images: false}\nrules: [{reply: x}]\n")
    assert not getattr(model.capabilities, feature)
    with pytest.raises(Unsupported, match=feature):
        events(model, messages, options)


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [k for k in FAULTS if k not in ("stall", "stream_interrupted")])
def test_every_fault_is_the_error_of_its_name(script: Opener, kind: str) -> None:
    with pytest.raises(ProviderError) as caught:
        events(script(f"- {{reply: x, fault: {{kind: {kind}, status: 418, detail: why}}}}\n"), "x")
    assert (code_of(caught.value), caught.value.status, caught.value.provider) == (kind, 418, "scripted")
    assert "{" not in caught.value.text("zh")


def test_a_stream_breaks_after_so_many_characters(script: Opener) -> None:
    model = script("- {reply: 一二三四五六七八, chunk: 2, fault: {kind: stream_interrupted, after: 5, detail: cut}}\n")
    seen: list[Event] = []
    with pytest.raises(StreamInterrupted, match="cut") as caught:
        seen.extend(sync(model).stream("x"))
    assert caught.value.partial == "一二三四五"
    assert seen == [TextDelta("一二"), TextDelta("三四"), TextDelta("五")]


QUICK = Deadlines(first_token_s=0.05, idle_s=0.05, total_s=5.0)


@pytest.mark.parametrize(
    ("rule", "deadlines", "error", "says"),
    [
        ("{fault: stall}", QUICK, TimedOut, "first_token deadline of 0.05 s"),
        ("{reply: abcdef, fault: {kind: stall, after: 3}}", QUICK, StreamInterrupted, "idle deadline of 0.05 s"),
        ("{reply: abcdef, first_delay_s: 9}", QUICK, TimedOut, "first_token"),
        ("{reply: abcdef, chunk: 1, delay_s: 9}", QUICK, StreamInterrupted, "after 1 characters: the idle"),
        ("{reply: abcdef, chunk: 1, delay_s: 0.02}", Deadlines(total_s=0.05), StreamInterrupted, "total deadline"),
    ],
)
def test_silence_runs_into_the_deadlines(
    script: Opener, rule: str, deadlines: Deadlines, error: type[TouchstoneError], says: str
) -> None:
    with pytest.raises(error, match=says):
        events(script(f"- {rule}\n"), "x", Options(deadlines=deadlines))


# --- files that are wrong ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("- {reply: x}\n- replly: x\n", "answers.yaml:2", "rules[2].replly|unknown key|" + ", ".join(RULE)),
        ("- reply: x\n  reply: y\n", "answers.yaml:2", "each key once"),
        ("- reply: x\n  delay_s: fast\n", "answers.yaml:2", "rules[1].delay_s|fast|a number, 0 or more"),
        ("- {delay_s: -1}\n", "answers.yaml:1", "a number, 0 or more"),
        ("- {delay_s: .inf}\n", "answers.yaml:1", "a number, 0 or more"),
        ("- {chunk: 0}\n", "answers.yaml:1", "a whole number, 1 or more"),
        ("- {times: true}\n", "answers.yaml:1", "a whole number, 1 or more"),
        ("- {reply: [a]}\n", "answers.yaml:1", "a list|Allowed: text"),
        ("- {reply: }\n", "answers.yaml:1", "text"),
        ("- match: '('\n", "answers.yaml:1", "a regular expression"),
        ("- {fault: explode}\n", "answers.yaml:1", "explode|stream_interrupted"),
        ("- fault:\n    after: 1\n", "answers.yaml:2", "fault.kind|missing"),
        ("- {fault: {kind: stall, when: 1}}\n", "answers.yaml:1", "kind, after, retry_after_s"),
        ("- {finish_reason: done}\n", "answers.yaml:1", "stop, length, tool_calls, content_filter"),
        ("- {last_role: system}\n", "answers.yaml:1", "user, tool"),
        ("- {usage: {tokens: 1}}\n", "answers.yaml:1", "input_tokens, output_tokens"),
        ("- tool_calls:\n  - arguments: {}\n", "answers.yaml:2", "a tool's name"),
        ("- {tool_calls: [{name: a, arguments: [1]}]}\n", "answers.yaml:1", "a mapping"),
        ("- {json: !!python/name:os.system x}\n", "answers.yaml:1", "plain data"),
        ("capabilities: {tools: maybe}\nrules: [{reply: x}]\n", "answers.yaml:1", "true or false"),
        ("capabilities: {flying: true}\nrules: [{reply: x}]\n", "answers.yaml:1", "stream, tools, schema"),
        ("- just text\n", "answers.yaml:1", "a mapping with"),
        ("just text\n", "answers.yaml:1", "a list"),
        ("[]\n", "answers.yaml:1", "at least one rule"),
        ("", "answers.yaml:1", "a list"),
    ],
)
def test_a_wrong_file_says_where_and_what_is_allowed(script: Opener, text: str, where: str, says: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        script(text)
    shown = caught.value.text("en")
    assert shown.startswith(f"{where}: ")
    for part in says.split("|"):
        assert part in shown


def test_files_that_cannot_be_read(script: Opener, settings: Settings) -> None:
    with pytest.raises(InputError, match=r"answers.yaml:3: not valid YAML") as caught:
        script("- reply: x\n- reply: 'y\n")
    assert caught.value.reason == "bad_yaml"
    with pytest.raises(MissingFile, match=r"scripted:absent\.yaml"):
        open_model("chat", "scripted:absent.yaml", settings)
    (settings.folder / "gbk.yaml").write_bytes("- reply: 你好".encode("gb18030"))
    with pytest.raises(InputError) as caught:
        open_model("chat", "scripted:gbk.yaml", settings)
    assert caught.value.reason == "bad_encoding"
    with pytest.raises(UnknownName, match=r"Allowed: demo, PATH\.yaml"):
        open_model("chat", "scripted:nothing", settings)


def test_a_file_elsewhere(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "elsewhere.yml"
    path.write_text("- reply: found\n", "utf-8")
    assert answer(open_model("chat", f"scripted:{path}", settings), "x").text == "found"


# --- what comes with the project --------------------------------------------------------------


SOURCES = [
    {"title": "退货", "text": "签收后 7 天内可以退货，运费 8.5 元。生鲜除外。"},
    {"title": "Returns", "text": "# Returns\n\nReturn the KT-210 kettle (1.5 l) within 14 days. Keep the box."},
]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (SOURCES, "签收后 7 天内可以退货，运费 8.5 元。 [1]\nReturn the KT-210 kettle (1.5 l) within 14 days. [2]"),
        (
            SOURCES[::-1],
            "Return the KT-210 kettle (1.5 l) within 14 days. [1]\n签收后 7 天内可以退货，运费 8.5 元。 [2]",
        ),
        (SOURCES[:1], "签收后 7 天内可以退货，运费 8.5 元。 [1]"),
        ([{"title": "t", "text": "no full stop"}], "no full stop [1]"),
    ],
)
def test_demo_answers_from_the_sources_of_the_prompt(
    settings: Settings, sources: list[dict[str, str]], expected: str
) -> None:
    model = open_model("chat", "scripted:demo", settings)
    prompt = library.get("grounded_answer").render(language="zh", question="怎么退货？", sources=sources)
    assert answer(model, prompt).text == expected


def test_demo_speaks_both_languages_and_leaves_a_question_as_it_is(settings: Settings) -> None:
    model = open_model("chat", "scripted:demo", settings)
    assert answer(model, "你好").text.startswith("你好")
    assert answer(model, "Hello").text.startswith("Hello")
    history = [{"role": "user", "content": "KT-210?"}, {"role": "assistant", "content": "7 days."}]
    prompt = library.get("condense_question").render(language="en", question="And the postage?", history=history)
    assert answer(model, prompt).text == "And the postage?"


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_scripts_open(settings: Settings, path: Path) -> None:
    assert open_model("chat", f"scripted:{path.stem}", settings).script.rules


# --- embedding --------------------------------------------------------------------------------


def test_hashed_vectors_are_the_same_everywhere_and_near_for_similar_texts(settings: Settings) -> None:
    model = sync(open_model("embedding", "scripted:hash", settings))
    texts = ["退货运费谁出", "退货的运费由谁出？", "How do I reset my password?", "", "\ud800"]
    vectors = model.embed(texts, kind="document")
    assert vectors.shape == (5, model.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    similar = vectors @ vectors.T
    assert similar[0, 1] > 0.5 > abs(similar[0, 2])
    np.testing.assert_array_equal(vectors[:1], model.embed(["退货运费谁出"], kind="query"))
    assert model.embed([], kind="query").shape == (0, model.dim)
    known = np.flatnonzero(model.embed(["a"], kind="query")[0])
    assert known.tolist() == KNOWN_PLACES
    with pytest.raises(UnknownName, match="scripted:hash"):
        open_model("embedding", "scripted:other", settings)


KNOWN_PLACES = [67, 69, 147, 209, 220]  # CRC-32 modulo 256 of " ", "a", " a", "a ", " a "
