"""Texts that follow from tables of the code: .env.example and the tables of docs/*/settings.md, commands.md."""

from __future__ import annotations

from pathlib import Path

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
