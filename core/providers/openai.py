"""Chat and embeddings of any service that speaks the OpenAI wire format.

One engine for all rows of ``core.providers.services``: OpenAI, DeepSeek, Qwen, GLM, Moonshot, Doubao,
SiliconFlow, OpenRouter, Ollama, vLLM, LM Studio, llama.cpp, and whatever ``touchstone.yaml`` adds.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.contracts import DEFAULT_OPTIONS
from core.errors import InvalidResponse
from core.i18n import Phrase
from core.providers.endpoint import Endpoint, open_endpoint
from core.providers.model_options import dimension, split_options
from core.providers.reply import Reply
from core.providers.request import chat_request, refuse_unsupported, to_json
from core.providers.retry import Retrying, RetryingEmbedding, retrying, retrying_embedding
from core.settings import Settings
from core.types import (
    Capabilities,
    Deadlines,
    Done,
    EmbeddingKind,
    Event,
    Message,
    Options,
    Timings,
)

if TYPE_CHECKING:
    import numpy as np

AFTER_FINISH_S = 5.0  # how long the usage and [DONE] may take once the finish reason is there
BATCH = 64  # texts in one embeddings request
PARALLEL = 4  # embeddings requests at a time

CAPABILITIES = Capabilities(tools=True, schema=True, images=True, logprobs=True, usage=True, reasoning=True)
_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}


def open_chat(model: str, *, engine: str, settings: Settings) -> Retrying:
    """Open the chat model ``model`` of the service ``engine``, with retries.

    Raises:
        ConfigurationError: no key, no usable base URL, or the SDK is not installed.
    """
    endpoint = open_endpoint(engine, settings)
    able = replace(CAPABILITIES, **dict.fromkeys(endpoint.lacks, False))
    return retrying(OpenAIChat(endpoint, model, deadlines=settings.deadlines, capabilities=able), settings)


def open_embedding(model: str, *, engine: str, settings: Settings) -> RetryingEmbedding:
    """Open the embedding model ``model`` of the service ``engine``, with retries.

    ``MODEL?dim=256`` asks for shorter vectors, where the service can make them.
    """
    bare, options = split_options(model, ("dim",), f"{engine}:{model}")
    dim = dimension(options, f"{engine}:{model}")
    opened = OpenAIEmbedding(open_endpoint(engine, settings), bare, deadlines=settings.deadlines, dim=dim)
    return retrying_embedding(opened, settings)


async def list_models(engine: str, settings: Settings) -> list[str]:
    """The names of the models that the service ``engine`` offers, sorted.

    Raises:
        ProviderError, ConfigurationError: as for a chat.
    """
    return sorted({str(row["id"]) for row in await model_rows(engine, settings)})


async def model_rows(engine: str, settings: Settings) -> list[Mapping[str, Any]]:
    """The models that the service ``engine`` offers, as it describes them (GET /models); each has an ``id``.

    Raises:
        ProviderError, ConfigurationError: as for a chat.
    """
    endpoint, deadlines = open_endpoint(engine, settings), settings.deadlines
    until = asyncio.get_running_loop().time() + deadlines.first_token_s
    try:
        response = await endpoint.send(
            "GET", "/models", model=None, deadlines=deadlines, until=until, phase="first_token"
        )
        reply = Reply(endpoint, None, deadlines, response)
        try:
            found = await reply.whole(until, "first_token")
            rows = found["data"] if isinstance(found, Mapping) else found
            return [row for row in rows if row["id"]]
        except (KeyError, TypeError) as error:
            raise reply.invalid() from error
        finally:
            reply.close()
    finally:
        await endpoint.aclose()


class OpenAIChat:
    """One model of one service. Holds no state of a call; many calls may run at once, in several loops."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        deadlines: Deadlines | None = None,
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        self.name = f"{endpoint.name}:{model}"
        self.capabilities = capabilities
        self._endpoint = endpoint
        self._model = model
        self._deadlines = deadlines or Deadlines()

    async def stream(
        self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Event, None]:
        endpoint, model = self._endpoint, self._model
        refuse_unsupported(messages, options, self.capabilities, provider=endpoint.name, model=model)
        content = chat_request(model, messages, options, official=endpoint.official)
        deadlines = options.deadlines or self._deadlines
        clock = asyncio.get_running_loop().time
        started = clock()
        total_at = started + deadlines.total_s
        until, phase = total_at, "total"
        if options.stream and deadlines.first_token_s < deadlines.total_s:
            until, phase = started + deadlines.first_token_s, "first_token"
        response = await endpoint.send(
            "POST", "/chat/completions", content, model=model, deadlines=deadlines, until=until, phase=phase
        )
        reply = Reply(endpoint, model, deadlines, response)
        answer, out = reply.answer, reply.out
        first_token_s: float | None = None
        try:
            data = await reply.read(until, phase)
            if options.stream and reply.is_event_stream():
                while True:
                    ended = reply.take(data)
                    if out:
                        if first_token_s is None:
                            first_token_s = clock() - started
                        for event in out:
                            yield event
                        out.clear()
                    if ended:
                        break
                    if reply.moved and (answer.shown or answer.finished):
                        phase = "finish" if answer.finished else "idle"
                        until = clock() + (AFTER_FINISH_S if answer.finished else deadlines.idle_s)
                        if until > total_at:
                            until, phase = total_at, phase if answer.finished else "total"
                    data = await reply.read(until, phase)
                reply.check_end()
            else:
                reply.fold_whole(await reply.whole(total_at, "total", data))
                if options.stream:
                    first_token_s = clock() - started
                    for event in out:
                        yield event
            timings = Timings(first_token_s, clock() - started)
            yield Done(
                answer.completion(model=model, provider=endpoint.name, request_id=reply.request_id, timings=timings)
            )
        finally:
            reply.close()

    async def aclose(self) -> None:
        await self._endpoint.aclose()


