"""The OpenAI wire format, as pure functions and two small state machines: no network, no clock.

``EventParser`` cuts a byte stream into the payloads of server-sent events; ``Answer`` folds payloads into
events and keeps what belongs to the finished ``Completion``. Both see bytes in any split: the result is the
same. Source: WHATWG HTML, section 9.2.6 (event stream interpretation), and the chat completion objects as
sent by OpenAI, DeepSeek, Qwen, GLM, Moonshot, vLLM, llama.cpp, Ollama and OpenRouter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.i18n import Phrase, secret_free
from core.types import (
    Completion,
    Event,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

MAX_EVENT_BYTES = 8 * 1024 * 1024
DONE = b"[DONE]"
_BOM = b"\xef\xbb\xbf"
_KNOWN = frozenset({"role", "content", "reasoning_content", "reasoning", "refusal", "tool_calls"})

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
}
# Reasons that say the server gave up: the text before them is not an answer.
_BROKEN_OFF = frozenset({"error", "abort", "network_error", "insufficient_system_resource", "timeout", "cancelled"})


class BrokenWire(ValueError):
    """What came is not of the agreed form; ``phrase`` says how it began."""

    def __init__(self, key: str, begins: Any) -> None:
        self.phrase = Phrase(key, begins=secret_free(str(begins)[:120]))
        super().__init__(str(self.phrase))


class ErrorSent(Exception):
    """The server sent an error object in place of a piece of the answer."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("error object")
        self.body = body


class EventParser:
    """Cuts bytes into the payloads (``data`` fields) of server-sent events.

    Line ends are LF, CRLF or CR; comments and the fields ``id`` and ``retry`` are skipped; several ``data``
    lines are joined by LF; an ``event: error`` whose payload does not say so is wrapped as ``{"error": …}``.
    Memory is bounded by ``limit`` bytes plus the size of one feed.
    """

    __slots__ = ("_data", "_error", "_limit", "_size", "_skip_lf", "_start", "_tail", "ends", "offset", "overflowed")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._tail: list[bytes] = []  # pieces of a line whose end has not come
        self._data: list[bytes] = []  # data lines of an event whose end has not come
        self._size = 0  # bytes held in the two
        self._skip_lf = False  # the last byte was CR: a LF that follows belongs to it
        self._error = False
        self._start = True
        self.ends: list[int] = []  # of the payloads of the last feed: where their events ended
        self.offset = 0  # bytes of finished lines, line ends counted as one
        self.overflowed = False  # an event is longer than the limit: feed no more

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads they complete."""
        self.ends.clear()
        if self._skip_lf and data:
            self._skip_lf = False
            if data[:1] == b"\n":
                data = data[1:]
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        out: list[bytes] = []
        if lines:
            if self._tail:
                lines[0] = b"".join((*self._tail, lines[0]))
                self._size -= sum(map(len, self._tail))
                self._tail.clear()
            for line in lines:
                self._line(line, out)
        if rest:
            self._tail.append(rest)
            self._hold(len(rest))
            if len(self._tail) > 1024:  # a long line in tiny packets
                self._tail = [b"".join(self._tail)]
        return out

    def end(self) -> list[bytes]:
        """The stream is over: give out an event whose last line end was never sent."""
        out: list[bytes] = []
        self.ends.clear()
        if self._tail:
            line = b"".join(self._tail)
            self._tail.clear()
            self._line(line, out)
        if self._data:
            self._line(b"", out)
        return out

    def _line(self, line: bytes, out: list[bytes]) -> None:
        self.offset += len(line) + 1
        if self._start:
            self._start = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                payload = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                if self._error and not payload.lstrip().startswith((b'{"error"', DONE)):
                    payload = b'{"error":' + payload + b"}"
                self._data.clear()
                self._size = 0
                self.ends.append(self.offset)
                out.append(payload)
            self._error = False
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            self._hold(len(line))
        elif line == b"data":
            self._data.append(b"")
        elif line.startswith(b"event:"):
            self._error = line[6:].strip() == b"error"

    def _hold(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            self.overflowed = True


def parse_json(payload: bytes) -> Any:
    """Parse ``payload``; ``NaN`` and lone surrogates, which some servers send, are accepted.

    Raises:
        BrokenWire: not JSON.
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            return json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise BrokenWire("wire.not_json", payload[:80].decode("utf-8", "replace")) from error


