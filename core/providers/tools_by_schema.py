"""Tools for models whose chat template knows none: a choice under one schema, then arguments under another.

A wrapper: it holds a chat model that can keep to a JSON schema and adds ``tools``. Where tools are offered the model
is asked which to call, or to answer itself; the names are all it can say. Then it writes the chosen tool's arguments,
held to that tool's own schema, or streams its answer. A call is always well formed; whether it is the right one is the
model's affair. One tool is called at a time.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from core.contracts import DEFAULT_OPTIONS, ChatModel
from core.errors import InputError, InvalidResponse
from core.i18n import Phrase, detect_language, message
from core.providers.complete import complete
from core.types import (
    Completion,
    Done,
    Event,
    Message,
    Options,
    Part,
    Text,
    Timings,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    content_text,
    system,
    user,
)

CHOICE_TOKENS = 64  # room for a tool's name


def with_tools(model: ChatModel) -> ChatModel:
    """``model`` as it is where it has tools of its own, or cannot keep to a schema; else with tools by schema."""
    able = model.capabilities
    return model if able.tools or not able.schema else ToolsBySchema(model)


class ToolsBySchema:
    """A chat model that calls tools through the schemas of the model it holds."""

    def __init__(self, model: ChatModel) -> None:
        self.model = model
        self.name = model.name
        self.capabilities = replace(model.capabilities, tools=True)

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        plain = replace(options, tools=(), tool_choice=None)
        told = without_tools(messages)
        if not options.tools or options.tool_choice == "none":
            async with aclosing(self.model.stream(told, plain)) as events:
                async for event in events:
                    yield event
            return
        started = time.perf_counter()
        asked = _introduced(told, options.tools)
        tool, chosen = await self._choose(asked, options, plain)
        if tool is None:
            async with aclosing(self.model.stream(told, plain)) as events:
                async for event in events:
                    if isinstance(event, Done) and chosen is not None:
                        event = Done(replace(event.completion, usage=_sum(chosen.usage, event.completion.usage)))
                    yield event
            return
        done = await self._arguments(asked, tool, plain)
        call = ToolCall(f"call_{secrets.token_hex(8)}", tool.name, done.text)
        first_s = time.perf_counter() - started
        if options.stream:
            yield ToolCallDelta(0, call.arguments, call.id, call.name)
        yield Done(
            replace(
                done,
                text="",
                tool_calls=(call,),
                finish_reason="length" if done.finish_reason == "length" else "tool_calls",
                usage=_sum(chosen.usage, done.usage) if chosen else done.usage,
                timings=Timings(first_s, time.perf_counter() - started, done.timings.queued_s),
            )
        )

    async def aclose(self) -> None:
        await self.model.aclose()

    async def _choose(
        self, messages: Sequence[Message], options: Options, plain: Options
    ) -> tuple[Tool | None, Completion | None]:
        """The tool to call (``None``: answer without one), and the call that chose, where one was needed.

        Raises:
            InputError: (reason ``bad_value``) ``tool_choice`` names a tool that was not offered.
            InvalidResponse: the model named none of them.
        """
        tools = {tool.name: tool for tool in options.tools}
        choice = options.tool_choice or "auto"
        if choice not in ("auto", "required"):
            if choice not in tools:
                allowed = Phrase("allowed.one_of", choices=", ".join(["auto", "none", "required", *tools]))
                raise InputError(reason="bad_value", name="tool_choice", value=choice, allowed=allowed)
            return tools[choice], None
        if choice == "required" and len(tools) == 1:
            return options.tools[0], None
        itself = "answer"
        while itself in tools:
            itself += "_"
        names = [*tools, itself] if choice == "auto" else [*tools]
        own = {"text": itself} if choice == "auto" else {}
        asked = _asking(messages, f"tools.choose_{choice}", names=", ".join(names), **own)
        schema: Mapping[str, Any] = {"type": "string", "enum": names}
        short = replace(plain, schema=schema, max_tokens=CHOICE_TOKENS, stop=(), top_logprobs=None, temperature=0.0)
        found = await complete(self.model, asked, short)
        name = _json(found.text)
        if name not in names:
            raise InvalidResponse(provider=found.provider, model=found.model, detail=found.text[:200])
        return tools.get(name), found

    async def _arguments(self, messages: Sequence[Message], tool: Tool, plain: Options) -> Completion:
        schema = closed(tool.parameters)
        asked = _asking(messages, "tools.arguments", name=tool.name, schema=_dumped(schema))
        return await complete(self.model, asked, replace(plain, schema=schema, stop=(), top_logprobs=None))


def without_tools(messages: Sequence[Message]) -> list[Message]:
    """``messages`` for a template that knows neither tool calls nor results: both are told in words."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    told: list[Message] = []
    for given in messages:
        if given.role == "tool":
            language = detect_language(content_text(given.content))
            name = names.get(given.tool_call_id or "", "")
            text = message("tools.result", language, name=name, result=content_text(given.content))
            told.append(user(text))
        elif given.tool_calls:
            calls = "\n".join(f"{call.name}({call.arguments})" for call in given.tool_calls)
            text = "\n".join(filter(None, (content_text(given.content), calls)))
            told.append(Message("assistant", text))
        else:
            told.append(given)
    return told


def _introduced(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """``messages`` with the tools described in the system message."""
    listed = "\n".join(f"- {tool.name}: {tool.description}" for tool in tools)
    text = message("tools.listed", _language(messages), tools=listed)
    if messages and messages[0].role == "system":
        head = replace(messages[0], content=f"{content_text(messages[0].content)}\n\n{text}")
        return [head, *messages[1:]]
    return [system(text), *messages]


def _asking(messages: Sequence[Message], code: str, **params: object) -> list[Message]:
    """``messages`` with a question to the model at the end of the last one, whose own it becomes part of."""
    text = message(code, _language(messages), **params)
    last = messages[-1]
    if last.role != "user":
        return [*messages, user(text)]
    content: str | tuple[Part, ...]
    content = f"{last.content}\n\n{text}" if isinstance(last.content, str) else (*last.content, Text(f"\n\n{text}"))
    return [*messages[:-1], replace(last, content=content)]


def _language(messages: Sequence[Message]) -> str:
    """The language of the user's last words."""
    words = next((content_text(m.content) for m in reversed(messages) if m.role == "user"), "")
    return detect_language(words)


def closed(schema: Any) -> Any:
    """``schema`` with every object that lists its properties closed: a small model makes use of any freedom.

    >>> closed({"type": "object", "properties": {"a": {"type": "string"}}})["additionalProperties"]
    False
    """
    if isinstance(schema, Mapping):
        found = {key: closed(value) for key, value in schema.items()}
        if isinstance(schema.get("properties"), Mapping):
            found.setdefault("additionalProperties", False)
        return found
    return [closed(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _dumped(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, default=dict)


def _sum(first: Usage, second: Usage) -> Usage:
    """The tokens of two calls; unknown stays unknown."""

    def both(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return Usage(
        both(first.input_tokens, second.input_tokens),
        both(first.output_tokens, second.output_tokens),
        both(first.cached_tokens, second.cached_tokens),
        both(first.reasoning_tokens, second.reasoning_tokens),
    )
