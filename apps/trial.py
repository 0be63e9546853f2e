"""Try a model with a short real question before it is used: what it answers, how fast, and what it can do."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from core.errors import StreamInterrupted, TimedOut
from core.prompts.library import library
from core.providers.registry import open_model, split_name
from core.providers.sync import iterate, run
from core.runtime import Runtime
from core.settings import Settings
from core.telemetry.ledger import Recorded, RecordedEmbedding, RecordedReranker
from core.telemetry.trace import trace
from core.types import Caller, Capabilities, Completion, Deadlines, Done, Options, TextDelta

DEADLINES = Deadlines(connect_s=5, first_token_s=60, idle_s=20, total_s=90)
ABLE = Options(max_tokens=256, deadlines=DEADLINES)  # it may think first
TINY = Options(max_tokens=48, temperature=0.0, deadlines=DEADLINES)  # it only proves that it runs
RELATED = ("商品签收后几天内可以退货？", "Items can be returned within a number of days after delivery.")
UNRELATED = "The kettle holds 1.7 liters."
LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class ChatTrial:
    """A reply with its timings, and what the model can do."""

    name: str
    completion: Completion
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class EmbeddingTrial:
    """``related`` is the cosine of a Chinese question and its English answer, ``unrelated`` of other text."""

    name: str
    dim: int
    total_s: float
    related: float
    unrelated: float


@dataclass(frozen=True, slots=True)
class RerankTrial:
    """Scores of the same two texts for the same question."""

    name: str
    total_s: float
    related: float
    unrelated: float


Trial = ChatTrial | EmbeddingTrial | RerankTrial


def try_chat(
    runtime: Runtime, name: str, settings: Settings, caller: Caller, language: str
) -> Generator[str | None, None, ChatTrial]:
    """Ask ``name`` under ``settings``, yielding the reply in pieces and ``None`` while nothing comes.

    A model that is not able to write from sources in both languages (``grounded``) is asked in English.

    Returns:
        The trial, as the generator's value.

    Raises:
        TouchstoneError: typed, as everywhere.
    """
    text = ""
    with _opened(runtime, "chat", name, settings) as model:
        able = model.capabilities.grounded
        prompt = library.get("hello_check")
        question = prompt.render(language=language if able else "en")
        with trace(caller=caller, prompt=prompt.ref):
            events = iterate(model.stream(question, ABLE if able else TINY), tick_s=0.25)
        with closing(events):
            for event in events:
                if event is None:
                    yield None
                elif isinstance(event, TextDelta):
                    text += event.text
                    yield event.text
                elif isinstance(event, Done):
                    if not text and event.completion.text:  # an engine that answers in one piece
                        yield event.completion.text
                    return ChatTrial(name, event.completion, model.capabilities)
        provider, _, model_name = name.partition(":")
        raise StreamInterrupted(partial=text, provider=provider, model=model_name, detail="no Done event")


def try_embedding(runtime: Runtime, name: str, settings: Settings, caller: Caller) -> EmbeddingTrial:
    """Embed a Chinese question, its English answer and something else.

    Raises:
        TouchstoneError: typed; ``TimedOut`` after ``LIMIT_S``.
    """
    with _opened(runtime, "embedding", name, settings) as model, trace(caller=caller):
        started = time.perf_counter()
        query = run(model.embed([RELATED[0]], kind="query"), LIMIT_S)
        texts = run(model.embed([RELATED[1], UNRELATED], kind="document"), LIMIT_S)
        total_s = time.perf_counter() - started
    related, unrelated = (float(value) for value in (texts @ query[0]))
    return EmbeddingTrial(name, int(query.shape[1]), total_s, related, unrelated)


def try_rerank(runtime: Runtime, name: str, settings: Settings, caller: Caller) -> RerankTrial:
    """Score the same texts for the same question.

    Raises:
        TouchstoneError: typed; ``TimedOut`` after ``LIMIT_S``.
    """
    with _opened(runtime, "rerank", name, settings) as model, trace(caller=caller):
        started = time.perf_counter()
        scores = run(model.rerank(RELATED[0], [RELATED[1], UNRELATED]), LIMIT_S)
        total_s = time.perf_counter() - started
    return RerankTrial(name, total_s, float(scores[0]), float(scores[1]))


def offered(service: str, settings: Settings) -> Sequence[str]:
    """The models the server of ``service`` says it has.

    Raises:
        TouchstoneError: no key, no connection, or the server does not list its models.
    """
    from core.providers.openai import list_models

    return run(list_models(service, settings))


@contextmanager
def _opened(runtime: Runtime, kind: str, name: str, settings: Settings) -> Iterator[Any]:
    """The model, closed again afterwards; its calls are in the ledger.

    A model of this process that is in use already is the runtime's own: it is neither loaded twice nor closed.
    """
    engine, prefix, model_name = split_name(name, settings)
    in_use = {runtime.settings.model(role) for role in ROLES_OF[kind]}
    shared = engine.name == prefix != "openai" and name in in_use
    if shared:
        model: Any = {"chat": runtime.chat, "embedding": runtime.embedding, "rerank": runtime.reranker}[kind](name)
    else:
        model = open_model(kind, name, settings)
        if kind == "chat":
            model = Recorded(model, runtime.ledger)
        elif kind == "embedding":
            model = RecordedEmbedding(model, runtime.ledger)
        elif kind == "rerank":
            model = RecordedReranker(model, runtime.ledger)
    try:
        yield model
    except TimeoutError as error:
        raise TimedOut(provider=prefix, model=model_name, phase="total", after_s=LIMIT_S) from error
    finally:
        if not shared:
            run(model.aclose())


ROLES_OF = {"chat": ("chat", "judge"), "embedding": ("embedding",), "rerank": ("rerank",)}
