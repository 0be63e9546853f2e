"""Names to models: a table of lazy import paths.

A name is ``engine:model``, split at the first colon. An engine is a row here, a service row (OpenAI wire
format) or an entry point of group ``touchstone.providers``. Each path names a callable
``open(model, *, engine, settings) -> model``; nothing is imported before a name is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.errors import MissingPackage, UnknownName
from core.providers.services import services
from core.settings import Settings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True)
class Engine:
    """A row: where each kind of model is opened, and the package it needs with the command to install it."""

    name: str
    chat: str | None = None
    embedding: str | None = None
    rerank: str | None = None
    decisions: str | None = None
    systemone: str | None = None
    pipeline: str | None = None
    package: str | None = None
    install: str = 'pip install "touchstone-llm"'
    about: str = ""


ENGINES: dict[str, Engine] = {
    row.name: row
    for row in (
        Engine("openai", "core.providers.openai:open_chat", "core.providers.openai:open_embedding", "core.providers.openai_rerank:open_reranker", "core.providers.decision_models:open_decisions", "core.providers.decision_models:open_system_one", package="openai", about="OpenAI wire format"),
        Engine("gguf", "core.providers.gguf:open_chat", "core.providers.gguf:open_embedding", "core.providers.gguf_rerank:open_reranker", package="xllamacpp", about="a GGUF file in this process, through llama.cpp"),
        Engine("transformers", "core.providers.transformers:open_chat", pipeline="core.providers.decision_models:open_pipeline", package="transformers", install='pip install "touchstone-llm[local]"', about="a chat model in this process, through torch: hub id, folder or GGUF file"),
        Engine("embedded", "core.providers.embedded:open_chat", "core.providers.embedded:open_embedding", "core.retrieval.lexical:open_reranker", about="models that come with the install"),
        Engine("sentence-transformers", None, "core.providers.sentence_transformers:open_embedding", "core.providers.sentence_transformers:open_reranker", package="sentence_transformers", install='pip install "touchstone-llm[local]"', about="embedders and cross-encoders, through torch"),
        Engine("langchain", "core.providers.langchain:open_chat", "core.providers.langchain:open_embedding", package="langchain", about="any chat or embedding model of LangChain"),
        Engine("decision", rerank="core.providers.decision_rerank:open_reranker", about="a chat model's decisions, as a reranker"),
        Engine("symmetric", embedding="core.providers.symmetric:open_embedding", about="an embedding model for documents that are queries themselves"),
        Engine("trained", "core.training.serving:open_chat", "core.training.serving:open_embedding", "core.training.serving:open_reranker", decisions="core.training.serving:open_decisions", about="what `touchstone train` made and you promoted"),
        Engine("scripted", "core.providers.scripted:open_chat", "core.providers.scripted:open_embedding", about="answers and faults from a file, for tests and demos"),
    )
}  # fmt: skip


def engines() -> dict[str, Engine]:
    """The table with entry points of other packages added."""
    found = dict(ENGINES)
    for point in _plugins():
        found.setdefault(
            point.name,
            Engine(point.name, chat=point.value, embedding=point.value, about=point.dist.name if point.dist else ""),
        )
    return found


@cache
def _plugins() -> tuple[EntryPoint, ...]:
    """Read once per process: finding entry points reads a file of every installed package."""
    from importlib.metadata import entry_points  # half of what importing the runtime would cost

    return tuple(entry_points(group="touchstone.providers"))


def split_name(name: str, settings: Settings) -> tuple[Engine, str, str]:
    """``(engine row, the engine or service as named, model)`` of ``engine:model``.

    Raises:
        UnknownName: no such engine or service, or no model after the colon.
    """
    table, rows = engines(), services(settings)
    prefix, colon, model = name.partition(":")
    if prefix in rows:
        engine = ENGINES["openai"]
    elif prefix in table:
        engine = table[prefix]
    else:
        allowed = ", ".join(f"{n}:…" for n in dict.fromkeys([*table, *rows]))
        raise UnknownName(kind="engine", value=prefix, allowed=allowed)
    if not colon or not model:
        raise UnknownName(kind="model", value=name, allowed=f"{prefix}:MODEL")
    return engine, prefix, model


def open_model(kind: str, name: str, settings: Settings) -> Any:
    """Open the ``kind`` of model called ``name``: chat, embedding, rerank, or a way to decide (decisions, systemone,
    pipeline).

    Raises:
        ConfigurationError: unknown name, missing key, package or file.
    """
    engine, prefix, model = split_name(name, settings)
    path = getattr(engine, kind)
    if path is None:
        able = ", ".join(f"{n}:…" for n, row in engines().items() if getattr(row, kind))
        raise UnknownName(kind=f"{kind} model", value=name, allowed=able or "none")
    return _load(path, engine)(model, engine=prefix, settings=settings)


def _load(path: str, engine: Engine) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] in ("core", "apps"):
            raise
        raise MissingPackage(package=error.name, needed_for=f"{engine.name}:…", install=engine.install) from error
