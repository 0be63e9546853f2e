"""``touchstone models``: which model answers for each role, and what else could."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Out, out_of, plain, table
from core.settings import ROLES, load_settings

if TYPE_CHECKING:
    from core.settings import Settings

ABILITIES = ("stream", "tools", "schema", "images", "logprobs", "usage", "reasoning", "grounded")


def models(
    service: Annotated[str | None, typer.Argument(help="cli.models.service", metavar="SERVICE")] = None,
    json: Json = False,
) -> None:
    settings = load_settings()
    out = out_of(settings, json)
    if service is None:
        overview(settings, out)
    else:
        offered(service, settings, out)


def overview(settings: Settings, out: Out) -> None:
    """Roles, engines and services; nothing is contacted."""
    from rich.text import Text

    roles = {role: role_state(role, settings, out) for role in ROLES}
    shown = table(out.t("models.role"), out.t("models.model"), out.t("models.ready"), out.t("models.abilities"))
    for role, state in roles.items():
        ready = (
            "–"
            if state["model"] is None
            else out.t("models.yes")
            if state["ready"]
            else plain(state["error"]["message"])
        )
        abilities = [out.t(f"models.ability.{name}") for name in ABILITIES if (state["capabilities"] or {}).get(name)]
        shown.add_row(
            out.t(f"role.{role}"),
            Text(plain(state["model"] or out.t("models.none"))),
            Text(ready),
            ", ".join(abilities),
        )
    out.show(shown)
    kinds = engine_rows(out)
    shown = table(out.t("models.engine"), out.t("models.about_engine"), out.t("models.kinds"), out.t("models.ready"))
    for row in kinds:
        able = ", ".join(out.t(f"role.{kind}") for kind in row["kinds"])
        shown.add_row(
            f"{row['name']}:…",
            Text(plain(row["about"])),
            able,
            out.t("models.yes") if row["ready"] else Text(plain(row["install"])),
        )
    out.show(shown)
    services = service_rows(settings)
    shown = table(
        out.t("models.service_name"),
        out.t("models.label"),
        out.t("models.base_url"),
        out.t("models.key"),
        out.t("models.example"),
    )
    for row in services:
        key = (
            out.t("models.no_key")
            if row["key_variable"] is None
            else out.t("models.key_set")
            if row["key_set"]
            else row["key_variable"]
        )
        shown.add_row(
            f"{row['name']}:…",
            Text(plain(row["label"])),
            Text(plain(row["base_url"])),
            key,
            Text(plain(", ".join(row["models"][:2]))),
        )
    out.show(shown)
    out.say(out.t("models.hint"))
    out.document({"roles": roles, "engines": kinds, "services": services})


def role_state(role: str, settings: Settings, out: Out) -> dict[str, Any]:
    """The model of ``role``, opened to see whether it can be; no server is contacted."""
    from core.errors import TouchstoneError
    from core.providers.registry import open_model
    from core.providers.sync import run

    name = settings.model(role)
    state: dict[str, Any] = {
        "model": name or None,
        "source": settings.sources.get(f"models.{role}"),
        "ready": False,
        "error": None,
        "capabilities": None,
    }
    if name:
        try:
            model = open_model("chat" if role == "judge" else role, name, settings)
            run(model.aclose())
            capabilities = getattr(model, "capabilities", None)
            state |= {"ready": True, "capabilities": asdict(capabilities) if capabilities else None}
        except TouchstoneError as error:
            state["error"] = error.as_dict(out.language)
    return state


def engine_rows(out: Out) -> list[dict[str, Any]]:
    from importlib.util import find_spec

    from core.providers.registry import engines

    rows = []
    for engine in engines().values():
        known = f"models.engines.{engine.name}"
        about = out.t(known)
        rows.append(
            {
                "name": engine.name,
                "about": engine.about if about == f"cli.{known}" else about,
                "kinds": [kind for kind in ("chat", "embedding", "rerank") if getattr(engine, kind)],
                "ready": engine.package is None or find_spec(engine.package) is not None,
                "install": engine.install,
            }
        )
    return rows


def service_rows(settings: Settings) -> list[dict[str, Any]]:
    from core.providers.services import services

    return [
        {
            "name": row.name,
            "label": row.label,
            "base_url": row.base_url,
            "key_variable": row.key_variable,
            "key_set": bool(row.key_variable and settings.get(row.key_variable)),
            "models": list(row.models),
            "embeddings": list(row.embeddings),
            "rerankers": list(row.rerankers),
        }
        for row in services(settings).values()
    ]


def offered(service: str, settings: Settings, out: Out) -> None:
    """What a server says it offers, asked now; of the embedded engine, what came with the install."""
    from core.errors import UnknownName
    from core.providers.services import services

    name = service.removesuffix(":…").removesuffix(":")
    if name == "embedded":
        from core.providers.embedded import CHAT, EMBEDDING, installed

        found = [*installed(CHAT), *installed(EMBEDDING)]
    elif name in services(settings):
        from core.providers.openai import list_models
        from core.providers.sync import run

        found = run(list_models(name, settings))
    else:
        allowed = ", ".join(["embedded", *services(settings)])
        raise UnknownName(kind="service", value=service, allowed=allowed)
    for model in found:
        out.say(f"{name}:{model}")
    if not found:
        out.note(out.t("models.empty"))
    out.document({"service": name, "models": found})
