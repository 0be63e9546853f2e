"""``touchstone evaluate sentiment``: the head as it is, or one trained on your labeled texts, beside plain baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.evaluate import Baseline, Files, Gate, Page, Publish, Save, _measure, app
from apps.commands.shell import Command, Out
from core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from apps.financial_sentiment.public import Row
    from core.evaluation.results import Evaluation, Report
    from core.runtime import Runtime

SHIPPED = ("words", "full")
TRAINED = ("stacked",)  # a recipe that only a head of one's own follows
BESIDE = ("tfidf+svm", "lexicon")  # what the head is compared with, text by text


@app.command("sentiment", cls=Command, help="cli.evaluate.sentiment.about")
def sentiment(
    data: Annotated[Path, typer.Option("--data", help="cli.evaluate.sentiment.data", metavar="CSV")],
    train: Annotated[Path | None, typer.Option("--train", help="cli.evaluate.sentiment.train", metavar="CSV")] = None,
    folds: Annotated[int | None, typer.Option("--folds", min=2, max=20, help="cli.evaluate.sentiment.folds")] = None,
    head: Annotated[str | None, typer.Option("--head", help="cli.evaluate.sentiment.head")] = None,
    baseline: Baseline = None,
    gate: Gate = False,
    save: Save = None,
    html: Page = None,
    publish: Publish = None,
    json: Json = False,
) -> None:
    if train and folds:
        raise InputError(reason="bad_value", name="--folds", value=folds, allowed="--train | --folds")
    allowed = (*SHIPPED, *(TRAINED if train or folds else ()))
    if head not in (None, *allowed):
        raise InputError(reason="bad_value", name="--head", value=head, allowed=", ".join(allowed))
    files = Files(baseline, gate, save, html, publish)
    _measure(lambda runtime, out: _measured(runtime, data, train, folds, head), files, json, _against, intervals=True)


async def _measured(
    runtime: Runtime, data: Path, train: Path | None, folds: int | None, head: str | None
) -> list[Evaluation]:
    import asyncio

    from apps.financial_sentiment import analysis, evaluate_file
    from apps.financial_sentiment.service import Desk
    from apps.financial_sentiment.vectors import embedded
    from core.providers.sync import run

    desk = Desk(runtime)
    dictionary = desk.dictionary()
    rows, model = evaluate_file.read(data, dictionary), str(runtime.settings.model("embedding"))

    def vectors(wanted: Sequence[Row]) -> np.ndarray:
        return run(embedded([row.masked.spoken for row in wanted], runtime.embedding()))

    def measured() -> list[Evaluation]:
        if train:
            return evaluate_file.trained(
                head or "words", evaluate_file.read(train, dictionary), rows, vectors, embedding=model
            )
        if folds:
            return evaluate_file.folded(head or "words", rows, folds, vectors, embedding=model)
        return evaluate_file.as_it_is(analysis.shipped(head) if head else desk.head(), rows, vectors)

    return await asyncio.to_thread(measured)


def _against(made: Report, out: Out) -> None:
    """Whether the head is right more often than what is beside it."""
    from apps.financial_sentiment.evaluate import against

    head = made.evaluations[-1]
    for other in made.evaluations:
        if other.system in BESIDE:
            out.say(against(head, other))
