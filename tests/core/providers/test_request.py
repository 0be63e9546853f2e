"""What is sent for each message and option."""

from __future__ import annotations

import base64
import json
from types import MappingProxyType
from typing import Any

import pytest

from core.errors import Unsupported
from core.providers.request import chat_request, is_strict, refuse_unsupported
from core.types import (
    Capabilities,
    Image,
    Message,
    Options,
    Text,
    Tool,
    ToolCall,
    assistant,
    system,
    user,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def sent(*messages: Message, official: bool = False, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        chat_request("m", messages or [user("hi")], Options(**options), official=official)
    )
    return body


def test_the_least() -> None:
    assert sent(stream=False) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert sent() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_every_option() -> None:
    tool = Tool("look", "Looks.", MappingProxyType({"type": "object", "properties": {}}))
    body = sent(
        temperature=0.0, top_p=0.5, max_tokens=7, stop=("a", "b"), seed=0, tools=(tool,), tool_choice="auto",
        schema=SCHEMA, top_logprobs=2, stream=False, extra={"top_k": 3, "temperature": 1},
    )  # fmt: skip
    body.pop("messages")
    assert body == {
        "model": "m",
        "temperature": 1,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "seed": 0,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Looks.",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}},
        "logprobs": True,
        "top_logprobs": 2,
        "top_k": 3,
    }


def test_openai_itself_names_the_limit_otherwise() -> None:
    body = sent(max_tokens=7, official=True)
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body


def test_an_extra_of_none_removes_a_field() -> None:
    assert "stream_options" not in sent(extra={"stream_options": None})


def test_a_named_tool_and_no_alternatives() -> None:
    body = sent(tool_choice="look", top_logprobs=0)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body["logprobs"] is True
    assert "top_logprobs" not in body


def test_messages_of_every_kind() -> None:
    picture = Image(data=b"\x89PNG", media_type="image/png")
    messages = [
        system("s"),
        user((Text("look "), Text("here"))),
        user((Text("see"), picture, Image(url="https://example.com/a.jpg"))),
        Message("assistant", "", (ToolCall("c1", "look", '{"a": 1}'),), reasoning="Hm."),
        Message("tool", "found", tool_call_id="c1"),
        Message("assistant", "Yes.", reasoning="Hm."),
    ]
    wire = sent(*messages)["messages"]
    assert wire[0] == {"role": "system", "content": "s"}
    assert wire[1] == {"role": "user", "content": "look here"}
    assert wire[2]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(b'%sPNG' % bytes([0x89])).decode()}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
    ]  # fmt: skip
    assert wire[3] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}],
        "reasoning_content": "Hm.",
    }
    assert wire[4] == {"role": "tool", "content": "found", "tool_call_id": "c1"}
    assert wire[5] == {"role": "assistant", "content": "Yes."}  # reasoning goes back between tool calls only
    assert "reasoning_content" not in sent(*messages, official=True)["messages"][3]


@pytest.mark.parametrize("text", ["退货 👩‍👩‍👧", '\u2028\x00\x1f"\\', "x" * 100_000])
def test_any_text_arrives_as_it_is(text: str) -> None:
    assert sent(user(text))["messages"][0]["content"] == text


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert sent(user("a\ud83db"))["messages"][0]["content"] == "a\ufffdb"
    assert sent(user("\ud83d\udc4d"))["messages"][0]["content"] == "👍"


def test_strict_schemas() -> None:
    assert is_strict(SCHEMA)
    assert is_strict({"type": "object", "properties": {"a": SCHEMA}, "required": ["a"], "additionalProperties": False})
    assert not is_strict({**SCHEMA, "required": []})
    assert not is_strict({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    assert not is_strict({"type": "array", "items": {"anyOf": [{"type": "object"}]}})


TOOL = Tool("f", "", {})


@pytest.mark.parametrize(
    ("feature", "messages", "options"),
    [
        ("tools", [user("hi")], Options(tools=(TOOL,))),
        ("tools", [user("hi")], Options(tool_choice="auto")),
        ("schema", [user("hi")], Options(schema=SCHEMA)),
        ("logprobs", [user("hi")], Options(top_logprobs=0)),
        ("images", [user((Text("a"), Image(url="u")))], Options()),
    ],
)
def test_what_cannot_be_done_is_refused(feature: str, messages: list[Message], options: Options) -> None:
    with pytest.raises(Unsupported) as raised:
        refuse_unsupported(messages, options, Capabilities(), provider="p", model="m")
    assert raised.value.params["feature"] == feature
    able = Capabilities(tools=True, schema=True, images=True, logprobs=True)
    refuse_unsupported([assistant("a"), *messages], options, able, provider="p", model="m")
