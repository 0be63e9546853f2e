"""What is sent: messages and options as the JSON body of a chat completion request. Pure functions."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.errors import Unsupported
from core.types import Capabilities, Image, Message, Options, Part, Text


def chat_request(model: str, messages: Sequence[Message], options: Options, *, official: bool = False) -> bytes:
    """The body of a chat completion request.

    ``official``: OpenAI's own service, which wants ``max_completion_tokens`` and takes no reasoning back.
    ``options.extra`` is merged in last; an extra of ``None`` removes a field.
    """
    body: dict[str, Any] = {"model": model, "messages": [_message(m, official) for m in messages]}
    if options.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if options.temperature is not None:
        body["temperature"] = options.temperature
    if options.top_p is not None:
        body["top_p"] = options.top_p
    if options.max_tokens is not None:
        body["max_completion_tokens" if official else "max_tokens"] = options.max_tokens
    if options.stop:
        body["stop"] = list(options.stop)
    if options.seed is not None:
        body["seed"] = options.seed
    if options.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in options.tools
        ]
    if options.tool_choice is not None:
        named = options.tool_choice not in ("auto", "none", "required")
        body["tool_choice"] = (
            {"type": "function", "function": {"name": options.tool_choice}} if named else options.tool_choice
        )
    if options.schema is not None:
        form: dict[str, Any] = {"name": "answer", "schema": options.schema}
        if is_strict(options.schema):
            form["strict"] = True
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if options.top_logprobs is not None:
        body["logprobs"] = True
        if options.top_logprobs:
            body["top_logprobs"] = options.top_logprobs
    for key, value in options.extra.items():
        if value is None:
            body.pop(key, None)
        else:
            body[key] = value
    return to_json(body)


def refuse_unsupported(
    messages: Sequence[Message], options: Options, capabilities: Capabilities, *, provider: str, model: str
) -> None:
    """Refuse what the model cannot do, so that nothing asked for is silently left out.

    Raises:
        Unsupported: names the feature.
    """
    if not capabilities.images and any(
        isinstance(part, Image) for m in messages if not isinstance(m.content, str) for part in m.content
    ):
        raise Unsupported(provider=provider, model=model, feature="images")
    asked = {
        "tools": options.tools or options.tool_choice is not None,
        "schema": options.schema is not None,
        "logprobs": options.top_logprobs is not None,
    }
    for feature, wanted in asked.items():
        if wanted and not getattr(capabilities, feature):
            raise Unsupported(provider=provider, model=model, feature=feature)


def to_json(body: Any) -> bytes:
    """``body`` as UTF-8 JSON. A lone surrogate, which UTF-8 cannot carry, becomes U+FFFD."""
    try:
        return orjson.dumps(body, default=_plain)
    except orjson.JSONEncodeError:
        text = json.dumps(body, ensure_ascii=False, default=_plain, separators=(",", ":"))
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def is_strict(schema: Any) -> bool:
    """Whether every object in ``schema`` is closed and requires all its properties, as strict mode wants."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" or "properties" in schema:
            properties = schema.get("properties") or {}
            if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != set(properties):
                return False
        return all(is_strict(value) for value in schema.values())
    return not isinstance(schema, list | tuple) or all(map(is_strict, schema))


def _message(message: Message, official: bool) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": _content(message.content)}
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        sent["content"] = sent["content"] or None
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
        if message.reasoning and not official:  # DeepSeek and Moonshot want it back between tool calls, and only there
            sent["reasoning_content"] = message.reasoning
    return sent


def _content(content: str | tuple[Part, ...]) -> Any:
    if isinstance(content, str):
        return content
    if all(isinstance(part, Text) for part in content):  # not every server takes a list
        return "".join(part.text for part in content if isinstance(part, Text))
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": _image_url(part)}}
        for part in content
    ]


def _image_url(image: Image) -> str:
    if image.data is None:
        return image.url or ""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode('ascii')}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
