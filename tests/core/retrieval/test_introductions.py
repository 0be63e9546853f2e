"""A question for a product, or for what tells two apart, is answered by how the documents introduce them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core.retrieval.answer import SourcesFound
from core.retrieval.introductions import introduced, products
from core.retrieval.library import Library
from tests.core.retrieval.conftest import sync
from tests.core.retrieval.test_answerer import answered, check_citations, events

DOCUMENTS = {
    "kt-210.md": "# KT-210 电热水壶说明\n\nKT-210 是四段温控的水壶。首次使用前请煮沸清水。\n",
    "kt-310.md": "# KT-310 电热水壶说明\n\nKT-310 可以逐度控温。它比别的水壶重。首次使用前请煮沸清水。\n",
    "kt-310-old.md": "# KT-310 说明（已废止）\n\nKT-310 只有两段温控。\n",
    "warranty.md": "# 保修\n\nKT-210 保修 12 个月，KT-310 保修 24 个月。\n",
    "hp-70.md": "# HP-70 headphones\n\nThe HP-70 costs $149. It folds flat.\n",
    "tw-5.md": "# TW-5 and TW-5 Pro earbuds\n\nThe TW-5 and the TW-5 Pro differ in noise cancelling.\n",
}


@pytest.fixture
def shop(library: Library, tmp_path: Path) -> Library:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, "utf-8")
    sync(library, folder)
    return library


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("KT-210 和 KT-310 有什么区别？", ("KT-210", "KT-310")),
        ("What's the difference between KT210 and the KT-310?", ("KT210", "KT-310")),
        ("TW-5 or TW-5 Pro, which is better?", ("TW-5", "TW-5 Pro")),
        ("介绍一下 KT-310", ("KT-310",)),
        ("Tell me about the HP-70, please", ("HP-70",)),
        ("what's the difference between the kt 210 and the KT 310", ("kt 210", "KT 310")),
        ("Tell me about what you changed on 10 January", None),
        ("Is USD 30 or EUR 30 better?", None),
        ("KT-210 和 KT-310 都能退吗", None),
        ("KT-210 有什么不同", None),
        ("KT-210、KT-310、HP-70、TW-5 有什么区别", None),
    ],
)
def test_which_questions_ask_for_a_difference(question: str, names: tuple[str, ...] | None) -> None:
    found = products(question)
    assert (found and found.names) == names


def test_each_product_is_quoted_where_its_document_introduces_it(shop: Library) -> None:
    seen = events(shop, "KT-210 和 KT-310 有什么区别？")
    answer = answered(seen)
    quotes = [c.quote for c in answer.citations]
    assert quotes[:2] == ["KT-210 是四段温控的水壶。", "KT-310 可以逐度控温。它比别的水壶重。"]
    assert "KT-210 保修 12 个月，KT-310 保修 24 个月。" in quotes[2:]  # says something of both
    sources = next(event for event in seen if isinstance(event, SourcesFound))
    assert [Path(hit.passage.source).name for hit in sources.hits[:2]] == [
        "kt-210.md",
        "kt-310.md",
    ]  # what a model is given, too
    check_citations(shop, answer)


@pytest.mark.parametrize("question", ["介绍一下 KT-310", "KT-310 怎么样？", "What is the KT-310?"])
def test_one_product_is_introduced_the_same_way(shop: Library, question: str) -> None:
    answer = answered(events(shop, question))
    assert [c.quote for c in answer.citations] == ["KT-310 可以逐度控温。它比别的水壶重。", "首次使用前请煮沸清水。"]
    assert answer.confidence is None  # it was not weighed, and is not called weak


def test_one_document_that_introduces_both_is_quoted_once(shop: Library) -> None:
    answer = answered(events(shop, "compare TW-5 and TW-5 Pro"))
    assert [c.quote for c in answer.citations] == ["The TW-5 and the TW-5 Pro differ in noise cancelling."]


def test_the_other_languages_document_introduces_where_there_is_no_other(shop: Library) -> None:
    answer = answered(events(shop, "KT-210 和 HP-70 哪个好"))
    assert [c.quote for c in answer.citations] == ["KT-210 是四段温控的水壶。", "The HP-70 costs $149. It folds flat."]


@pytest.mark.parametrize(
    "question", ["KT-210 和 ZZ-99 有什么区别", "KT-210 和 KT-310 的保修有什么区别", "KT-210 的保修怎么样"]
)
def test_nothing_is_introduced_without_a_document_or_for_one_thing_alone(shop: Library, question: str) -> None:
    asked = products(question)
    assert asked is not None
    assert asyncio.run(introduced(shop.collection(), asked, "zh")) == []


def test_a_difference_in_one_thing_is_looked_for_as_usual(shop: Library) -> None:
    answer = answered(events(shop, "KT-210 和 KT-310 的保修有什么区别"))
    assert answer.citations[0].quote == "KT-210 保修 12 个月，KT-310 保修 24 个月。"