class Answer:
    """What has come of one answer. ``fold`` takes chunks of a stream, or one whole response."""

    __slots__ = (
        "_calls",
        "_high",
        "_places",
        "_reasoning",
        "_text",
        "broken_off",
        "finish",
        "finished",
        "logprobs",
        "raw",
        "recognized",
        "shown",
        "spoke",
        "usage",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._places: dict[tuple[int, str | None], _Call] = {}
        self._high = ""  # the first half of a surrogate pair whose second half has not come
        self.logprobs: list[TokenLogprob] = []
        self.finish: str | None = None  # as the server wrote it
        self.finished = False
        self.broken_off: str | None = None  # the finish reason by which the server said that it gave up
        self.usage: Mapping[str, Any] | None = None
        self.raw: dict[str, Any] = {}
        self.recognized = False  # a chunk with choices came
        self.spoke = False  # content came, be it empty
        self.shown = False  # an event was given out

    @property
    def text(self) -> str:
        return "".join(self._text)

    def fold(self, chunk: Any, out: list[Event]) -> None:
        """Take one chunk (or whole response) and append the events in it to ``out``.

        Raises:
            ErrorSent: the chunk is an error object.
            BrokenWire: the chunk is not an object, or its parts are not of the agreed kind.
        """
        try:
            self._fold(chunk, out)
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise BrokenWire("wire.odd_form", chunk) from error
        if out:
            self.shown = True

    def _fold(self, chunk: Any, out: list[Event]) -> None:
        if chunk.get("error") or chunk.get("object") == "error":
            raise ErrorSent(chunk)
        choices = chunk.get("choices")
        raw = self.raw
        if choices:
            self.recognized = True
            before = raw.get("choices") if self.finished else None
            raw.update(chunk)
            if before is not None:
                raw["choices"] = before
        else:
            raw.update({key: value for key, value in chunk.items() if key != "choices" or "choices" not in raw})
        if chunk.get("usage"):
            self.usage = chunk["usage"]
        if not choices:
            return
        for choice in choices:
            if choice.get("index"):  # other candidates of n > 1 stay in raw only
                continue
            delta = choice.get("delta")
            if delta is None:
                delta = choice.get("message")
            if delta:
                if len(delta) == 1 and delta.get("content").__class__ is str:
                    self._say(delta["content"], out)
                else:
                    self._delta(delta, out)
            if choice.get("logprobs"):
                self.logprobs.extend(_logprobs(choice["logprobs"]))
            if choice.get("usage"):
                self.usage = choice["usage"]
            reason = choice.get("finish_reason")
            if reason and reason != "null":
                self._finish(str(reason))

    def _delta(self, delta: Mapping[str, Any], out: list[Event]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought.__class__ is str and thought:
            self._reasoning.append(thought)
            out.append(ReasoningDelta(thought))
        content = delta.get("content")
        if content.__class__ is str:
            self.spoke = True
            self._say(content, out)
        elif content:
            for part in content:
                if part.get("type") == "thinking":
                    for piece in part.get("thinking") or ():
                        self._reasoning.append(piece["text"])
                        out.append(ReasoningDelta(piece["text"]))
                elif part.get("text"):
                    self._say(part["text"], out)
        if delta.get("refusal"):
            self._say(delta["refusal"], out)
            self._finish("refusal")
        for call in delta.get("tool_calls") or ():
            self._call(call, out)
        for key in delta.keys() - _KNOWN:  # annotations, audio, signatures: nothing a server sent is lost
            self.raw.setdefault("delta", {}).setdefault(key, []).append(delta[key])

    def _say(self, text: str, out: list[Event]) -> None:
        if self._high or not text.isascii():
            text = self._whole_characters(text)
        if text:
            self._text.append(text)
            out.append(TextDelta(text))

    def _whole_characters(self, text: str) -> str:
        """Join surrogates that a server cut apart between two chunks; what stays alone becomes U+FFFD."""
        text, self._high = self._high + text, ""
        try:
            text.encode()
            return text
        except UnicodeEncodeError:
            if "\ud800" <= text[-1] <= "\udbff":
                text, self._high = text[:-1], text[-1]
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _call(self, piece: Mapping[str, Any], out: list[Event]) -> None:
        function = piece.get("function") or {}
        index, identity = piece.get("index"), piece.get("id") or None
        arguments = function.get("arguments")
        if arguments.__class__ is not str:
            arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
        name = function.get("name") or None
        call = self._place(index, identity)
        new_name = name if call.name is None else None
        new_id = identity if call.id is None else None
        call.name, call.id = call.name or name, call.id or identity
        if arguments:
            call.arguments.append(arguments)
        if arguments or new_name or new_id:
            out.append(ToolCallDelta(call.number, arguments, new_id, new_name))

    def _place(self, index: int | None, identity: str | None) -> _Call:
        """The call a piece belongs to. Some servers leave the index out, others number every call 0."""
        last = self._calls[-1] if self._calls else None
        if index is None:
            if last is not None and (identity is None or identity == last.id):
                return last
        else:
            call = self._places.get((index, identity)) if identity else None
            if call is None:
                call = self._places.get((index, None))
                if call is not None and identity and call.id and identity != call.id:
                    call = None
            if call is not None:
                return call
        call = _Call(len(self._calls))
        self._calls.append(call)
        if index is not None:
            self._places[index, None] = call
            if identity:
                self._places[index, identity] = call
        return call

    def _finish(self, reason: str) -> None:
        if reason in _BROKEN_OFF:
            self.broken_off = reason
        elif not self.finished:
            self.finish, self.finished = reason, True

    def completion(
        self, *, model: str, provider: str, request_id: str | None = None, timings: Timings | None = None
    ) -> Completion:
        """The finished answer."""
        if self._high:
            self._text.append("\ufffd")
        calls = tuple(
            ToolCall(call.id or f"call_{call.number}", call.name or "", "".join(call.arguments)) for call in self._calls
        )
        finish = _FINISH.get((self.finish or "stop").lower(), "stop")
        if calls and finish == "stop":  # some servers end a call with "stop"
            finish = "tool_calls"
        return Completion(
            text=self.text,
            model=model,
            provider=provider,
            finish_reason=finish,
            reasoning="".join(self._reasoning) or None,
            tool_calls=calls,
            usage=read_usage(self.usage),
            timings=timings or Timings(),
            request_id=request_id,
            logprobs=tuple(self.logprobs),
            raw=self.raw,
        )


class _Call:
    __slots__ = ("arguments", "id", "name", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []


def read_usage(sent: Mapping[str, Any] | None) -> Usage:
    """Tokens as the server counted them, under any of the names in use; unknown stays ``None``."""
    if not isinstance(sent, Mapping):
        return Usage()
    inputs = sent.get("prompt_tokens_details")
    outputs = sent.get("completion_tokens_details")
    return Usage(
        input_tokens=_count(sent, "prompt_tokens"),
        output_tokens=_count(sent, "completion_tokens"),
        cached_tokens=_count(inputs, "cached_tokens", _count(sent, "prompt_cache_hit_tokens", _count(sent, "cached_tokens"))),
        reasoning_tokens=_count(outputs, "reasoning_tokens"),
    )  # fmt: skip


def _count(counts: Any, name: str, otherwise: int | None = None) -> int | None:
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) else otherwise


def _logprobs(sent: Mapping[str, Any]) -> Sequence[TokenLogprob]:
    return [
        TokenLogprob(
            item["token"],
            float(item["logprob"]),
            tuple((other["token"], float(other["logprob"])) for other in item.get("top_logprobs") or ()),
        )
        for item in sent.get("content") or ()
        if item.get("logprob") is not None
    ]
