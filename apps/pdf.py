"""Headings, paragraphs and links as a PDF of A4 pages, in Chinese and in Latin letters.

No font is in the file: Latin letters are Helvetica, which every reader of PDF has, all else is STSong-Light of the
character collection Adobe-GB1, for which a reader takes a Chinese font of its machine. A machine without one shows boxes;
the words can be copied and searched all the same. The page's language needs nothing else, so nothing is installed for it.

Source: ISO 32000-2, 7.5 (file), 9.6.2.2 (the standard fonts and their widths), 9.7.5.2 (UniGB-UTF16-H), 12.5.6.5 (links).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 62.0  # points: 1/72 inch
_INK, _SOFT, _RULE = "0.11 0.15 0.2", "0.36 0.41 0.47", "0.72 0.54 0.17"


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


@dataclass(frozen=True, slots=True)
class _Look:
    """Sizes in points; ``heavy`` is the width of the outline that makes letters bold, 0 for none."""

    size: float
    above: float
    heavy: float = 0.0
    indent: float = 0.0


_LOOKS = {
    "title": _Look(19, 0, 0.5),
    "heading": _Look(12.5, 15, 0.35),
    "paragraph": _Look(10.5, 8),
    "item": _Look(10.5, 4, indent=12),
}
_LEADING, _SMALLER = 1.5, 0.85
_FOOT = 30.0  # of the page number, from the lower edge

# Widths of Helvetica in thousandths of the size, from the space to the tilde.
_HELVETICA = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
_WIDE = {  # and of what is in no range
    "€": 556, "£": 556, "–": 556, "—": 1000, "‘": 222, "’": 222, "“": 333, "”": 333, "…": 1000, "•": 350, "·": 278,
    "§": 556, "©": 737, "®": 737, "°": 400, "±": 584, "«": 556, "»": 556, "×": 584, "÷": 584,
    "ß": 611, "Æ": 1000, "æ": 889, "Ø": 778, "ø": 611,
}  # fmt: skip
_EITHER = frozenset("–—‘’“”…")
_CHINESE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_SPACES = re.compile(r"\s+")
_WORDS = re.compile(r"\s|[!-~\u00a1-\u00b6\u00b8-\u00ff–—‘’“”…•€]+|.")
_NOT_FIRST = frozenset("，。、；：！？）》」』】〕”’…％")
_NOT_LAST = frozenset("（《「『【〔“‘")


def document(blocks: Sequence[Block], *, title: str, language: str) -> bytes:
    """The file. ``title`` and ``language`` (``zh``, ``en``) are what a reader shows and reads aloud by."""
    pages = _Pages()
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        pages.add(block, keep=bool(following) and block.kind in ("title", "heading"))
    return _file(pages.finished(), title, language)


@dataclass(frozen=True, slots=True)
class _Token:
    """What no line is broken within: a word, a space, a character."""

    text: str
    latin: bool
    size: float
    soft: bool
    link: str

    @property
    def width(self) -> float:
        return sum(_width(c, self.latin) for c in self.text) * self.size / 1000


class _Pages:
    """Pages that fill from above."""

    def __init__(self) -> None:
        self._drawn: list[list[str]] = []
        self._links: list[list[tuple[float, float, float, float, str]]] = []
        self._y = 0.0
        self._turn()

    def _turn(self) -> None:
        self._drawn.append([])
        self._links.append([])
        self._y = HEIGHT - MARGIN

    def add(self, block: Block, *, keep: bool) -> None:
        """Draw ``block``; with ``keep`` not at the foot of a page, without what it is the heading of."""
        look = _LOOKS[block.kind]
        lines = list(_lines(_tokens(block, look), WIDTH - 2 * MARGIN - look.indent))
        step = look.size * _LEADING
        self._y -= look.above if self._y < HEIGHT - MARGIN else 0
        if self._y - step * (len(lines) + (3 if keep else 0)) < MARGIN and (keep or len(lines) <= 3):
            self._turn()
        for number, line in enumerate(lines):
            if self._y - step < MARGIN:
                self._turn()
            self._y -= step
            if block.kind == "item" and not number:
                self._drawn[-1].append(f"{_SOFT} rg {MARGIN + 1:.1f} {self._y + look.size * 0.28:.1f} 2.4 2.4 re f")
            self._line(line, MARGIN + look.indent, look)
        if block.kind == "title":
            self._y -= 6
            self._drawn[-1].append(f"{_RULE} rg {MARGIN:.1f} {self._y:.1f} {WIDTH - 2 * MARGIN:.1f} 1.2 re f")

    def _line(self, line: Sequence[_Token], x: float, look: _Look) -> None:
        for (latin, size, soft, link), tokens in groupby(line, key=lambda t: (t.latin, t.size, t.soft, t.link)):
            run = list(tokens)
            text, width = "".join(t.text for t in run), sum(t.width for t in run)
            code = text.encode("cp1252" if latin else "utf-16-be", "replace").hex()
            ink = _SOFT if soft else _INK
            bold = f"{ink} RG {look.heavy} w 2 Tr" if look.heavy else "0 Tr"
            self._drawn[-1].append(
                f"BT {ink} rg {bold} /{'L' if latin else 'C'} {size:.2f} Tf {x:.2f} {self._y:.2f} Td <{code}> Tj ET"
            )
            if link:
                self._links[-1].append((x, self._y - size * 0.2, x + width, self._y + size, link))
            x += width

    def finished(self) -> list[tuple[str, list[tuple[float, float, float, float, str]]]]:
        """What is drawn on each page, with its number, and its links."""
        count = len(self._drawn)
        for number, drawn in enumerate(self._drawn, 1):
            told = f"{number} / {count}"
            x = (WIDTH - sum(_width(c, latin=True) for c in told) * 8 / 1000) / 2
            drawn.append(f"BT {_SOFT} rg 0 Tr /L 8 Tf {x:.2f} {_FOOT:.2f} Td <{told.encode().hex()}> Tj ET")
        return [("\n".join(drawn), links) for drawn, links in zip(self._drawn, self._links, strict=True)]


def _tokens(block: Block, look: _Look) -> Iterator[_Token]:
    for piece in block.pieces:
        size = look.size * (_SMALLER if piece.soft else 1)
        chinese = bool(_CHINESE.search(piece.text))
        for found in _WORDS.finditer(_SPACES.sub(" ", piece.text)):
            runs: list[tuple[str, bool]] = []
            for character in found.group():
                latin = _is_latin(character, chinese)
                if runs and runs[-1][1] == latin:
                    runs[-1] = (runs[-1][0] + character, latin)
                else:
                    runs.append((character, latin))
            yield from (_Token(run, latin, size, piece.soft, piece.link) for run, latin in runs)


def _lines(tokens: Iterator[_Token], width: float) -> Iterator[list[_Token]]:
    """Tokens by lines: no line begins with a closing mark or a space, none ends with an opening mark."""
    line: list[_Token] = []
    used = 0.0
    for token in (part for whole in tokens for part in _short(whole, width)):
        if line and used + token.width > width and not (len(token.text) < 3 and token.text[0] in _NOT_FIRST):
            carried = [line.pop()] if len(line) > 1 and line[-1].text[-1] in _NOT_LAST else []
            yield line
            line = carried
            used = sum(t.width for t in line)
        if line or not token.text.isspace():
            line.append(token)
            used += token.width
    if line:
        yield line


def _short(token: _Token, width: float) -> Iterator[_Token]:
    """``token`` in parts that fit into a line."""
    text = token.text
    while text:
        part = text
        while len(part) > 1 and sum(_width(c, token.latin) for c in part) * token.size / 1000 > width:
            part = part[: max(1, len(part) * 3 // 4)]
        yield _Token(part, token.latin, token.size, token.soft, token.link)
        text = text[len(part) :]


def _is_latin(character: str, chinese: bool) -> bool:
    """Whether Helvetica has it; quotation marks and dashes are Chinese ones in a Chinese sentence."""
    if character in _WIDE:
        return not (chinese and character in _EITHER)
    return " " <= character <= "~" or (character <= "ÿ" and "A" <= unicodedata.normalize("NFD", character)[0] <= "z")


def _width(character: str, latin: bool) -> int:
    """In thousandths of the size; an accent makes a letter no wider."""
    if not latin:
        return 1000
    if character in _WIDE:
        return _WIDE[character]
    return _HELVETICA[ord(unicodedata.normalize("NFD", character)[0]) - 32]


def _file(
    pages: Sequence[tuple[str, Sequence[tuple[float, float, float, float, str]]]], title: str, language: str
) -> bytes:
    """Objects 1 to 6 are the same in every file, then two for each page."""
    first = 7
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(pages)))
    told = ("\ufeff" + title).encode("utf-16-be").hex()
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R /Lang ({language}) /ViewerPreferences << /DisplayDocTitle true >> >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light-UniGB-UTF16-H /Encoding /UniGB-UTF16-H"
        b" /DescendantFonts [5 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >>"
        b" /FontDescriptor << /Type /FontDescriptor /FontName /STSong-Light /Flags 4 /FontBBox [-25 -254 1000 880]"
        b" /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 60 >> >>",
        f"<< /Title <{told}> /Producer (Touchstone) >>".encode(),
    ]
    for number, (drawn, links) in enumerate(pages):
        data = zlib.compress(drawn.encode())
        notes = " ".join(
            f"<< /Type /Annot /Subtype /Link /Border [0 0 0] /Rect [{a:.1f} {b:.1f} {c:.1f} {d:.1f}]"
            f" /A << /S /URI /URI <{link.encode('ascii', 'ignore').hex()}> >> >>"
            for a, b, c, d, link in links
        )
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:g} {HEIGHT:g}] /Contents {first + 2 * number + 1} 0 R"
            f" /Resources << /Font << /L 3 0 R /C 4 0 R >> >> /Annots [{notes}] >>".encode(),
            f"<< /Length {len(data)} /Filter /FlateDecode >>\nstream\n".encode() + data + b"\nendstream",
        ]
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, told_object in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + told_object + b"\nendobj\n"
    begin = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, begin)
    return bytes(out)
