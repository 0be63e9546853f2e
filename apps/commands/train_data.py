"""``touchstone train data | negatives | correct | consent | few | augment | suspects``: rows to learn from, out of the product and out of files."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Out, out_of, plain, table
from apps.commands.train import Columns, Data, Name, Seed, app, new_file, pairs
from core.errors import InputError

if TYPE_CHECKING:
    from core.evaluation.datasets import Record
    from core.training.label_errors import Suspect

Rows = Annotated[Path, typer.Option("--out", "-o", help="cli.train.few.out", metavar="FILE")]


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


@app.command("suspects", cls=Command, help="cli.train.suspects.about")
def suspects(
    data: Data,
    file: Annotated[Path | None, typer.Option("--out", "-o", help="cli.train.suspects.out", metavar="FILE")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="cli.train.suspects.top")] = 20,
    embedding: Annotated[str | None, typer.Option("--embedding", help="cli.evaluate.intents.embedding")] = None,
    column: Columns = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    from collections import Counter

    from apps.spreadsheet import harmless
    from core.runtime import open_runtime
    from core.training import label_errors
    from core.types import Example

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        if file is not None:
            new_file(file)
        records = _records(data, column, out)
        examples = [Example(record.input, str(record.label)) for record in records]
        found = asyncio.run(label_errors.suspects(examples, runtime.embedding(embedding), seed=seed))
    lone = sum(times == 1 for times in Counter(example.label for example in examples).values())
    rows = [_suspect(records[one.place], one) for one in found]
    out.say(out.t(f"train.suspects.{'found' if rows else 'none'}", count=len(rows), rows=len(records)))
    if lone:
        out.say(out.t("train.suspects.lone", count=lone))
    if rows:
        shown = table(*(out.t(f"train.suspects.{name}") for name in ("where", "label", "other", "shares", "text")))
        for row in rows[:top]:
            chances = f"{row['own']:.2f} → {row['probability']:.2f}"
            shown.add_row(*map(plain, (row["where"], row["label"], row["other"], chances, row["text"])))
        out.show(shown)
    if file is not None:
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, ("where", "text", "label", "other", "own", "probability", "twin"))
            writer.writeheader()
            writer.writerows({name: harmless(cell) for name, cell in row.items()} for row in rows)
        out.say(out.t("train.suspects.wrote", count=len(rows), path=str(file)))
    out.document({"rows": len(records), "lone": lone, "suspects": rows})


def _suspect(record: Record, found: Suspect) -> dict[str, Any]:
    return {
        "where": str(record.metadata.get("where", record.id)),
        "text": found.text,
        "label": found.label,
        "other": found.other,
        "own": round(found.own, 4),
        "probability": round(found.probability, 4),
        "twin": found.twin,
    }


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
