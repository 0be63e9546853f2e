"""What makes a query quick gives what the plain way gives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.retrieval import finding, fuse, memory
from core.retrieval.largest import nth_largest
from core.retrieval.library import Library
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
def test_the_nth_largest(values: np.ndarray) -> None:
    in_order = np.sort(values)[::-1]
    for count in (1, 7, 100, 1000, len(values)):
        if count <= len(values):
            assert nth_largest(values, count) == in_order[count - 1]


def test_float16_is_widened_to_what_it_stands_for() -> None:
    every = np.arange(65_536).astype(np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 32)
    assert np.array_equal(memory._widened(finite), finite.astype(np.float32))
    assert np.array_equal(np.signbit(memory._widened(finite)), np.signbit(finite))


def test_candidates_in_a_row_are_ordered_as_by_id() -> None:
    scores = RNG.integers(0, 40, size=200) / 8
    ids = [f"{n:04x}" for n in RNG.permutation(200).tolist()]
    rows = fuse.order(scores, lambda places: [ids[place] for place in places.tolist()])
    assert [ids[row] for row in rows] == fuse.ranked(dict(zip(ids, scores.tolist(), strict=True)))


def test_a_hit_is_shown_without_reading_its_whole_document(library: Library, tmp_path: Path) -> None:
    (tmp_path / "manual.md").write_text("# Manual\n\n" + "Hold the button for three seconds.\n\n" * 3000, "utf-8")
    sync(library, tmp_path / "manual.md", embed=False)
    asked: list[str] = []
    with library.workspace.read() as db:
        row = db.execute("SELECT number, id FROM passages").fetchone()
        db.set_trace_callback(asked.append)
        found = dict(finding._read(db, library.collection().id(), "number", [row["number"]]))
        db.set_trace_callback(None)
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    assert found[row["number"]].title == "Manual"
    assert "SEARCH d USING COVERING INDEX documents_shown (id=?)" in plan, plan


def test_among_sentences_a_word_that_comes_again_counts_little(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the fusion only: words alone rank as ever, and the scores that are shown are BM25's."""
    for n, text in enumerate(["花呗花呗花呗花呗", "花呗能还款吗", *(f"借呗第{n}期" for n in range(10))]):
        (tmp_path / f"{n}.txt").write_text(text, "utf-8")
    sync(library, tmp_path)
    compared: list[np.ndarray] = []
    mixed = fuse.mixed

    def noted(word: np.ndarray, *given: Any) -> np.ndarray:
        compared.append(np.sort(word))
        return mixed(word, *given)

    monkeypatch.setattr(fuse, "mixed", noted)
    hits = asyncio.run(library.collection().search("花呗", 12))
    often, once = sorted((hit.keyword_score or 0.0 for hit in hits), reverse=True)[:2]
    assert often / once > 1.3 * compared[0][-1] / compared[0][-2]
    alone = asyncio.run(library.collection().search("花呗", 12, mode="keyword"))
    assert [hit.keyword_score for hit in alone[:2]] == pytest.approx([often, once])
