"""The PDF, read by pypdf: every word is there, in order, inside the margins."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from apps.pdf import HEIGHT, MARGIN, WIDTH, Block, Piece, document

LETTERS = st.sampled_from("abc WIl.,%-()é“”’—…·中文字，。《》！？（）12 ")


def read(blocks: list[Block]) -> PdfReader:
    return PdfReader(io.BytesIO(document(blocks, title="Brief 简报", language="zh")), strict=True)


def words(reader: PdfReader) -> str:
    """All that is drawn, without spaces, bullets and page numbers."""
    told = [page.extract_text().removeprefix(f"{number}\n") for number, page in enumerate(reader.pages, 1)]
    return "".join(c for c in "".join(told) if c.isprintable() and not c.isspace() and c != "•")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(LETTERS, min_size=1, max_size=160).filter(str.strip), min_size=1, max_size=4))
def test_every_word_is_there_in_order(texts: list[str]) -> None:
    kinds = ("title", "heading", "paragraph", "item")
    reader = read(
        [Block(kinds[i % 4], (Piece(text), Piece(" "), Piece(text, soft=True))) for i, text in enumerate(texts)]
    )
    assert words(reader) == "".join("".join(text.split()) * 2 for text in texts)


def test_a_long_document_goes_on_overleaf_and_stays_inside_the_margins() -> None:
    blocks = [Block("title", (Piece("Brief 简报"),))]
    for number in range(40):
        blocks.append(Block("heading", (Piece(f"第{number}家公司 Company {number}"),)))
        blocks.append(Block("item", (Piece(f"{'净' * number}{'，净利润' * 30}{'profit grew ' * number}{'x' * 300}"),)))
    reader = read(blocks)
    assert reader.metadata
    assert reader.metadata.title == "Brief 简报"
    assert len(reader.pages) > 3
    drawn: list[tuple[str, float, float]] = []

    def see(text: str, cm: list[float], tm: list[float], font: object, size: object) -> None:
        x, y = cm[0] * tm[4] + cm[2] * tm[5] + cm[4], cm[1] * tm[4] + cm[3] * tm[5] + cm[5]
        if text.strip() and y > MARGIN:  # below stands the number of the page
            drawn.append((text.strip(), x, y))

    for page in reader.pages:
        page.extract_text(visitor_text=see)
    assert len(drawn) > 80
    assert all(MARGIN <= x < WIDTH - MARGIN and MARGIN <= y < HEIGHT - MARGIN for _, x, y in drawn)
    for page in reader.pages:
        lines = page.extract_text().splitlines()
        assert not [line for line in lines if line.startswith("，")], "no line begins with a comma"


@pytest.mark.parametrize("lines", range(26, 34))
def test_a_heading_stands_with_what_it_is_the_heading_of(lines: int) -> None:
    above = [Block("paragraph", (Piece("above"),))] * lines
    reader = read([*above, Block("heading", (Piece("Company"),)), Block("item", (Piece("profit grew"),))])
    for page in reader.pages:
        assert not page.extract_text().strip().endswith("Company")


def test_a_link_leads_to_its_address() -> None:
    address = "https://example.org/a(b)?c=1&d=%E4%B8%AD"
    page = read([Block("item", (Piece("see "), Piece("the source", soft=True, link=address)))]).pages[0]
    (note,) = page["/Annots"]
    assert note["/A"]["/URI"] == address
    left, bottom, right, top = map(float, note["/Rect"])
    assert MARGIN < left < right < WIDTH - MARGIN
    assert bottom < top
