"""The wire format: any split of the bytes gives the same events, and every server's dialect is understood."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.providers.wire import Answer, BrokenWire, ErrorSent, EventParser, parse_json, read_usage
from core.types import Completion, Event, ReasoningDelta, TextDelta, TokenLogprob, ToolCall, ToolCallDelta, Usage
from tests.servers.misbehaving import chunk, event


def cut(data: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def payloads(pieces: list[bytes], limit: int = 1 << 20) -> list[bytes]:
    parser, out = EventParser(limit), []
    for piece in pieces:
        out += parser.feed(piece)
    return out + parser.end()


def told(pieces: list[bytes]) -> tuple[list[Event], Completion]:
    """All events of a stream and the completion."""
    answer, parser, out = Answer(), EventParser(), []
    for piece in [*pieces, b""]:
        for payload in parser.feed(piece) if piece else parser.end():
            if payload and not payload.startswith(b"[DONE]"):
                answer.fold(parse_json(payload), out)
    return out, answer.completion(model="m", provider="p")


def folded(*chunks: Any) -> tuple[list[Event], Completion]:
    return told([event(c) for c in chunks])


# --- events -----------------------------------------------------------------------------------

LEGAL: dict[str, tuple[bytes, list[bytes]]] = {
    "lf": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "cr": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [b"a", b"b", b"c"]),
    "no space": (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    "comments": (b": ping\n\n:\n\ndata: a\n: in between\n\n", [b"a"]),
    "fields": (b"event: message\nid: 7\nretry: 10\nunknown: x\ndata: a\n\n", [b"a"]),
    "several lines": (b"data: a\ndata:\ndata: b\n\n", [b"a\n\nb"]),
    "bare field": (b"data\n\n", [b""]),
    "empty lines": (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "no last line end": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "one last line end": (b"data: a\n\ndata: b\n", [b"a", b"b"]),
    "line separator": ("data: a\u2028b\u0085c\n\n".encode(), ["a\u2028b\u0085c".encode()]),
    "characters of many bytes": ("data: 退货 👩‍👩‍👧 é\n\n".encode(), ["退货 👩‍👩‍👧 é".encode()]),
    "twice done": (b"data: [DONE]\n\ndata: [DONE]\n\n", [b"[DONE]", b"[DONE]"]),
    "error event": (b'event: error\ndata: {"message": "x"}\n\ndata: a\n\n', [b'{"error":{"message": "x"}}', b"a"]),
    "error event that says so": (b'event: error\ndata: {"error": 1}\n\n', [b'{"error": 1}']),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", LEGAL)
def test_every_split_gives_the_same_events(name: str) -> None:
    data, expected = LEGAL[name]
    assert payloads([data]) == expected
    assert payloads(cut(data, *range(1, len(data)))) == expected
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            assert payloads(cut(data, first, second)) == expected


LINE = st.one_of(
    st.binary(max_size=12).map(lambda b: b"data: " + b.replace(b"\r", b"").replace(b"\n", b"")),
    st.sampled_from([b"", b"", b": c", b"event: x", b"event: error", b"data:", b"id", b"junk", "data: é👍".encode()]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12), st.data())
def test_any_split_of_any_lines_gives_the_same_events(lines: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(line + end for line, end in lines)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert payloads(cut(stream, *places)) == payloads([stream])


def test_a_line_that_never_ends_overflows_with_bounded_memory() -> None:
    parser = EventParser(limit=1000)
    for _ in range(200):
        assert parser.feed(b"data: xxxx") == []
        if parser.overflowed:
            break
    assert parser.overflowed
    assert sum(map(len, parser._tail)) <= 1010


def test_an_event_of_many_lines_overflows_too() -> None:
    parser = EventParser(limit=1000)
    for _ in range(100):
        parser.feed(b"data: 0123456789\n")
    assert parser.overflowed


def test_many_short_events_do_not_overflow() -> None:
    parser = EventParser(limit=100)
    out = [p for _ in range(1000) for p in parser.feed(b"data: 0123456789\n\ndata: 01")[:1] + parser.feed(b"2345\n\n")]
    assert len(out) == 2000
    assert not parser.overflowed


def test_events_know_where_they_ended() -> None:
    data = b"data: a\n\n: c\ndata: bb\n\n"
    parser = EventParser()
    assert parser.feed(data) == [b"a", b"bb"]
    assert parser.ends == [9, len(data)]


# --- answers ----------------------------------------------------------------------------------

STREAM = b"".join(
    [
        event(chunk(role="assistant", content="")),
        b": ping\n\n",
        event(chunk(reasoning_content="Hm\u2028m. ")),
        event(json.dumps(chunk("退货")).encode()),  # escaped
        event(json.dumps(chunk("期 7 天 👍🏽."), ensure_ascii=False).encode()),
        event(chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}])),
        event(chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}])),
        event(chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}])),
        event(chunk(finish="tool_calls")),
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}, "id": "z"}),
        event(b"[DONE]"),
    ]
)


def test_a_stream_cut_anywhere_tells_the_same() -> None:
    expected = told([STREAM])
    events, completion = expected
    assert completion.text == "退货期 7 天 👍🏽."
    assert completion.reasoning == "Hm\u2028m. "
    assert completion.tool_calls == (ToolCall("c1", "look", '{"a": 1}'),)
    assert completion.finish_reason == "tool_calls"
    assert completion.usage == Usage(3, 4)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == completion.text
    assert told(cut(STREAM, *range(1, len(STREAM)))) == expected
    for place in range(len(STREAM) + 1):
        assert told(cut(STREAM, place)) == expected
    crlf = STREAM.replace(b"\n", b"\r\n")
    for place in range(0, len(crlf) + 1, 3):
        assert told(cut(crlf, place, place + 1)) == expected


def test_raw_keeps_what_the_server_sent() -> None:
    _, completion = folded(
        {**chunk("a"), "system_fingerprint": "fp"},
        {**chunk("b", annotations=[{"url": "u"}]), "x_vendor": {"k": 1}},
        chunk(finish="stop"),
        {"choices": [], "usage": {"prompt_tokens": 0}},
    )
    assert completion.raw["model"] == "served"
    assert completion.raw["system_fingerprint"] == "fp"
    assert completion.raw["x_vendor"] == {"k": 1}
    assert completion.raw["delta"] == {"annotations": [[{"url": "u"}]]}
    assert completion.raw["choices"][0]["finish_reason"] == "stop"
    assert completion.usage == Usage(input_tokens=0)


@pytest.mark.parametrize(
    ("sent", "finish"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("something_new", "stop"),
    ],
)
def test_finish_reasons(sent: str, finish: str) -> None:
    _, completion = folded(chunk("a"), chunk(finish=sent))
    assert completion.finish_reason == finish
    assert completion.raw["choices"][0]["finish_reason"] == sent


@pytest.mark.parametrize("nothing", [None, "", "null"])
def test_no_finish_reason(nothing: str | None) -> None:
    answer = Answer()
    answer.fold(chunk("a", finish=nothing), [])
    assert not answer.finished


@pytest.mark.parametrize("reason", ["network_error", "insufficient_system_resource", "abort", "error"])
def test_a_finish_reason_that_means_broken_off(reason: str) -> None:
    answer = Answer()
    answer.fold(chunk("a", finish=reason), [])
    assert not answer.finished
    assert answer.broken_off == reason


def test_calls_ended_with_stop_are_tool_calls() -> None:
    _, completion = folded(chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}}]), chunk(finish="stop"))
    assert completion.finish_reason == "tool_calls"


CALLS: dict[str, list[list[dict[str, Any]]]] = {
    "by index": [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": "}"}}, {"index": 1, "function": {"arguments": "{}"}}],
    ],
    "id and name in every piece": [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}],
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
    ],
    "all numbered 0": [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
        [{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{"}}],
        [{"index": 0, "function": {"arguments": "}"}}],
    ],
    "no index": [
        [
            {"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "function": {"name": "g", "arguments": "{"}},
        ],
        [{"function": {"arguments": "}"}}],
    ],
    "empty ids later": [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}],
        [{"index": 0, "id": "", "function": {"name": None, "arguments": "}"}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
    ],
    "arguments as an object": [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {}}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
    ],
}


@pytest.mark.parametrize("name", CALLS)
def test_tool_calls_in_every_dialect(name: str) -> None:
    events, completion = folded(*[chunk(tool_calls=calls) for calls in CALLS[name]], chunk(finish="tool_calls"))
    expected = [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")]
    assert list(completion.tool_calls) == expected
    built: dict[int, dict[str, str]] = {}
    for delta in events:
        assert isinstance(delta, ToolCallDelta)
        call = built.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
        call["id"] += delta.id or ""
        call["name"] += delta.name or ""
        call["arguments"] += delta.arguments
    assert [ToolCall(**call) for call in built.values()] == expected


def test_reasoning_under_its_names() -> None:
    for name in ("reasoning_content", "reasoning"):
        events, completion = folded(chunk(**{name: "Hm. "}, content=None), chunk("Yes."), chunk(finish="stop"))
        assert events == [ReasoningDelta("Hm. "), TextDelta("Yes.")]
        assert (completion.reasoning, completion.text) == ("Hm. ", "Yes.")
    both = chunk(reasoning_content="Hm. ", reasoning="Hm. ")
    assert folded(both)[0] == [ReasoningDelta("Hm. ")]


def test_content_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    assert folded(chunk(content=parts))[0] == [ReasoningDelta("Hm."), TextDelta("Yes.")]


def test_a_refusal_is_text_and_a_filter() -> None:
    events, completion = folded(chunk(refusal="I cannot."), chunk(finish="stop"))
    assert events == [TextDelta("I cannot.")]
    assert completion.finish_reason == "content_filter"


def test_a_surrogate_pair_cut_between_chunks_becomes_one_character() -> None:
    high, low = '{"choices":[{"delta":{"content":"a\\ud83d"}}]}', '{"choices":[{"delta":{"content":"\\udc4db"}}]}'
    events, completion = told([event(high.encode()), event(low.encode())])
    assert events == [TextDelta("a"), TextDelta("👍b")]
    assert completion.text == "a👍b"
    alone = told([event(high.encode())])[1].text
    assert alone == "a\ufffd"
    assert told([event(low.encode())])[1].text == "\ufffdb"


def test_logprobs() -> None:
    sent = {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]}]}
    piece = chunk("a")
    piece["choices"][0]["logprobs"] = sent
    _, completion = folded(piece, piece, chunk(finish="stop"))
    assert completion.logprobs == (TokenLogprob("a", -0.5, (("b", -1.0),)),) * 2


def test_other_candidates_are_left_aside() -> None:
    second = chunk("no")
    second["choices"][0]["index"] = 1
    events, _ = folded(chunk("yes"), second)
    assert events == [TextDelta("yes")]


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, 4, 3),
        ),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": None}, Usage(9, None, 4)),
        ({"prompt_tokens": 9, "cached_tokens": 4}, Usage(9, None, 4)),
        ("many", Usage()),
    ],
)
def test_usage_is_known_or_none(sent: Any, usage: Usage) -> None:
    assert read_usage(sent) == usage


@pytest.mark.parametrize(
    "sent", [{"error": {"message": "x"}}, {"error": "x"}, {"object": "error", "message": "x", "choices": []}]
)
def test_error_objects(sent: dict[str, Any]) -> None:
    with pytest.raises(ErrorSent) as raised:
        Answer().fold(sent, [])
    assert raised.value.body is sent


@pytest.mark.parametrize(
    "sent",
    [None, [], "x", 7, {"choices": 7}, {"choices": [None]}, {"choices": [{"delta": 7}]}, {"choices": [{"delta": {"content": 7}}]}, chunk(tool_calls=[7]), chunk(tool_calls={"a": 1})],
)  # fmt: skip
def test_what_is_no_chunk(sent: Any) -> None:
    with pytest.raises(BrokenWire):
        Answer().fold(sent, [])


@pytest.mark.parametrize("data", [b"", b"{", b"{'a': 1}", b"\xff", b"[" * 100_000, b'{"a": 1} x', b"nul"])
def test_what_is_not_json(data: bytes) -> None:
    with pytest.raises(BrokenWire):
        parse_json(data)


def test_json_beyond_the_standard_that_servers_send() -> None:
    assert parse_json(b'{"logprob": -Infinity}') == {"logprob": float("-inf")}
    assert parse_json(b'"\\ud83d"') == "\ud83d"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["function", "index", "id", "name", "arguments", "text", "type"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
DELTA = st.dictionaries(st.sampled_from(["content", "reasoning", "refusal", "tool_calls", "other"]), JSON, max_size=2)
CHOICE = st.dictionaries(st.sampled_from(["index", "logprobs", "finish_reason", "usage"]), JSON, max_size=1)
CHUNK = st.builds(lambda delta, choice: {"choices": [{**choice, "delta": delta}]}, DELTA | JSON, CHOICE) | JSON


@settings(max_examples=200, deadline=None)
@given(st.lists(CHUNK, max_size=3))
def test_any_json_folds_or_is_refused(chunks: list[Any]) -> None:
    """Whatever a server sends, nothing but the two agreed exceptions comes out, and text agrees with the events."""
    answer, out = Answer(), []
    try:
        for sent in chunks:
            answer.fold(sent, out)
    except (BrokenWire, ErrorSent):
        pass
    completion = answer.completion(model="m", provider="p")
    said = "".join(e.text for e in out if isinstance(e, TextDelta))
    assert completion.text in (said, said + "\ufffd")
