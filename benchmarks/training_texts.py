"""Text of our own to learn a language from: the project's documentation and the sample corpora, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHORTEST = 20  # characters of a paragraph
FOLDERS = ("docs/en", "docs/zh", "docs/decisions", "apps/customer_service/sample", "apps/search/sample")
_CODE = re.compile(r"```.*?```", re.S)


def file(into: Path) -> Path:
    """One file of all paragraphs: prose of Markdown and text files, without blocks of code and tables."""
    paragraphs: dict[str, None] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".md", ".txt"):
                for piece in re.split(r"\n\s*\n", _CODE.sub("", path.read_text("utf-8"))):
                    if len(text := piece.strip()) >= SHORTEST and not text.startswith("|"):
                        paragraphs[text] = None
    into.mkdir(parents=True, exist_ok=True)
    made = into / "own-text.txt"
    made.write_text("\n\n".join(paragraphs), "utf-8")
    return made
