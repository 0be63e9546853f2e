"""Tools for models without: what is asked of the model, in which order, and what becomes of its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from core.contracts import DEFAULT_OPTIONS
from core.errors import InputError, InvalidResponse
from core.providers.complete import complete
from core.providers.sync import run
from core.providers.tools_by_schema import ToolsBySchema, with_tools, without_tools
from core.types import (
    Capabilities,
    Completion,
    Done,
    Event,
    Message,
    Options,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    content_text,
    system,
    user,
)

WEATHER = Tool("weather", "The weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("clock", "The time.", {"type": "object", "properties": {}})
ASKED = (user("How is the weather in Oslo?"),)


class Says:
    """Answers in turn, and keeps what it was asked."""

    name = "test:says"

    def __init__(self, *answers: str, tools: bool = False, schema: bool = True, finish: Any = "stop") -> None:
        self.capabilities = Capabilities(schema=schema, tools=tools, usage=True)
        self.answers, self.finish = list(answers), finish
        self.asked: list[tuple[Sequence[Message], Options]] = []
        self.closed = 0

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        self.asked.append((messages, options))
        text = self.answers.pop(0)
        if options.stream:
            yield TextDelta(text)
        yield Done(Completion(text, "says", "test", self.finish, usage=Usage(10, 2)))

    async def aclose(self) -> None:
        self.closed += 1


def events(model: Any, messages: Sequence[Message], options: Options) -> list[Event]:
    async def read() -> list[Event]:
        return [event async for event in model.stream(messages, options)]

    return run(read(), 30)


def test_only_who_needs_it_is_wrapped() -> None:
    assert isinstance(with_tools(Says()), ToolsBySchema)
    assert isinstance(with_tools(Says(tools=True)), Says)
    assert isinstance(with_tools(Says(schema=False)), Says)


def test_a_tool_is_chosen_and_then_its_arguments_are_written() -> None:
    inner = Says('"weather"', '{"city": "Oslo"}')
    found = events(with_tools(inner), ASKED, Options(tools=(WEATHER, CLOCK), max_tokens=50))
    (choice, first), (arguments, second) = inner.asked
    assert first.schema == {"type": "string", "enum": ["weather", "clock", "answer"]}
    assert second.schema == {**WEATHER.parameters, "additionalProperties": False}
    assert second.max_tokens == 50
    assert not first.tools
    assert not second.tools
    assert "The weather of a city." in content_text(choice[0].content)
    assert content_text(choice[-1].content).startswith("How is the weather in Oslo?")
    assert '"city"' in content_text(arguments[-1].content)
    delta, done = found
    assert isinstance(delta, ToolCallDelta)
    assert isinstance(done, Done)
    (call,) = done.completion.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Oslo"})
    assert (delta.id, delta.name, delta.arguments) == (call.id, call.name, call.arguments)
    assert done.completion.finish_reason == "tool_calls"
    assert done.completion.usage == Usage(20, 4)


def test_an_answer_streams_as_it_would_without_tools() -> None:
    inner = Says('"answer"', "It rains.")
    found = events(with_tools(inner), ASKED, Options(tools=(WEATHER,)))
    assert found[0] == TextDelta("It rains.")
    assert isinstance(found[1], Done)
    assert found[1].completion.usage == Usage(20, 4)
    assert inner.asked[1][0] == list(ASKED)
    assert inner.asked[1][1].schema is None


def test_a_named_or_only_required_tool_is_not_chosen_again() -> None:
    for choice, tools in (("clock", (WEATHER, CLOCK)), ("required", (CLOCK,))):
        inner = Says("{}")
        done = run(complete(with_tools(inner), ASKED, Options(tools=tools, tool_choice=choice)), 30)
        assert done.tool_calls[0].name == "clock"
        assert len(inner.asked) == 1


def test_required_leaves_no_way_to_answer() -> None:
    inner = Says('"clock"', "{}")
    run(complete(with_tools(inner), ASKED, Options(tools=(WEATHER, CLOCK), tool_choice="required")), 30)
    assert inner.asked[0][1].schema == {"type": "string", "enum": ["weather", "clock"]}


def test_none_asks_as_if_there_were_no_tools() -> None:
    inner = Says("Hello.")
    assert run(complete(with_tools(inner), ASKED, Options(tools=(WEATHER,), tool_choice="none")), 30).text == "Hello."
    assert inner.asked[0][1].tools == ()
    assert inner.asked[0][1].tool_choice is None


def test_a_tool_called_answer_keeps_its_name() -> None:
    inner = Says('"answer_"', "Hello.")
    tool = Tool("answer", "Answers.", {"type": "object"})
    assert not run(complete(with_tools(inner), ASKED, Options(tools=(tool, CLOCK))), 30).tool_calls


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(InputError):
        run(complete(with_tools(Says()), ASKED, Options(tools=(WEATHER,), tool_choice="cook")), 30)
    with pytest.raises(InvalidResponse):
        run(complete(with_tools(Says("perhaps")), ASKED, Options(tools=(WEATHER,))), 30)
    cut = Says('{"city": "Os', finish="length")
    done = run(complete(with_tools(cut), ASKED, Options(tools=(WEATHER,), tool_choice="weather")), 30)
    assert done.finish_reason == "length", "arguments that were cut off are not passed on as whole"


def test_calls_and_results_are_told_in_words_and_the_system_message_is_kept() -> None:
    history = (
        system("Be brief."),
        *ASKED,
        Message("assistant", "", (ToolCall("1", "weather", '{"city": "Oslo"}'),)),
        Message("tool", "雨，5 度", tool_call_id="1"),
    )
    told = without_tools(history)
    assert [message.role for message in told] == ["system", "user", "assistant", "user"]
    assert told[2].content == 'weather({"city": "Oslo"})'
    assert told[3].content == "weather 的结果：雨，5 度"
    inner = Says('"answer"', "下雨。")
    run(complete(with_tools(inner), history, Options(tools=(WEATHER,))), 30)
    head = content_text(inner.asked[0][0][0].content)
    assert head.startswith("Be brief.\n\n")
    assert "weather" in head
    assert "下一步做什么" in content_text(inner.asked[0][0][-1].content)


def test_closing_closes_what_it_holds() -> None:
    inner = Says()
    run(with_tools(inner).aclose(), 30)
    assert inner.closed == 1
