"""``touchstone sentiment``: what a text, or each item of a file, says of the companies in it, and a folder or feed
that is watched; ``train sentiment``."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import STOPPED, Command, Out, out_of, plain, table
from apps.commands.train import app as train_app
from core.errors import InputError
from core.i18n import message

if TYPE_CHECKING:
    from apps.financial_sentiment.analysis import Opinion
    from apps.financial_sentiment.notices import Notice

SHOWN = 100  # characters of the evidence shown to people


def sentiment(
    text: Annotated[str | None, typer.Argument(help="cli.sentiment.text", metavar="TEXT")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="cli.sentiment.file")] = None,
    watch: Annotated[
        str | None, typer.Option("--watch", "-w", help="cli.sentiment.watch", metavar="FOLDER|ADDRESS")
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.1, help="cli.sentiment.every")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="cli.sentiment.once")] = False,
    json: Json = False,
) -> None:
    if watch is not None:
        if text is not None or file is not None:
            raise typer.BadParameter("TEXT / --file / --watch")
        _watch(watch, every, once, json)
        return
    from apps.financial_sentiment import sources
    from apps.financial_sentiment.service import Desk
    from core.providers.sync import run
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        desk = Desk(runtime)
        refused: list[dict[str, str]] = []
        if file is not None:
            reading = sources.read(file)
            refused = [{"where": r.where, "error": r.error.text(out.language)} for r in reading.refused]
            bodies = [f"{item.title}\n{item.text}" if item.text else item.title for item in reading.items]
            for row in refused:
                out.note(f"{row['where']}: {row['error']}")
            if not bodies and reading.refused:
                raise reading.refused[0].error
        else:
            if text is None and sys.stdin.isatty():
                raise InputError(reason="empty_question")
            bodies = [text if text is not None else sys.stdin.read()]
            if not bodies[0].strip():
                raise InputError(reason="empty_question")
        found = run(desk.analyzer().analyze(bodies))
        _show(out, bodies, found)
        told = [_data(body, opinions) for body, opinions in zip(bodies, found, strict=True)]
        out.document({"texts": told, "refused": refused})


def _watch(place: str, every_s: float, once: bool, json: bool) -> None:
    """Read the folder or the feed into the desk again and again, and tell alerts as they are handed over."""
    import time

    from apps.financial_sentiment.delivery import Delivery
    from apps.financial_sentiment.digest import alert_text, subject_name
    from apps.financial_sentiment.following import Following
    from apps.financial_sentiment.service import Desk
    from apps.financial_sentiment.watch import Watch
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        desk = Desk(runtime)
        watched, following = Watch(desk, still_s=0.0 if once else 1.0), Following(desk)
        feed = _ADDRESS.match(place)
        path = watched.add(Path(place)) if not feed else place.strip()
        if feed:
            following.add(path)

        def told(notice: Notice) -> None:
            for alert in notice.alerts:
                name = plain(subject_name(alert, desk.dictionary(), out.language))
                out.say(f"! {name}: {alert_text(alert, out.language)}")
            out.document({"notice": asdict(notice)})

        if not once:
            out.note(out.t("index.watching"))
        try:
            while True:
                for read in watched.look():
                    if read.error:
                        out.note(f"✗ {plain(read.error['where'])}: {plain(read.error[out.language])}")
                    out.say(f"{plain(read.path)}: " + out.t("sentiment.read", **{**_COUNTS, **read.counts}))
                    out.document({"file": asdict(read)})
                for looked in following.look():
                    out.say(f"{plain(looked.address)}: " + out.t("sentiment.followed", count=looked.brought))
                    out.document({"feed": asdict(looked)})
                errors = {f.path: f.error for f in watched.folders()} | {f.address: f.error for f in following.all()}
                error = errors[path]
                if error:
                    out.note(f"✗ {plain(error[out.language])}")
                Delivery(desk).hand_over(told, channel="terminal")
                if once:
                    raise typer.Exit(1 if error else 0)
                time.sleep(every_s)
        except KeyboardInterrupt:
            raise typer.Exit(STOPPED) from None


_ADDRESS = re.compile(r"\s*(\w+://|akshare:|yfinance:)")
_COUNTS = dict.fromkeys(("new", "updated", "copies", "known", "refused"), 0)


def _show(out: Out, bodies: list[str], found: list[list[Opinion]]) -> None:
    from rich.text import Text

    if not any(found):
        out.say(out.t("sentiment.none"))
        return
    heads = ("company", "mood", "events", "why")
    shown = table(*(message(f"financial_sentiment.{name}", out.language) for name in heads))
    for body, opinions in zip(bodies, found, strict=True):
        for o in opinions:
            label = message(f"financial_sentiment.label.{o.label}", out.language)
            kinds = ", ".join(message(f"financial_sentiment.event.{e.kind}", out.language) for e in o.events)
            evidence = plain(body[slice(*o.evidence)])[:SHOWN]
            name = o.company.name(out.language)
            shown.add_row(Text(plain(name)), f"{label} {o.probability:.0%}", kinds, Text(evidence))
    out.show(shown)


def _data(body: str, opinions: list[Opinion]) -> dict[str, Any]:
    return {
        "text": body,
        "companies": [
            {
                "id": o.company.id,
                "name": {"zh": o.company.zh, "en": o.company.en},
                "codes": list(o.company.codes),
                "label": o.label,
                "probability": round(o.probability, 4),
                "mood": round(o.mood, 4),
                "evidence": body[slice(*o.evidence)],
                "evidence_at": list(o.evidence),
                "events": [e.kind for e in o.events],
            }
            for o in opinions
        ],
    }


@train_app.command("sentiment", cls=Command, help="cli.train.sentiment.about")
def train_sentiment(
    file: Annotated[Path | None, typer.Argument(help="cli.train.sentiment.file", metavar="CSV")] = None,
    use: Annotated[int | None, typer.Option("--use", min=0, help="cli.train.sentiment.use")] = None,
    force: Annotated[bool, typer.Option("--force", help="cli.train.sentiment.force")] = False,
    json: Json = False,
) -> None:
    from apps.financial_sentiment import own
    from apps.financial_sentiment.service import Desk
    from core.runtime import open_runtime

    if (file is None) == (use is None):
        raise typer.BadParameter("CSV / --use")
    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        desk = Desk(runtime)
        if use is not None:
            own.use(desk.heads, use or None)
            version = str(desk.head().about.get("version"))
            out.say(out.t("train.sentiment.in_use", version=version))
            out.document({"in_use": version})
            return
        made = desk.train(file or Path(), force=force)
        told = {
            "accuracy": f"{made.accuracy:.3f}",
            "before": f"{made.current_accuracy:.3f}",
            "p": f"{made.against.p:.3f}",
        }
        out.say(out.t("train.sentiment.made", number=made.number, rows=made.rows, held_out=made.held_out, **told))
        out.say(out.t(f"train.sentiment.{'promoted' if made.promoted else 'kept'}", number=made.number))
        out.document(asdict(made))
