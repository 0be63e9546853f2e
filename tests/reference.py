"""Texts that follow from the code: .env.example, and the tables of docs/*/settings.md and docs/*/commands.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LANGUAGES = ("en", "zh")


def env_example() -> dict[Path, str]:
    """Every variable there is, in a comment each, so that a copy changes nothing until it is edited."""
    from core.providers.services import SERVICES
    from core.settings import FIELDS, OTHER_VARIABLES

    lines = [
        "# Copy this file to .env, take the # away from the lines you need and fill them in.",
        "# 把本文件复制为 .env，去掉所需行前的 #，填入内容。",
        "# The environment wins over this file. 环境变量优先于本文件。",
        "",
    ]
    for f in FIELDS:
        lines += [
            f"# {f.help_en}. Allowed: {f.allowed_text().text('en')}.",
            f"# {f.help_zh}。可用：{f.allowed_text().text('zh')}。",
            f"# {f.variable}={f.default}",
            "",
        ]
    for name, (english, chinese) in OTHER_VARIABLES.items():
        lines += [f"# {english}.", f"# {chinese}。", f"# {name}=", ""]
    for row in SERVICES:
        lines.append(f"# {row.label}" + (f": {row.key_url}" if row.key_url else ""))
        lines.append(
            f"# Key and base URL of {row.name}:… / {row.name}:… 的密钥和基础 URL"
            if row.key_variable
            else f"# Base URL of {row.name}:…, no key / {row.name}:… 的基础 URL，无需密钥"
        )
        if row.key_variable:
            lines.append(f"# {row.key_variable}=")
        lines += [f"# {row.url_variable}={row.base_url}", ""]
    return {ROOT / ".env.example": "\n".join(lines).rstrip("\n") + "\n"}


def settings_tables() -> dict[Path, str]:
    from core.settings import FIELDS, OTHER_VARIABLES

    heads = {
        "en": "| Variable | touchstone.yaml | Default | Allowed | Meaning |",
        "zh": "| 变量 | touchstone.yaml | 默认 | 可用 | 含义 |",
    }
    pages = {}
    for language in LANGUAGES:
        rows = [heads[language], "| --- | --- | --- | --- | --- |"]
        for f in FIELDS:
            default = f"`{f.default}`" if f.default != "" else ""
            meaning = f.help_en if language == "en" else f.help_zh
            rows.append(f"| `{f.variable}` | `{f.path}` | {default} | {f.allowed_text().text(language)} | {meaning} |")
        for name, texts in OTHER_VARIABLES.items():
            rows.append(f"| `{name}` |  |  |  | {texts[LANGUAGES.index(language)]} |")
        pages[ROOT / "docs" / language / "settings.md"] = "\n".join(rows)
    return pages


def commands() -> dict[str, Any]:
    """Every command by its full name, such as ``evaluate answers``; groups are opened."""
    from typer.main import get_command

    from apps.cli import app

    def opened(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from opened(command, f"{prefix}{name} ")
            else:
                yield f"{prefix}{name}", command

    return dict(opened(get_command(app), ""))


def command_tables() -> dict[Path, str]:
    """One table of all commands, and one for each with its arguments and options, as ``--help`` has them."""
    import apps.cli  # noqa: F401  (its import registers the catalogue)
    from core.i18n import message

    heads = {
        "en": ("| Command | What it does |", "| Argument or option | Meaning | Default |"),
        "zh": ("| 命令 | 作用 |", "| 参数或选项 | 含义 | 默认 |"),
    }
    pages = {}
    for language in LANGUAGES:
        lines = [heads[language][0], "| --- | --- |"]
        for name, command in commands().items():
            anchor = f"touchstone-{name.replace(' ', '-')}"
            lines.append(f"| [`touchstone {name}`](#{anchor}) | {message(key_of(command), language)} |")
        for name, command in commands().items():
            lines += ["", f"### touchstone {name}", "", message(key_of(command), language), ""]
            lines += [heads[language][1], "| --- | --- | --- |"]
            for parameter in command.params:
                meaning = message(key_of(parameter), language)
                lines.append(f"| {spelled(parameter)} | {meaning} | {default_of(parameter)} |")
        pages[ROOT / "docs" / language / "commands.md"] = "\n".join(lines)
    return pages


def default_of(parameter: Any) -> str:
    value = parameter.default
    if value in (None, "", False) or callable(value):
        return ""
    return f"`{str(value).lower() if value is True else value}`"


def key_of(thing: Any) -> str:
    """The key of a help text, also after ``--help`` has put the text in its place."""
    return str(getattr(thing, "help_key", None) or thing.help)


def spelled(parameter: Any) -> str:
    """`--port`, `-p`, or the name of an argument."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
