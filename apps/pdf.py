"""Headings, paragraphs and links as a PDF of A4 pages, in Chinese and in Latin letters, set by reportlab.

No font is in the file: Latin letters are Helvetica, which every reader of PDF has, all else is STSong-Light of the
character collection Adobe-GB1, for which a reader takes a Chinese font of its machine. A machine without one shows boxes;
the words can be copied and searched all the same.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any, Literal

WIDTH, HEIGHT, MARGIN = 595.3, 841.9, 62.0  # points: 1/72 inch
_INK, _SOFT, _RULE = "#1c2633", "#5c6978", "#b88a2b"
_CHINESE = "STSong-Light"
_LOOKS: dict[str, dict[str, Any]] = {
    "title": {"fontSize": 19, "leading": 27, "spaceAfter": 6},
    "heading": {"fontSize": 12.5, "leading": 19, "spaceBefore": 14, "keepWithNext": 1},
    "paragraph": {"fontSize": 10.5, "leading": 16, "spaceBefore": 6},
    "item": {"fontSize": 10.5, "leading": 16, "spaceBefore": 4, "leftIndent": 12, "bulletIndent": 1},
}
_SMALLER = 9
_NOT_FIRST = "，；：？！）》”’…"


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a block. ``link`` is an address of ASCII characters; what is ``soft`` is grey and smaller."""

    text: str
    soft: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    kind: Literal["title", "heading", "paragraph", "item"]
    pieces: tuple[Piece, ...]


def document(blocks: Sequence[Block], *, title: str, language: str) -> bytes:
    """The file. ``title`` and ``language`` (``zh``, ``en``) are what a reader shows and reads aloud by."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import HRFlowable, SimpleDocTemplate, paragraph

    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
    # What reportlab lets no line begin with is of Japanese; Chinese has these, too.
    paragraph.ALL_CANNOT_START = "".join({*paragraph.ALL_CANNOT_START, *_NOT_FIRST})
    story: list[Any] = []
    for block in blocks:
        story.append(_paragraph(block))
        if block.kind == "title":
            story.append(HRFlowable(width="100%", thickness=1.2, color=_RULE, spaceAfter=4))
    file = io.BytesIO()
    made = SimpleDocTemplate(
        file, pagesize=(WIDTH, HEIGHT), leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
        title=title, author="Touchstone", lang=language,
    )  # fmt: skip
    made.build(story, onFirstPage=_foot, onLaterPages=_foot)
    return file.getvalue()


def _paragraph(block: Block) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    # Chinese lines break between any two characters but for what may not begin one, and keep Latin words whole.
    chinese = not all(_is_latin(c) for piece in block.pieces for c in piece.text)
    style = ParagraphStyle(
        block.kind, fontName="Helvetica", textColor=_INK, wordWrap="CJK" if chinese else None, **_LOOKS[block.kind]
    )
    marked = "".join(map(_marked, block.pieces))
    return Paragraph(marked, style, bulletText="•" if block.kind == "item" else None)


def _marked(piece: Piece) -> str:
    """A piece in reportlab's markup, its own signs escaped."""
    text = re.sub(r"\s", " ", piece.text)
    runs = ((latin, "".join(run)) for latin, run in groupby(text, _is_latin))
    marked = "".join(escape(run) if latin else f'<font name="{_CHINESE}">{escape(run)}</font>' for latin, run in runs)
    if piece.soft:
        marked = f'<font color="{_SOFT}" size="{_SMALLER}">{marked}</font>'
    return f'<a href="{escape(piece.link)}">{marked}</a>' if piece.link else marked


def _is_latin(character: str) -> bool:
    """Whether Helvetica has it."""
    try:
        return bool(character.encode("cp1252"))
    except UnicodeEncodeError:
        return False


def _foot(canvas: Any, made: Any) -> None:
    canvas.saveState()
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(_SOFT)
    canvas.drawCentredString(WIDTH / 2, MARGIN / 2, str(made.page))
    canvas.restoreState()
