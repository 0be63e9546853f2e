"""Sentences of Chinese and English text as spans."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|nos|fig|figs|dr|mr|mrs|ms|prof|st|inc|ltd|co|jr|sr|al|cf|min|max|dept|est|tel|ext|vol|pp|"
    r"jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|a\.m|p\.m|u\.s|u\.k)|\b[A-Z]|^\d{1,3})\.$",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?。！？…]+[”’」』）)\"\]]*(?=\s|$|[\u3400-\u9fff])|[。！？…]+[”’」』）)\"]*|\n")
_STARTS = re.compile(r"\s*[\"'“‘(\[]*[A-Z0-9\u00c0-\u00de\u3400-\u9fff£$€¥*#-]")


def spans(text: str) -> Iterator[tuple[int, int]]:
    """``(start, end)`` of every sentence of ``text``, white space trimmed, empty ones left out.

    A full stop ends a sentence only before white space and what can begin one: not in ``3.5``, ``e.g.`` or
    ``support@example.com``. A line break ends a sentence.

    >>> t = "签收后 15 天内可退。运费 3.5 元！See e.g. the KT-210 page. Fees vary."
    >>> [t[a:b] for a, b in spans(t)]
    ['签收后 15 天内可退。', '运费 3.5 元！', 'See e.g. the KT-210 page.', 'Fees vary.']
    """
    start = 0
    for match in _END.finditer(text):
        if match[0].startswith(".") and not _ends_here(text, start, match):
            continue
        yield from _trimmed(text, start, match.end())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _ends_here(text: str, start: int, match: re.Match[str]) -> bool:
    if _ABBREVIATION.search(text[max(start, match.start() - 12) : match.start() + 1].lstrip()):
        return False
    rest = text[match.end() : match.end() + 8]
    return not rest.strip() or bool(_STARTS.match(rest))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
