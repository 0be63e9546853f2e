"""GGUF models in this process, through llama.cpp: ``gguf:/path/model.gguf``.

One llama.cpp engine per opened model, with continuous batching over its slots. A call holds one slot from its
first token read to its last token written; calls beyond the slots wait in ``local_queue``. The engine runs in
llama.cpp's own threads: one thread per call stands in its C++ function without the interpreter lock and hands
the chunks over to the caller's event loop.

Slots and context: up to ``SLOTS`` calls at once, each with a context of ``CONTEXT_TOKENS`` or what the model was
trained for if that is less; fewer slots when their caches would take more memory than the weights (and more than
``CACHE_FLOOR_BYTES``). A call with a seed starts from an empty cache, so that it can be repeated.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import secrets
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import DEFAULT_OPTIONS
from core.errors import (
    BadRequest,
    ConfigurationError,
    ContextTooLong,
    ProviderError,
    ServerFailed,
    StreamInterrupted,
    TimedOut,
    TouchstoneError,
    Unsupported,
)
from core.providers.gguf_file import GgufHeader, damaged, read_header
from core.providers.local_queue import QUEUE
from core.settings import Settings
from core.types import (
    Capabilities,
    Completion,
    Deadlines,
    Done,
    EmbeddingKind,
    Event,
    Image,
    Message,
    Options,
    Queued,
    ReasoningDelta,
    TextDelta,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    content_text,
)

if TYPE_CHECKING:
    import numpy as np

SLOTS = 8
CONTEXT_TOKENS = 4096
CACHE_FLOOR_BYTES = 1 << 30
BATCH_TOKENS = 256  # a prompt is read in steps of this size; a call can be cancelled between two steps
EMBEDDING_CONTEXT_TOKENS = 2048
PROMPT_CACHE_MIB = 256  # finished prompts llama.cpp keeps, so that a conversation's next turn reads only what is new


def open_chat(model: str, *, engine: str, settings: Settings) -> GgufChat:
    """Open the GGUF file ``model`` (absolute, with ``~``, or relative to the settings' folder) for chat."""
    path = model_path(model, settings)
    return GgufChat(read_header(path, f"{engine}:{model}"), provider=engine, model=model, deadlines=settings.deadlines)


def open_embedding(model: str, *, engine: str, settings: Settings) -> GgufEmbedding:
    path = model_path(model, settings)
    return GgufEmbedding(read_header(path, f"{engine}:{model}"), provider=engine, model=model)


def model_path(model: str, settings: Settings) -> Path:
    return settings.folder / Path(model).expanduser()


@dataclass(frozen=True, slots=True)
class Shape:
    """How an engine divides its memory: ``slots`` calls of ``context_tokens`` each."""

    slots: int
    context_tokens: int


def shape_of(header: GgufHeader, *, slots: int = SLOTS, context_tokens: int = CONTEXT_TOKENS) -> Shape:
    context = min(context_tokens, header.context_tokens or context_tokens)
    per_slot = max(1, header.cache_bytes_per_token * context)
    budget = max(CACHE_FLOOR_BYTES, header.size)
    return Shape(max(1, min(slots, budget // per_slot)), context)


def memory_of(header: GgufHeader) -> int:
    """Bytes an opened chat model takes: its weights and the caches of its slots."""
    shape = shape_of(header)
    return header.size + header.cache_bytes_per_token * shape.slots * shape.context_tokens


class Engine:
    """A llama.cpp server object, loaded at first use and shared by concurrent callers of any thread.

    Its own HTTP listener is bound to a socket file in a private folder and the file is removed at once, so
    nothing can connect to it; where socket files do not exist it listens on loopback behind a random key.
    """

    def __init__(
        self,
        header: GgufHeader,
        shape: Shape,
        configure: Callable[[Any, Any], None],
        check: Callable[[], None] | None = None,
    ) -> None:
        self.header, self.shape = header, shape
        self._configure, self._check = configure, check
        self._lock = threading.Lock()
        self._loading: Future[Any] | None = None
        _engines.add(self)

    async def server(self) -> Any:
        """The loaded ``xllamacpp.Server``.

        Raises:
            ConfigurationError: (reason ``bad_model_file``) llama.cpp could not load the file.
        """
        with self._lock:
            if self._loading is None:
                self._loading = Future()
                self._loading.set_running_or_notify_cancel()
                threading.Thread(target=self._load, args=(self._loading,), name="touchstone-gguf-load").start()
            loading = self._loading
        return await asyncio.shield(asyncio.wrap_future(loading))

    def release(self) -> None:
        """Free the memory; a call under way keeps it until it ends. The next use loads again."""
        with self._lock:
            self._loading = None

    def _load(self, loading: Future[Any]) -> None:
        try:
            server = self._open()
        except (TouchstoneError, ImportError, OSError, MemoryError) as error:  # raised again where the callers wait
            with self._lock:
                if self._loading is loading:
                    self._loading = None
            loading.set_exception(error)
        else:
            loading.set_result(server)

    def _open(self) -> Any:
        import xllamacpp

        if self._check is not None:
            self._check()
        params = xllamacpp.CommonParams()
        params.model.path = str(self.header.path)
        params.n_parallel = self.shape.slots
        params.n_ctx = self.shape.slots * self.shape.context_tokens
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cache_ram_mib = PROMPT_CACHE_MIB
        params.verbosity = -1
        params.n_threads_http = 1
        params.ui = False
        params.endpoint_slots = False
        params.api_keys = [secrets.token_hex(32)]
        self._configure(params, xllamacpp)
        with tempfile.TemporaryDirectory(prefix="touchstone-") as private:
            if os.name == "posix":
                params.hostnames = [os.path.join(private, "s.sock")]
            try:
                return xllamacpp.Server(params)
            except RuntimeError as error:
                raise damaged(
                    self.header.path, "llama.cpp could not load it; too little memory, or an unknown architecture"
                ) from error


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def _release_all() -> None:
    """Stop llama.cpp's threads before the interpreter takes its modules apart."""
    for engine in list(_engines):
        engine.release()


class Call:
    """One request inside llama.cpp: a thread that stands in its function, and the chunks it has handed over."""

    def __init__(self, server: Any, body: Mapping[str, Any], done: Callable[[], None]) -> None:
        self._server: Any = server
        self._body = json.dumps(body).encode()
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._chunks: deque[bytes | BaseException | None] = deque()  # None: llama.cpp's function has returned
        self._told = False
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="touchstone-gguf").start()

    def stop(self) -> None:
        """Make llama.cpp drop the request at its next token or prompt step."""
        self._stopped = True

    async def chunks(self) -> list[bytes | BaseException | None]:
        """Wait for what came since the last time."""
        await self._news.wait()
        self._news.clear()
        self._told = False
        batch = []
        while self._chunks:
            batch.append(self._chunks.popleft())
        return batch

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            self._server.handle_chat_completions(self._body, self._on_chunk)
        except (ValueError, RuntimeError, TypeError) as error:  # llama.cpp's refusals; told apart by the caller
            end = error
        finally:
            self._server = None  # the memory of an engine closed meanwhile is freed here
            self._done()
            self._hand_over(end)

    def _on_chunk(self, chunk: bytes) -> bool:
        """Called by llama.cpp for each chunk; True ends the request."""
        self._hand_over(chunk)
        return self._stopped or not threading.main_thread().is_alive()

    def _hand_over(self, item: bytes | BaseException | None) -> None:
        """Wake the event loop once for everything that has gathered, not once per token."""
        self._chunks.append(item)
        if not self._told:
            self._told = True
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the event loop was closed: nobody listens any more
                self._stopped = True


class GgufChat:
    """A chat model in this process. Capabilities follow from the file: tools only where its template has them."""

    def __init__(
        self,
        header: GgufHeader,
        *,
        provider: str,
        model: str,
        deadlines: Deadlines,
        grounded: bool = True,
        check: Callable[[], None] | None = None,
    ) -> None:
        if header.chat_template is None:
            raise ConfigurationError(reason="no_chat_template", path=str(header.path))
        self.name = f"{provider}:{model}"
        self.engine = Engine(header, shape_of(header), _configure_chat, check)
        self.capabilities = Capabilities(
            tools="tools" in header.chat_template,
            schema=True,
            logprobs=True,
            usage=True,
            grounded=grounded,
            context_tokens=self.engine.shape.context_tokens,
        )
        self._provider, self._model, self._deadlines = provider, model, deadlines

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        clock = Clock(options.deadlines or self._deadlines, self._provider, self._model)
        body = self._body(messages, options)
        ticket = QUEUE.enter(self.name, slots=self.engine.shape.slots, provider=self._provider)
        call: Call | None = None
        try:
            while (position := await clock.wait(ticket.next_position())) is not None:
                yield Queued(position)
            queued_s = clock.elapsed()
            server = await clock.wait(self.engine.server())
            answer = Answer(self._provider, self._model)
            call = Call(server, body, ticket.leave)
            del server
            call.start()
            while not answer.ended:
                for chunk in await clock.wait(call.chunks(), answer.text):
                    for event in answer.take(chunk):
                        clock.alive()
                        if options.stream:
                            yield event
            yield Done(answer.completion(clock, queued_s))
        finally:
            if call is None:
                ticket.leave()
            else:
                call.stop()

    async def aclose(self) -> None:
        self.engine.release()

    def _body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        if any(isinstance(part, Image) for m in messages if not isinstance(m.content, str) for part in m.content):
            raise self._unsupported("images")
        if options.tools and not self.capabilities.tools:
            raise self._unsupported("tools")
        body: dict[str, Any] = {
            "messages": [_wire_message(m) for m in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "cache_prompt": options.seed is None,
        }
        given = {
            "temperature": options.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
            "seed": options.seed,
            "stop": list(options.stop) or None,
        }
        body.update({key: value for key, value in given.items() if value is not None})
        if options.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": dict(t.parameters)},
                }
                for t in options.tools
            ]
            if options.tool_choice in ("auto", "none", "required"):
                body["tool_choice"] = options.tool_choice
            elif options.tool_choice:
                body["tool_choice"] = {"type": "function", "function": {"name": options.tool_choice}}
        if options.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(options.schema)},
            }
        if options.top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": options.top_logprobs}
        return body | dict(options.extra)

    def _unsupported(self, feature: str) -> Unsupported:
        return Unsupported(provider=self._provider, model=self._model, feature=feature)


