"""``touchstone evaluate recommend``: every method and the fused one on your own interactions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.evaluate import Baseline, Files, Gate, Page, Publish, Save, _measure, app
from apps.commands.shell import Command, Out
from core.errors import InputError

if TYPE_CHECKING:
    from apps.recommendation.protocol import Data
    from core.evaluation.results import Evaluation, Report
    from core.runtime import Runtime


@app.command("recommend", cls=Command, help="cli.evaluate.recommend.about")
def recommend(
    interactions: Annotated[Path, typer.Option("--interactions", help="cli.evaluate.recommend.interactions")],
    items: Annotated[Path | None, typer.Option("--items", help="cli.evaluate.recommend.items")] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="cli.evaluate.recommend.protocol")] = "leave-one-out",
    split: Annotated[str, typer.Option("--split", help="cli.evaluate.recommend.split")] = "test",
    least: Annotated[int, typer.Option("--core", min=0, help="cli.evaluate.recommend.core")] = 5,
    users: Annotated[int | None, typer.Option("--users", min=1, help="cli.evaluate.recommend.users")] = None,
    text: Annotated[bool, typer.Option("--text/--no-text", help="cli.evaluate.recommend.text")] = True,
    baseline: Baseline = None,
    gate: Gate = False,
    save: Save = None,
    html: Page = None,
    publish: Publish = None,
    json: Json = False,
) -> None:
    from apps.recommendation.protocol import PROTOCOLS, SPLITS, read, split_off

    for name, given, allowed in (("--protocol", protocol, PROTOCOLS), ("--split", split, tuple(SPLITS))):
        if given not in allowed:
            raise InputError(reason="bad_value", name=name, value=given, allowed=", ".join(allowed))
    log, listed = read(interactions, items, least)
    name = interactions.parent.name if interactions.stem in ("ratings", "interactions") else interactions.stem
    data = split_off(log, listed, name, split=split, protocol=protocol, users=users)  # type: ignore[arg-type]
    files = Files(baseline, gate, save, html, publish)
    as_text = text and items is not None
    of = f"{split}, {protocol}"
    _measure(lambda runtime, out: _measured(runtime, out, data, of, as_text), files, json, _against, intervals=True)


async def _measured(runtime: Runtime, out: Out, data: Data, split: str, text: bool) -> list[Evaluation]:
    from apps.recommendation.evaluate import measured
    from core.retrieval.meaning import Meaning

    vectors = None
    if text:
        meaning = Meaning(runtime.workspace, runtime.embedding())
        vectors = await meaning.vectors([item.text() for item in data.items])
    counts = {"people": len(data.cases), "items": len(data.items), "events": len(data.train), "unknown": data.unknown}
    out.note(out.t("evaluate.recommend.data", **counts))
    made, beyond = measured(data, vectors, split, out.note)
    for name, value in beyond.items():
        out.note(f"{name}: {value:.3f}")
    return list(made.values())


def _against(made: Report, out: Out) -> None:
    """Whether putting the methods together is better than each alone, person by person."""
    from apps.recommendation.evaluate import FUSED
    from core.evaluation.gate import compare
    from core.evaluation.reports import number, signed

    fused = next(e for e in made.evaluations if e.system == FUSED)
    for one in (e for e in made.evaluations if e is not fused):
        pair = (replace(made, evaluations=(e,)) for e in (fused, one))
        (row,) = compare(*pair, measures=["ndcg@10"]).rows
        told = {"difference": signed(row.difference), "low": signed(row.low), "high": signed(row.high)}
        out.say(out.t("evaluate.recommend.against", name=one.system, p=number(row.p), **told))
