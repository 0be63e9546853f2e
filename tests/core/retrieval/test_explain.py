"""Why a passage was found, or was not: every verdict, with figures that agree with the search."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from core.i18n import catalogue
from core.retrieval import filters
from core.retrieval.explain import Explanation, Verdict
from core.retrieval.finding import CANDIDATES
from core.retrieval.library import Library
from core.retrieval.options import Recency
from core.types import Caller
from tests.core.retrieval.conftest import Counting, sync


def explain(library: Library, query: str, about: str, **options: Any) -> Explanation:
    return asyncio.run(library.explain(query, about, **options))


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    sync(library, folder)
    return library


def test_found_with_the_figures_of_the_search(filled: Library, folder: Path) -> None:
    hits = asyncio.run(filled.search("KT-210 boil-dry protection")).hits
    why = explain(filled, "KT-210 boil-dry protection", str(folder / "kettle.md"))
    assert (why.verdict, why.title, why.collection) == ("found", "KT-210 kettle", "default")
    first = why.passages[0]
    same = next(hit for hit in hits if hit.passage.id == first.passage.id)
    assert (first.keyword_rank, first.vector_rank) == (same.keyword_rank, same.vector_rank)
    assert first.keyword_score == pytest.approx(same.keyword_score)
    assert first.cosine == pytest.approx(same.vector_score, abs=1e-3)
    assert (first.rank, first.score) == (hits.index(same) + 1, same.score)
    terms = {t.term: t for t in first.terms}
    assert terms["kt210"].in_context == 1
    assert terms["protect"].in_text == 1
    assert terms["protect"].passages == 1
    assert terms["protect"].idf > 0
    json.dumps(why.as_dict())


@pytest.mark.parametrize("about", ["kettle.md", "KT-210 kettle"])
def test_names_of_a_document(filled: Library, about: str) -> None:
    assert explain(filled, "kettle", about).source.endswith("kettle.md")


def test_ids(filled: Library) -> None:
    index = filled.collection()
    document = next(d for d in index.documents() if d.title == "faq")
    assert explain(filled, "tent", document.id).title == "faq"
    passage = index.passages(document.id)[1]
    assert [r.passage.id for r in explain(filled, "tent", passage.id).passages] == [passage.id]


def test_a_name_that_two_documents_have_is_none(filled: Library) -> None:
    for source in ("a/same.txt", "b/same.txt"):
        asyncio.run(filled.collection().add_text("text about pegs", source.replace("/", "-"), title="Same"))
    assert explain(filled, "pegs", "Same").verdict == "not_here"


def test_the_filter_says_which_condition_failed(filled: Library) -> None:
    why = explain(
        filled, "kettle", "kettle.md", where={"language": "en", "year": {"$gte": 2020}, "title": {"$ne": "x"}}
    )
    assert why.verdict == "filtered_out"
    assert why.passages[0].failed == ("year >= 2020",)
    assert "year >= 2020" in why.text("zh")


def test_below_the_cut_and_no_candidate(library: Library) -> None:
    async def fill() -> None:
        index = library.collection()
        for n in range(CANDIDATES + 20):
            await index.add_text(f"warranty number {n} " + "warranty " * (n % 7), f"w{n}.txt", embed=False)
        await index.add_text(
            "A single warranty among many other words about tents and pegs and ropes.", "low.txt", embed=False
        )
        await index.add_text("Nothing in common at all.", "none.txt", embed=False)
        await index.embed_pending()

    asyncio.run(fill())
    why = explain(library, "warranty", "low.txt", mode="keyword")
    assert why.verdict == "not_candidate"
    assert why.passages[0].keyword_rank == CANDIDATES + 21
    why = explain(library, "warranty tents", "low.txt", mode="keyword")
    assert (why.verdict, why.passages[0].rank) == ("found", 1)
    why = explain(library, "warranty", "none.txt", mode="keyword")
    assert (why.verdict, why.passages[0].keyword_rank) == ("not_candidate", None)
    assert why.passages[0].cosine is None  # the keyword leg asks no model
    assert explain(library, "warranty", "none.txt").passages[0].cosine is not None
    hits = asyncio.run(library.search("warranty", mode="keyword", top_k=20)).hits
    why = explain(library, "warranty", hits[15].passage.id, mode="keyword", top_k=10)
    assert (why.verdict, why.passages[0].fused_rank) == ("below_cut", 16)


def test_folded_and_outranked(library: Library) -> None:
    async def fill() -> None:
        index = library.collection()
        await index.add_text("The warranty of the camera is two years long.", "a.txt", metadata={"valid": "2000-01-01"})
        await index.add_text("The warranty of the camera is two years long!", "b.txt", metadata={"valid": "2000-01-01"})
        await index.add_text("A tent has no warranty.", "c.txt", metadata={"valid": "2026-01-01"})

    asyncio.run(fill())
    hits = asyncio.run(library.search("camera warranty", collapse=0.9)).hits
    (twin,) = hits[0].similar
    why = explain(library, "camera warranty", twin.passage.id, collapse=0.9)
    assert (why.verdict, why.passages[0].folded_into) == ("folded", hits[0].passage.id)
    newest = Recency(30, date="valid", weight=5.0, now=filters.moment("2026-01-02"))
    why = explain(library, "camera warranty", "a.txt", recency=newest, top_k=1)
    assert (why.verdict, why.passages[0].fused_rank) == ("outranked", 1)


def test_pending_vectors(library: Library, folder: Path, counting: Counting) -> None:
    sync(library, folder, embed=False)
    why = explain(library, "kettle", "kettle.md")
    assert why.passages[0].pending
    assert why.passages[0].cosine is None
    assert why.verdict == "found"  # by words


def test_elsewhere_and_not_here(filled: Library) -> None:
    asyncio.run(filled.collection("second").add_text("pegs", "pegs.txt"))
    why = explain(filled, "pegs", "pegs.txt")
    assert (why.verdict, why.elsewhere) == ("elsewhere", ("second",))
    assert explain(filled, "pegs", "pegs.txt", collections=("default", "second")).verdict == "found"
    other = filled.for_caller(Caller("other", "eve"))
    secret = filled.collection("second").documents()[0]
    for about in ("pegs.txt", secret.id, filled.collection("second").passages(secret.id)[0].id):
        why = explain(other, "pegs", about, collections=("second",))
        assert (why.verdict, why.elsewhere, why.passages, why.title) == ("not_here", (), (), "")


def test_hits_are_explained_on_demand(filled: Library) -> None:
    found = asyncio.run(filled.search("退货运费", explain=True))
    assert [e.passages[0].passage.id for e in found.explanations] == [h.passage.id for h in found.hits]
    assert [e.passages[0].rank for e in found.explanations] == list(range(1, len(found.hits) + 1))
    assert asyncio.run(filled.search("退货运费")).explanations == ()


def test_every_verdict_has_its_sentence() -> None:
    from typing import get_args

    for language in ("zh", "en"):
        assert {f"explain.{verdict}" for verdict in get_args(Verdict)} <= set(catalogue(language))
