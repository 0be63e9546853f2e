"""Which models there are to choose from, and how a choice is put into use and kept.

Plain Python: the Models page and the command line choose through the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.env_file import save_env
from core.errors import UnknownName
from core.providers.registry import engines, open_model
from core.providers.services import Service, services
from core.providers.sync import run
from core.runtime import Runtime
from core.settings import Settings, load_settings

KINDS = {"chat": "chat", "judge": "chat", "embedding": "embedding", "rerank": "rerank"}
OPTIONAL = ("rerank", "judge")
EXAMPLES: dict[tuple[str, str], tuple[str, ...]] = {
    ("sentence-transformers", "embedding"): (
        "BAAI/bge-m3",
        "Qwen/Qwen3-Embedding-0.6B",
        "intfloat/multilingual-e5-small",
    ),
    ("sentence-transformers", "rerank"): ("BAAI/bge-reranker-v2-m3", "Qwen/Qwen3-Reranker-0.6B"),
    ("langchain", "chat"): ("anthropic:claude-sonnet-4-5", "google_genai:gemini-2.5-flash"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider row for one role. ``service`` is ``None`` for an engine of this process."""

    id: str
    label: str
    models: tuple[str, ...] = ()
    service: Service | None = None


def variable_of(role: str) -> str:
    return f"TOUCHSTONE_{role.upper()}"


def choices(role: str, settings: Settings) -> tuple[Choice, ...]:
    """The providers that can serve ``role``: engines of this process first, then services."""
    kind = KINDS[role]
    local = [Choice(name, name, _suggestions(name, kind)) for name, row in engines().items() if getattr(row, kind)]
    rows = services(settings)
    if not any(choice.id == "openai" for choice in local):
        rows = {}  # services are reached through that engine, which cannot do this kind
    hosted = [
        Choice(name, row.label, {"embedding": row.embeddings, "rerank": row.rerankers}.get(kind, row.models), row)
        for name, row in rows.items()
    ]
    return tuple([choice for choice in local if choice.id not in rows] + hosted)


def _suggestions(engine: str, kind: str) -> tuple[str, ...]:
    if engine != "embedded":
        return EXAMPLES.get((engine, kind), ())
    from core.providers import embedded

    if kind == "rerank":
        return ("lexical",)
    return embedded.installed(embedded.EMBEDDING if kind == "embedding" else embedded.CHAT)


def variables(role: str, name: str, service: Service | None = None, *, url: str = "", key: str = "") -> dict[str, str]:
    """The environment variables that make ``name`` the model of ``role``, with the service's URL and key if given.

    Raises:
        UnknownName: no model is named where the role needs one.
    """
    if not name.partition(":")[2] and not (role in OPTIONAL and name == ""):
        raise UnknownName(kind="model", value=name, allowed="ENGINE:MODEL")
    return {variable_of(role): name, **access(service, url=url, key=key)}


def access(service: Service | None, *, url: str = "", key: str = "") -> dict[str, str]:
    """The variables that reach ``service`` at another ``url`` or with a ``key``; none for what is not given."""
    chosen: dict[str, str] = {}
    if service is not None and url and url.rstrip("/") != service.base_url.rstrip("/"):
        chosen[service.url_variable] = url
    if service is not None and key and service.key_variable:
        chosen[service.key_variable] = key
    return chosen


def use(runtime: Runtime, role: str, chosen: Mapping[str, str], *, keep: bool = False) -> Path | None:
    """Make ``chosen`` variables count for everybody from now on, and after a restart too with ``keep``.

    The model is opened first: on an error the models in use stay as they are and nothing is written.

    Returns:
        The ``.env`` written with ``keep``.

    Raises:
        TouchstoneError: the model cannot be opened, or ``.env`` cannot be written.
    """
    fresh = runtime.settings.with_values(**chosen)
    name = fresh.model(role)
    if name:
        run(open_model(KINDS[role], name, fresh).aclose())
    path = save_env(fresh.folder, {n: v or None for n, v in chosen.items()}) if keep else None
    runtime.reload(fresh)
    return path


def overruled(runtime: Runtime, chosen: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that will not have their chosen value after a restart, because the environment says otherwise."""
    later = load_settings(runtime.settings.folder)
    return tuple(name for name, value in chosen.items() if (later.get(name) or "") != value)
