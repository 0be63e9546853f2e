"""Synonyms and the user dictionary: what finds what, from when on, and for whom."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from core.errors import InputError, NotFound
from core.retrieval.library import Library
from core.retrieval.vocabulary import Vocabulary, checked, read
from core.types import Caller

DOCUMENTS = {
    "refund.txt": "Goods may be sent back within 15 days.",
    "zh.txt": "签收后十五天内可以退回商品。",
    "sale.txt": "双十一期间满三百减五十。",
    "tw.txt": "The TW-5 Pro is waterproof.",
    "noise.txt": "The tent weighs 3.2 kg. Pro tip: use five pegs, TW included.",
}


@pytest.fixture
def words_alone(library: Library) -> Library:
    """Without vectors, so that only words can find."""

    async def add() -> None:
        for source, text in DOCUMENTS.items():
            await library.collection().add_text(text, source, embed=False)

    asyncio.run(add())
    return library


def sources(library: Library, query: str, **options: object) -> list[str]:
    found = asyncio.run(library.search(query, mode="keyword", **options))  # type: ignore[arg-type]
    return [hit.passage.source for hit in found.hits]


def test_equal_words_find_each_other_across_languages(words_alone: Library) -> None:
    assert sources(words_alone, "退款规则") == ["zh.txt"]  # 退 alone
    words_alone.words().add(["退款", "退回", "sent back"])
    assert set(sources(words_alone, "退款规则")) == {"zh.txt", "refund.txt"}
    assert set(sources(words_alone, "what can be SENT BACK?")) == {"zh.txt", "refund.txt"}
    assert sources(words_alone, "what can be sent back?", synonyms=False) == ["refund.txt"]
    assert set(sources(words_alone, "退貨或退回")) >= {"refund.txt"}  # Traditional beside Simplified


def test_an_expansion_goes_one_way(words_alone: Library) -> None:
    group = words_alone.words("default").add(["大促", "双十一", "618"], kind="expand")
    assert str(group) == "大促 → 双十一, 618"
    assert sources(words_alone, "大促") == ["sale.txt"]
    assert Vocabulary((("expand", group.words),), ()).synonyms("双十一") == []
    words_alone.words().remove(group.id or 0)
    assert sources(words_alone, "大促") == []
    with pytest.raises(NotFound):
        words_alone.words().remove(group.id or 0)


def test_a_word_within_another_is_no_match() -> None:
    words = Vocabulary((("equal", ("art", "painting")),), ())
    assert words.synonyms("the party starts") == []
    assert words.synonyms("The ART of it") == ["painting"]
    assert Vocabulary((("equal", ("七天", "一周")),), ()).synonyms("七天内退货") == ["一周"]


def test_collections_and_tenants_have_their_own(words_alone: Library) -> None:
    words_alone.words("other").add(["大促", "双十一"])
    words_alone.for_caller(Caller("elsewhere", "x")).words().add(["大促", "双十一"])
    assert sources(words_alone, "大促") == []
    group = words_alone.words().add(["大促", "双十一"])
    assert sources(words_alone, "大促") == ["sale.txt"]
    with pytest.raises(NotFound):
        words_alone.for_caller(Caller("elsewhere", "x")).words().remove(group.id or 0)
    assert [g.collection for g in words_alone.words("other").synonyms()] == ["other", ""]


def test_a_file_of_synonyms(hashed: object, words_alone: Library, tmp_path: Path) -> None:
    file = tmp_path / "synonyms.yaml"
    file.write_text("equal:\n  - [退款, 退回]\nexpand:\n  大促: [双十一]\n  节日: 双十一\n", "utf-8")
    library = Library(words_alone.workspace, None, synonyms=file)
    assert sources(library, "大促") == sources(library, "节日") == ["sale.txt"]
    file.write_text("expand:\n  大促: [waterproof]\n", "utf-8")
    os.utime(file, ns=(1, 1))
    assert sources(library, "大促") == ["tw.txt"]
    file.unlink()
    with pytest.raises(InputError):
        sources(library, "大促")


@pytest.mark.parametrize(
    "text",
    ["- a", "equal: [a]", "equal: [[a]]", "same: [[a, b]]", "expand: [a]", "equal: [[a, '!']]", "{", "equal: {a: b}"],
)
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text, "utf-8")
    with pytest.raises(InputError):
        read(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    "words",
    [["a"], ["a", "a "], ["a", "。"], ["a", ""], ["a", "b" * 101], [str(n) for n in range(51)], ["a", "b\n" * 2]],
)
def test_groups_that_are_none(words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        checked(words)
    assert caught.value.reason == "bad_words"


def test_a_kept_word_is_a_term_of_its_own(words_alone: Library) -> None:
    index = words_alone.collection()

    def score(query: str, source: str) -> float:
        hits = asyncio.run(words_alone.search(query, mode="keyword")).hits
        return next(h.keyword_score or 0.0 for h in hits if h.passage.source == source)

    before = score("tw-5 pro", "tw.txt"), score("tw-5 pro", "noise.txt")
    kept = words_alone.words().keep("TW-5 Pro")
    assert (kept.passages, kept.collection) == (1, "")
    after = score("tw-5 pro", "tw.txt"), score("tw-5 pro", "noise.txt")
    assert after[0] > before[0]
    assert after[1] == pytest.approx(before[1], rel=0.1)
    asyncio.run(index.add_text("A case for the tw-5 pro.", "case.txt", embed=False))  # and what comes later
    reasons = asyncio.run(words_alone.explain("TW-5 Pro", "case.txt")).passages[0].terms
    assert next(t for t in reasons if t.term == "tw-5 pro").in_text == 1
    assert [k.word for k in words_alone.words("default").kept()] == ["TW-5 Pro"]
    assert words_alone.words().forget("TW-5 Pro").passages == 2
    assert not any(
        t.term == "tw-5 pro" for t in asyncio.run(words_alone.explain("TW-5 Pro", "case.txt")).passages[0].terms
    )
    with pytest.raises(NotFound):
        words_alone.words().forget("TW-5 Pro")
    with pytest.raises(InputError):
        words_alone.words().keep("…")


def test_another_tenants_dictionary_changes_nothing(words_alone: Library) -> None:
    other = words_alone.for_caller(Caller("elsewhere", "x"))
    asyncio.run(other.collection().add_text("The TW-5 Pro.", "theirs.txt", embed=False))
    assert other.words().keep("TW-5 Pro").passages == 1
    assert words_alone.words().kept() == []


def test_several_collections_know_the_words_of_each(words_alone: Library) -> None:
    asyncio.run(words_alone.collection("second").add_text("满减活动 618 开始。", "second.txt", embed=False))
    words_alone.words("second").add(["大促", "618"], kind="expand")
    words_alone.words("default").add(["大促", "双十一"], kind="expand")
    assert set(sources(words_alone, "大促", collections=("default", "second"))) == {"sale.txt", "second.txt"}
