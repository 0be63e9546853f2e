"""The scripted engine: deterministic answers, delays and faults from a file, for tests and demos.

``scripted:demo`` is a script that comes with the project (``core/providers/scripts``); ``scripted:path.yaml``
is a file of yours, relative to the settings' folder. The file's form is in :mod:`core.providers.script_file`.

A token is four characters, rounded up: usage and ``max_tokens`` are counted so. ``scripted:hash`` as an
embedding model hashes character n-grams: equal on every machine, good enough for demos, not for meaning.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import unicodedata
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import DEFAULT_OPTIONS
from core.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectFailed,
    ContentFiltered,
    ContextTooLong,
    EngineBusy,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
    StreamInterrupted,
    TimedOut,
    UnknownName,
    Unsupported,
)
from core.i18n import Phrase
from core.providers.script_file import Fault, Rule, Script, read_script
from core.settings import Settings
from core.types import (
    Completion,
    Deadlines,
    Done,
    EmbeddingKind,
    Event,
    FinishReason,
    Image,
    Message,
    Options,
    ReasoningDelta,
    TextDelta,
    Timings,
    ToolCall,
    ToolCallDelta,
    Usage,
    content_text,
)

if TYPE_CHECKING:
    import numpy as np

SCRIPTS = Path(__file__).parent / "scripts"
CHARACTERS_PER_TOKEN = 4
PROVIDER = "scripted"


def open_chat(model: str, *, engine: str, settings: Settings) -> ScriptedChat:
    """Open a script by its file (``*.yaml``) or by the name of one that comes with the project."""
    name = f"{engine}:{model}"
    if model.endswith((".yaml", ".yml")):
        path = settings.folder / Path(model).expanduser()
    else:
        shipped = {p.stem: p for p in sorted(SCRIPTS.glob("*.yaml"))}
        if model not in shipped:
            raise UnknownName(kind=Phrase("script.kind"), value=model, allowed=", ".join([*shipped, "PATH.yaml"]))
        path = shipped[model]
    return ScriptedChat(name, read_script(path, needed_for=name), settings.deadlines)


class ScriptedChat:
    """A chat model that answers by the first rule that fits."""

    def __init__(self, name: str, script: Script, deadlines: Deadlines | None = None) -> None:
        self.name = name
        self.script = script
        self.capabilities = script.capabilities
        self._deadlines = deadlines or Deadlines()
        self._used = [0] * len(script.rules)
        self._numbers = count(1)
        self._lock = threading.Lock()

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        self._check(messages, options)
        rule, values = self._choose(messages)
        clock = _Clock(options.deadlines or self._deadlines, self.script.name)
        if rule.fault and rule.fault.kind not in ("stall", "stream_interrupted"):
            await clock.pause(rule.first_delay_s, "")
            raise _error(rule.fault, self.script.name)
        answer = self._answer(rule, values, messages, options)
        pieces = list(_pieces(rule, answer)) if options.stream else [None] * bool(answer.text)
        said = ""
        for n, piece in enumerate(pieces):
            await clock.pause(rule.delay_s if n else rule.first_delay_s, said)
            if piece is not None:
                clock.heard()
                if isinstance(piece, TextDelta):
                    said += piece.text
                yield piece
        if not pieces:
            await clock.pause(rule.first_delay_s, said)
        if rule.fault and rule.fault.kind == "stall":
            await clock.pause(float("inf"), said)
        if rule.fault:
            raise StreamInterrupted(partial=said, provider=PROVIDER, model=self.script.name, detail=rule.fault.detail)
        yield Done(replace(answer, timings=Timings(clock.first_s, clock.passed_s())))

    async def aclose(self) -> None:
        """Nothing is held."""

    def _check(self, messages: Sequence[Message], options: Options) -> None:
        """Refuse what the script's capabilities exclude, as a real engine does."""
        has_images = any(
            isinstance(part, Image) for m in messages if not isinstance(m.content, str) for part in m.content
        )
        asked = {
            "tools": bool(options.tools),
            "schema": options.schema is not None,
            "images": has_images,
            "logprobs": options.top_logprobs is not None,
        }
        for feature, wanted in asked.items():
            if wanted and not getattr(self.capabilities, feature):
                raise Unsupported(provider=PROVIDER, model=self.name, feature=feature)

    def _choose(self, messages: Sequence[Message]) -> tuple[Rule, dict[str, str]]:
        """The first rule that fits, with the values of its placeholders; counts the use."""
        question = next((content_text(m.content) for m in reversed(messages) if m.role == "user"), "")
        result = next((content_text(m.content) for m in reversed(messages) if m.role == "tool"), "")
        last_role = messages[-1].role if messages else "user"
        with self._lock:
            for n, rule in enumerate(self.script.rules):
                found = rule.match.search(question) if rule.match else None
                if (
                    (rule.match is None or found)
                    and (rule.contains is None or rule.contains in question)
                    and (rule.last_role is None or rule.last_role == last_role)
                    and (rule.times is None or self._used[n] < rule.times)
                ):
                    self._used[n] += 1
                    groups = {k: v or "" for k, v in found.groupdict().items()} if found else {}
                    return rule, {"question": question, "tool_result": result, **groups}
        raise BadRequest(
            provider=PROVIDER,
            model=self.name,
            status=400,
            detail=Phrase("script.no_rule", name=self.script.name),
        )

    def _answer(
        self, rule: Rule, values: Mapping[str, str], messages: Sequence[Message], options: Options
    ) -> Completion:
        """What the rule says, under the options: tools, schema, stop, max_tokens; usage counted."""
        calls = _calls(rule, values, options, turn=len(messages))
        text = _fill(rule.reply, values)
        if rule.json is not None:
            text = json.dumps(_fill(rule.json, values), ensure_ascii=False)
        elif options.schema is not None and not calls and not _is_json(text):
            text = json.dumps(smallest(options.schema, text), ensure_ascii=False)
        finish: FinishReason = "tool_calls" if calls else "stop"
        for stop in options.stop:
            text = text.partition(stop)[0] if stop else text
        if options.max_tokens is not None and len(text) > options.max_tokens * CHARACTERS_PER_TOKEN:
            text, finish = text[: options.max_tokens * CHARACTERS_PER_TOKEN], "length"
        if rule.fault:
            text = text[: rule.fault.after]
        reasoning = _fill(rule.reasoning, values)
        said = sum(tokens(c.name + c.arguments) for c in calls) + tokens(text) + tokens(reasoning or "")
        heard = sum(tokens(content_text(m.content)) for m in messages)
        return Completion(
            text=text,
            model=self.script.name,
            provider=PROVIDER,
            finish_reason=rule.finish_reason or finish,
            reasoning=reasoning,
            tool_calls=calls,
            usage=rule.usage or Usage(heard, said),
            request_id=f"scripted-{next(self._numbers)}",
            raw={"rule": rule.line},
        )


