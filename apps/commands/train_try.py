"""``touchstone train explain | extract | write``: what a version says of a text, and why."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, out_of, plain, table
from apps.commands.train import Name, Number, app
from core.errors import InputError


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