def _configure_chat(params: Any, xllamacpp: Any) -> None:
    params.warmup = False


def readable(text: str) -> str:
    """``text`` as valid Unicode without NUL, which C strings end at."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def _wire_message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": readable(content_text(message.content))}
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


class Clock:
    """Holds a call to its deadlines: the first token, the pause between two, the whole."""

    def __init__(self, deadlines: Deadlines, provider: str, model: str) -> None:
        self._deadlines, self._provider, self._model = deadlines, provider, model
        self.started = time.perf_counter()
        self.first_token_s: float | None = None
        self._last: float | None = None

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def alive(self) -> None:
        """A piece of the answer has come."""
        self._last = self.elapsed()
        if self.first_token_s is None:
            self.first_token_s = self._last

    async def wait(self, what: Any, partial: str = "") -> Any:
        """``await what``, or raise ``TimedOut`` (``StreamInterrupted`` when a begun answer stalls)."""
        limits = self._deadlines
        phase, at, after_s = "first_token", limits.first_token_s, limits.first_token_s
        if self._last is not None:
            phase, at, after_s = "idle", self._last + limits.idle_s, limits.idle_s
        if at > limits.total_s:
            phase, at, after_s = "total", limits.total_s, limits.total_s
        try:
            async with asyncio.timeout(at - self.elapsed()):
                return await what
        except TimeoutError as error:
            if phase == "idle" and partial:
                raise StreamInterrupted(
                    partial=partial, provider=self._provider, model=self._model, detail=f"nothing came for {after_s} s"
                ) from error
            raise TimedOut(provider=self._provider, model=self._model, phase=phase, after_s=after_s) from error


class Answer:
    """Gathers llama.cpp's chunks (of the OpenAI form) into events and the completion."""

    def __init__(self, provider: str, model: str) -> None:
        self._provider, self._model = provider, model
        self._pieces: list[str] = []
        self._reasoning: list[str] = []
        self._tools: dict[int, dict[str, str]] = {}
        self._logprobs: list[TokenLogprob] = []
        self._finish: str | None = None
        self._last: dict[str, Any] = {}
        self.ended = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def take(self, chunk: bytes | BaseException | None) -> list[Event]:
        """The events of one chunk; raises the typed error when it carries one."""
        if chunk is None:
            if self._finish is None:
                raise self._broken("llama.cpp ended without a finish reason")
            self.ended = True
            return []
        if isinstance(chunk, BaseException):
            raise self._refused(400 if isinstance(chunk, ValueError) else 500, "", str(chunk)) from chunk
        data = json.loads(chunk)
        if "error" in data:
            error = data["error"]
            raise self._refused(error.get("code", 500), error.get("type", ""), error.get("message", ""))
        self._last = {**self._last, **data}
        events: list[Event] = []
        for choice in data.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("reasoning_content"):
                self._reasoning.append(delta["reasoning_content"])
                events.append(ReasoningDelta(delta["reasoning_content"]))
            if delta.get("content"):
                self._pieces.append(delta["content"])
                events.append(TextDelta(delta["content"]))
            for piece in delta.get("tool_calls") or ():
                events.append(self._tool_piece(piece))
            for item in (choice.get("logprobs") or {}).get("content") or ():
                top = tuple((t["token"], t["logprob"]) for t in item.get("top_logprobs") or ())
                self._logprobs.append(TokenLogprob(item["token"], item["logprob"], top))
            self._finish = choice.get("finish_reason") or self._finish
        return events

    def completion(self, clock: Clock, queued_s: float) -> Completion:
        usage = self._last.get("usage") or {}
        return Completion(
            text=self.text,
            model=self._model,
            provider=self._provider,
            finish_reason=self._finish,  # type: ignore[arg-type]
            reasoning="".join(self._reasoning) or None,
            tool_calls=tuple(ToolCall(**self._tools[i]) for i in sorted(self._tools)),
            usage=Usage(
                usage.get("prompt_tokens"),
                usage.get("completion_tokens"),
                (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            ),
            timings=Timings(clock.first_token_s, clock.elapsed(), queued_s),
            request_id=self._last.get("id"),
            logprobs=tuple(self._logprobs),
            raw=self._last,
        )

    def _tool_piece(self, piece: Mapping[str, Any]) -> ToolCallDelta:
        index, function = piece.get("index", 0), piece.get("function") or {}
        call = self._tools.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] = piece.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""
        return ToolCallDelta(index, function.get("arguments") or "", piece.get("id"), function.get("name"))

    def _refused(self, status: int, kind: str, detail: str) -> ProviderError:
        if self._pieces:
            return self._broken(detail)
        where: dict[str, Any] = {"provider": self._provider, "model": self._model, "status": status, "detail": detail}
        if kind == "exceed_context_size_error":
            return ContextTooLong(**where)
        return BadRequest(**where) if status < 500 else ServerFailed(**where)

    def _broken(self, detail: str) -> StreamInterrupted:
        return StreamInterrupted(partial=self.text, provider=self._provider, model=self._model, detail=detail)