class _Clock:
    """Pauses that respect the deadlines, with the error a silent server would cause."""

    def __init__(self, deadlines: Deadlines, model: str) -> None:
        self._deadlines = deadlines
        self._model = model
        self._started = time.perf_counter()
        self.first_s: float | None = None

    def passed_s(self) -> float:
        return time.perf_counter() - self._started

    def heard(self) -> None:
        if self.first_s is None:
            self.first_s = self.passed_s()

    async def pause(self, seconds: float, said: str) -> None:
        """Sleep ``seconds``; when a deadline comes first, sleep until then and raise."""
        waiting, silent_s = ("first_token", self._deadlines.first_token_s)
        if self.first_s is not None:
            waiting, silent_s = ("idle", self._deadlines.idle_s)
        left_s = self._deadlines.total_s - self.passed_s()
        if seconds <= min(silent_s, left_s):
            if seconds:
                await asyncio.sleep(seconds)
            return
        await asyncio.sleep(max(0.0, min(silent_s, left_s)))
        phase, after_s = (waiting, silent_s) if silent_s <= left_s else ("total", self._deadlines.total_s)
        if said:
            detail = Phrase("script.deadline", phase=phase, after_s=after_s)
            raise StreamInterrupted(partial=said, provider=PROVIDER, model=self._model, detail=detail)
        raise TimedOut(provider=PROVIDER, model=self._model, phase=phase, after_s=after_s)


_FAULTS: dict[str, tuple[type[ProviderError], dict[str, Any]]] = {
    "authentication_failed": (AuthenticationFailed, {"status": 401}),
    "bad_request": (BadRequest, {"status": 400}),
    "connect_failed": (ConnectFailed, {"url": "scripted:"}),
    "content_filtered": (ContentFiltered, {"status": 400}),
    "context_too_long": (ContextTooLong, {"status": 400}),
    "engine_busy": (EngineBusy, {"waiting": 1, "limit": 1}),
    "invalid_response": (InvalidResponse, {}),
    "model_not_found": (ModelNotFound, {"status": 404}),
    "rate_limited": (RateLimited, {"status": 429}),
    "server_failed": (ServerFailed, {"status": 500}),
    "timed_out": (TimedOut, {"phase": "first_token", "after_s": 0.0}),
}


