"""What is wrong with a command line, in the user's language.

typer says it in English only. Its sentences are few; one that is not known here is shown as typer wrote it.
"""

from __future__ import annotations

import re
from typing import Any

from core.i18n import message

_FOR = r"Invalid value for '(?P<name>[^']*)'(?: / '[^']*')?: "
_SENTENCES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), f"cli.usage_error.{key}")
    for pattern, key in (
        (r"No such command '(?P<name>.*)'\.", "no_command"),
        (r"No such option: (?P<name>\S+)", "no_option"),
        (r"Missing (?:argument|option) '(?P<name>.*)'\.", "missing"),
        (r"Option '(?P<name>.*)' requires an argument\.", "no_value"),
        (r"Got unexpected extra arguments?(?:\(s\))? \((?P<name>.*)\)", "extra"),
        (rf"{_FOR}.*valid number", "not_a_number"),
        (rf"{_FOR}.*valid integer", "not_an_integer"),
        (rf"{_FOR}.*less than or equal to (?P<most>\S+)", "too_large"),
        (rf"{_FOR}.*greater than or equal to (?P<least>\S+)", "too_small"),
        (rf"{_FOR}(?P<detail>.*)", "bad_value"),
    )
)


def told(error: Any, language: str) -> str:
    """``error`` (typer's usage error) as one sentence."""
    english = str(error.format_message())
    if language != "en":
        for pattern, key in _SENTENCES:
            if match := pattern.match(english):
                return message(key, language, **match.groupdict())
    return english


def hint(error: Any, language: str) -> str:
    """How the command is used, and where its help is; empty when typer does not know the command."""
    if error.ctx is None:
        return ""
    usage = error.ctx.get_usage().removeprefix("Usage:").strip()
    return f"{message('cli.usage_error.usage', language, usage=usage, command=error.ctx.command_path)}\n\n"
