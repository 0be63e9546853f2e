"""What a search may be asked for beside a filter: legs, diversity, recency, boosts, folding, sentences, sections."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import numpy as np
import pytest

from core.errors import InputError, NotFound
from core.retrieval import arrange, filters, tokens
from core.retrieval.library import Library
from core.retrieval.options import Recency, SearchOptions
from core.retrieval.records import Found
from core.types import Hit, Passage

DAY = 86_400.0


def hit(id_: str, score: float, text: str = "", **passage: Any) -> Hit:
    return Hit(
        Passage(id_, f"doc-{id_}", text or id_, passage.pop("title", ""), f"{id_}.md", 0, 0, 9, **passage), score
    )


def found(library: Library, query: str, **options: Any) -> Found:
    return asyncio.run(library.search(query, **options))


def titles(result: Found) -> list[str]:
    return [h.passage.title for h in result.hits]


def filled(library: Library, documents: dict[str, str], collection: str = "default", **more: Any) -> Library:
    async def add() -> None:
        for source, text in documents.items():
            await library.collection(collection).add_text(text, source, **more)

    asyncio.run(add())
    return library


SHOP = {
    "returns.md": "# 退货政策\n\n自签收之日起 15 天内可以退货。退货运费由买家承担。\n",
    "kettle.md": "# KT-210 kettle\n\nThe kettle holds 1.5 L. Boil-dry protection turns it off.\n",
    "tent.md": "# Tent\n\nThe tent weighs 3.2 kg. It sleeps two.\n",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 0}, {"top_k": 1001}, {"top_k": True}, {"mode": "fuzzy"}, {"diversity": 1.5}, {"diversity": float("nan")},
        {"collapse": 0.1}, {"boosts": {"body": 1}}, {"boosts": {"title": -1}}, {"recency": Recency(0)},
        {"recency": Recency(10, weight=-1)}, {"collections": ()}, {"topk": 3}, {"where": {"a": {"$x": 1}}},
    ],
    ids=repr,
)  # fmt: skip
def test_options_that_are_not_allowed(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SearchOptions().changed(**wrong)


def test_modes(library: Library) -> None:
    filled(library, SHOP)
    words = found(library, "kettle protection", mode="keyword")
    assert titles(words) == ["KT-210 kettle"]
    assert words.vector is None
    meaning = found(library, "kettle protection", mode="vector")
    assert len(meaning.hits) == 3
    assert all(h.keyword_rank is None and h.vector_rank for h in meaning.hits)
    both = found(library, "kettle protection")
    assert both.hits[0].keyword_rank == both.hits[0].vector_rank == 1
    assert {h.collection for h in both.hits} == {"default"}


def test_keyword_mode_asks_no_model(library: Library, counting: Any) -> None:
    from core.errors import ConnectFailed

    filled(library, SHOP)
    counting.error = ConnectFailed(provider="x", url="http://127.0.0.1:1", detail="refused")
    assert found(library, "tent", mode="keyword").notices == ()
    assert found(library, "tent").notices == ("embedding_down",)
    assert found(library, "tent", mode="vector").notices == ("embedding_down",)


def test_several_collections_are_one(library: Library) -> None:
    filled(library, SHOP)
    filled(
        library,
        {"bike.md": "# Bicycle\n\nThe bicycle code is 4711. The tent is not mine.\n"},
        "mine",
        metadata={"own": True},
    )
    result = found(library, "bicycle tent code", collections=("default", "mine"), top_k=2)
    assert titles(result)[0] == "Bicycle"
    assert [h.collection for h in result.hits] == ["mine", "default"]
    assert titles(found(library, "tent", collections=("default", "mine"), where={"own": True})) == ["Bicycle"]
    assert titles(
        found(library, "tent", collections=("default", "mine"), where={"own": {"$ne": True}}, mode="keyword")
    ) == ["Tent"]
    assert titles(found(library, "bicycle", collections=("none",))) == []


# --- diversity ----------------------------------------------------------------------------------


def test_mmr_by_hand() -> None:
    """b is a twin of a; with enough diversity c overtakes it."""
    hits = [hit("a", 1.0), hit("b", 0.9), hit("c", 0.5), hit("d", 0.0)]
    likeness = np.array([[1, 0.9, 0.1, 0.1], [0.9, 1, 0.1, 0.1], [0.1, 0.1, 1, 0.1], [0.1, 0.1, 0.1, 1]])
    assert [h.passage.id for h in arrange.diverse(hits, likeness, 0.0, 4)] == ["a", "b", "c", "d"]
    # at 0.3: b has .7 · .9 - .3 · 1 = .33, c .7 · .5 - 0 = .35
    assert [h.passage.id for h in arrange.diverse(hits, likeness, 0.3, 4)] == ["a", "c", "b", "d"]
    assert [h.passage.id for h in arrange.diverse(hits, likeness, 1.0, 3)] == ["a", "c", "d"]


def test_diversity_spreads_over_documents(library: Library, counting: Any) -> None:
    same = {
        f"copy{n}.md": f"# Copy {n}\n\nThe battery of the camera lasts {n} hours when it is warm.\n" for n in range(6)
    }
    filled(library, same | {"other.md": "# Other\n\nA battery is shipped by ground only.\n"})
    assert "Other" not in titles(found(library, "camera battery hours", top_k=3))
    assert "Other" in titles(found(library, "camera battery hours", top_k=3, diversity=0.7))
    words_alone = Library(library.workspace, None)
    assert "Other" in titles(found(words_alone, "camera battery hours", top_k=3, diversity=0.7))


# --- recency and boosts -------------------------------------------------------------------------


def test_freshness_halves() -> None:
    recency = Recency(30, now=1000 * DAY)
    assert arrange.freshness(1000 * DAY, recency) == 1.0
    assert arrange.freshness(970 * DAY, recency) == pytest.approx(0.5)
    assert arrange.freshness(940 * DAY, recency) == pytest.approx(0.25)
    assert arrange.freshness(2000 * DAY, recency) == 1.0  # dated ahead
    assert arrange.freshness(None, recency) == 0.5


def test_recency_prefers_the_newer_of_equals(library: Library) -> None:
    for year in (2019, 2026, 2023):
        filled(library, {f"{year}.txt": "签收后 15 天内可以退货。"}, metadata={"valid": f"{year}-01-01"})
    filled(library, {"undated.txt": "签收后 15 天内可以退货。"})
    now = filters.moment("2026-01-01")
    result = found(library, "几天可以退货", recency=Recency(365, date="valid", weight=1.0, now=now), mode="keyword")
    assert [h.passage.source for h in result.hits] == ["2026.txt", "undated.txt", "2023.txt", "2019.txt"]
    first = result.hits[0]
    assert first.parts.keys() == {"fused", "recency"}
    assert sum(first.parts.values()) == pytest.approx(first.score)
    written = found(library, "几天可以退货", recency=Recency(0.001, weight=1.0))  # by when it was written
    assert written.hits[0].passage.source == "undated.txt"


def test_boosts_lift_what_says_it_in_title_or_heading(library: Library) -> None:
    filled(library, {
        "a.md": "# Shipping\n\n## Battery\n\nIt is sent by ground.\n",
        "b.md": "# Camera\n\nbattery battery battery, a battery lasts long, a spare battery costs more.\n",
    })  # fmt: skip
    plain = found(library, "battery", mode="keyword")
    boosted = found(library, "battery", mode="keyword", boosts={"heading": 3.0})
    assert [h.passage.source for h in boosted.hits] == ["a.md", "b.md"]
    assert boosted.hits[0].parts["heading"] > boosted.hits[1].parts["heading"] == 0
    assert [h.passage.source for h in plain.hits] == ["b.md", "a.md"]


# --- near-duplicates ----------------------------------------------------------------------------


def test_near_duplicates_are_folded_into_the_better_hit(library: Library) -> None:
    text = "The warranty of the camera is two years from the day of delivery and covers faults of material and work"
    filled(library, {
        "a.txt": f"{text}.", "b.txt": f"{text}!", "c.txt": text.replace("two", "three"),
        "d.txt": "The warranty of a tent is one year.",
    })  # fmt: skip
    plain = found(library, "warranty camera delivery", top_k=4)
    assert len(plain.hits) == 4
    assert all(h.similar == () for h in plain.hits)
    folded = found(library, "warranty camera delivery", top_k=4, collapse=0.7)
    assert len(folded.hits) == 2
    assert {h.passage.source for h in folded.hits[0].similar} | {folded.hits[0].passage.source} == {
        "a.txt",
        "b.txt",
        "c.txt",
    }
    strict = found(library, "warranty camera delivery", top_k=4, collapse=1.0)
    assert len(strict.hits) == 3  # a and b have the same terms
    assert len(found(library, "warranty camera delivery", top_k=4, collapse=0.7, diversity=0.5).hits) == 2


def test_folding_makes_room_for_what_is_below_the_cut(library: Library) -> None:
    filled(
        library,
        {f"{n}.txt": "warranty warranty of the camera" for n in range(9)}
        | {"z.txt": "a warranty of one year for tents of any size"},
    )
    assert "z" not in titles(found(library, "warranty", top_k=3, mode="keyword"))
    result = found(library, "warranty", top_k=3, mode="keyword", collapse=0.9)
    assert titles(result)[-1] == "z"
    assert len(result.hits[0].similar) == 8


def hit_of(number: int, text: str) -> Hit:
    return Hit(Passage(f"p{number}", f"d{number}", text, "", f"{number}.txt", 0, 0, len(text)), 1.0)


def test_the_likeness_of_two_passages_is_exact() -> None:
    pair = [hit_of(0, "ant bee cow dog elk"), hit_of(1, "ant bee cow dog fox")]  # two of four triples are shared
    assert len(arrange.collapsed(pair, 0.5, 2)) == 1
    assert len(arrange.collapsed(pair, 0.51, 2)) == 2
    assert len(arrange.collapsed([hit_of(0, "!"), hit_of(1, "?")], 1.0, 2)) == 1, "neither says anything"


@pytest.mark.parametrize("likeness", [0.3, 0.5, 0.8, 1.0])
def test_folding_finds_what_comparing_all_pairs_finds(likeness: float) -> None:
    rng = random.Random(7)
    base = [rng.choice(["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen"]) for _ in range(40)]
    texts = []
    for _ in range(120):
        words = list(base)
        for _ in range(rng.randrange(12)):
            words[rng.randrange(len(words))] = rng.choice(
                ["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "yak"]
            )
        texts.append(" ".join(words[: rng.randrange(4, 41)]))
    sets = [{tuple(terms[i : i + 3]) for i in range(max(1, len(terms) - 2))} for terms in map(tokens.tokens, texts)]
    kept: list[int] = []
    folded: dict[int, list[int]] = {}
    for i, here in enumerate(sets):
        like = [k for k in kept if len(here & sets[k]) >= likeness * len(here | sets[k])]
        if like:
            folded.setdefault(like[0], []).append(i)
        elif len(kept) < 60:
            kept.append(i)
    found = arrange.collapsed([hit_of(i, text) for i, text in enumerate(texts)], likeness, 60)
    assert [hit.passage.id for hit in found] == [f"p{i}" for i in kept]
    assert {h.passage.id: [s.passage.id for s in h.similar] for h in found if h.similar} == {
        f"p{k}": [f"p{i}" for i in others] for k, others in folded.items()
    }


def test_long_passages_are_alike_whatever_their_sample_says() -> None:
    rng = random.Random(7)
    words = ["水壶", "退货", "保修", "电池", "說明", "tent", "Stove", "returned", "warranty", "price"]
    texts = [
        " ".join(f"{rng.choice(words)}{rng.randrange(60)}" for _ in range(rng.randrange(60, 120))) for _ in range(60)
    ]
    for text in texts[:40]:
        terms = text.split(" ")
        terms[rng.randrange(len(terms))] = rng.choice(words)
        texts.append(" ".join(terms).upper().replace("說", "说"))
    rng.shuffle(texts)
    alike = arrange._alike(arrange._shingled(texts), 0.8)
    np.fill_diagonal(alike, False)
    suspects = set(arrange._suspects(texts, 0.8).tolist())
    expected = set(np.flatnonzero(alike.any(axis=1)).tolist())
    assert len(expected) > 40, "there is something to miss"
    assert expected <= suspects
    assert len(suspects) < 90, "a text like no other is not looked at twice"
    folded = [hit for hit in arrange.collapsed([hit_of(i, t) for i, t in enumerate(texts)], 0.8, 100) if hit.similar]
    assert len(folded) >= len(expected) / 3


# --- sentence and section -----------------------------------------------------------------------


def test_the_best_sentence_is_marked(library: Library) -> None:
    filled(library, SHOP)
    index = library.collection()
    for query, wanted in [
        ("退货运费谁承担", "退货运费由买家承担。"),
        ("how heavy is the tent", "The tent weighs 3.2 kg."),
    ]:
        best = found(library, query).hits[0]
        assert best.sentence is not None
        start, end = best.sentence
        assert index.document_text(best.passage.document_id)[start:end] == wanted
    assert found(library, "tent", sentences=False).hits[0].sentence is None
    other = [h for h in found(library, "tent").hits if h.passage.title != "Tent"]
    assert other[0].sentence is None  # no sentence of it shares a word


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("zone price", None),  # the words of the header alone: the passage is found, no sentence of it answers
        ("price for the uk zone", "| UK | £4.95 |"),
        ("price returns", "Returns cost the price of a stamp."),
    ],
)
def test_the_header_of_a_table_is_no_sentence(query: str, wanted: str | None) -> None:
    text = "| Zone | Price for the |\n| :-- | --- |\n| UK | £4.95 |\n| EU | £12.50 |"
    text += "\n\nReturns cost the price of a stamp." if wanted and "stamp" in wanted else ""
    place = arrange.best_sentence(text, dict.fromkeys(tokens.tokens(query), 1.0))
    assert (place and text[slice(*place)]) == wanted


def test_a_section_is_what_stands_under_the_same_heading(library: Library) -> None:
    parts = [f"Paragraph {n}. " + "The warranty covers faults. " * 25 for n in range(9)]
    filled(
        library,
        {"long.md": "# Guide\n\n## First\n\nshort.\n\n## Warranty\n\n" + "\n\n".join(parts) + "\n\n## Last\n\nend.\n"},
    )
    index = library.collection()
    hits = [h for h in found(library, "warranty faults paragraph 4", top_k=20).hits if "Paragraph 4" in h.passage.text]
    passage = hits[0].passage
    section = index.section(passage.id)
    text = index.document_text(passage.document_id)
    assert section.text == text[section.start : section.end]
    assert section.heading == "Warranty"
    assert section.start <= passage.start < passage.end <= section.end
    assert len(section.text) <= 4000
    assert len(section.passages) > 1
    assert "short." not in section.text
    whole = index.section(passage.id, most=100_000)
    assert whole.text.startswith("Paragraph 0")
    assert "Paragraph 8" in whole.text
    assert "end." not in whole.text
    assert index.section(passage.id, most=1).passages == (passage.id,)
    with pytest.raises(NotFound):
        index.section("nothing")


def test_pages_are_kept() -> None:
    from core.retrieval.section import widened

    text = "aaaa bbbb cccc"
    there = [
        Passage(str(n), "d", text[5 * n : 5 * n + 4], "T", "t.pdf", n, 5 * n, 5 * n + 4, page=n + 1) for n in range(3)
    ]
    assert widened(there[1], there, text).pages == (1, 2, 3)
    assert widened(there[1], [there[1], there[2]], text).pages == (2, 3)
