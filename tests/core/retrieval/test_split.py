"""Passages: exact spans, nothing cut that belongs together, nothing lost; and their quotable units."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.retrieval import load, sentences, split
from core.retrieval.units import Unit, units
from core.types import Passage

POLICY = """# Policy

Intro sentence.

## Windows

| Category | Days |
| --- | --- |
| Kettles | 21 |
| Audio | 45 |

You can:

- return kettles;
- exchange nothing.

### Exceptions

Gift cards are final. They never expire.
"""


def pieces(text: str, name: str = "a.md", most: int = split.MOST) -> list[tuple[split.Piece, str]]:
    document = load.load(text.encode(), source=name)
    found = split.split(document.text, list(document.blocks), title=document.title, most=most)
    return [(piece, document.text[piece.start : piece.end]) for piece in found]


def passage(text: str, **metadata: str) -> Passage:
    return Passage("p", "d", text, "Title", "s", 0, 100, 100 + len(text), "Heading", None, "en", metadata)


def shown(text: str, **metadata: str) -> list[tuple[str, str, str]]:
    return [(unit.kind, unit.lead, unit.shown) for unit in units(passage(text, **metadata))]


def test_headings_are_context() -> None:
    found = pieces(POLICY)
    assert [piece.heading for piece, _ in found] == [None, "Windows", "Windows › Exceptions"]
    assert found[0][1] == "Intro sentence."
    assert found[2][1] == "Gift cards are final. They never expire."


def test_a_long_table_is_cut_between_rows_and_keeps_its_header() -> None:
    rows = "\n".join(f"| KT-{n} | {n} months of warranty for this model |" for n in range(200, 260))
    found = pieces(f"# W\n\n| Model | Warranty |\n| --- | --- |\n{rows}\n", most=200)
    assert len(found) > 3
    for piece, text in found:
        assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines())
        assert piece.metadata.get("table_header") == "| Model | Warranty |" or "| Model |" in text
    last = units(passage(found[-1][1], **found[-1][0].metadata))[-1]
    assert last.shown == "Model: KT-259; Warranty: 259 months of warranty for this model"


def test_faq_pairs_are_whole() -> None:
    found = pieces("问：几天能退？\n答：15 天。要未拆封。\n\n问：谁出运费？\n答：买家。\n", "faq.txt")
    assert [piece.metadata["question"] for piece, _ in found] == ["几天能退？", "谁出运费？"]
    assert found[0][1] == "问：几天能退？\n答：15 天。要未拆封。"


def test_plain_text_headings() -> None:
    found = pieces(
        "Order changes\n\nCancelling\nYou can cancel within 60 minutes.\n\n一、地址\n地址可以在一小时内修改。\n",
        "a.txt",
    )
    assert [(piece.heading, text) for piece, text in found] == [
        ("Cancelling", "You can cancel within 60 minutes."),
        ("一、地址", "地址可以在一小时内修改。"),
    ]


def test_units_of_every_kind() -> None:
    assert shown("| A | B |\n| --- | --- |\n| 1 | 2 |") == [("row", "", "A: 1; B: 2")]
    assert shown("You can:\n- return it\n- keep it") == [
        ("item", "You can:", "return it"),
        ("item", "You can:", "keep it"),
    ]
    assert shown("Q: How?\nA: **Thus.** So.", question="How?") == [("answer", "How?", "Thus. So.")]
    assert shown("型号：KT；价格：12\n型号：TW；价格：9") == [
        ("sentence", "", "型号：KT；价格：12"),
        ("sentence", "", "型号：TW；价格：9"),
    ]


def test_units_are_exact_spans() -> None:
    text = "First one. 第二句。\n\n1. item [x](y)\n\n| A |\n| --- |\n| z |"
    for unit in units(passage(text)):
        assert text[unit.start - 100 : unit.end - 100] == unit.text
        assert isinstance(unit, Unit)


_TEXT = st.text(alphabet="ab。.!？ \n#|-:1，退货", min_size=1, max_size=300)


@given(_TEXT, st.sampled_from(["a.md", "a.txt"]))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_or_cut(text: str, name: str) -> None:
    if not any(c.isalnum() for c in text):
        return
    document = load.load(text.encode(), source=name)
    found = split.split(document.text, list(document.blocks), title=document.title, most=20)
    kept = "".join(document.text[p.start : p.end] for p in found) + "".join(b.title or "" for b in document.blocks)
    assert {c for c in text if c.isalnum()} <= set(kept)
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start
    for piece in found:
        start, end = piece.start, piece.end
        for block in document.blocks:
            if block.kind == "paragraph":
                for a, b in sentences.spans(document.text[block.start : block.end]):
                    a, b = a + block.start, b + block.start
                    assert not (a < start < b), "a sentence is cut"
                    assert not (a < end < b), "a sentence is cut"


def test_a_monster_line_is_cut_somewhere() -> None:
    found = pieces("x" * 1_000_000, "a.txt")
    assert max(len(text) for _, text in found) <= 2000
    assert sum(len(text) for _, text in found) == 1_000_000


def test_a_document_of_headings_alone_is_found() -> None:
    assert [text for _, text in pieces("# Only a heading\n")] == ["# Only a heading"]


def test_what_says_nothing_alone_is_no_unit() -> None:
    text = "Cabin:\n\n- x\n- 5 kg\n\nWhen does the sale begin? 何时上架？ It begins in May."
    assert [unit.shown for unit in units(passage(text))] == ["5 kg", "It begins in May."]


TELLS = (
    "有次成公英随曹操狩猎，有三只鹿经过，成公英发连三箭皆中，三只鹿应声倒下，曹操问：「但韩文约可为尽节，而孤独不可乎？"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TELLS, True),
        (f"问：{TELLS}", False),  # marked as what an FAQ asks
        ("我买的耳机用了三天，左边没有声音了，可以换一副新的吗？", False),  # the asker's case, and then the question
        ("为什么海水是咸的？", False),
        ("The study followed 4,120 nurses in eleven hospitals, found shorter sleep and more accidents among those on night shifts, linked both to raised blood pressure in the second year, and asks: what can be done?", True),
        ("More than 100 years after Robert Koch, what is the status of tuberculosis?", False),
    ],
)  # fmt: skip
def test_a_sentence_that_tells_much_before_it_asks_is_quotable(text: str, said: bool) -> None:
    assert [unit.shown for unit in units(passage(text))] == ([text] if said else [])
