"""Sources that contradict each other are both quoted and named; rules with conditions are no contradiction."""

from __future__ import annotations

import asyncio

import pytest

from core.i18n import message
from core.retrieval.conflict import between
from core.retrieval.library import Library
from core.retrieval.units import Unit, units
from core.types import Language, Passage


def unit(text: str, title: str, language: Language) -> Unit:
    passage = Passage(title, title, text, title, f"{title}.md", 0, 0, len(text), None, None, language)
    return units(passage)[0]


@pytest.mark.parametrize(
    ("one", "other", "language", "differ"),
    [
        ("自签收之日起 15 天内可以无理由退货。", "自签收之日起七天内可以无理由退货。", "zh", True),
        ("自签收之日起 14 天内可以无理由退货。", "自签收之日起两周内可以无理由退货。", "zh", False),
        ("自签收之日起 15 天内可以无理由退货。", "会员自签收之日起 20 天内可以无理由退货。", "zh", False),
        ("水壶的保修期为 24 个月。", "耳机的保修期为 12 个月。", "zh", False),
        ("KT-210 的保修期为 24 个月。", "KT-310 的保修期为 36 个月。", "zh", False),
        ("Delivery to the islands costs £9 and takes long.", "Delivery to the islands costs £12 and takes long.", "en", True),
        ("Delivery to the islands costs £9.", "Delivery to the islands takes 5 days.", "en", False),
        ("The store opens at 9 am on weekdays.", "The store opens at 10 am on weekdays.", "en", True),
        ("The store opens at 9 am on weekdays.", "The store opens at 10 am at weekends.", "en", False),
    ],
)  # fmt: skip
def test_only_the_same_said_otherwise_is_a_contradiction(
    one: str, other: str, language: Language, differ: bool
) -> None:
    found = between([unit(one, "甲", language), unit(other, "乙", language)])
    assert (found is not None) == differ


def test_two_sentences_of_one_document_are_its_own_affair() -> None:
    text = "普通件 3 天内送达本市。普通件 5 天内送达本市。"
    passage = Passage("p", "d", text, "配送", "p.md", 0, 0, len(text), None, None, "zh")
    assert between(units(passage)) is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_answer_says_so_and_keeps_both(library: Library, language: Language) -> None:
    async def asked() -> None:
        collection = library.collection("rules")
        if language == "zh":
            await collection.add_text(
                "自签收之日起 15 天内可以无理由退货。运费由买家承担。", "甲.txt", title="退货政策"
            )
            await collection.add_text("自签收之日起 7 天内可以无理由退货。包装要完好。", "乙.txt", title="售后须知")
            question = "几天内可以无理由退货？"
        else:
            await collection.add_text(
                "Unused goods can be returned within 30 days. Keep the receipt.", "a.txt", title="Returns"
            )
            await collection.add_text(
                "Unused goods can be returned within 14 days. Ask us first.", "b.txt", title="Help"
            )
            question = "Within how many days can unused goods be returned?"
        answer = await library.answer(question, collection="rules")
        assert answer.mode == "extractive"
        assert "sources_differ" in answer.notices
        assert len({citation.document_id for citation in answer.citations}) == 2
        numbers = {"one": 1, "other": 2}
        assert message("notice.sources_differ", language, **numbers) in answer.text

    asyncio.run(asked())
