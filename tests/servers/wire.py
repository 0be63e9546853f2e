"""A scripted model behind the OpenAI wire format: a well-behaved server of which every answer is known."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

from core.providers.script_file import read_script
from core.providers.scripted import ScriptedChat
from core.types import (
    Completion,
    Done,
    Image,
    Message,
    Options,
    ReasoningDelta,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from tests.servers.misbehaving import (
    DONE,
    STREAM_HEAD,
    Act,
    Misbehaving,
    Request,
    chunk,
    completion,
    event,
    framed,
    response,
)


@contextmanager
def wire_server(script: Path) -> Iterator[Misbehaving]:
    """Serve the scripted model of the file ``script``."""
    model = ScriptedChat("scripted:served", read_script(script, needed_for="a test"))

    async def answer(request: Request) -> AsyncGenerator[Act, None]:
        messages, options = read_request(request.json)
        if options.stream:
            yield STREAM_HEAD + framed(event(chunk(role="assistant", content="")))
        async with aclosing(model.stream(messages, options)) as events:
            async for item in events:
                if isinstance(item, Done):
                    yield _ending(item.completion) if options.stream else _whole(item.completion, request)
                else:
                    delta = _delta(item)
                    if request.json.get("logprobs") and isinstance(item, TextDelta):
                        delta["choices"][0]["logprobs"] = _logprobs(item.text)
                    yield framed(event(delta))

    with Misbehaving([answer]) as server:
        yield server


def read_request(body: dict[str, Any]) -> tuple[list[Message], Options]:
    tools = tuple(Tool(t["function"]["name"], "", t["function"]["parameters"]) for t in body.get("tools", ()))
    choice = body.get("tool_choice")
    form = body.get("response_format")
    options = Options(
        max_tokens=body.get("max_tokens"),
        stop=tuple(body.get("stop", ())),
        tools=tools,
        tool_choice=choice["function"]["name"] if isinstance(choice, dict) else choice,
        schema=form["json_schema"]["schema"] if form else None,
        stream=body.get("stream", False),
    )
    return [_message(m) for m in body["messages"]], options


def _message(sent: dict[str, Any]) -> Message:
    content = sent["content"]
    if isinstance(content, list):
        content = tuple(Text(p["text"]) if p["type"] == "text" else Image(url=p["image_url"]["url"]) for p in content)
    calls = tuple(
        ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in sent.get("tool_calls", ())
    )
    return Message(sent["role"], content or "", calls, sent.get("tool_call_id"))


def _delta(item: Any) -> dict[str, Any]:
    if isinstance(item, TextDelta):
        return chunk(item.text)
    if isinstance(item, ReasoningDelta):
        return chunk(reasoning_content=item.text)
    assert isinstance(item, ToolCallDelta)
    function = {"name": item.name, "arguments": item.arguments}
    return chunk(tool_calls=[{"index": item.index, "id": item.id, "type": "function", "function": function}])


def _ending(done: Completion) -> bytes:
    usage = {"prompt_tokens": done.usage.input_tokens, "completion_tokens": done.usage.output_tokens}
    return framed(event(chunk(finish=done.finish_reason))) + framed(event({"choices": [], "usage": usage})) + DONE


def _whole(done: Completion, request: Request) -> bytes:
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in done.tool_calls
    ]
    more: dict[str, Any] = {"tool_calls": calls} if calls else {}
    if done.reasoning:
        more["reasoning_content"] = done.reasoning
    body = completion(done.text, done.finish_reason, **more)
    if request.json.get("logprobs"):
        body["choices"][0]["logprobs"] = _logprobs(done.text)
    body["usage"] = {"prompt_tokens": done.usage.input_tokens, "completion_tokens": done.usage.output_tokens}
    return response(200, json.dumps(body))


def _logprobs(text: str) -> dict[str, Any]:
    top = [{"token": text, "logprob": -0.1}, {"token": "?", "logprob": -2.5}]
    return {"content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]}
