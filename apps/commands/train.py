"""``touchstone train check | RECIPE``: a file is looked at, a recipe learns from it.

The other commands of ``train`` are in ``train_data``, ``train_serving`` and ``train_try``, those of one app with that app.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Group, Out, out_of, table
from core.errors import InputError
from core.i18n import message

if TYPE_CHECKING:
    from core.training.checks import DataReport
    from core.training.store import Version
    from core.training.work import Prepared

RECIPES = (
    "head", "frozen", "lora", "adalora", "full", "entities", "embedding", "embedding-adapter", "cross-encoder", "chat", "dpo", "kto", "causal", "masked", "lstm",
)  # fmt: skip  # the files of core/training/recipes

app = typer.Typer(
    name="train", cls=Group, help="cli.train.about", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Data = Annotated[Path, typer.Argument(help="cli.train.data", metavar="FILE")]
Name = Annotated[str, typer.Argument(help="cli.train.name", metavar="NAME")]
Columns = Annotated[list[str] | None, typer.Option("--column", help="cli.train.column", metavar="OURS=THEIRS")]
Validation = Annotated[Path | None, typer.Option("--validation", help="cli.train.validation")]
Test = Annotated[Path | None, typer.Option("--test", help="cli.train.test")]
Seed = Annotated[int, typer.Option("--seed", help="cli.train.seed")]
Number = Annotated[int | None, typer.Option("--version", min=1, help="cli.train.version")]


@app.command("check", cls=Command, help="cli.train.check.about")
def check(
    data: Data,
    kind: Annotated[str, typer.Option("--kind", help="cli.train.check.kind")] = "classification",
    column: Columns = None,
    validation: Validation = None,
    test: Test = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    from core.training.checks import examine
    from core.training.data import COLUMNS

    if kind not in COLUMNS:
        raise InputError(reason="bad_value", name="--kind", value=kind, allowed=", ".join(COLUMNS))
    out = out_of(None, json)
    found = examine(data, kind, columns=pairs(column, "--column"), validation=validation, test=test, seed=seed)  # type: ignore[arg-type]
    _tell_data(out, found)
    out.document(found.as_dict(out.language))
    if not found.ok:
        raise typer.Exit(1)


def _add(recipe: str) -> None:
    """The command of one recipe; all have the same options."""

    @app.command(recipe, cls=Command, help=f"cli.train.recipe.{recipe}")
    def run(
        data: Data,
        out: Annotated[str, typer.Option("--out", "-o", help="cli.train.out", metavar="NAME")],
        base: Annotated[str, typer.Option("--base", "-b", help="cli.train.base", metavar="MODEL")] = "",
        settings: Annotated[list[str] | None, typer.Option("--set", help="cli.train.set", metavar="NAME=VALUE")] = None,
        column: Columns = None,
        validation: Validation = None,
        test: Test = None,
        seed: Seed = 0,
        fresh: Annotated[bool, typer.Option("--fresh", help="cli.train.fresh")] = False,
        json: Json = False,
    ) -> None:
        from core.runtime import open_runtime
        from core.training import work

        with open_runtime() as runtime:
            told = out_of(runtime.settings, json)
            prepared = work.prepare(
                runtime,
                recipe,
                data,
                out=out,
                base=base,
                settings=pairs(settings, "--set"),
                columns=pairs(column, "--column"),
                validation=validation,
                test=test,
                seed=seed,
                fresh=fresh,
            )
            _tell_start(told, prepared)
            with _bar(told) as progress:
                made = asyncio.run(work.train(runtime, prepared, on_progress=progress))
            _tell_made(told, made)


for _recipe in RECIPES:
    _add(_recipe)


def _tell_data(out: Out, found: DataReport) -> None:
    from core.training.checks import told

    sizes = found.splits.sizes
    out.say(out.t("train.data_read", name=found.name, rows=found.rows, usable=found.usable, **sizes))
    out.say(told(found.findings, out.language))


def _tell_start(out: Out, prepared: Prepared) -> None:
    run = prepared.version.run
    _tell_data(out, prepared.data)
    if prepared.memory is not None:
        share = (prepared.trained_weights or 0) / (prepared.weights or 1)
        out.say(
            out.t(
                "train.needs",
                mib=-(-prepared.memory // 2**20),
                weights=f"{(prepared.weights or 0) / 1e6:.1f}",
                trained=f"{(prepared.trained_weights or 0) / 1e6:.2f}",
                share=f"{share:.1%}",
            )
        )
    key = "train.resumes" if prepared.resumed else "train.begins"
    out.say(
        out.t(
            key,
            name=prepared.version.served_as,
            recipe=run.recipe,
            base=run.base or run.embedding or out.t("train.scratch"),
        )
    )


def _tell_made(out: Out, made: Version) -> None:
    from core.evaluation import results
    from core.training.card import energy

    facts, found = made.facts(), results.load(made.report)
    shown = table(out.t("train.figure"), *(e.system for e in found.evaluations))
    for name in found.evaluations[0].figures:
        cells = [
            f"{figure.value:.3f} ({figure.low:.3f} – {figure.high:.3f})" if (figure := e.figures.get(name)) else ""
            for e in found.evaluations
        ]
        shown.add_row(name, *cells)
    out.show(shown)
    out.say(
        out.t("train.cost", seconds=f"{facts['seconds']:.0f}", cpu_s=f"{facts['cpu_s']:.0f}", mib=facts["peak_mib"])
    )
    out.say(out.t("train.energy", text=message("training.card.energy", out.language, **energy(facts["cpu_s"]))))
    out.say(out.t("train.made", path=str(made.folder / "README.md"), name=made.run.name))
    out.document(
        {
            "name": made.run.name,
            "version": made.run.version,
            "folder": str(made.folder),
            "facts": facts,
            "figures": {e.system: {n: f.value for n, f in e.figures.items()} for e in found.evaluations},
        }
    )


@contextmanager
def _bar(out: Out) -> Iterator[Callable[[Any], None] | None]:
    """A bar on stderr while somebody looks; a line now and then in a pipe would be noise."""
    if out.json or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from apps.commands.shell import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task(out.t("train.stage.train"), total=None)

        def show(moment: Any) -> None:
            if moment is None:
                return
            stage = "judge" if moment.step >= moment.steps else "train"
            loss = "" if moment.loss is None else f" · {moment.loss:.3f}"
            bar.update(
                task, completed=moment.step, total=moment.steps, description=out.t(f"train.stage.{stage}") + loss
            )

        yield show


def new_file(path: Path) -> Path:
    """``path``, at which nothing is; the folders above it are made.

    Raises:
        InputError: ``file_exists``.
    """
    if path.exists():
        raise InputError(reason="file_exists", name=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping."""
    found = {}
    for item in given or ():
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(reason="bad_value", name=option, value=item, allowed="NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
