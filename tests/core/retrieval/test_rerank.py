"""The reranker's order, and the search's own when it fails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from core.errors import ConnectFailed
from core.i18n import message
from core.providers.sync import run
from core.retrieval import rerank
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions
from core.retrieval.records import Found
from core.retrieval.several import Several
from core.runtime import Runtime
from core.types import Language

QUERY = "kettle water"
TEXTS = {
    "cat.txt": "The cat sleeps. The kettle is new.",
    "kettle.txt": "The kettle boils water.",
    "both.txt": "A kettle, and water for the kettle.",
}


class ByLength:
    """Scores a passage by how short it is."""

    name = "test:length"

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.seen: list[str] = []

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        self.seen = list(passages)
        if self.fault == "down":
            raise ConnectFailed(provider="test", model="length", url="-", detail="gone")
        scores = np.array([-len(text) for text in passages], dtype=np.float32)
        return {"": scores, "few": scores[1:], "nan": scores * np.nan}[self.fault]


def made(hashed: Runtime, model: ByLength | None) -> Library:
    library = Library(hashed.workspace, None, reranker=lambda: model)
    for name, text in TEXTS.items():
        run(library.collection().add_text(text, name, title=name.removesuffix(".txt")))
    return library


def titles(found: Found) -> list[str]:
    return [hit.passage.title for hit in found.hits]


def test_the_reranker_orders_what_was_found(hashed: Runtime) -> None:
    model = ByLength()
    found = run(made(hashed, model).collection().find(QUERY))
    assert titles(found) == ["kettle", "cat", "both"]
    assert [hit.rerank_score for hit in found.hits] == sorted((-len(t) for t in model.seen), reverse=True)
    assert "kettle\nThe kettle boils water." in model.seen, "read under its title"
    assert found.notices == ()


def test_it_also_lifts_what_would_not_have_been_shown(hashed: Runtime) -> None:
    assert titles(run(made(hashed, None).collection().find("new kettle", 1))) == ["cat"]
    assert titles(run(made(hashed, ByLength()).collection().find("new kettle", 1))) == ["kettle"]


def test_only_the_first_are_reordered(hashed: Runtime) -> None:
    plain = run(made(hashed, None).collection().find(QUERY))
    found = run(rerank.reranked(plain, lambda: ByLength(), first=2))
    assert found.hits[2:] == plain.hits[2:]
    assert {hit.rerank_score is None for hit in found.hits[:2]} == {False}


@pytest.mark.parametrize("fault", ["down", "few", "nan"])
def test_a_reranker_that_fails_leaves_the_order_and_says_so(hashed: Runtime, fault: str) -> None:
    plain = run(made(hashed, None).collection().find(QUERY))
    found = run(made(hashed, ByLength(fault)).collection().find(QUERY))
    assert found.hits == plain.hits
    assert found.notices == ("rerank_down",)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_notice_has_words(language: Language) -> None:
    assert message("notice.rerank_down", language) != "notice.rerank_down"


def test_several_collections_are_reranked_as_one(hashed: Runtime) -> None:
    model = ByLength()
    library = made(hashed, model)
    run(library.collection("own").add_text("Water.", "own.txt", title="own"))
    found = run(Several([library.collection(), library.collection("own")]).find(QUERY))
    assert titles(found) == ["own", "kettle", "cat", "both"]
    assert len(model.seen) == 4


def test_options_switch_it_off_and_boosts_move_its_order(hashed: Runtime) -> None:
    index = made(hashed, ByLength()).collection()
    plain = titles(run(index.find(QUERY, options=SearchOptions(rerank=False))))
    assert plain != ["kettle", "cat", "both"]
    assert titles(run(index.find(QUERY, options=SearchOptions()))) == ["kettle", "cat", "both"]
    boosted = run(index.find(QUERY, options=SearchOptions(boosts={"title": 5.0})))
    assert titles(boosted)[0] == "kettle", "the only title that holds a term of the question"
    assert set(boosted.hits[1].parts) == {"rerank", "title"}


def test_more_is_shown_to_it_than_is_asked_for(hashed: Runtime) -> None:
    model = ByLength()
    found = run(made(hashed, model).collection().find(QUERY, 1))
    assert len(model.seen) == 3
    assert titles(found) == ["kettle"]