# --- embeddings ---------------------------------------------------------------------------------

# what a model family was trained to read before a query and before a document; found in the file's own name
PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("e5", "query: ", "passage: "),
    ("nomic-embed", "search_query: ", "search_document: "),
    ("embeddinggemma", "task: search result | query: ", "title: none | text: "),
    ("qwen3-embedding", "Instruct: Given a search query, retrieve relevant passages that answer it\nQuery: ", ""),
    ("bge-large-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    ("bge-base-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    ("bge-small-zh", "为这个句子生成表示以用于检索相关文章：", ""),
)


class GgufEmbedding:
    """An embedding model in this process; a text longer than its context is read up to there.

    Pooling is what the file says; a file that says nothing (a chat model) is pooled by the mean.
    """

    def __init__(self, header: GgufHeader, *, provider: str, model: str) -> None:
        if not header.embedding_length:
            raise damaged(header.path, "it has no embedding length")
        self.name = f"{provider}:{model}"
        self.dim = int(header.embedding_length)
        shape = shape_of(header, context_tokens=EMBEDDING_CONTEXT_TOKENS)
        self.engine = Engine(header, shape, self._configure)
        self._provider, self._model = provider, model
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="touchstone-gguf-embed")
        title = f"{header.values.get('general.name', '')} {header.path.stem}".lower().replace(" ", "-")
        self._prefix = next(((q, d) for key, q, d in PREFIXES if key in title), ("", ""))

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        import numpy as np

        prefix = self._prefix[0 if kind == "query" else 1]
        rows = []
        slots = self.engine.shape.slots
        for start in range(0, len(texts), slots):
            ready = [prefix + readable(text) for text in texts[start : start + slots]]
            rows.append(await self._piece(ready, admitted=start > 0))
        if not rows:
            return np.zeros((0, self.dim), np.float32)
        return np.concatenate(rows)

    async def aclose(self) -> None:
        self.engine.release()

    def _configure(self, params: Any, xllamacpp: Any) -> None:
        params.embedding = True
        params.n_batch = params.n_ubatch = self.engine.shape.context_tokens
        params.warmup = False
        if self.engine.header.of_architecture("pooling_type") is None:
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN

    async def _piece(self, texts: list[str], *, admitted: bool) -> np.ndarray:
        server = await self.engine.server()
        ticket = QUEUE.enter(self.name, slots=1, provider=self._provider, admitted=admitted)
        return await ticket.run(self._executor, lambda: self._vectors(server, texts))

    def _vectors(self, server: Any, texts: list[str]) -> np.ndarray:
        import numpy as np

        limit = self.engine.shape.context_tokens
        texts = [text[: limit * 8] or " " for text in texts]
        while True:
            answer = server.handle_embeddings({"input": texts})
            error = answer.get("error")
            if error is None:
                break
            raise BadRequest(
                provider=self._provider, model=self._model, status=error.get("code"), detail=error.get("message")
            )
        vectors = np.asarray(
            [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])], np.float32
        )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, 1e-12)
