"""``touchstone train shadow | few | augment``: a version asked beside the one that serves, and aids where rows are few."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Out, out_of, plain, table
from apps.commands.train import Columns, Data, Name, Number, Seed, app, new_file, pairs
from core.errors import InputError

if TYPE_CHECKING:
    from core.evaluation.datasets import Record

Rows = Annotated[Path, typer.Option("--out", "-o", help="cli.train.few.out", metavar="FILE")]


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


@app.command("few", cls=Command, help="cli.train.few.about")
def few(
    data: Data,
    per_label: Annotated[int, typer.Option("--per-label", min=1, help="cli.train.few.per_label")],
    file: Rows,
    column: Columns = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    from core.training.few import drawn

    out = out_of(None, json)
    _write(drawn(_records(data, column, out), per_label, seed=seed), file, out)


@app.command("augment", cls=Command, help="cli.train.augment.about")
def augment(
    data: Data,
    file: Rows,
    copies: Annotated[int, typer.Option("--copies", min=1, max=5, help="cli.train.augment.copies")] = 1,
    column: Columns = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    from core.training.few import augmented

    out = out_of(None, json)
    _write(augmented(_records(data, column, out), copies, seed=seed), file, out)


def _records(data: Path, column: list[str] | None, out: Out) -> Sequence[Record]:
    """The rows that can be used; those that cannot are told."""
    from core.training.checks import require, told
    from core.training.data import read

    reading = read(data, "classification", columns=pairs(column, "--column"))
    require(data.name, reading.findings)
    if reading.findings:
        out.say(told(reading.findings, out.language))
    if not reading.data.records:
        raise InputError(reason="no_rows", name=data.name)
    return reading.data.records


def _write(records: Sequence[Record], file: Path, out: Out) -> None:
    with new_file(file).open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("text", "label"))
        writer.writerows((record.input, record.label) for record in records)
    labels = len({record.label for record in records})
    out.say(out.t("train.few.done", rows=len(records), labels=labels, path=str(file)))
    out.document({"file": str(file), "rows": len(records), "labels": labels})
