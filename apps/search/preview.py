"""A document as a reader sees it around a passage: headings, paragraphs and rows of a table, those of the passage marked.

>>> parts = blocks("Name: Ann; Room: 4\\nName: Bo; Room: 7", (19, 36))
>>> parts[0].header, parts[0].rows, parts[0].marked
(('Name', 'Room'), (('Ann', '4'), ('Bo', '7')), frozenset({1}))
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from core.retrieval import structure
from core.types import Passage

BEFORE, AFTER = 250, 2500  # characters around a passage: few before it, so that it stands where a reader begins
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_CELL = re.compile(r"([^：；]{1,40})：(.*)|([^:;]{1,40}): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Text:
    """A heading (``level`` from 1), list item or paragraph. ``marked`` is the part that is marked, as offsets."""

    text: str
    level: int = 0
    item: bool = False
    marked: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; ``marked`` are the places of rows that are marked."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int]


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of a document. ``page`` and ``pages`` are those of a PDF; ``before`` and ``after`` say that there is more."""

    parts: tuple[Text | Table, ...]
    page: int | None = None
    pages: int | None = None
    before: bool = False
    after: bool = False

    @property
    def partial(self) -> bool:
        """Whether the document has more than is shown."""
        return self.before or self.after or (self.pages or 1) > 1


def shown(
    text: str,
    passages: Sequence[Passage],
    passage: Passage,
    marked: tuple[int, int],
    *,
    page: int | None = None,
    whole: bool = False,
) -> Shown:
    """The part of a document to show for ``passage``: of a PDF a page, of other documents what stands around it.

    Args:
        passages: those of the document, in its order.
        marked: what to mark, in the document's text.
        page: of a PDF, another page than that of the passage.
        whole: all of the document.
    """
    if passage.page is not None and not whole:
        numbers = [one.page for one in passages if one.page is not None]
        wanted = passage.page if page is None else page
        there = [one for one in passages if one.page == wanted]
        start, end = (there[0].start, max(one.end for one in there)) if there else (0, 0)
        return Shown(tuple(blocks(text, marked, start, end)), wanted, max(numbers, default=wanted))
    front = _FRONT_MATTER.match(text)
    first = front.end() if front and front.end() <= passage.start else 0
    if not any(part.marked for part in blocks(text, marked, passage.start, passage.end)):
        marked = passage.start, passage.end  # a table's header is no row: with it, all that it stands over
    if whole:
        return Shown(tuple(blocks(text, marked, first)))
    start = max(first, _line_before(text, passage.start - BEFORE))
    end = _line_after(text, passage.end + AFTER)
    return Shown(tuple(blocks(text, marked, start, end)), before=start > first, after=end < len(text))


def blocks(text: str, marked: tuple[int, int], start: int = 0, end: int | None = None) -> list[Text | Table]:
    """``text[start:end]`` as parts, in order; offsets of ``marked`` are those of ``text``."""
    end = len(text) if end is None else end
    found: list[Text | Table] = []
    pieces = list(_pieces(text[start:end], start))
    for table, group in groupby(pieces, key=lambda piece: piece.header is not None):
        if not table:
            found += [_text(text, piece, marked) for piece in group]
            continue
        for header, rows in groupby(group, key=lambda piece: piece.header):
            kept = list(rows)
            lit = {place for place, row in enumerate(kept) if row.start < marked[1] and marked[0] < row.end}
            found.append(Table(header or (), tuple(row.cells for row in kept), frozenset(lit)))
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    kind: str
    level: int = 0
    header: tuple[str, ...] | None = None  # of a row
    cells: tuple[str, ...] = ()


def _pieces(text: str, offset: int) -> list[_Piece]:
    found: list[_Piece] = []
    header: tuple[str, ...] = ()
    for block in structure.blocks(text, markdown=True):
        start, end = block.start + offset, block.end + offset
        inside = text[block.start : block.end]
        if block.kind == "table_rule":
            if set(inside) - set("|-: \t"):
                header = _cells(inside)
        elif block.kind == "table_row":
            cells = _cells(inside)
            header = header if len(header) == len(cells) else ("",) * len(cells)
            found.append(_Piece(start, end, "row", header=header, cells=cells))
        elif block.kind == "paragraph":
            found += _rows_or_lines(inside, start)
        else:
            found.append(_Piece(start, end, block.kind, block.level))
    return found


def _rows_or_lines(paragraph: str, start: int) -> list[_Piece]:
    """The rows of a CSV or JSON file, which a collection keeps as ``column: value; …`` lines; else the paragraph."""
    found: list[_Piece] = []
    for line in paragraph.splitlines(keepends=True):
        pairs = [match for cell in re.split("；|; ", line.strip()) if (match := _CELL.fullmatch(cell))]
        if len(pairs) < 2 or len(pairs) != len(re.split("；|; ", line.strip())):
            return [_Piece(start, start + len(paragraph.rstrip()), "paragraph")]
        names = tuple((pair[1] or pair[3]).strip() for pair in pairs)
        cells = tuple((pair[2] or pair[4] or "").strip() for pair in pairs)
        found.append(_Piece(start, start + len(line.rstrip()), "row", header=names, cells=cells))
        start += len(line)
    return _with_one_header(found)


def _with_one_header(rows: Sequence[_Piece]) -> list[_Piece]:
    """``rows`` under the columns that any of them has; a row lacks those that were empty."""
    names = max((row.header or () for row in rows), key=len, default=())
    names = tuple(dict.fromkeys([*names, *(name for row in rows for name in row.header or ())]))
    found = []
    for row in rows:
        given = dict(zip(row.header or (), row.cells, strict=True))
        found.append(
            _Piece(row.start, row.end, row.kind, header=names, cells=tuple(given.get(name, "") for name in names))
        )
    return found


def _text(text: str, piece: _Piece, marked: tuple[int, int]) -> Text:
    start, end = max(piece.start, marked[0]), min(piece.end, marked[1])
    whole = text[piece.start : piece.end]
    lit = (start - piece.start, end - piece.start) if start < end and text[start:end].strip() else None
    return Text(whole, piece.level if piece.kind == "heading" else 0, piece.kind == "list_item", lit)


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def _line_before(text: str, place: int) -> int:
    return text.rfind("\n", 0, max(0, place)) + 1


def _line_after(text: str, place: int) -> int:
    found = text.find("\n", place)
    return len(text) if found < 0 else found
