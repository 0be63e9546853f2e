"""Keeping a workspace: ``touchstone journal rebuild vacuum forget backup restore`` and the group ``migrate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.documents import Collection, progress_bar
from apps.commands.shell import Command, Group, Out, out_of, plain, table
from core.i18n import message
from core.types import LOCAL, Caller

migrate = typer.Typer(
    name="migrate",
    cls=Group,
    help="cli.migrate.about",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


def journal(
    collection: Collection = "default",
    runs: Annotated[int, typer.Option("--runs", "-n", help="cli.journal.runs", min=1)] = 1,
    all_files: Annotated[bool, typer.Option("--all", "-a", help="cli.journal.all")] = False,
    json: Json = False,
) -> None:
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        found = Library.of(runtime).collection(collection).journal(runs)
    for run in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.started_at))
        out.say(out.t("journal.run", at=at, state=out.t(f"journal.state.{run.state}"), embedded=run.embedded))
        for code in run.notices:
            if code != "stopped":
                out.say(f"  {message(f'notice.{code}', out.language)}")
        shown = [entry for entry in run.entries if all_files or entry.status != "unchanged"]
        for entry in shown:
            why = f": {entry.text(out.language)}" if entry.reason else ""
            out.say(f"  {out.t(f'journal.status.{entry.status}')}  {_line(entry.source)}{why}")
        if hidden := len(run.entries) - len(shown):
            out.say(out.t("journal.hidden", count=hidden))
    if not found:
        out.say(out.t("journal.nothing", collection=collection))
    out.document({"collection": collection, "runs": [run.as_dict(out.language) for run in found]})


def rebuild(json: Json = False) -> None:
    from core.providers.sync import run
    from core.retrieval import upkeep
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        library = Library.of(runtime)
        try:
            with progress_bar(out) as progress:
                done = run(upkeep.rebuild(library, progress))
        finally:
            library.close()
    for source in done.damaged:
        out.note(out.t("rebuild.damaged", source=_line(source)))
    out.say(out.t("rebuild.done", collections=done.collections, passages=done.passages, vectors=done.vectors))
    out.document(done.as_dict())
    if done.damaged:
        raise typer.Exit(1)


def vacuum(
    other_models: Annotated[bool, typer.Option("--other-models", help="cli.vacuum.other_models")] = False,
    json: Json = False,
) -> None:
    from core.retrieval import upkeep
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        library = Library.of(runtime)
        try:
            done = upkeep.vacuum(library, other_models=other_models)
        finally:
            library.close()
    counts = done.as_dict()
    out.say(out.t("vacuum.done", **{**counts, "freed": _size(counts["bytes_freed"]), "now": _size(done.bytes_after)}))
    out.document(counts)


def forget(
    user: Annotated[str, typer.Argument(help="cli.forget.user", metavar="USER")],
    tenant: Annotated[str, typer.Option("--tenant", help="cli.forget.tenant")] = LOCAL.tenant,
    yes: Annotated[bool, typer.Option("--yes", help="cli.forget.agreed")] = False,
    json: Json = False,
) -> None:
    from apps.erasure import erase
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        if not yes:
            raise typer.BadParameter(out.t("forget.sure", user=user, tenant=tenant), param_hint="'--yes'")
        library = Library.of(runtime)
        try:
            found = erase(library, Caller(user=user, tenant=tenant))
        finally:
            library.close()
    for name, count in found.items():
        out.say(f"{name}: {count}")
    out.say(out.t("forget.done" if found else "forget.nothing", user=user, tenant=tenant))
    out.document({"user": user, "tenant": tenant, "deleted": dict(found)})


def backup(
    target: Annotated[Path | None, typer.Argument(help="cli.backup.target", metavar="FILE")] = None,
    json: Json = False,
) -> None:
    from core import backup as backups
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        made = backups.backup(runtime.workspace, target)
    _tell_backup(out, "backup.done", made)


def restore(
    source: Annotated[Path, typer.Argument(help="cli.restore.source", metavar="FILE")],
    check: Annotated[bool, typer.Option("--check", help="cli.restore.check")] = False,
    json: Json = False,
) -> None:
    from core import backup as backups
    from core.settings import load_settings

    settings = load_settings()
    out = out_of(settings, json)
    if check:
        _tell_backup(out, "restore.sound", backups.inspect(source))
        return
    done = backups.restore(settings.home, source)
    if done.replaced is not None:
        out.note(out.t("restore.replaced", path=str(done.replaced)))
    _tell_backup(out, "restore.done", done)


def _tell_backup(out: Out, key: str, made: Any) -> None:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(made.created_at))
    out.say(out.t(key, path=str(made.path), at=at, files=made.files, size=_size(made.bytes), documents=made.documents))
    out.document(made.as_dict())


# --- migrate --------------------------------------------------------------------------------------

Model = Annotated[str, typer.Argument(help="cli.migrate.model", metavar="MODEL")]


@migrate.command("start", cls=Command, help="cli.migrate.start")
def start(model: Model, json: Json = False) -> None:
    from core.providers.sync import run

    with _migration(model, json) as (out, migration):
        with progress_bar(out) as progress:
            made = run(migration.prepare(progress))
        _tell_standing(out, migration, {"made": made})


@migrate.command("status", cls=Command, help="cli.migrate.status")
def status(
    model: Annotated[str | None, typer.Argument(help="cli.migrate.model", metavar="MODEL")] = None, json: Json = False
) -> None:
    with _migration(model, json, serving=True) as (out, migration):
        _tell_standing(out, migration, {})


@migrate.command("compare", cls=Command, help="cli.migrate.compare")
def compare(
    model: Model,
    queries: Annotated[Path | None, typer.Option("--queries", "-q", help="cli.migrate.queries", metavar="FILE")] = None,
    collection: Collection = "default",
    json: Json = False,
) -> None:
    from core.providers.sync import run
    from core.retrieval.migrate import read_queries

    with _migration(model, json) as (out, migration):
        asked = read_queries(queries) if queries else ()
        found = run(migration.compare(asked, collection=collection))
        out.say(
            out.t(
                "migrate.compared",
                old=found.old,
                new=found.new,
                queries=found.queries,
                overlap=f"{100 * found.overlap:.0f}",
            )
        )
        if found.ndcg_old is not None and found.ndcg_new is not None:
            values = {"old": f"{found.ndcg_old:.3f}", "new": f"{found.ndcg_new:.3f}"}
            out.say(out.t("migrate.judged", judged=found.judged, **values))
        elif not queries:
            out.say(out.t("migrate.drawn"))
        out.document(found.as_dict())


@migrate.command("switch", cls=Command, help="cli.migrate.switch")
def switch(model: Model, json: Json = False) -> None:
    with _migration(model, json) as (out, migration):
        made = migration.switch()
        out.say(out.t("migrate.switched", model=made.model, previous=made.previous))
        out.document({"model": made.model, "previous": made.previous})


@migrate.command("rollback", cls=Command, help="cli.migrate.rollback")
def rollback(json: Json = False) -> None:
    from core.providers.sync import run

    with _migration(None, json) as (out, migration):
        with progress_bar(out) as progress:
            made = run(migration.rollback(progress))
        out.say(out.t("migrate.switched", model=made.model, previous=made.previous))
        out.document({"model": made.model, "previous": made.previous})


class _migration:
    """A migration in an open runtime, for one command."""

    def __init__(self, model: str | None, json: bool, *, serving: bool = False) -> None:
        self.model, self.json, self.serving = model, json, serving

    def __enter__(self) -> tuple[Out, Any]:
        from core.retrieval import choice
        from core.retrieval.migrate import Migration
        from core.runtime import open_runtime

        self.runtime = open_runtime()
        try:
            named = self.model
            if named is None and self.serving:
                named = choice.serving(self.runtime.workspace, self.runtime.settings.model("embedding"))
            self.migration = Migration.of(self.runtime, named)
            return out_of(self.runtime.settings, self.json), self.migration
        except BaseException:
            self.runtime.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.migration.library.close()
        self.runtime.close()


def _tell_standing(out: Out, migration: Any, more: dict[str, Any]) -> None:
    from dataclasses import asdict

    rows = migration.standings()
    shown = table(*(out.t(f"migrate.{name}") for name in ("tenant", "collection", "passages", "pending")))
    for row in rows:
        shown.add_row(plain(row.tenant), plain(row.collection), f"{row.passages:,}", f"{row.pending:,}")
    out.say(out.t("migrate.serves", serving=migration.serving, model=migration.name))
    if rows:
        out.show(shown)
    missing = sum(row.pending for row in rows)
    if migration.name != migration.serving:
        out.say(out.t("migrate.ready" if not missing else "migrate.missing", model=migration.name, count=missing))
    others = migration.others()
    if others:
        out.say(out.t("migrate.others", models=", ".join(others), first=others[0]))
    data = {"serving": migration.serving, "model": migration.name, "pending": missing, "others": others, **more}
    out.document({**data, "collections": [asdict(row) for row in rows]})


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _line(text: str) -> str:
    """A name on one line, whatever it holds."""
    return text.encode("unicode_escape").decode() if not text.isprintable() else text
