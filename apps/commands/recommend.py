"""``touchstone recommend import``, ``fit`` and ``top``: your own catalogue in three commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Group, Out, out_of, table
from core.errors import InputError
from core.i18n import message

if TYPE_CHECKING:
    from apps.recommendation.data import Findings
    from apps.recommendation.lists import Shelf
    from apps.recommendation.service import Recommender

app = typer.Typer(
    name="recommend", cls=Group, help="cli.recommend.about", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)  # fmt: skip
Catalogue = Annotated[str, typer.Option("--catalogue", "-c", help="cli.recommend.catalogue")]
SAMPLE = "sample"  # any catalogue will do: a person is erased from all of them
EXPORTED = ("user", "rank", "item", "title", "score", "reasons")
COUNTED = ("duplicates", "incomplete", "unknown_items", "future")


@app.command("import", cls=Command, help="cli.recommend.import.about")
def import_(
    items: Annotated[Path, typer.Argument(help="cli.recommend.import.items", metavar="ITEMS")],
    interactions: Annotated[
        Path | None, typer.Argument(help="cli.recommend.import.interactions", metavar="INTERACTIONS")
    ] = None,
    catalogue: Catalogue = "own",
    column: Annotated[list[str] | None, typer.Option("--column", help="cli.recommend.import.column")] = None,
    json: Json = False,
) -> None:
    of_items, of_events = _columns(column or ())
    with _opened(catalogue, json) as (service, out):
        if items.is_dir() and interactions is None:
            from apps.recommendation.folders import look

            seen = look(items)
            items, interactions = seen.items, seen.interactions
            of_items, of_events = {**seen.item_columns, **of_items}, {**seen.event_columns, **of_events}
            out.note(
                message(
                    "cli.recommend.import.found",
                    out.language,
                    files=", ".join(p.name for p in (items, interactions) if p),
                )
            )
        found = service.import_files(items, interactions, item_columns=of_items, event_columns=of_events)
        for name, findings in zip(("items", "events"), found, strict=True):
            if findings:
                _tell(out, name, findings)
        out.document({n: asdict(f) if f else None for n, f in zip(("items", "interactions"), found, strict=True)})


@app.command("fit", cls=Command, help="cli.recommend.fit.about")
def fit(catalogue: Catalogue = "own", json: Json = False) -> None:
    with _opened(catalogue, json) as (service, out):
        weights = service.fit(out.note)
        shown = table(out.t("recommend.fit.method"), out.t("recommend.fit.weight"))
        for name, weight in sorted(weights.items(), key=lambda pair: -pair[1]):
            shown.add_row(name, f"{weight:.2f}")
        out.show(shown)
        out.document({"weights": dict(weights)})


@app.command("top", cls=Command, help="cli.recommend.top.about")
def top(
    user: Annotated[str | None, typer.Argument(help="cli.recommend.top.user", metavar="[USER]")] = None,
    says: Annotated[str, typer.Option("--says", help="cli.recommend.top.says")] = "",
    likes: Annotated[list[str] | None, typer.Option("--likes", help="cli.recommend.top.likes")] = None,
    number: Annotated[int, typer.Option("--number", "-n", help="cli.recommend.top.number")] = 10,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="cli.recommend.top.kind")] = None,
    diversity: Annotated[float | None, typer.Option("--diversity", help="cli.recommend.top.diversity")] = None,
    assisted: Annotated[bool, typer.Option("--assisted", help="cli.recommend.top.assisted")] = False,
    catalogue: Catalogue = "own",
    json: Json = False,
) -> None:
    from apps.recommendation.catalogue import Filters
    from apps.recommendation.diversity import DEFAULT

    with _opened(catalogue, json) as (service, out):
        if user is None and not says and not likes:
            raise typer.BadParameter(out.t("recommend.top.nobody"))
        shelf = service.recommend(
            user,
            likes=likes or (),
            says=says,
            n=number,
            filters=Filters(kinds=tuple(kind or ())),
            diversity=DEFAULT if diversity is None else diversity,
            language=out.language,
            assisted=assisted,
        )
        if shelf.unassisted:
            out.note(out.t("recommend.top.unassisted", error=shelf.unassisted.text(out.language)))
        if user is not None and not shelf.known_events and not says and not likes:
            out.note(out.t("recommend.top.unknown", user=user))
        _show(out, service, shelf)


@app.command("export", cls=Command, help="cli.recommend.export.about")
def export(
    file: Annotated[Path, typer.Argument(help="cli.recommend.export.file", metavar="FILE")],
    number: Annotated[int, typer.Option("--number", "-n", help="cli.recommend.top.number")] = 10,
    people: Annotated[int, typer.Option("--people", min=1, help="cli.recommend.export.people")] = 1000,
    catalogue: Catalogue = "own",
    json: Json = False,
) -> None:
    import csv

    with _opened(catalogue, json) as (service, out):
        users = [user for user, _ in service.store.users(people)]
        shelves = ((user, service.recommend(user, n=number, language=out.language)) for user in users)
        rows = 0
        service.catalogue()  # fails before the file is there
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(EXPORTED)
            for user, shelf in shelves:
                for place, pick in enumerate(shelf.picks, 1):
                    why = "; ".join(service.in_words(reason, out.language) for reason in pick.reasons)
                    writer.writerow(
                        (user, place, pick.item.id, pick.item.title(out.language), f"{pick.score:.4f}", why)
                    )
                    rows += 1
        out.say(out.t("recommend.export.done", people=len(users), rows=rows, file=str(file)))
        out.document({"people": len(users), "rows": rows, "file": str(file)})


@app.command("forget", cls=Command, help="cli.recommend.forget.about")
def forget(
    user: Annotated[str, typer.Argument(help="cli.recommend.forget.user", metavar="USER")],
    json: Json = False,
) -> None:
    with _opened(SAMPLE, json) as (service, out):
        count = service.erase(user)
        out.say(out.t("recommend.forget.done", count=count, user=user))
        out.document({"user": user, "deleted": count})


@contextmanager
def _opened(catalogue: str, json: bool) -> Iterator[tuple[Recommender, Out]]:
    from apps.recommendation.service import Recommender
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        yield Recommender(runtime, catalogue=catalogue), out_of(runtime.settings, json)


def _columns(given: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """``item.title=name`` and ``user=who`` as the columns of items and of events."""
    items: dict[str, str] = {}
    events: dict[str, str] = {}
    for pair in given:
        ours, found, theirs = pair.partition("=")
        if not found or not theirs:
            raise InputError(reason="bad_value", name="--column", value=pair, allowed="user=…, item.title=…")
        if ours.startswith("item."):
            items[ours.removeprefix("item.")] = theirs
        else:
            events[ours] = theirs
    return items, events


def _tell(out: Out, name: str, found: Findings) -> None:
    def say(key: str, **params: object) -> None:
        out.say(message(f"recommendation.report.{key}", out.language, **params))

    say(name, kept=found.kept, rows=found.rows)
    for counted in COUNTED:
        if count := getattr(found, counted):
            say(counted, count=count)
    for state in ("undated", "unordered"):
        if name == "events" and getattr(found, state):
            say(state)
    if found.examples:
        say("examples", examples="; ".join(found.examples))


def _show(out: Out, service: Recommender, shelf: Shelf) -> None:
    shown = table("", out.t("recommend.top.item"), out.t("recommend.top.why"), out.t("recommend.top.score"))
    for place, pick in enumerate(shelf.picks, 1):
        why = pick.words or "; ".join(service.in_words(reason, out.language) for reason in pick.reasons)
        shown.add_row(str(place), pick.item.title(out.language), why, f"{pick.score:.2f}")
    if shelf.picks:
        out.show(shown)
    else:
        out.say(message("recommendation.nothing", out.language))
    left_out = [message(f"recommendation.left_out.{k}", out.language, count=v) for k, v in shelf.left_out.items()]
    if left_out:
        out.note(message("recommendation.left_out_all", out.language, reasons=", ".join(left_out)))
    out.document(
        {
            "picks": [
                {
                    "id": pick.item.id,
                    "title": pick.item.title(out.language),
                    "score": round(pick.score, 4),
                    "boost": pick.boost,
                    "words": pick.words,
                    "reasons": [asdict(reason) for reason in pick.reasons],
                }
                for pick in shelf.picks
            ],
            "understood": [asdict(said) for said in shelf.understood],
            "left_out": dict(shelf.left_out),
        }
    )
