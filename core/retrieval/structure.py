"""The structure of a text as blocks: headings, paragraphs, list items, table rows, question–answer pairs.

Blocks are spans of the text, so that passages and citations made of them point to exact characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["heading", "paragraph", "list_item", "table_row", "table_rule", "faq", "code"]


@dataclass(frozen=True, slots=True)
class Block:
    """``text[start:end]`` of kind ``kind``. ``level`` is a heading's depth, ``header`` a table row's header line."""

    kind: Kind
    start: int
    end: int
    level: int = 0
    header: str | None = None
    page: int | None = None
    title: str | None = None  # a heading's text without its marks, the question of a faq
    metadata: Mapping[str, str] = field(default_factory=dict)  # of the row it comes from: id, url, date


_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t]*#*$")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•·]|\d{1,3}[.)、]|[（(]\d{1,3}[)）]|[①-⑳])[ \t]*(?=\S)")
_RULE_ROW = re.compile(r"\|?[\s:|-]*-{2,}[\s:|-]*\|?$")
_UNDERLINE = re.compile(r"(=+|-{3,})\s*$")
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_QUESTION = re.compile(r"[ \t]*(?:\*\*)?(?:Q|问|問|Question|问题)\d*[ \t]*[:：.、][ \t]*(?P<q>.+)", re.IGNORECASE)
_ANSWER = re.compile(r"[ \t]*(?:\*\*)?(?:A|答|Answer|答案|回答)\d*[ \t]*[:：.、][ \t]*\S", re.IGNORECASE)
_CHAPTER = re.compile(
    r"[ \t]*(?:第[一二三四五六七八九十百\d]+[章节条部篇]|[一二三四五六七八九十]{1,3}、|[（(][一二三四五六七八九十]{1,3}[)）])"
)
_ENDS = re.compile(r"[。！？；，、.!?;,:：]\s*$")
_STRONG_LINE = re.compile(r"(?:\*\*|__)([^*_]{1,80})(?:\*\*|__)[:：]?$")


def blocks(text: str, *, markdown: bool, page: int | None = None, offset: int = 0) -> list[Block]:
    """The blocks of ``text`` in order.

    Args:
        markdown: read ``#`` headings, fences and pipe tables; otherwise headings are guessed: a short line
            without final punctuation between an empty line and a text line, or a numbered Chinese chapter.
        offset: added to every span, for the pages of a longer text.
    """
    lines = list(_lines(text))
    found: list[Block] = []
    paragraph: list[tuple[int, int]] = []
    header: str | None = None
    i = 0

    def flush() -> None:
        if paragraph:
            found.append(Block("paragraph", paragraph[0][0] + offset, paragraph[-1][1] + offset, page=page))
            paragraph.clear()

    while i < len(lines):
        start, end = lines[i]
        line = text[start:end]
        in_table = markdown and line.lstrip().startswith("|")
        if not in_table:
            header = None
        if not line.strip():
            flush()
        elif markdown and (fence := _FENCE.match(line)):
            flush()
            last = next(
                (j for j in range(i + 1, len(lines)) if text[slice(*lines[j])].lstrip().startswith(fence[1])),
                len(lines) - 1,
            )
            found.append(Block("code", start + offset, lines[last][1] + offset, page=page))
            i = last
        elif in_table:
            flush()
            if _RULE_ROW.match(line.strip()):
                found.append(Block("table_rule", start + offset, end + offset, page=page))
            else:
                if header is None:
                    header = line.strip()
                    is_header = i + 1 < len(lines) and _RULE_ROW.match(text[slice(*lines[i + 1])].strip()) is not None
                    found.append(
                        Block("table_rule" if is_header else "table_row", start + offset, end + offset, page=page)
                    )
                    header = header if is_header else ""
                else:
                    found.append(Block("table_row", start + offset, end + offset, header=header or None, page=page))
        elif (
            (question := _QUESTION.match(line))
            and i + 1 < len(lines)
            and _ANSWER.match(text[slice(*lines[_next(lines, text, i)])])
        ):
            flush()
            last = _end_of_answer(lines, text, _next(lines, text, i))
            asked = question["q"].strip().strip("*").strip()
            found.append(Block("faq", start + offset, lines[last][1] + offset, page=page, title=asked))
            i = last
        elif heading := _heading(text, lines, i, markdown):
            flush()
            level, title, last = heading
            found.append(Block("heading", start + offset, lines[last][1] + offset, level, page=page, title=title))
            i = last
        elif _LIST_ITEM.match(line):
            flush()
            last = i
            while last + 1 < len(lines) and _continues(text, lines, last + 1, line):
                last += 1
            found.append(Block("list_item", start + offset, lines[last][1] + offset, page=page))
            i = last
        else:
            paragraph.append((start, end))
        i += 1
    flush()
    return found


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.split("\n"):
        yield start, start + len(line)
        start += len(line) + 1


def _next(lines: list[tuple[int, int]], text: str, i: int) -> int:
    """The next line with text in it, an empty one between allowed."""
    j = i + 1
    while j + 1 < len(lines) and j < i + 3 and not text[slice(*lines[j])].strip():
        j += 1
    return j


def _end_of_answer(lines: list[tuple[int, int]], text: str, i: int) -> int:
    while i + 1 < len(lines):
        line = text[slice(*lines[i + 1])]
        if not line.strip() or _QUESTION.match(line) or _HEADING.match(line):
            break
        i += 1
    return i


def _continues(text: str, lines: list[tuple[int, int]], i: int, first: str) -> bool:
    """Whether line ``i`` belongs to the list item that began with ``first``: indented deeper, no item of its own."""
    line = text[slice(*lines[i])]
    deeper = len(line) - len(line.lstrip()) > len(first) - len(first.lstrip())
    return bool(line.strip()) and deeper and not _LIST_ITEM.match(line)


def _heading(text: str, lines: list[tuple[int, int]], i: int, markdown: bool) -> tuple[int, str, int] | None:
    """``(level, title, last line)`` when a heading begins at line ``i``."""
    line = text[slice(*lines[i])]
    after = text[slice(*lines[i + 1])] if i + 1 < len(lines) else ""
    if markdown:
        if match := _HEADING.match(line):
            return len(match[1]), match[2].strip(), i
        if after and (under := _UNDERLINE.match(after)) and not line.lstrip().startswith(("|", "-", "*")):
            return (1 if under[1][0] == "=" else 2), line.strip(), i + 1
        if match := _STRONG_LINE.match(line.strip()):
            return 6, match[1].strip(), i
        return None
    before = text[slice(*lines[i - 1])] if i else ""
    short = len(line.strip()) <= (30 if any("\u4e00" <= c <= "\u9fff" for c in line) else 70)
    if after and (under := _UNDERLINE.match(after)) and short and len(after.strip()) >= 3:
        return (1 if under[1][0] == "=" else 2), line.strip(), i + 1
    if not short or before.strip() or _ENDS.search(line):
        return None
    if _CHAPTER.match(line):
        return (2 if re.match(r"\s*(第|[一二三四五六七八九十])", line) else 3), line.strip(), i
    if i == 0 and len(lines) > 1 and not _LIST_ITEM.match(line):
        return 1, line.strip(), i
    followed = after.strip() and len(after.strip()) > len(line.strip())
    if followed and not _LIST_ITEM.match(line) and "|" not in line and ":" not in line and "：" not in line:
        return 2, line.strip(), i
    return None
