"""What makes a query quick gives what the plain way gives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import blocking
from core.errors import EngineBusy, InputError
from core.providers.sync import run
from core.retrieval import memory, passage_rows, segment_views
from core.retrieval.largest import largest
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions
from core.retrieval.places import Places
from core.retrieval.records import Found
from core.types import EmbeddingKind, Passage
from tests.core.retrieval.conftest import sync

RNG = np.random.default_rng(4)


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=20_000).astype(np.float32),
        np.arange(20_000.0),
        np.arange(20_000.0)[::-1].copy(),
        np.zeros(20_000),
        np.where(np.arange(20_000) % 16 == 0, 1.0, -RNG.random(20_000)),  # the sample sees nothing but the largest
        np.where(np.arange(20_000) % 16 == 0, -1.0, RNG.random(20_000)),  # nor any of them
        RNG.random(300),
        np.array([3.0]),
    ],
)
def test_the_largest(values: np.ndarray) -> None:
    in_order = np.sort(values)[::-1]
    for count in (1, 7, 100, 1000, len(values)):
        for off in (0.0, 0.5, 100.0):
            if count <= len(values):
                expected = np.flatnonzero(values >= in_order[count - 1] - values.dtype.type(off))
                assert np.array_equal(largest(values, count, off), expected)


@pytest.mark.parametrize("step", [1, 3, 1000])  # by a table, and by bisection
def test_places_of_numbers(step: int) -> None:
    numbers = step * RNG.permutation(2000)[:1500] + 5
    wanted = np.concatenate([RNG.permutation(2200) * step - 300, [-(10**12), 10**12]])
    where, places = Places(numbers).of(wanted)
    assert np.array_equal(numbers[places], wanted[where])
    assert np.array_equal(where, np.flatnonzero(np.isin(wanted, numbers)))
    assert len(Places(numbers[:0]).of(wanted)[0]) == 0


def test_float16_is_float32_to_what_it_stands_for() -> None:
    every = np.arange(65_536).astype(np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 32)
    widened = memory._float32(finite)
    assert np.array_equal(widened, finite.astype(np.float32))
    assert np.array_equal(np.signbit(widened), np.signbit(finite))


def test_equal_passages_have_one_order_in_every_ranking(library: Library) -> None:
    """The first of a query is then the first by word, too, whatever ids chance gave them."""
    for n in range(12):
        run(library.collection().add_text("Staff in Leeds have 25 days.", f"{n}.txt", title="Leave"))
    hits = run(library.collection().find("days of leave in Leeds")).hits
    assert [hit.keyword_rank for hit in hits] == sorted(hit.keyword_rank or 0 for hit in hits)
    assert len(hits) > 3


def test_a_hit_is_shown_without_reading_its_whole_document(library: Library, tmp_path: Path) -> None:
    (tmp_path / "manual.md").write_text("# Manual\n\n" + "Hold the button for three seconds.\n\n" * 3000, "utf-8")
    sync(library, tmp_path / "manual.md", embed=False)
    asked: list[str] = []
    with library.workspace.read() as db:
        row = db.execute("SELECT number, id FROM passages").fetchone()
        db.set_trace_callback(asked.append)
        found = dict(passage_rows.read(db, library.collection().id(), "number", [row["number"]]))
        db.set_trace_callback(None)
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    assert found[row["number"]].title == "Manual"
    assert "SEARCH d USING COVERING INDEX documents_shown (id=?)" in plan, plan


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_shown_is_what_is_stored(library: Library, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """From memory or from the tables: the text, title and metadata as the last commit left them."""
    monkeypatch.setattr(segment_views, "SHOWN", segment_views.SHOWN if kept else 0)
    index = library.collection()
    for n in range(200):  # more than wait for a segment
        run(index.add_text(f"Kettle number {n}.", f"{n}.txt", title="Old", metadata={"n": n}))

    def first() -> Passage:
        asked = [blocking.find(index, "kettle number 7").hits[0].passage for _ in range(4)]  # in the end from memory
        assert asked == [index.passage(asked[0].id)] * 4
        assert (asked[2] is asked[3]) == kept
        return asked[3]

    assert (first().title, first().metadata) == ("Old", {"n": 7})
    run(index.add_text("Kettle number 7.", "7.txt", title="New", metadata={"n": 8}))
    assert (first().title, first().metadata) == ("New", {"n": 8})
    run(index.add_text("Kettle number 7 seven.", "7.txt", title="New"))
    assert first().text == "Kettle number 7 seven."
    run(index.remove(first().document_id))
    assert first().text != "Kettle number 7 seven."
    assert all(hit.passage.title == "Old" for hit in blocking.find(index, "kettle number 7", 200).hits)


class Backwards:
    name = "test:backwards"

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        return np.arange(len(passages), dtype=np.float32)

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("reranked", [False, True])
def test_a_search_that_blocks_finds_the_same_on_its_callers_thread(
    library: Library, monkeypatch: pytest.MonkeyPatch, reranked: bool
) -> None:
    for name, text in {"cat": "The cat sleeps.", "kettle": "The kettle boils.", "both": "A cat by the kettle."}.items():
        run(library.collection().add_text(text, f"{name}.txt", title=name))
    index = library.collection()
    index.reranker = (lambda: Backwards()) if reranked else None
    on: list[int] = []
    plainly = index.find_with

    def watched(*given: Any) -> Found:
        on.append(threading.get_ident())
        return plainly(*given)

    monkeypatch.setattr(index, "find_with", watched)
    for options in (None, SearchOptions(2, diversity=0.5), SearchOptions(1, mode="keyword", rerank=False)):
        waited = blocking.find(index, "kettle cat", 2, options=options)
        there = run(index.find("kettle cat", 2, options=options))
        assert waited.hits
        assert replace(waited, vector=None) == replace(there, vector=None)
        assert on[-2] == threading.get_ident() != on[-1]


def test_a_search_of_several_collections_that_blocks_finds_what_the_other_finds(library: Library) -> None:
    for name in ("shop", "mine"):
        for text in ("The cat sleeps.", "The kettle boils.", "A cat by the kettle."):
            run(library.collection(name).add_text(f"{text} In {name}.", f"{text[:9]}.txt"))
    for options in (
        SearchOptions(2, collections=("shop",), explain=True),
        SearchOptions(4, collections=("shop", "mine"), diversity=0.3),
        SearchOptions(3, collections=("mine", "nowhere"), mode="keyword"),
    ):
        waited, there = blocking.search(library, "kettle cat", options), run(library.search("kettle cat", options))
        assert waited.hits
        assert replace(waited, vector=None) == replace(there, vector=None)
    with pytest.raises(InputError):
        blocking.search(library, " ")


def test_a_search_that_blocks_asks_a_model_without_the_loop_where_it_can(library: Library) -> None:
    run(library.collection().add_text("The kettle boils.", "kettle.txt"))
    plain, on = library.embedding_model(), list[int]()
    assert plain is not None

    class Blocking:
        name, dim = plain.name, plain.dim

        async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
            raise AssertionError("asked by way of the loop")

        def embed_now(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
            on.append(threading.get_ident())
            if texts == ["out of order"]:
                raise EngineBusy(provider="fake", model="fake", waiting=1, limit=1)
            return run(plain.embed(texts, kind=kind))

        async def aclose(self) -> None: ...

    own = library.with_embedding(Blocking())
    found, expected = blocking.search(own, "kettle"), run(library.search("kettle"))
    assert [(hit.passage.id, hit.score) for hit in found.hits] == [(hit.passage.id, hit.score) for hit in expected.hits]
    assert on == [threading.get_ident()]
    assert "embedding_down" in blocking.search(own, "out of order").notices
    blocking.search(own, "kettle", mode="keyword")
    assert len(on) == 2


def test_a_search_that_blocks_is_refused_on_the_loops_own_thread(library: Library) -> None:
    async def inside() -> None:
        blocking.search(library, "kettle")

    with pytest.raises(RuntimeError, match="event-loop thread"):
        run(inside())
