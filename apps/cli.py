"""The ``touchstone`` command: thin, every command lives in ``apps.commands``.

Nothing heavy is imported before a command runs, so that ``touchstone --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from apps.commands import (
    calibrate,
    checkup,
    documents,
    evaluate,
    models,
    new,
    pages,
    recommend,
    search,
    sentiment,
    setup,
    talk,
    train,
    upkeep,
    words,
)
from apps.commands import evaluate_intents as evaluate_intents  # its import adds the command
from apps.commands import evaluate_recommend as evaluate_recommend  # so does this one's
from apps.commands import evaluate_sentiment as evaluate_sentiment  # and this one's
from apps.commands import train_data as train_data  # and these three, to those of train
from apps.commands import train_serving as train_serving
from apps.commands import train_try as train_try
from apps.commands.shell import Command, Group
from core import __version__

app = typer.Typer(
    name="touchstone",
    cls=Group,
    help="cli.about",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,  # rich's help would double the time until it is there
    pretty_exceptions_enable=False,  # a pretty traceback shows local variables, and keys are among them
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="cli.option.version")] = False,
    json: Annotated[bool, typer.Option("--json", help="cli.option.json", hidden=True)] = False,
) -> None:
    from core.telemetry.logs import setup as set_up_logs

    set_up_logs()
    if version:
        import json as json_module

        typer.echo(json_module.dumps({"version": __version__}) if json else f"touchstone {__version__}")
        raise typer.Exit
    if json and context.invoked_subcommand:
        raise typer.BadParameter(f"--json goes after the command: touchstone {context.invoked_subcommand} --json")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


app.command("init", cls=Command, help="cli.init.about")(setup.init)
app.command("doctor", cls=Command, help="cli.doctor.about")(checkup.doctor)
app.command("models", cls=Command, help="cli.models.about")(models.models)
app.command("chat", cls=Command, help="cli.chat.about")(talk.chat)
app.command("index", cls=Command, help="cli.index.about")(documents.index)
app.command("ask", cls=Command, help="cli.ask.about")(documents.ask)
app.command("search", cls=Command, help="cli.search.about")(search.search)
app.command("explain", cls=Command, help="cli.explain.about")(search.explain)
app.command("sentiment", cls=Command, help="cli.sentiment.about")(sentiment.sentiment)
app.command("calibrate", cls=Command, help="cli.calibrate.about")(calibrate.calibrate)
app.command("ui", cls=Command, help="cli.ui.about")(pages.ui)
app.command("usage", cls=Command, help="cli.usage.about")(checkup.usage)
app.command("journal", cls=Command, help="cli.journal.about")(upkeep.journal)
app.command("rebuild", cls=Command, help="cli.rebuild.about")(upkeep.rebuild)
app.command("vacuum", cls=Command, help="cli.vacuum.about")(upkeep.vacuum)
app.command("forget", cls=Command, help="cli.forget.about")(upkeep.forget)
app.command("backup", cls=Command, help="cli.backup.about")(upkeep.backup)
app.command("restore", cls=Command, help="cli.restore.about")(upkeep.restore)
app.add_typer(upkeep.migrate)
app.add_typer(words.synonyms)
app.add_typer(words.dictionary)
app.add_typer(recommend.app)
app.add_typer(evaluate.app)
app.add_typer(train.app)
app.add_typer(new.app)


def main() -> None:
    """The entry point."""
    app(prog_name="touchstone")


if __name__ == "__main__":
    main()
