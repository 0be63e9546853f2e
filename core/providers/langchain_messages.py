"""Messages, tools and answers between our types and LangChain's. Pure functions."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.utils.function_calling import convert_to_openai_tool

from core.errors import Unsupported
from core.types import Completion, FinishReason, Image, Message, Part, Role, Text, Tool, ToolCall, Usage

# --- LangChain's to ours ----------------------------------------------------------------------

_ROLES: dict[str, Role] = {"human": "user", "user": "user", "ai": "assistant", "assistant": "assistant"}
_ROLES |= {"system": "system", "developer": "system", "tool": "tool", "function": "tool"}
_OF_TOOLS = ("tool_use", "tool_call", "tool_call_chunk", "function_call", "input_json_delta")  # told in ``tool_calls``
_THOUGHTS = ("reasoning", "thinking")


def ours(message: BaseMessage, model: str) -> Message:
    """A message of LangChain as one of ours.

    Raises:
        Unsupported: it holds audio, video, a file or a role we have no place for.
    """
    role = _ROLES.get(message.role if isinstance(message, ChatMessage) else message.type)
    if role is None:
        raise _cannot(f"role {message.type}", model)
    parts, thoughts = _parts(message.content, model)
    content: str | tuple[Part, ...] = parts
    if all(isinstance(part, Text) for part in parts):
        content = "".join(part.text for part in parts if isinstance(part, Text))
    if not isinstance(message, AIMessage):
        return Message(role, content, tool_call_id=getattr(message, "tool_call_id", None))
    reasoning = thoughts or message.additional_kwargs.get("reasoning_content") or None
    calls = [ToolCall(c["id"] or "", c["name"], json.dumps(c["args"], ensure_ascii=False)) for c in message.tool_calls]
    calls += [ToolCall(c["id"] or "", c["name"] or "", c["args"] or "") for c in message.invalid_tool_calls]
    return Message(role, content, tuple(calls), reasoning=reasoning)


def _parts(content: str | list[Any], model: str) -> tuple[tuple[Part, ...], str]:
    """The parts of a content, and the thoughts in it."""
    parts: list[Part] = []
    thoughts = ""
    for block in [content] if isinstance(content, str) else content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if isinstance(block, str):
            parts.append(Text(block))
        elif kind == "text":
            parts.append(Text(block.get("text") or ""))
        elif kind in ("image", "image_url"):
            parts.append(_image(block, model))
        elif kind in _THOUGHTS:
            thoughts += block.get("reasoning") or block.get("thinking") or ""
        elif kind not in _OF_TOOLS:
            raise _cannot(f"content of type {kind}", model)
    return tuple(parts), thoughts


def _image(block: Mapping[str, Any], model: str) -> Image:
    """An image in the forms of OpenAI, Anthropic and LangChain 0.3 and 1."""
    inner = block.get("source")
    source: Mapping[str, Any] = inner if isinstance(inner, Mapping) else block
    url = source.get("url") or source.get("image_url")
    if isinstance(url, Mapping):
        url = url.get("url")
    data = source.get("base64") or source.get("data")
    kind = source.get("mime_type") or source.get("media_type") or "image/png"
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        kind, url = head.removeprefix("data:").removesuffix(";base64"), None
    if data:
        return Image(data=base64.b64decode(data), media_type=kind)
    if not url:
        raise _cannot("an image without data and address", model)
    return Image(url=url)


def _cannot(feature: str, model: str) -> Unsupported:
    provider, _, name = model.partition(":")
    return Unsupported(provider=provider, model=name, feature=feature)


def our_tool(tool: Any) -> Tool:
    """A function, a model of pydantic, a tool of LangChain or a mapping in OpenAI's form, as one of our tools."""
    function = convert_to_openai_tool(tool)["function"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(function["name"], function.get("description") or "", parameters)


# --- ours to LangChain's ----------------------------------------------------------------------


def theirs(message: Message) -> BaseMessage:
    """One of our messages as LangChain's."""
    content: Any = message.content
    if not isinstance(content, str):
        content = [_block(part) for part in content]
    if message.role == "system":
        return SystemMessage(content)
    if message.role == "user":
        return HumanMessage(content)
    if message.role == "tool":
        return ToolMessage(content, tool_call_id=message.tool_call_id or "")
    calls, broken = parsed_calls(message.tool_calls)
    more = {"reasoning_content": message.reasoning} if message.reasoning else {}
    return AIMessage(content, tool_calls=calls, invalid_tool_calls=broken, additional_kwargs=more)


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.data is None:
        return {"type": "image", "url": part.url}
    return {"type": "image", "base64": base64.b64encode(part.data).decode("ascii"), "mime_type": part.media_type}


def parsed_calls(calls: Sequence[ToolCall]) -> tuple[list[Any], list[Any]]:
    """``(tool_calls, invalid_tool_calls)``: arguments that are no JSON object are kept as the model wrote them."""
    good, broken = [], []
    for call in calls:
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            good.append({"name": call.name, "args": arguments, "id": call.id, "type": "tool_call"})
        else:
            wrong = {"name": call.name, "args": call.arguments, "id": call.id, "type": "invalid_tool_call"}
            broken.append({**wrong, "error": "the arguments are not a JSON object"})
    return good, broken


def their_tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def their_usage(usage: Usage) -> UsageMetadata | None:
    """LangChain has no word for unknown: a usage without both counts is none at all."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    total = usage.input_tokens + usage.output_tokens
    found = UsageMetadata(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=total)
    if usage.cached_tokens is not None:
        found["input_token_details"] = {"cache_read": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        found["output_token_details"] = {"reasoning": usage.reasoning_tokens}
    return found


def metadata_of(done: Completion) -> dict[str, Any]:
    """What LangChain calls response metadata."""
    found: dict[str, Any] = {
        "model_name": done.model, "model_provider": "touchstone", "provider": done.provider,
        "finish_reason": done.finish_reason,
    }  # fmt: skip
    if done.logprobs:
        rows = [
            {"token": t.token, "logprob": t.logprob, "top_logprobs": [{"token": a, "logprob": b} for a, b in t.top]}
            for t in done.logprobs
        ]
        found["logprobs"] = {"content": rows}
    given = {"trace_id": done.trace_id, "request_id": done.request_id}
    return found | {name: value for name, value in given.items() if value}


# --- what LangChain's answers say -------------------------------------------------------------

_REASONS: dict[str, FinishReason] = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "eos": "stop", "eos_token": "stop",
    "length": "length", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls", "tool_use": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter", "refusal": "content_filter", "safety": "content_filter",
}  # fmt: skip


def finish_reason(metadata: Mapping[str, Any], *, called: bool) -> FinishReason:
    """Why the answer ended, in the words of OpenAI, Anthropic, Google or Ollama.

    A model that does not say has ended by itself: LangChain raises when a stream breaks.
    """
    said = next((metadata[key] for key in ("finish_reason", "stop_reason", "done_reason") if metadata.get(key)), None)
    reason = _REASONS.get(str(said).lower())
    return reason or ("tool_calls" if called else "stop")


def our_usage(usage: Mapping[str, Any] | None) -> Usage:
    if not usage:
        return Usage()
    return Usage(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        (usage.get("input_token_details") or {}).get("cache_read"),
        (usage.get("output_token_details") or {}).get("reasoning"),
    )


def text_of(message: BaseMessage) -> tuple[str, str]:
    """``(text, reasoning)`` of a message or a chunk of one."""
    text, thoughts = "", ""
    for block in [message.content] if isinstance(message.content, str) else message.content:
        if isinstance(block, str):
            text += block
        elif block.get("type") in _THOUGHTS:
            thoughts += block.get("reasoning") or block.get("thinking") or ""
        elif block.get("type") in ("text", "text_delta"):
            text += block.get("text") or ""
    return text, thoughts or message.additional_kwargs.get("reasoning_content") or ""
