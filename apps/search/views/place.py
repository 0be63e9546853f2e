"""Where a passage stands, as a reader is told: its document and the text before it."""

from __future__ import annotations

import re
from pathlib import Path

from apps.search.service import SAMPLE
from apps.ui import look

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)


def source(written: str) -> str:
    """A document's path, without the folders that this install happens to stand in."""
    path = Path(written)
    return path.relative_to(SAMPLE).as_posix() if path.is_relative_to(SAMPLE) else look.place(path)


def before(text: str, start: int, most: int) -> str:
    """Up to ``most`` characters before ``start``, without the front matter of a Markdown file."""
    front = _FRONT_MATTER.match(text)
    begin = front.end() if front and front.end() <= start else 0
    return text[max(begin, start - most) : start]
