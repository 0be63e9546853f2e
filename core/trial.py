"""One short call to a model, to see that it answers: for ``touchstone init`` and the Models page."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass

from core.errors import InvalidResponse
from core.prompts.library import library
from core.providers.registry import open_model
from core.settings import Settings
from core.types import Capabilities, Done, Options, ReasoningDelta, TextDelta, Usage

MAX_TOKENS = 200  # enough for a sentence, also after some reasoning


@dataclass(frozen=True, slots=True)
class Trial:
    """What came back. Times are seconds from the call; ``dim`` is that of an embedding model."""

    model: str
    total_s: float
    reply: str = ""
    first_token_s: float | None = None
    usage: Usage | None = None
    capabilities: Capabilities | None = None
    dim: int | None = None


async def try_chat(name: str, settings: Settings, language: str = "en") -> Trial:
    """Say hello to the chat model ``name``; it is opened and closed for that.

    Raises:
        ConfigurationError, ProviderError: it cannot be opened, or does not answer.
    """
    model = open_model("chat", name, settings)
    try:
        messages = library.get("hello_check").render(language=language)
        started, first = time.perf_counter(), None
        async with aclosing(model.stream(messages, Options(max_tokens=MAX_TOKENS))) as events:
            async for event in events:
                if first is None and isinstance(event, TextDelta | ReasoningDelta):
                    first = time.perf_counter() - started
                if isinstance(event, Done):
                    done = event.completion
                    total = time.perf_counter() - started
                    reply = done.text.strip() or (done.reasoning or "").strip()
                    return Trial(name, total, reply, first, done.usage, model.capabilities)
        raise InvalidResponse(provider=name, detail="no Done event")
    finally:
        await model.aclose()


async def try_embedding(name: str, settings: Settings) -> Trial:
    """Embed two short texts with the model ``name``; it is opened and closed for that."""
    model = open_model("embedding", name, settings)
    try:
        started = time.perf_counter()
        vectors = await model.embed(["你好", "hello"], kind="query")
        return Trial(name, time.perf_counter() - started, dim=int(vectors.shape[1]))
    finally:
        await model.aclose()
