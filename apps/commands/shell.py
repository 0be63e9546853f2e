"""What all commands share: the language, where they write, and how errors end them.

Exit codes: 0 ok · 1 failed · 2 usage · 3 configuration · 4 model · 5 workspace · 6 input · 130 stopped.

Text of documents and models is written as it is, without markup and without terminal control codes.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.commands.usage_errors import hint, told
from core.errors import (
    ConfigurationError,
    InputError,
    NotAllowed,
    NotFound,
    PromptError,
    ProviderError,
    StoreError,
    TouchstoneError,
)
from core.i18n import message, preferred_language, secret_free
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

EXIT_CODES: tuple[tuple[type[TouchstoneError], int], ...] = (
    (ConfigurationError, 3),
    (PromptError, 3),
    (ProviderError, 4),
    (StoreError, 5),
    (InputError, 6),
    (NotFound, 6),
    (NotAllowed, 6),
)
STOPPED = 130
PIPE_WIDTH = 160  # columns of a table that no terminal cuts
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]  # the base of all errors of the command line's form
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


# --- language ---------------------------------------------------------------------------------


def current_language() -> str:
    """The language of the settings, or of the system when the settings cannot be read."""
    try:
        return load_settings().language
    except TouchstoneError:
        return preferred_language()


def _translate(command: Any, language: str) -> None:
    """Put the texts for the keys that stand as help of ``command`` and its parameters."""
    for thing in (command, *command.params):
        key = thing.__dict__.setdefault("help_key", thing.help)
        if key and key.startswith("cli."):
            thing.help = message(key, language)


def _help_option(option: Any) -> Any:
    if option is not None:
        option.help = message("cli.option.help", current_language())
    return option


class Command(TyperCommand):
    """A command whose help texts are keys of the catalogue."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _translate(self, current_language())
        super().format_help(ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _help_option(super().get_help_option(ctx))


class Group(TyperGroup):
    """The program: help in the user's language, and every error told and turned into an exit code."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        language = current_language()
        for command in (self, *self.commands.values()):
            _translate(command, language)
            command.short_help = command.help  # the whole sentence: a cut one says nothing
        super().format_help(ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _help_option(super().get_help_option(ctx))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        work = partial(super().main, arguments, prog_name, complete_var, standalone_mode=False, **extra)
        code = run(work, "--json" in arguments)
        if standalone_mode:
            sys.exit(code)
        return code


def run(work: Any, as_json: bool) -> int:
    """Do ``work`` and return the exit code; whatever it raises is told, as JSON on stdout or on stderr."""
    _open_streams(as_json)
    try:
        code = work()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except TouchstoneError as error:
        language = current_language()
        _tell_error(error.as_dict(language), as_json, language)
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
    except (KeyboardInterrupt, typer.Abort):
        return STOPPED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not isinstance(error, _UsageError):
            if as_json:
                _tell_error(
                    {"code": "internal", "message": secret_free(f"{type(error).__name__}: {error}")}, True, "en"
                )
            raise
        language = current_language()
        if not as_json:
            sys.stderr.write(hint(error, language))
        _tell_error({"code": "usage", "message": told(error, language)}, as_json, language)
        return 2


def _tell_error(error: dict[str, Any], as_json: bool, language: str) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"error": error}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"{message('cli.error', language)} {plain(error['message'])}\n")


def _open_streams(as_json: bool) -> None:
    """JSON is UTF-8 whatever the locale; people get a stand-in for what their terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and as_json and stream is sys.stdout:
            reconfigure(encoding="utf-8", errors="replace")
        elif reconfigure is not None:
            reconfigure(errors="replace")


# --- output -----------------------------------------------------------------------------------


@dataclass
class Out:
    """Where a command writes. ``language`` is the user's; with ``json`` people's text is left out."""

    json: bool
    language: str

    def t(self, key: str, **params: Any) -> str:
        return message(f"cli.{key}", self.language, **params)

    def say(self, text: str = "") -> None:
        """A line for people, on stdout."""
        if not self.json:
            sys.stdout.write(plain(text) + "\n")

    def piece(self, text: str) -> None:
        """A piece of an answer, shown at once."""
        if not self.json:
            sys.stdout.write(plain(text))
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """A line beside the result, on stderr."""
        if not self.json:
            sys.stdout.flush()
            sys.stderr.write(plain(text) + "\n")

    def document(self, data: Any) -> None:
        """The one JSON document of a command with ``--json``."""
        if self.json:
            sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
            sys.stdout.flush()

    def show(self, what: RenderableType) -> None:
        """A table for people, on stdout."""
        if not self.json:
            console(sys.stdout).print(what)


def out_of(settings: Settings | None, as_json: bool) -> Out:
    return Out(as_json, settings.language if settings else current_language())


def console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(
        file=stream,
        width=None if stream.isatty() else PIPE_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
    )


def table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def plain(text: str) -> str:
    """``text`` without terminal control codes, and with bytes that are no characters replaced."""
    return _CONTROL.sub("", text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
