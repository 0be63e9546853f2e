"""``touchstone train list | promote | rollback | shadow | export``: which version serves, and where a version goes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Out, out_of, plain, table
from apps.commands.train import Name, Number, app

if TYPE_CHECKING:
    from core.evaluation.gate import GateResult
    from core.training.store import Version


@app.command("list", cls=Command, help="cli.train.list.about")
def list_models(json: Json = False) -> None:
    from core.settings import load_settings
    from core.training.store import Trained

    settings = load_settings()
    out, store = out_of(settings, json), Trained(settings.home)
    shown = table(*(out.t(f"train.list.{name}") for name in ("name", "recipe", "base", "data", "made", "state")))
    told = []
    for name in store.names():
        serving = store.serving(name)
        for version in store.versions(name):
            run, state = version.run, _state(version, serving)
            at = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at))
            rows = str(sum(run.rows.values()))
            shown.add_row(plain(f"{name}@{run.version}"), run.recipe, plain(run.base or run.embedding), f"{plain(run.data)} ({rows})", at, out.t(f"train.state.{state}"))  # fmt: skip
            told.append({"name": name, "version": run.version, "recipe": run.recipe, "base": run.base or run.embedding, "kind": run.kind, "state": state, "created_at": run.created_at, "folder": str(version.folder)})  # fmt: skip
    if told:
        out.show(shown)
    else:
        out.say(out.t("train.list.none"))
    out.document({"models": told})


@app.command("promote", cls=Command, help="cli.train.promote.about")
def promote(
    name: Name,
    version: Number = None,
    force: Annotated[bool, typer.Option("--force", help="cli.train.promote.force")] = False,
    json: Json = False,
) -> None:
    from core.runtime import open_runtime
    from core.training import promotion
    from core.training.store import Trained

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        chosen = Trained(runtime.settings.home).version(name, version)
        step, gate, against = asyncio.run(promotion.promote(chosen, runtime.settings, force=force))
        if gate.rows:
            _tell_gate(out, gate, against)
        state = step.what if step else "refused"
        said = state if gate.rows else "unjudged"
        out.say(out.t(f"train.promote.{said}", name=name, version=chosen.run.version, against=against))
        out.document({"promoted": step is not None, "state": state, "version": chosen.run.version, "against": against, **gate.as_dict()})  # fmt: skip
        if step is None:
            raise typer.Exit(1)


@app.command("rollback", cls=Command, help="cli.train.rollback.about")
def rollback(name: Name, json: Json = False) -> None:
    from apps.customer_service.intents import SHIPPED
    from core.settings import load_settings
    from core.training.store import Trained

    settings = load_settings()
    out = out_of(settings, json)
    step = Trained(settings.home).rollback(name, by="local", shipped=name in SHIPPED)
    key = "done" if step.version else "shipped"
    out.say(out.t(f"train.rollback.{key}", name=name, version=step.version))
    out.document({"name": name, "version": step.version})


@app.command("shadow", cls=Command, help="cli.train.shadow.about")
def shadow(
    name: Name,
    version: Number = None,
    off: Annotated[bool, typer.Option("--off", help="cli.train.shadow.end")] = False,
    json: Json = False,
) -> None:
    from core.settings import load_settings
    from core.training.shadow import Shadow
    from core.training.store import Trained

    settings = load_settings()
    out, beside = out_of(settings, json), Shadow(name, settings)
    if off:
        beside.end()
        out.say(out.t("train.shadow.ended", name=name))
        out.document({"name": name, "version": None})
        return
    if version is not None:
        beside.begin(Trained(settings.home).version(name, version))
        out.say(out.t("train.shadow.begun", name=name, version=version))
        out.document({"name": name, "version": version})
        return
    found = beside.told()
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.since))
    out.say(out.t("train.shadow.told", version=found.version, agreed=found.agreed, answers=found.answers, since=since))
    if found.differed:
        shown = table(*(out.t(f"train.shadow.{column}") for column in ("served", "shadow", "times")))
        for (served, said), times in found.differed.items():
            shown.add_row(plain(served), plain(said), str(times))
        out.show(shown)
    differed = [{"served": a, "shadow": b, "times": n} for (a, b), n in found.differed.items()]
    out.document({"name": name, "version": found.version, "answers": found.answers, "agreed": found.agreed, "differed": differed})  # fmt: skip


@app.command("export", cls=Command, help="cli.train.export.about")
def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="cli.train.export.folder", metavar="FOLDER")],
    version: Number = None,
    merged: Annotated[bool, typer.Option("--merged", help="cli.train.export.merged")] = False,
    gguf: Annotated[bool, typer.Option("--gguf", help="cli.train.export.gguf")] = False,
    json: Json = False,
) -> None:
    from core.settings import load_settings
    from core.training.export import export_gguf, export_merged, export_to
    from core.training.store import Trained

    settings = load_settings()
    out, store = out_of(settings, json), Trained(settings.home)
    chosen = store.chosen(name, version)
    if gguf:
        size = export_gguf(chosen, folder, settings)
    else:
        size = export_merged(chosen, folder, settings) if merged else export_to(chosen, folder)
    out.say(out.t("train.export.done", name=f"{name}@{chosen.run.version}", path=str(folder), mb=f"{size / 1e6:.1f}"))
    out.document({"folder": str(folder), "version": chosen.run.version, "bytes": size})


def _tell_gate(out: Out, gate: GateResult, against: str) -> None:
    from core.evaluation.reports import number, signed

    shown = table(out.t("train.figure"), out.t("train.now"), plain(against), "±", "p", "")
    for row in gate.rows:
        if row.difference is None or row.current is None or row.baseline is None:
            continue
        interval = f"{signed(row.difference)} [{signed(row.low)}, {signed(row.high)}]"
        shown.add_row(row.measure, number(row.current), number(row.baseline), interval, number(row.p), out.t(f"train.verdict.{row.verdict}"))  # fmt: skip
    out.show(shown)


def _state(version: Version, serving: int | None) -> str:
    if version.run.version == serving:
        return "serving"
    return "finished" if version.finished else "unfinished"
