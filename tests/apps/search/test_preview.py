"""What the side preview shows of a document around a passage, and how it is drawn."""

from __future__ import annotations

from apps.search.preview import BEFORE, Table, Text, blocks, shown
from apps.search.views import reader
from core.types import Passage

CSV = "城市：杭州；上限：400\n城市：上海；上限：500；备注：展会 700\n城市：宁波；上限：400\n"
TRIP = """---
title: Trips
---
# Trips

Before you go.

## Hotels

| City | Limit |
| --- | --- |
| London | 120 |
| Leeds | 90 |

- Book early. Pay with the card.
"""


def passage(text: str, start: int, end: int, page: int | None = None, position: int = 0) -> Passage:
    return Passage(f"p{position}", "d", text[start:end], "Title", "a.md", position, start, end, page=page)


def test_rows_of_a_table_file_stand_under_their_columns() -> None:
    row = CSV.index("城市：上海")
    (table,) = blocks(CSV, (row, CSV.index("\n", row)))
    assert isinstance(table, Table)
    assert table.header == ("城市", "上限", "备注")
    assert table.rows == (("杭州", "400", ""), ("上海", "500", "展会 700"), ("宁波", "400", ""))
    assert table.marked == {1}
    drawn = reader.drawn(table).splitlines()
    assert drawn[1] == "| :-- | --: | :-- |", "numbers stand to the right"
    assert drawn[3].startswith("| :primary-background[上海] |")


def test_a_section_keeps_headings_tables_and_lists_and_marks_the_sentence() -> None:
    start = TRIP.index("Pay with")
    found = shown(TRIP, (), passage(TRIP, TRIP.index("| City"), len(TRIP)), (start, start + len("Pay with the card.")))
    kinds = [(type(part).__name__, getattr(part, "level", None)) for part in found.parts]
    assert kinds == [("Text", 1), ("Text", 0), ("Text", 2), ("Table", None), ("Text", 0)]
    assert not any("title:" in part.text for part in found.parts if isinstance(part, Text)), "front matter is no text"
    assert reader.drawn(found.parts[-1]) == "\\- Book early\\. :primary-background[Pay with the card\\.]"
    assert reader.drawn(found.parts[2]) == "**Hotels**"
    assert found.parts[3].rows == (("London", "120"), ("Leeds", "90"))  # type: ignore[union-attr]
    assert (found.before, found.after) == (False, False)


def test_a_header_that_answers_best_marks_the_table_under_it() -> None:
    start = TRIP.index("| City")
    there = passage(TRIP, start, TRIP.index("- Book"))
    found = shown(TRIP, (), there, (start, start + len("| City | Limit |")))
    assert [part.marked for part in found.parts if isinstance(part, Table)] == [{0, 1}]


def test_a_passage_in_a_long_document_stands_near_the_top() -> None:
    text = "\n\n".join(f"Paragraph {n} says something of its own." for n in range(900))
    start = text.index("Paragraph 500 ")
    found = shown(text, (), passage(text, start, start + 42), (start, start + 42))
    lit = next(n for n, part in enumerate(found.parts) if isinstance(part, Text) and part.marked)
    before = sum(len(part.text) for part in found.parts[:lit] if isinstance(part, Text))
    assert before <= BEFORE + 42
    assert (found.before, found.after) == (True, True)
    whole = shown(text, (), passage(text, start, start + 42), (start, start + 42), whole=True)
    assert len(whole.parts) == 900


def test_a_pdf_is_turned_page_by_page() -> None:
    text = "First page.\n\nStill the first.\n\nSecond page.\n\nThird."
    at = [text.index(words) for words in ("First", "Still", "Second", "Third")]
    passages = [
        passage(text, start, end, page, position)
        for position, (start, end, page) in enumerate(
            ((at[0], at[1] - 2, 1), (at[1], at[2] - 2, 1), (at[2], at[3] - 2, 2), (at[3], len(text), 3))
        )
    ]
    found = shown(text, passages, passages[1], (at[1], at[2] - 2))
    assert [part.text for part in found.parts if isinstance(part, Text)] == ["First page.", "Still the first."]
    assert (found.page, found.pages) == (1, 3)
    second = shown(text, passages, passages[1], (at[1], at[2] - 2), page=2)
    assert [(part.text, part.marked) for part in second.parts if isinstance(part, Text)] == [("Second page.", None)]


def test_text_of_a_document_stays_text() -> None:
    text = "![](http://bad/x.png) <script>\n\n| a | b |\n| --- | --- |\n| [x](http://bad) | :red[y] |"
    drawn = "\n\n".join(map(reader.drawn, blocks(text, (0, len(text)))))
    assert "![](" not in drawn
    assert "[x](" not in drawn
    assert "<script" not in drawn.replace("\\<", "")
    assert " :red[" not in drawn
