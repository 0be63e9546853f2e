"""How models write tool calls, and how they are read: the forms of Hermes and Qwen, of Llama 3, of Mistral.

A model's chat template tells its form. Pure functions over text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.types import Tool

_DECODER = json.JSONDecoder()
_MISTRAL_NAME = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\][\w-]*)?\s*(?:\[ARGS\])?\s*(?=\{)")


@dataclass(frozen=True, slots=True)
class ToolForm:
    """``opens`` begins a call; without ``closes`` it goes on to the end of the answer. ``bare``: a call may also stand
    alone, as an answer that is one JSON object. ``prefix`` is put into the model's mouth when a call is required."""

    name: str
    opens: str
    closes: str | None
    arguments_key: str = "arguments"
    prefix: str = ""
    bare: bool = False


HERMES = ToolForm("hermes", "<tool_call>", "</tool_call>", prefix="<tool_call>\n")
LLAMA = ToolForm("llama", "<|python_tag|>", None, arguments_key="parameters", bare=True)
MISTRAL = ToolForm("mistral", "[TOOL_CALLS]", None, prefix="[TOOL_CALLS]")


def form_of(chat_template: str) -> ToolForm | None:
    """The form a template's model was trained in; ``None``: the template does not know tools."""
    if not re.search(r"\btools\b", chat_template):
        return None
    if MISTRAL.opens in chat_template:
        return MISTRAL
    if HERMES.opens in chat_template:
        return HERMES
    return LLAMA if LLAMA.opens in chat_template or '"parameters"' in chat_template else HERMES


def read_calls(written: str, known: Sequence[str]) -> list[tuple[str, str]] | None:
    """``(name, arguments as JSON text)`` of each call in ``written``; ``None`` where it is no call of a known tool.

    >>> read_calls('{"name": "add", "arguments": {"a": 1}}', ["add"])
    [('add', '{"a": 1}')]
    >>> read_calls('[{"name": "add", "arguments": {}}]', ["add"])
    [('add', '{}')]
    >>> read_calls('add[ARGS]{"a": 1}', ["add"])
    [('add', '{"a": 1}')]
    >>> read_calls('{"name": "remove"}', ["add"]) is None
    True
    """
    calls: list[tuple[str, str]] = []
    at = 0
    while at < len(written):
        if written[at] in " \n\r\t;,":
            at += 1
            continue
        named = _MISTRAL_NAME.match(written, at)
        try:
            value, after = _DECODER.raw_decode(written, named.end() if named else at)
        except ValueError:
            return None
        rows = [{"name": named[1], "arguments": value}] if named else value if isinstance(value, list) else [value]
        for row in rows:
            call = _call(row)
            if call is None or call[0] not in known:
                return None
            calls.append(call)
        at = after
    return calls or None


def call_schema(tools: Sequence[Tool], form: ToolForm) -> dict[str, Any]:
    """The JSON Schema of one call of one of ``tools``, as an object of the form's own keys."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, form.arguments_key: closed(tool.parameters)},
            "required": ["name", form.arguments_key],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` of an object that has the properties it names and no others, unless it says otherwise."""
    return {"type": "object", "additionalProperties": False, **schema}


def _call(row: Any) -> tuple[str, str] | None:
    if not isinstance(row, Mapping):
        return None
    inner = row.get("function")
    row = inner if isinstance(inner, Mapping) else row
    name = row.get("name")
    arguments = row.get("arguments", row.get("parameters", {}))
    if not isinstance(name, str):
        return None
    return name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
