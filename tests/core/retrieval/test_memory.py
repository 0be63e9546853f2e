"""Vectors in memory: all compared, through int8 first when they are many, in step with every change."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.retrieval import memory
from core.retrieval.library import Library
from core.retrieval.memory import Memory
from core.retrieval.search import VectorLeg
from tests.contracts.vector_index import unit_vectors
from tests.core.retrieval.conftest import sync

DIM = 24


def clustered(count: int, dim: int = 128, seed: int = 0) -> np.ndarray:
    """Unit vectors around shared centers with a common direction, as sentence embeddings lie."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(200, dim))
    found = centers[rng.integers(200, size=count)] + 0.8 * rng.normal(size=(count, dim)) + 2.0
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def by_number(memory_: Memory, query: np.ndarray, top_k: int, **given: Any) -> dict[int, float]:
    numbers, cosines, _ = memory_.search(query, top_k, **given)
    assert len(set(numbers.tolist())) == len(numbers)
    return dict(zip(numbers.tolist(), cosines.tolist(), strict=True))


def held(memory_: Memory, query: np.ndarray) -> dict[int, float]:
    return by_number(memory_, query, 10**6)


@pytest.mark.parametrize("coarse_from", [10**6, 40])
def test_any_history_leaves_what_was_put_last(coarse_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "COARSE_FROM", coarse_from)
    monkeypatch.setattr(memory, "_BLOCK", 32)
    rng = np.random.default_rng(5)
    vectors, kept, subject = unit_vectors(4000), {}, Memory(DIM)
    query = unit_vectors(1, seed=9)[0]
    for step in range(60):
        numbers = rng.choice(300, size=rng.integers(1, 40), replace=False)
        if step % 3 == 2:
            subject.drop(numbers)
            for number in numbers.tolist():
                kept.pop(number, None)
        else:
            rows = rng.integers(4000, size=len(numbers))
            subject.put(numbers, vectors[rows])
            kept.update(zip(numbers.tolist(), rows.tolist(), strict=True))
        assert subject.count() == len(kept)
        expected = {number: float(vectors[row] @ query) for number, row in kept.items()}
        assert held(subject, query) == pytest.approx(expected, abs=2e-3)
        also = np.array([*expected, 9999])
        assert by_number(subject, query, 3, also=also) == pytest.approx(expected, abs=2e-3)
        allowed = np.arange(0, 300, 7)
        only = by_number(subject, query, 10**6, allowed=allowed)
        assert set(only) == set(expected) & set(allowed.tolist())


def test_a_coarse_look_finds_what_a_full_product_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "COARSE_FROM", 5000)
    monkeypatch.setattr(memory, "CANDIDATES", 40)
    vectors, queries = clustered(20_000), clustered(50, seed=0)[:50]
    queries = queries + 0.02 * np.random.default_rng(1).normal(size=queries.shape).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    subject = Memory(128)
    for a in range(0, 20_000, 3000):
        subject.put(np.arange(a, min(20_000, a + 3000)), vectors[a : a + 3000])
    assert subject._state.coarse is not None
    hits = 0
    for query in queries:
        best = set(np.argsort(-(vectors @ query))[:10].tolist())
        found, _, spread = subject.search(query, 10)
        hits += len(best & set(found.tolist()))
        everything = vectors @ query
        assert spread == pytest.approx((everything.mean(), everything.std()), abs=0.002)
    assert hits >= 0.995 * 10 * len(queries)


def test_room_that_was_made_is_not_grown_out_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "COARSE_FROM", 1000)
    vectors, roomy, growing = clustered(2000), Memory(128), Memory(128)
    roomy.clear(2000)
    monkeypatch.setattr(roomy, "_grown", lambda *_: pytest.fail("grown"))
    for subject in (roomy, growing):
        for a in range(0, 2000, 300):
            subject.put(np.arange(a, min(2000, a + 300)), vectors[a : a + 300])
    for query in vectors[:20]:
        one, other = roomy.search(query, 10), growing.search(query, 10)
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
        assert one[2] == pytest.approx(other[2], abs=2e-4)  # of a coarse look: what the first have in common is another


