"""``touchstone synonyms`` and ``touchstone dictionary``: a collection's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Group, Out, out_of, table

if TYPE_CHECKING:
    from core.retrieval.words import Words

synonyms = typer.Typer(
    name="synonyms", cls=Group, help="cli.synonyms.about", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)  # fmt: skip
dictionary = typer.Typer(
    name="dictionary", cls=Group, help="cli.dictionary.about", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)  # fmt: skip
Collection = Annotated[str, typer.Option("--collection", "-c", help="cli.synonyms.collection")]


@synonyms.command("add", cls=Command, help="cli.synonyms.add.about")
def add_synonyms(
    words: Annotated[list[str], typer.Argument(help="cli.synonyms.add.words", metavar="WORD...")],
    one_way: Annotated[bool, typer.Option("--one-way", help="cli.synonyms.add.one_way")] = False,
    collection: Collection = "",
    json: Json = False,
) -> None:
    with _opened(collection, json) as (kept, out):
        group = kept.add(words, kind="expand" if one_way else "equal")
        out.say(f"{group.id}  {group}")
        out.document(asdict(group))


@synonyms.command("list", cls=Command, help="cli.synonyms.list.about")
def list_synonyms(collection: Collection = "", json: Json = False) -> None:
    with _opened(collection, json) as (kept, out):
        groups = kept.synonyms()
        shown = table("", out.t("synonyms.group"), out.t("synonyms.where"))
        for group in groups:
            shown.add_row(str(group.id), str(group), group.collection or out.t("synonyms.all"))
        if groups:
            out.show(shown)
        else:
            out.say(out.t("synonyms.none"))
        out.document([asdict(group) for group in groups])


@synonyms.command("remove", cls=Command, help="cli.synonyms.remove.about")
def remove_synonyms(
    number: Annotated[int, typer.Argument(help="cli.synonyms.remove.number", metavar="NUMBER")], json: Json = False
) -> None:
    with _opened("", json) as (kept, out):
        kept.remove(number)
        out.say(out.t("synonyms.removed", number=number))
        out.document({"removed": number})


@dictionary.command("add", cls=Command, help="cli.dictionary.add.about")
def add_words(
    words: Annotated[list[str], typer.Argument(help="cli.dictionary.words", metavar="WORD...")],
    collection: Collection = "",
    json: Json = False,
) -> None:
    with _opened(collection, json) as (kept, out):
        done = [kept.keep(word) for word in words]
        for one in done:
            out.say(out.t("dictionary.kept", word=one.word, passages=one.passages))
        out.document([asdict(one) for one in done])


@dictionary.command("list", cls=Command, help="cli.dictionary.list.about")
def list_words(collection: Collection = "", json: Json = False) -> None:
    with _opened(collection, json) as (kept, out):
        words = kept.kept()
        for word in words:
            out.say(f"{word.word}  ({word.collection or out.t('synonyms.all')})")
        if not words:
            out.say(out.t("dictionary.none"))
        out.document([{"word": word.word, "collection": word.collection} for word in words])


@dictionary.command("remove", cls=Command, help="cli.dictionary.remove.about")
def remove_words(
    words: Annotated[list[str], typer.Argument(help="cli.dictionary.words", metavar="WORD...")],
    collection: Collection = "",
    json: Json = False,
) -> None:
    with _opened(collection, json) as (kept, out):
        done = [kept.forget(word) for word in words]
        for one in done:
            out.say(out.t("dictionary.removed", word=one.word, passages=one.passages))
        out.document([asdict(one) for one in done])


@contextmanager
def _opened(collection: str, json: bool) -> Iterator[tuple[Words, Out]]:
    from core.retrieval.library import Library
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        library = Library.of(runtime)
        try:
            yield library.words(collection.strip()), out_of(runtime.settings, json)
        finally:
            library.close()
