"""Documents to passages: along headings, never through a sentence, a table row or a question–answer pair.

A passage is an exact span of the document's text. What gives it meaning but stands elsewhere (title, headings,
the header of its table) is its context: indexed and embedded with it, never part of the quoted text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from core.retrieval import sentences
from core.retrieval.structure import Block

VERSION = 1  # raised when the cut changes; documents are then split again at the next sync
MOST = 600  # weight of the longest passage: Han characters, or about 165 English words
_HAN = re.compile("[\u2e80-\u9fff\uf901-\U0010ffff]")
_LONGEST_SENTENCE = 2000  # characters; what is longer is no sentence (a log line, minified data)


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage before it has an id. ``heading`` is the path of headings, outermost first, joined by `` › ``."""

    start: int
    end: int
    heading: str | None = None
    page: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def split(text: str, blocks: list[Block], *, title: str = "", most: int = MOST) -> list[Piece]:
    """Cut ``text`` along its ``blocks``. Every block but headings lies in exactly one piece, or is cut at sentences."""
    pieces: list[Piece] = []
    path: list[tuple[int, str]] = []
    open_piece: Piece | None = None
    han = 0  # characters of it, counted along: weighing the whole piece for every part would be quadratic

    def close() -> None:
        nonlocal open_piece
        if open_piece is not None:
            pieces.append(open_piece)
        open_piece = None

    for block in blocks:
        if block.kind == "heading":
            close()
            path = [entry for entry in path if entry[0] < block.level] + [(block.level, block.title or "")]
            continue
        heading = " › ".join(name for _, name in path if name and name != title) or None
        if block.kind == "faq":
            close()
            pieces.append(
                Piece(block.start, block.end, heading, block.page, {**block.metadata, "question": block.title})
            )
            continue
        for part in _parts(text, block, most):
            grown = han + _count(text, open_piece.end, part.end) if open_piece is not None else 0
            fits = open_piece is not None and _weight(grown, part.end - open_piece.start) <= most
            if open_piece is not None and fits and open_piece.page == part.page and _same_row(open_piece, part):
                open_piece, han = replace(open_piece, end=part.end), grown
                continue
            close()
            han = _count(text, part.start, part.end)
            header = {"table_header": part.header} if part.header else {}
            open_piece = Piece(part.start, part.end, heading, part.page, {**part.metadata, **header})
    close()
    kept = [piece for piece in pieces if not _only_rules(text[piece.start : piece.end])]
    if not kept and not _only_rules(text):  # a document of headings alone
        kept = [Piece(blocks[0].start, blocks[-1].end, page=blocks[0].page)] if blocks else []
    return kept


def _same_row(piece: Piece, block: Block) -> bool:
    """Whether both come from the same row of a data file, or from none."""
    return {name: value for name, value in piece.metadata.items() if name != "table_header"} == block.metadata


def context(title: str, heading: str | None, metadata: dict[str, Any]) -> str:
    """What is indexed and embedded before a passage's own text."""
    parts = [title, heading or "", str(metadata.get("table_header", "")).strip("| ").replace("|", " ")]
    return "\n".join(part for part in parts if part)


def text_hash(text: str) -> str:
    """Key of a text's vector."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def weight(text: str) -> int:
    """Length in reading terms: a Han character counts 1, any other 0.6."""
    return _weight(_count(text, 0, len(text)), len(text))


def _weight(han: int, length: int) -> int:
    return int(han + 0.6 * (length - han))


def _count(text: str, start: int, end: int) -> int:
    return len(_HAN.findall(text, start, end))


def _parts(text: str, block: Block, most: int) -> Iterator[Block]:
    """``block``, cut at sentences when it is longer than a passage may be."""
    if weight(text[block.start : block.end]) <= most or block.kind in ("table_row", "table_rule"):
        yield block
        return
    start = end = block.start
    han = 0
    for a, b in sentences.spans(text[block.start : block.end]):
        for c, d in _bounded(a + block.start, b + block.start):
            han += _count(text, end, d)
            if end > start and _weight(han, d - start) > most:
                yield replace(block, start=start, end=end)
                start, han = c, _count(text, c, d)
            end = d
    if end > start:
        yield replace(block, start=start, end=end)


def _bounded(start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _LONGEST_SENTENCE:
        yield start, start + _LONGEST_SENTENCE
        start += _LONGEST_SENTENCE
    yield start, end


def _only_rules(text: str) -> bool:
    return not any(c.isalnum() for c in text)
