"""What a model wrote is told apart the same way however it is cut: text, thoughts, calls, stop texts."""

from __future__ import annotations

import doctest
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.providers import speech, tool_forms
from core.providers.speech import Said, Speech
from core.providers.tool_forms import HERMES, LLAMA, MISTRAL, call_schema, form_of, read_calls
from core.types import Tool
from tests.core.providers.tiny_transformers import CHATML, TOOLS

CALL = '{"name": "add", "arguments": {"a": 1}}'
CASES: dict[str, tuple[str, dict[str, Any], list[Said]]] = {
    "text": ("Hello <b>you</b>.", {}, [Said("text", "Hello <b>you</b>.")]),
    "thought": ("<think>\nHm.</think>\n\nYes.", {"thinks": True}, [Said("thought", "Hm."), Said("text", "Yes.")]),
    "begun thought": ("Hm.</think>Yes.", {"thinks": True, "thinking": True}, [Said("thought", "Hm."), Said("text", "Yes.")]),
    "late mark": ("Say <think> twice.", {"thinks": True}, [Said("text", "Say <think> twice.")]),
    "mark of others": ("<think>Hm.</think>", {}, [Said("text", "<think>Hm.</think>")]),
    "unended thought": ("<think>Hm.", {"thinks": True}, [Said("thought", "Hm.")]),
    "stop": ("one two three", {"stop": ("wo t",)}, [Said("text", "one t")]),
    "stop in a thought": ("<think>a b</think>c b", {"thinks": True, "stop": (" b",)}, [Said("thought", "a b"), Said("text", "c")]),
    "hermes": (f"Ok.\n<tool_call>\n{CALL}\n</tool_call>", {"form": HERMES}, [Said("text", "Ok.\n"), Said("call", '{"a": 1}', "add")]),
    "hermes, two": (f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>", {"form": HERMES}, [Said("call", '{"a": 1}', "add")] * 2),
    "hermes, broken": ("<tool_call>add(1)</tool_call>", {"form": HERMES}, [Said("text", "<tool_call>add(1)</tool_call>")]),
    "hermes, unended": (f"<tool_call>{CALL}", {"form": HERMES}, [Said("call", '{"a": 1}', "add")]),
    "hermes, begun": (CALL, {"form": HERMES, "calling": True}, [Said("call", '{"a": 1}', "add")]),
    "llama": ('{"name": "add", "parameters": {"a": 1}}', {"form": LLAMA}, [Said("call", '{"a": 1}', "add")]),
    "llama, tag": ('<|python_tag|>{"name": "add", "parameters": {"a": 1}}', {"form": LLAMA}, [Said("call", '{"a": 1}', "add")]),
    "llama, other JSON": ('{"x": 1}', {"form": LLAMA}, [Said("text", '{"x": 1}')]),
    "mistral": (f"[TOOL_CALLS] [{CALL}, {CALL}]", {"form": MISTRAL}, [Said("call", '{"a": 1}', "add")] * 2),
    "mistral, new": ('[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]', {"form": MISTRAL}, [Said("text", '[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]')]),
    "mistral, named": ('[TOOL_CALLS]add[ARGS]{"a": 1}', {"form": MISTRAL}, [Said("call", '{"a": 1}', "add")]),
}  # fmt: skip


def told(pieces: Sequence[str], **how: Any) -> list[Said]:
    """What ``Speech`` makes of the pieces, neighbors of one kind joined."""
    heard = Speech(tools=["add"], **how)
    found: list[Said] = []
    for said in [s for piece in pieces for s in heard.feed(piece)] + heard.end():
        if found and said.kind != "call" and found[-1].kind == said.kind:
            found[-1] = Said(said.kind, found[-1].text + said.text)
        elif said.text or said.kind == "call":
            found.append(said)
    return found


@pytest.mark.parametrize("name", CASES)
def test_it_is_told_apart_in_one_piece_and_in_single_characters(name: str) -> None:
    text, how, expected = CASES[name]
    assert told([text], **how) == expected
    assert told(list(text), **how) == expected


@given(st.data())
def test_how_it_is_cut_makes_no_difference(data: st.DataObject) -> None:
    text, how, expected = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert told(pieces, **how) == expected


def test_plain_text_is_not_held_back() -> None:
    assert Speech(thinks=True, form=HERMES, stop=("END",)).feed("Hello. ") == [Said("text", "Hello. ")]
    assert Speech(stop=("END",)).feed("the E") == [Said("text", "the ")]


def test_the_template_tells_the_form() -> None:
    assert form_of(CHATML) is None
    assert form_of(TOOLS) == HERMES
    assert form_of("{{ tools }} [TOOL_CALLS]") == MISTRAL
    assert form_of('{{ tools }} {"name": …, "parameters": …}') == LLAMA


def test_what_the_schema_of_a_call_allows_is_read_as_that_call() -> None:
    tools = [Tool("add", "", {"properties": {"a": {"type": "integer"}}}), Tool("sub", "", {"properties": {}})]
    for form in (HERMES, LLAMA, MISTRAL):
        rows = call_schema(tools, form)["anyOf"]
        written = json.dumps({"name": rows[0]["properties"]["name"]["const"], form.arguments_key: {"a": 1}})
        assert read_calls(written, ["add", "sub"]) == [("add", '{"a": 1}')]
        assert rows[0]["properties"][form.arguments_key]["additionalProperties"] is False


@pytest.mark.parametrize("module", [speech, tool_forms])
def test_examples_in_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