def test_only_what_may_be_among_the_nearest_is_compared_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "COARSE_FROM", 5000)
    vectors, compared, exact = clustered(12_000), [], memory._exact
    monkeypatch.setattr(memory, "_exact", lambda m, v: (compared.append(len(m)), exact(m, v))[1])
    subject = Memory(128)
    subject.put(np.arange(12_000), vectors)
    for query in vectors[:40]:
        found, _, _ = subject.search(query, 50)
        everything = vectors.astype(np.float16).astype(np.float32) @ query
        assert set(found.tolist()) == set(np.argsort(-everything)[:50].tolist())
    assert max(compared) < memory.CANDIDATES / 2


def test_few_have_no_spread_and_shapes_are_checked() -> None:
    subject = Memory(DIM)
    assert by_number(subject, unit_vectors(1)[0], 5, also=np.array([7])) == {}
    assert subject.search(unit_vectors(1)[0], 5)[2] is None
    subject.put(np.arange(40), unit_vectors(40))
    _, _, spread = subject.search(unit_vectors(1)[0], 5)
    assert spread is not None
    with pytest.raises(InputError):
        subject.put(np.arange(2), unit_vectors(3))


def test_threads_search_while_one_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number 0 is there from the first put to the last drop of the others: every search must find it."""
    monkeypatch.setattr(memory, "COARSE_FROM", 200)
    monkeypatch.setattr(memory, "_BLOCK", 64)
    vectors, subject, wrong, done = unit_vectors(600), Memory(DIM), [], threading.Event()
    subject.put(np.array([0]), vectors[:1])

    def read() -> None:
        while not done.is_set():
            found, cosines, _ = subject.search(vectors[0], 1)
            if found.tolist() != [0] or abs(cosines[0] - 1) > 1e-2:
                wrong.append((found, cosines))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for a in range(1, 600, 13):
        subject.put(np.arange(a, min(600, a + 13)), vectors[a : a + 13])
        subject.drop(np.arange(max(1, a - 60), a - 30))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def documents(folder: Path, first: int, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for n in range(first, first + count):
        (folder / f"{n}.md").write_text(f"# Item {n}\n\nThe code word of item {n} is w{n * 7919 % 10007}x.\n", "utf-8")
    return folder


def in_memory(library: Library) -> dict[int, list[float]]:
    state = leg(library)._followed.memory._state
    rows = np.flatnonzero(state.alive[: state.size])
    return {int(state.numbers[row]): state.vectors[row].round(3).tolist() for row in rows}


def leg(library: Library) -> VectorLeg:
    return library._legs[library.collection().id(), "scripted:hash"]


def test_memory_follows_every_change_without_reading_everything_again(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = documents(tmp_path / "docs", 0, 30)
    sync(library, folder)
    ask = library.collection().search
    asyncio.run(ask("code word"))
    monkeypatch.setattr(Memory, "clear", lambda self: pytest.fail("read everything again"))
    documents(folder, 30, 5)
    (folder / "3.md").unlink()
    (folder / "4.md").write_text("# Item 4\n\nSomething else entirely.\n", "utf-8")
    sync(library, folder, embed=False)
    asyncio.run(ask("code word"))
    assert len(in_memory(library)) == 28  # without the new ones, which have no vector yet
    asyncio.run(library.collection().embed_pending())
    asyncio.run(ask("code word"))
    monkeypatch.undo()
    followed = in_memory(library)
    assert len(followed) == 34
    fresh = Library(library.workspace, library._embedding)
    asyncio.run(fresh.collection().search("code word"))
    assert in_memory(fresh) == followed


def test_who_is_far_behind_reads_everything(library: Library, tmp_path: Path) -> None:
    folder = documents(tmp_path / "docs", 0, 10)
    sync(library, folder)
    asyncio.run(library.collection().search("code word"))
    documents(folder, 10, 10)
    sync(library, folder)
    with library.workspace.write() as db:  # what the log's trigger does after many changes
        db.execute("DELETE FROM passage_changes WHERE seq < (SELECT max(seq) FROM passage_changes)")
    hits = asyncio.run(library.collection().search("code word of item 15"))
    assert hits[0].passage.title == "Item 15"
    assert hits[0].vector_rank
    assert len(in_memory(library)) == 20


def test_the_log_of_changes_stays_short(library: Library) -> None:
    with library.workspace.write() as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 103000)"
            " INSERT INTO passage_changes (collection_id, number) SELECT 1, i FROM n"
        )
        assert db.execute("SELECT count(*) FROM passage_changes").fetchone()[0] <= 101_000
