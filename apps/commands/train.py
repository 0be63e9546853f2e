"""``touchstone train``: a recipe on your data, what came of it, which version serves, and why it says what it says."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Group, Out, out_of, plain, table
from core.errors import InputError
from core.i18n import message

if TYPE_CHECKING:
    from core.evaluation.gate import GateResult
    from core.training.checks import DataReport
    from core.training.store import Version
    from core.training.work import Prepared

RECIPES = (
    "head",
    "frozen",
    "lora",
    "adalora",
    "full",
    "entities",
    "embedding",
    "cross-encoder",
    "chat",
    "dpo",
    "kto",
    "causal",
    "masked",
    "lstm",
)  # the files of core/training/recipes

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


@app.command("data", cls=Command, help="cli.train.gather.about")
def gather_data(
    source: Annotated[str, typer.Argument(help="cli.train.gather.source", metavar="SOURCE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="cli.train.gather.out", metavar="FILE")],
    name: Annotated[str, typer.Option("--name", help="cli.train.gather.name", metavar="NAME")] = "",
    json: Json = False,
) -> None:
    from apps.training_data import gather
    from core.runtime import open_runtime
    from core.types import LOCAL

    with open_runtime() as runtime:
        told = out_of(runtime.settings, json)
        found = gather(runtime.workspace, LOCAL, source, name=name)
        found.save(new_file(out))
        masked = sum(found.masked.values())
        told.say(told.t("train.gather.done", rows=len(found.rows), path=str(out), refused=found.without_consent, masked=masked))  # fmt: skip
        told.document({"source": source, "rows": len(found.rows), "file": str(out), "without_consent": found.without_consent, "masked": dict(found.masked)})  # fmt: skip


@app.command("negatives", cls=Command, help="cli.train.negatives.about")
def negatives(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="cli.train.gather.out", metavar="FILE")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="cli.option.collection")] = "",
    count: Annotated[int, typer.Option("--count", min=1, max=64, help="cli.train.negatives.count")] = 8,
    skip: Annotated[int, typer.Option("--skip", min=0, max=100, help="cli.train.negatives.skip")] = 0,
    column: Columns = None,
    json: Json = False,
) -> None:
    from apps.training_data import mined_from
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        told = out_of(runtime.settings, json)
        new_file(out)
        names = pairs(column, "--column")
        found = asyncio.run(mined_from(runtime, data, collection, count=count, skip=skip, columns=names))
        found.save(out)
        wrong = sum(len(row["negatives"]) for row in found.rows)
        told.say(told.t("train.negatives.done", rows=len(found.rows), negatives=wrong, path=str(out)))
        told.document({"rows": len(found.rows), "negatives": wrong, "file": str(out)})


@app.command("extract", cls=Command, help="cli.train.extract.about")
def extract(
    name: Name,
    text: Annotated[str, typer.Argument(help="cli.train.extract.text", metavar="TEXT")],
    version: Number = None,
    json: Json = False,
) -> None:
    from dataclasses import asdict

    from core.runtime import open_runtime
    from core.training.entities import extracted
    from core.training.store import Trained

    if not text.strip():
        raise InputError(reason="empty_question")
    with open_runtime() as runtime:
        out, store = out_of(runtime.settings, json), Trained(runtime.settings.home)
        chosen = store.chosen(name, version)
        found = asyncio.run(extracted(chosen, runtime.settings, text))
    shown = table(out.t("train.explain.label"), out.t("train.extract.piece"), out.t("train.extract.probability"))
    shown.columns[2].justify = "right"
    for entity in found:
        shown.add_row(plain(entity.label), plain(entity.text), f"{entity.probability:.0%}")
    if found:
        out.show(shown)
    else:
        out.say(out.t("train.extract.none"))
    out.document({"model": chosen.served_as, "entities": [asdict(entity) for entity in found]})


@app.command("correct", cls=Command, help="cli.train.correct.about")
def correct(
    name: Name,
    text: Annotated[str, typer.Argument(help="cli.train.correct.text", metavar="TEXT")],
    label: Annotated[str, typer.Argument(help="cli.train.correct.label", metavar="LABEL")],
    json: Json = False,
) -> None:
    from core.runtime import open_runtime
    from core.training.corrections import Corrections
    from core.types import LOCAL

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        made = Corrections(runtime.workspace).add(LOCAL, name, text, label)
        count = len(Corrections(runtime.workspace).all(LOCAL, name))
        out.say(out.t("train.correct.done", name=name, count=count))
        out.document({"name": name, "text": made.text, "label": made.label, "corrections": count})


@app.command("consent", cls=Command, help="cli.train.consent.about")
def consent(
    yes: Annotated[bool, typer.Option("--yes/--no", help="cli.train.consent.option")],
    json: Json = False,
) -> None:
    from apps.training_data import agree
    from core.runtime import open_runtime
    from core.types import LOCAL

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        agree(runtime.workspace, LOCAL, yes)
        out.say(out.t(f"train.consent.{'given' if yes else 'withdrawn'}"))
        out.document({"consent": yes})


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
        _tell_gate(out, gate, against)
        state = step.what if step else "refused"
        out.say(out.t(f"train.promote.{state}", name=name, version=chosen.run.version, against=against))
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


@app.command("explain", cls=Command, help="cli.train.explain.about")
def explain(
    name: Name,
    text: Annotated[str, typer.Argument(help="cli.train.explain.text", metavar="TEXT")],
    version: Number = None,
    json: Json = False,
) -> None:
    from dataclasses import asdict

    from core.providers.sync import run
    from core.runtime import open_runtime
    from core.training import explain as explaining
    from core.training.classifiers import open_classifier
    from core.training.store import Trained

    if not text.strip():
        raise InputError(reason="empty_question")
    with open_runtime() as runtime:
        out, store = out_of(runtime.settings, json), Trained(runtime.settings.home)
        chosen = store.chosen(name, version)
        classifier = open_classifier(chosen, runtime.settings)
        try:
            found = run(explaining.explain(classifier, text, version=chosen))
        finally:
            run(classifier.aclose())
    out.say(
        out.t("train.explain.says", label=found.label, probability=f"{found.probability:.0%}", name=classifier.name)
    )
    words = table(out.t("train.explain.word"), out.t(f"train.explain.{found.method}"))
    words.columns[1].justify = "right"
    for part in sorted(found.parts, key=lambda part: -abs(part.weight))[:12]:
        words.add_row(plain(part.text), f"{part.weight:+.3f}")
    out.show(words)
    near = table(out.t("train.explain.nearest"), out.t("train.explain.label"), out.t("train.explain.similarity"))
    for row in found.nearest:
        near.add_row(plain(row.text)[:100], plain(row.label), f"{row.similarity:.2f}")
    out.show(near)
    out.document(asdict(found))


@app.command("write", cls=Command, help="cli.train.write.about")
def write(
    name: Name,
    text: Annotated[str, typer.Argument(help="cli.train.write.text", metavar="TEXT")],
    version: Number = None,
    tokens: Annotated[int, typer.Option("--tokens", min=1, max=2000, help="cli.train.write.tokens")] = 60,
    seed: Annotated[int | None, typer.Option("--seed", help="cli.train.write.seed")] = None,
    json: Json = False,
) -> None:
    from core.runtime import open_runtime
    from core.training.store import Trained
    from core.training.texts import written

    with open_runtime() as runtime:
        out, store = out_of(runtime.settings, json), Trained(runtime.settings.home)
        chosen = store.chosen(name, version)
        made = asyncio.run(written(chosen, runtime.settings, text, tokens=tokens, seed=seed))
    out.say(made)
    out.document({"model": chosen.served_as, "text": made})


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


# --- what is told -------------------------------------------------------------------------------


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
