"""``touchstone new``: skeletons that are your own from the first line on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Command, Group, out_of

app = typer.Typer(name="new", cls=Group, help="cli.new.about", no_args_is_help=True, rich_markup_mode=None)


@app.command("support", cls=Command, help="cli.new.support.about")
def support(
    name: Annotated[str, typer.Argument(help="cli.new.support.name", metavar="NAME")],
    into: Annotated[Path, typer.Option("--into", help="cli.new.support.into")] = Path(),
    json: Json = False,
) -> None:
    from apps.customer_service.own import scaffold
    from core.settings import load_settings

    out = out_of(load_settings(), json)
    written = scaffold(name, into)
    for path in written:
        out.note(str(path))
    out.say(out.t("new.support.next", name=name, folder=into / name))
    out.document({"name": name, "files": [str(path) for path in written]})
