"""``touchstone evaluate intents``: train a head on your labeled texts and measure it beside TF-IDF + SVM."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.evaluate import Baseline, Files, Gate, Page, Publish, Save, _measure, app
from apps.commands.shell import Command, Out

if TYPE_CHECKING:
    from core.evaluation.datasets import Dataset
    from core.evaluation.gate import GateRow
    from core.evaluation.results import Evaluation, Report
    from core.runtime import Runtime
    from core.types import Example

HEAD, BASELINE = "head", "tfidf+svm"


@app.command("intents", cls=Command, help="cli.evaluate.intents.about")
def intents(
    train: Annotated[list[Path], typer.Option("--train", help="cli.evaluate.intents.train")],
    test: Annotated[list[Path], typer.Option("--test", help="cli.evaluate.intents.test")],
    validation: Annotated[
        list[Path] | None, typer.Option("--validation", help="cli.evaluate.intents.validation")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="cli.evaluate.intents.name")] = None,
    embedding: Annotated[str | None, typer.Option("--embedding", help="cli.evaluate.intents.embedding")] = None,
    kept: Annotated[float, typer.Option("--kept", min=0.5, max=1.0, help="cli.evaluate.intents.kept")] = 0.95,
    seed: Annotated[int, typer.Option("--seed", help="cli.evaluate.intents.seed")] = 0,
    baseline: Baseline = None,
    gate: Gate = False,
    save: Save = None,
    html: Page = None,
    publish: Publish = None,
    json: Json = False,
) -> None:
    from core.evaluation.labeled import load_labeled

    learned = _examples(load_labeled(train, "train"))
    checked = _examples(load_labeled(validation, "validation")) if validation else []
    data = load_labeled(test, "test", name=name)
    files = Files(baseline, gate, save, html, publish)
    _measure(
        lambda runtime, out: _measured(runtime, out, learned, checked, data, embedding, kept, seed),
        files,
        json,
        _against,
        note=_note,
    )


async def _measured(
    runtime: Runtime,
    out: Out,
    learned: list[Example],
    checked: list[Example],
    data: Dataset,
    name: str | None,
    kept: float,
    seed: int,
) -> list[Evaluation]:
    from core.evaluation.judges import intent_task
    from core.evaluation.tasks import judged
    from core.training.baseline import fit_tfidf_svm
    from core.training.fit import fit

    task, texts, ids = intent_task(data), [r.input for r in data.records], [r.id for r in data.records]
    config = {"kept": kept, "seed": seed, "train": len(learned), "validation": len(checked)}
    clock = _Clock(len(texts))
    svm = fit_tfidf_svm(learned, validation=checked, kept=kept, seed=seed)
    clock.fitted()
    plain = {
        id_: {"label": label, "in_scope": inside} for id_, (label, inside) in zip(ids, svm.predict(texts), strict=True)
    }
    before = clock.predicted()
    _told(out, BASELINE, before)
    embedding = runtime.embedding(name)
    clock = _Clock(len(texts))
    head = await fit(learned, embedding, validation=checked, kept=kept, seed=seed)
    clock.fitted()
    found = await head.predict(texts, embedding)
    pace = clock.predicted()
    _told(out, HEAD, pace)
    outputs = {
        id_: {"label": p.label, "in_scope": p.in_scope, "confidence": p.probability}
        for id_, p in zip(ids, found, strict=True)
    }
    return [
        judged(task, plain, name=BASELINE, config={**config, **before}),
        judged(task, outputs, name=HEAD, config={**config, "embedding": head.embedding, **pace}),
    ]


class _Clock:
    """How long training took, and how many texts a second were classified after it."""

    def __init__(self, texts: int) -> None:
        self._texts, self._start, self._fitted = texts, time.perf_counter(), 0.0

    def fitted(self) -> None:
        self._fitted = time.perf_counter()

    def predicted(self) -> dict[str, float]:
        seconds = time.perf_counter() - self._fitted
        return {"fitted_s": self._fitted - self._start, "texts_per_s": self._texts / seconds}


def _told(out: Out, name: str, pace: dict[str, float]) -> None:
    seconds, rate = f"{pace['fitted_s']:.1f}", f"{pace['texts_per_s']:,.0f}"
    out.note(out.t("evaluate.intents.pace", name=name, seconds=seconds, rate=rate))


def _against(made: Report, out: Out) -> None:
    """Whether the head is better than the baseline, text by text."""
    from core.evaluation.reports import number, signed

    for row in _compared(made):
        told = {"difference": signed(row.difference), "low": signed(row.low), "high": signed(row.high)}
        out.say(out.t("evaluate.intents.against", measure=row.measure, p=number(row.p), **told))


def _compared(made: Report) -> tuple[GateRow, ...]:
    from core.evaluation.gate import compare

    by_name = {e.system: e for e in made.evaluations}
    plain, head = (replace(made, evaluations=(by_name[name],)) for name in (BASELINE, HEAD))
    wanted = [m for m in ("accuracy", "in_scope_accuracy", "oos_recall") if m in by_name[HEAD].figures]
    return compare(head, plain, measures=wanted).rows


def _note(made: Report) -> str:
    """Pace and paired differences, for the scoreboard."""
    from core.evaluation.reports import number, signed

    paces = (
        f"{e.system}: trained in {e.config['fitted_s']:.1f} s, {e.config['texts_per_s']:,.0f} texts/s"
        for e in made.evaluations
    )
    differences = (
        f"{row.measure}, {HEAD} minus {BASELINE}: {signed(row.difference)} [{signed(row.low)}, {signed(row.high)}],"
        f" p = {number(row.p)}"
        for row in _compared(made)
    )
    return "; ".join([*paces, *differences])


def _examples(data: Dataset) -> list[Example]:
    from core.types import Example

    return [Example(record.input, str(record.label)) for record in data.records]