def _error(fault: Fault, model: str) -> ProviderError:
    kind, params = _FAULTS[fault.kind]
    if fault.status is not None:
        params = {**params, "status": fault.status}
    return kind(provider=PROVIDER, model=model, retry_after_s=fault.retry_after_s, **{"detail": fault.detail, **params})


def _pieces(rule: Rule, answer: Completion) -> Iterator[TextDelta | ReasoningDelta | ToolCallDelta]:
    """The answer as deltas of ``rule.chunk`` characters: reasoning, text, tool calls."""
    for piece in _cut(answer.reasoning or "", rule.chunk):
        yield ReasoningDelta(piece)
    for piece in _cut(answer.text, rule.chunk):
        yield TextDelta(piece)
    for index, call in enumerate(answer.tool_calls):
        yield ToolCallDelta(index, id=call.id, name=call.name)
        for piece in _cut(call.arguments, rule.chunk):
            yield ToolCallDelta(index, piece)


def _cut(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _calls(rule: Rule, values: Mapping[str, str], options: Options, *, turn: int) -> tuple[ToolCall, ...]:
    """The rule's tool calls; where a call is demanded and the rule has none, the smallest that fits the tool."""
    if not options.tools or options.tool_choice == "none":
        return ()
    wanted = [(call.name, _fill(call.arguments, values)) for call in rule.tool_calls]
    if not wanted and options.tool_choice not in (None, "auto"):
        tool = next((t for t in options.tools if t.name == options.tool_choice), options.tools[0])
        wanted = [(tool.name, smallest(tool.parameters, ""))]
    return tuple(
        ToolCall(f"call_{turn}_{n}", name, json.dumps(arguments, ensure_ascii=False))
        for n, (name, arguments) in enumerate(wanted)
    )


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    """``value`` with ``{name}`` replaced in its strings; names that are not known stay as they are."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), value)
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    if isinstance(value, Mapping):
        return {key: _fill(item, values) for key, item in value.items()}
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def smallest(schema: Mapping[str, Any], text: str) -> Any:
    """The smallest value that fits a JSON Schema: required members, first choices, ``text`` where text goes.

    Knows type, properties, required, items, minItems, enum, const, minimum, minLength, maxLength, anyOf, oneOf,
    default.
    """
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return smallest(schema[key][0], text)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        members = schema.get("properties", {})
        return {name: smallest(members.get(name, {"type": "string"}), text) for name in schema.get("required", members)}
    if kind == "array":
        return [smallest(schema.get("items", {"type": "string"}), text) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if kind == "string":
        return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), ".")
    return False if kind == "boolean" else None


def tokens(text: str) -> int:
    """Characters / 4, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


# --- embedding --------------------------------------------------------------------------------


def open_embedding(model: str, *, engine: str, settings: Settings) -> HashedEmbedding:
    """Open ``scripted:hash``, the only one."""
    if model != "hash":
        raise UnknownName(kind=Phrase("script.embedding"), value=f"{engine}:{model}", allowed=f"{engine}:hash")
    return HashedEmbedding(f"{engine}:{model}")


class HashedEmbedding:
    """Character n-grams (1 to 3 characters of NFKC lower-case text) hashed with CRC-32 into ``dim`` signed counts."""

    dim = 256

    def __init__(self, name: str) -> None:
        self.name = name

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        """Shape: ``(len(texts), dim)`` float32, rows of L2 norm 1. Queries and documents are treated alike."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            plain = f" {' '.join(unicodedata.normalize('NFKC', text).lower().split())} "
            for size in (1, 2, 3):
                for at in range(len(plain) - size + 1):
                    code = zlib.crc32(plain[at : at + size].encode("utf-8", "surrogatepass"))
                    row[code % self.dim] += 1.0 if code & 0x8000_0000 else -1.0
            length = np.linalg.norm(row)
            if length:
                row /= length
            else:
                row[0] = 1.0  # n-grams that cancel out; a vector of length 0 has no direction
        return vectors

    async def aclose(self) -> None:
        """Nothing is held."""
