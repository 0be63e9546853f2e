"""GGUF models in this process, through llama.cpp: ``gguf:/path/model.gguf``.

A chat model answers up to ``local.slots`` calls at once by continuous batching; calls beyond them wait in
``local_queue``. Requests and answers have the OpenAI form, so ``request``, ``wire`` and ``refusals`` are shared
with the HTTP engine. What a slot has read is kept for the next prompt that begins alike; on a graphics card that can
change the last digits of a probability, and ``extra={"cache_prompt": False}`` turns it off where a seed must repeat an
answer to the letter.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import DEFAULT_OPTIONS
from core.errors import ConfigurationError, InvalidResponse, ProviderError, StreamInterrupted, code_of
from core.i18n import Phrase
from core.providers.deadlines import Clock
from core.providers.gguf_file import GgufHeader, damaged, read_header
from core.providers.llama import Call, Engine, plan_of, shape_of
from core.providers.llama_trial import try_model
from core.providers.local_queue import QUEUE
from core.providers.refusals import refused, refused_inside
from core.providers.request import chat_request, refuse_unsupported, to_json
from core.providers.wire import Answer, BrokenWire, ErrorSent, parse_json
from core.settings import Settings
from core.types import Capabilities, Done, EmbeddingKind, Event, Message, Options, Queued, Timings

if TYPE_CHECKING:
    import numpy as np

CONTEXT_TOKENS = 4096  # of a chat call, where the settings choose nothing
EMBEDDING_CONTEXT_TOKENS = 2048
QUERY, DOCUMENT = 0, 1  # priorities of embeddings: a question does not wait behind an upload


def open_chat(model: str, *, engine: str, settings: Settings) -> GgufChat:
    """Open the GGUF file ``model`` (an absolute path, one with ``~``, or one relative to the settings' folder).

    Raises:
        ConfigurationError: no such file, not a whole GGUF file, or one without a chat template.
    """
    header = read_header(model_path(model, settings), f"{engine}:{model}")
    return GgufChat(header, provider=engine, model=model, settings=settings)


def open_embedding(model: str, *, engine: str, settings: Settings) -> GgufEmbedding:
    """Open the GGUF file ``model`` for embeddings."""
    header = read_header(model_path(model, settings), f"{engine}:{model}")
    return GgufEmbedding(header, provider=engine, model=model, settings=settings)


def model_path(model: str, settings: Settings) -> Path:
    return settings.folder / Path(model).expanduser()


def memory_of(header: GgufHeader, settings: Settings, *, context_tokens: int = CONTEXT_TOKENS) -> int:
    """Bytes an opened chat model takes: its weights and the caches of its slots."""
    shape = shape_of(header, **_wishes(settings, context_tokens))
    return header.size + header.cache_bytes_per_token * shape.slots * shape.context_tokens


def _wishes(settings: Settings, context_tokens: int) -> dict[str, int]:
    return {
        "slots": settings.values["local.slots"],
        "context_tokens": settings.values["local.context_tokens"] or context_tokens,
    }


class GgufChat:
    """A chat model in this process.

    ``capabilities`` follow from the file: tools only where its chat template knows them. No file says whether its
    model is wise enough to answer from sources, so ``grounded`` is the opener's word. ``check`` replaces the trial in
    a child process that a file goes through before its first use.
    """

    def __init__(
        self,
        header: GgufHeader,
        *,
        provider: str,
        model: str,
        settings: Settings,
        grounded: bool = True,
        context_tokens: int = CONTEXT_TOKENS,
        check: Callable[[], None] | None = None,
    ) -> None:
        if header.chat_template is None:
            raise ConfigurationError(reason="no_chat_template", path=str(header.path))
        self.name = f"{provider}:{model}"
        self.shape = shape_of(header, **_wishes(settings, context_tokens))
        plan = plan_of(header, self.shape, threads=settings.values["local.threads"])
        self.engine = Engine(header, plan, check=check or partial(try_model, header.path, plan, settings.home))
        self.capabilities = Capabilities(
            tools=bool(re.search(r"\btools\b", header.chat_template)),
            schema=True,
            logprobs=True,
            usage=True,
            reasoning="<think>" in header.chat_template,
            grounded=grounded,
            context_tokens=self.shape.context_tokens,
        )
        self._provider, self._model, self._deadlines = provider, model, settings.deadlines

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        provider, model = self._provider, self._model
        refuse_unsupported(messages, options, self.capabilities, provider=provider, model=model)
        body = self._body(messages, options)
        clock = Clock(options.deadlines or self._deadlines, provider, model, pieces=options.stream)
        ticket = QUEUE.enter(self.name, slots=self.shape.slots, provider=provider)
        call: Call | None = None
        try:
            while (position := await clock.wait(ticket.next_position())) is not None:
                yield Queued(position)
            queued_s = clock.elapsed()
            call = Call(await clock.wait(self.engine.server()), body, ticket.leave)
            call.start()
            answer, out = Answer(), list[Event]()
            ended = shown = False
            while not ended:
                for item in await clock.wait(call.chunks(), answer.text if shown else None):
                    ended = self._fold(item, answer, out, shown)
                    if out:
                        clock.arrived()
                        if options.stream:
                            shown = True
                            for event in out:
                                yield event
                        out.clear()
                        clock.given()
            timings = Timings(clock.first_token_s, clock.elapsed(), queued_s)
            yield Done(
                answer.completion(model=model, provider=provider, request_id=answer.raw.get("id"), timings=timings)
            )
        finally:
            if call is None:
                ticket.leave()
            else:
                call.stop()

    async def aclose(self) -> None:
        self.engine.release()

    def _body(self, messages: Sequence[Message], options: Options) -> bytes:
        extra = {"return_progress": True, **options.extra}
        return chat_request(self._model, messages, replace(options, stream=True, extra=extra))

    def _fold(self, item: bytes | BaseException | None, answer: Answer, out: list[Event], shown: bool) -> bool:
        """Take one item of the call; return whether it was the last.

        Raises:
            ProviderError: llama.cpp refused the request, or ended without a finish reason.
        """
        provider, model = self._provider, self._model
        error: ProviderError
        if isinstance(item, BaseException):
            error = refused(400 if isinstance(item, ValueError) else 500, str(item), provider=provider, model=model)
        elif item is None:
            if answer.finished:
                return True
            error = self._interrupted(answer, Phrase("local.no_finish"))
        else:
            try:
                answer.fold(parse_json(item), out)
                return False
            except ErrorSent as sent:
                error = refused_inside(sent.body, provider=provider, model=model, request_id=None)
            except BrokenWire as broken:
                error = InvalidResponse(provider=provider, model=model, detail=str(broken))
        if shown and not isinstance(error, StreamInterrupted):
            raise self._interrupted(answer, Phrase(f"error.{code_of(error)}", **error.params)) from error
        raise error

    def _interrupted(self, answer: Answer, detail: Phrase) -> StreamInterrupted:
        return StreamInterrupted(partial=answer.text, provider=self._provider, model=self._model, detail=detail)


# --- embeddings -------------------------------------------------------------------------------

# What a family of models was trained to read before a query and before a document. Source: their model cards.
PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("e5", "query: ", "passage: "),
    ("nomic-embed", "search_query: ", "search_document: "),
    ("embeddinggemma", "task: search result | query: ", "title: none | text: "),
    ("qwen3-embedding", "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:", ""),
    ("bge-large-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    ("bge-base-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    ("bge-small-zh", "为这个句子生成表示以用于检索相关文章：", ""),
)  # fmt: skip
_TOKENS = re.compile(r"\((\d+) tokens\)")
_SPECIAL_TOKENS = 8  # room for what the tokenizer adds to a text


class GgufEmbedding:
    """An embedding model in this process. Of a text longer than its context, the beginning is read.

    Prefixes for queries and documents are found by the model's name in ``PREFIXES``.
    """

    def __init__(self, header: GgufHeader, *, provider: str, model: str, settings: Settings) -> None:
        if not header.embedding_length:
            raise damaged(header.path, "no_embedding")
        self.name = f"{provider}:{model}"
        self.dim = int(header.embedding_length)
        self.shape = shape_of(header, **_wishes(settings, EMBEDDING_CONTEXT_TOKENS))
        plan = plan_of(header, self.shape, threads=settings.values["local.threads"], embedding=True)
        self.engine = Engine(header, plan, check=partial(try_model, header.path, plan, settings.home))
        self._provider, self._model = provider, model
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="touchstone-llama-embed")
        title = re.sub(r"[\s_]+", "-", f"{header.values.get('general.name', '')} {header.path.stem}".lower())
        self.prefixes = next(
            ((query, document) for family, query, document in PREFIXES if _names(family, title)), ("", "")
        )

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        import numpy as np

        priority = QUERY if kind == "query" else DOCUMENT
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for at in range(0, len(texts), self.shape.slots):
            piece = [self.prefixes[priority] + text for text in texts[at : at + self.shape.slots]]
            server = await self.engine.server()
            ticket = QUEUE.enter(self.name, slots=1, provider=self._provider, priority=priority, admitted=at > 0)
            work = _Piece(self, server, piece)
            del server
            vectors[at : at + len(piece)] = await ticket.run(self._executor, work)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms == 0.0, 1.0, norms)

    async def aclose(self) -> None:
        self.engine.release()

    def vectors(self, server: Any, texts: list[str]) -> list[list[float]]:
        """Ask llama.cpp. A text of as many bytes as the context has tokens may be too long: it is asked for alone."""
        limit = self.shape.context_tokens - _SPECIAL_TOKENS
        short = [text for text in texts if len(text.encode("utf-8", "replace")) <= limit]
        found = iter(self._ask(server, short) if short else ())
        return [
            next(found) if len(t.encode("utf-8", "replace")) <= limit else self._beginning(server, t) for t in texts
        ]

    def _beginning(self, server: Any, text: str) -> list[float]:
        limit = self.shape.context_tokens - _SPECIAL_TOKENS
        text = text[: limit * 8]
        while True:
            try:
                return self._ask(server, [text])[0]
            except ProviderError as error:
                tokens = _TOKENS.search(str(error.params.get("detail")))
                if tokens is None or int(tokens[1]) <= limit:
                    raise
                text = text[: int(len(text) * limit / int(tokens[1]) * 0.95)]

    def _ask(self, server: Any, texts: list[str]) -> list[list[float]]:
        known: dict[str, Any] = {"provider": self._provider, "model": self._model}
        try:
            sent = parse_json(server.handle_embeddings(to_json({"input": [text or " " for text in texts]})))
            rows = sorted(sent["data"], key=lambda row: row["index"]) if "data" in sent else None
        except (ValueError, RuntimeError) as error:
            raise refused(400, str(error), **known) from error
        if rows is None:
            raise refused(int(sent.get("error", {}).get("code", 500)), sent, **known)
        return [row["embedding"] for row in rows]


class _Piece:
    """A few texts to embed; holds the server, so that releasing the engine waits for it."""

    def __init__(self, model: GgufEmbedding, server: Any, texts: list[str]) -> None:
        self._model, self._server, self._texts = model, server, texts

    def __call__(self) -> list[list[float]]:
        server, self._server = self._server, None
        return self._model.vectors(server, self._texts)


def _names(family: str, title: str) -> bool:
    """Whether ``family`` stands in ``title`` as a name of its own: ``e5`` in multilingual-e5-small, not in re5."""
    return re.search(rf"(?<![a-z0-9]){re.escape(family)}(?![0-9])", title) is not None
