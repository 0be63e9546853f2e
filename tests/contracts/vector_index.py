"""What every vector index promises. A test class inherits ``VectorIndexSuite`` and gives ``make``."""

from __future__ import annotations

import numpy as np
import pytest

from core.retrieval.vectors import VectorIndex

DIM = 24


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    """Seeded vectors of norm 1. Shape: ``(count, DIM)``."""
    found = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class VectorIndexSuite:
    """``index`` is a fixture of the subclass: an empty index of ``DIM`` dimensions."""

    def test_empty(self, index: VectorIndex) -> None:
        assert index.count() == 0
        assert index.search(unit_vectors(1)[0], 5) == []

    def test_finds_itself_first_with_cosine_scores(self, index: VectorIndex) -> None:
        vectors = unit_vectors(50)
        index.upsert([f"p{i}" for i in range(50)], vectors)
        assert index.count() == 50
        for i in (0, 17, 49):
            found = index.search(vectors[i], 3)
            assert found[0][0] == f"p{i}"
            assert found[0][1] == pytest.approx(1.0, abs=1e-3)
            assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
            expected = np.sort(vectors @ vectors[i])[::-1][:3]
            assert [score for _, score in found] == pytest.approx(expected.tolist(), abs=1e-3)

    def test_scores_are_cosines_not_distances(self, index: VectorIndex) -> None:
        vectors = unit_vectors(1)
        index.upsert(["same"], vectors)
        assert index.search(-vectors[0], 1)[0][1] == pytest.approx(-1.0, abs=1e-3)

    def test_more_asked_than_there(self, index: VectorIndex) -> None:
        index.upsert(["a", "b"], unit_vectors(2))
        assert len(index.search(unit_vectors(1)[0], 10)) == 2

    def test_upsert_replaces(self, index: VectorIndex) -> None:
        old, new = unit_vectors(2)
        index.upsert(["a"], old[None])
        index.upsert(["a"], new[None])
        assert index.count() == 1
        assert index.search(new, 1)[0][1] == pytest.approx(1.0, abs=1e-3)

    def test_delete_forgets(self, index: VectorIndex) -> None:
        vectors = unit_vectors(10)
        index.upsert([f"p{i}" for i in range(10)], vectors)
        index.delete(["p3", "p4", "never there"])
        assert index.count() == 8
        assert not {"p3", "p4"} & {id_ for id_, _ in index.search(vectors[3], 10)}
        index.delete([])
        index.upsert(["p3"], vectors[3:4])
        assert index.search(vectors[3], 1)[0][0] == "p3"

    def test_many_at_once(self, index: VectorIndex) -> None:
        vectors = unit_vectors(700)  # more than one batch
        index.upsert([f"p{i}" for i in range(700)], vectors)
        assert index.count() == 700
        assert index.search(vectors[650], 1)[0][0] == "p650"
