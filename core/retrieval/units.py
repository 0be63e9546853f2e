"""The smallest parts of a passage that can be quoted: a sentence, a list item, a table row, an FAQ answer.

A unit is an exact span of the document. What it needs to be understood (the question of an FAQ pair, the
header of its table, the line that leads into its list) is its ``lead``; ``shown`` is how it reads in an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.retrieval import sentences, tokens
from core.retrieval.structure import Block, blocks
from core.types import Passage

Kind = Literal["sentence", "item", "row", "answer"]
_WHOLE_ANSWER = 240  # characters: a short FAQ answer is quoted whole
_ITEM_MARK = re.compile(r"\s*(?:[-*+•·]|\d{1,3}[.)、]|[（(]\d{1,3}[)）]|[①-⑳])\s*")
_ANSWER_MARK = re.compile(r"\s*(?:\*\*)?(?:A|答|Answer|答案|回答)\d*[ \t]*[:：.、](?:\*\*)?[ \t]*", re.IGNORECASE)
_QUESTION_MARK = re.compile(r"\s*(?:\*\*)?(?:Q|问|Question|问题)\d*[ \t]*[:：.、]", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[，,；;：:]")
_TOLD = 20  # content terms before the last clause; of the questions people ask in CMRC 2018 trial none has more than 18
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1|`([^`]+)`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_MARKDOWN_TYPES = re.compile(r"(?m)^\s*(?:\||[-*+] |#{1,6} )")


@dataclass(frozen=True, slots=True)
class Unit:
    """``document text[start:end]`` = ``text``; ``position`` counts the units of its passage."""

    passage: Passage
    position: int
    start: int
    end: int
    text: str
    shown: str
    kind: Kind
    lead: str = ""


def units(passage: Passage) -> list[Unit]:
    """The units of ``passage`` in order, those left out that say nothing alone."""
    parts = _answers(passage) if passage.metadata.get("question") else _parts(passage)
    found = [part for part in parts if _says_something(part[2])]
    return [
        Unit(passage, i, passage.start + a, passage.start + b, passage.text[a:b], shown, kind, lead)
        for i, (a, b, shown, kind, lead) in enumerate(found)
    ]


def _says_something(shown: str) -> bool:
    """Not a line that only leads into what follows ("Cabin:"), not a question, not a single letter.

    A long sentence may tell much before it asks: then it is more than its question.
    """
    if sum(c.isalnum() for c in shown) < 2:
        return False
    return not shown.rstrip().endswith((":", "：", "?", "？")) or _tells_before_it_asks(shown)


def _tells_before_it_asks(shown: str) -> bool:
    *told, _ = _CLAUSE_END.split(shown.rstrip(" :：?？"))
    return not _QUESTION_MARK.match(shown) and len(tokens.content_terms("，".join(told))) >= _TOLD


_Found = Iterator[tuple[int, int, str, Kind, str]]


def _answers(passage: Passage) -> _Found:
    text, question = passage.text, str(passage.metadata["question"])
    start = text.find("\n") + 1
    while match := _ANSWER_MARK.match(text, start):
        start = match.end()
        break
    if len(text) - start <= _WHOLE_ANSWER:
        yield start, len(text), readable(" ".join(text[start:].split())), "answer", question
        return
    for a, b in sentences.spans(text[start:]):
        yield start + a, start + b, readable(text[start + a : start + b]), "answer", question


def _parts(passage: Passage) -> _Found:
    text = passage.text
    header = str(passage.metadata.get("table_header", ""))
    lead = ""
    for block in blocks(text, markdown=bool(_MARKDOWN_TYPES.search(text)) or bool(header)):
        if block.kind == "table_rule":
            header = text[block.start : block.end] if "-" * 3 not in text[block.start : block.end] else header
        elif block.kind == "table_row":
            yield block.start, block.end, row(text[block.start : block.end], header), "row", lead
        elif block.kind == "list_item":
            yield from _item(text, block, lead)
        elif block.kind == "code":
            yield block.start, block.end, text[block.start : block.end], "sentence", ""
        else:
            spans = [(block.start + a, block.start + b) for a, b in sentences.spans(text[block.start : block.end])]
            for a, b in spans:
                yield a, b, readable(text[a:b]), "sentence", ""
            last = text[spans[-1][0] : spans[-1][1]] if spans else ""
            lead = readable(last) if last.endswith((":", "：")) else ""


def _item(text: str, block: Block, lead: str) -> _Found:
    match = _ITEM_MARK.match(text, block.start, block.end)
    start = match.end() if match else block.start
    yield start, block.end, readable(" ".join(text[start : block.end].split())), "item", lead


def row(line: str, header: str) -> str:
    """A table row with its column names: ``| KT-210 | 12 |`` becomes ``Product: KT-210; Months: 12``."""
    cells, names = _cells(line), _cells(header)
    if not line.lstrip().startswith("|"):
        return readable(line)
    if len(names) != len(cells):
        return readable("; ".join(cell for cell in cells if cell))
    han = any("\u4e00" <= c <= "\u9fff" for c in line + header)
    colon, gap = ("：", "；") if han else (": ", "; ")
    named = (f"{name}{colon}{cell}" if name else cell for name, cell in zip(names, cells, strict=True) if cell)
    return readable(gap.join(named))


def readable(text: str) -> str:
    """``text`` without Markdown's marks for emphasis, code and links."""
    text = _LINK.sub(r"\1", text)
    return _EMPHASIS.sub(lambda m: m[2] or m[3], text).strip()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.strip() else []