class OpenAIEmbedding:
    """An embedding model of one service.

    ``dim`` is known for OpenAI's own models and after the first call; before that it is 0. ``kind`` makes no
    difference: the wire format has no field for it.
    """

    def __init__(
        self, endpoint: Endpoint, model: str, *, deadlines: Deadlines | None = None, dim: int | None = None
    ) -> None:
        self.name = f"{endpoint.name}:{model}" + (f"?dim={dim}" if dim else "")
        self.dim = dim or _DIMENSIONS.get(model, 0)
        self._asked = {"dimensions": dim} if dim else {}
        self._endpoint = endpoint
        self._model = model
        self._deadlines = deadlines or Deadlines()

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        import numpy as np

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        batches = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        turn = asyncio.Semaphore(PARALLEL)

        async def one(batch: Sequence[str]) -> np.ndarray:
            async with turn:
                return await self._embed_batch(batch)

        tasks = [asyncio.ensure_future(one(batch)) for batch in batches]
        try:
            vectors = np.concatenate(await asyncio.gather(*tasks))
        except ValueError as error:  # from concatenate
            raise InvalidResponse(
                provider=self._endpoint.name, model=self._model, detail=Phrase("wire.vectors")
            ) from error
        finally:
            for task in tasks:
                task.cancel()
        self.dim = vectors.shape[1]
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms == 0.0, 1.0, norms)

    async def _embed_batch(self, texts: Sequence[str]) -> np.ndarray:
        """One request. Shape: ``(len(texts), dim)`` float32, as sent, in the order of ``texts``."""
        endpoint, deadlines = self._endpoint, self._deadlines
        until = asyncio.get_running_loop().time() + deadlines.total_s
        body = {
            "model": self._model,
            "input": [text or " " for text in texts],  # an empty string is refused by most services
            "encoding_format": "base64" if endpoint.official else "float",
            **self._asked,
        }
        response = await endpoint.send(
            "POST", "/embeddings", to_json(body), model=self._model, deadlines=deadlines, until=until, phase="total"
        )
        reply = Reply(endpoint, self._model, deadlines, response)
        try:
            return _vectors(await reply.whole(until, "total"), len(texts))
        except (ValueError, KeyError, TypeError) as error:
            raise reply.invalid() from error
        finally:
            reply.close()

    async def aclose(self) -> None:
        await self._endpoint.aclose()


def _vectors(sent: Any, count: int) -> np.ndarray:
    """The vectors of a response by their index, whether sent as numbers or as base64 of float32."""
    import numpy as np

    rows: list[np.ndarray | None] = [None] * count
    for place, item in enumerate(sent["data"]):
        vector = item["embedding"]
        if isinstance(vector, str):
            row = np.frombuffer(base64.b64decode(vector), "<f4")
        else:
            row = np.asarray(vector, np.float32)
        if row.ndim != 1 or not row.size or not np.isfinite(row).all():
            raise ValueError("not a vector")
        index = item.get("index", place)
        if not 0 <= index < count:
            raise ValueError(f"vector {index} of {count}")
        rows[index] = row
    found = [row for row in rows if row is not None]
    if len(found) != count:
        raise ValueError(f"{len(found)} vectors for {count} texts")
    return np.stack(found)
