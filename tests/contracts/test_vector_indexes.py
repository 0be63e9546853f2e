"""Both vector indexes keep the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.retrieval.chroma import ChromaStore
from core.retrieval.vectors import ExactIndex, VectorIndex
from tests.contracts.vector_index import DIM, VectorIndexSuite, unit_vectors


class TestExact(VectorIndexSuite):
    @pytest.fixture
    def index(self) -> VectorIndex:
        return ExactIndex(DIM)

    def test_wrong_shape_is_refused(self, index: VectorIndex) -> None:
        with pytest.raises(InputError):
            index.upsert(["a"], np.zeros((1, DIM + 1), dtype=np.float32))


class TestChroma(VectorIndexSuite):
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[VectorIndex]:
        store = ChromaStore(tmp_path / "chroma")
        yield store.index("suite", DIM)
        store.close()

    def test_it_is_there_after_reopening(self, index: VectorIndex, tmp_path: Path) -> None:
        vectors = unit_vectors(20)
        index.upsert([f"p{i}" for i in range(20)], vectors)
        index.store.close()  # type: ignore[attr-defined]
        again = ChromaStore(tmp_path / "chroma")
        assert again.index("suite", DIM).search(vectors[7], 1)[0][0] == "p7"
        again.close()

    def test_agrees_with_exact_search(self, index: VectorIndex) -> None:
        vectors, exact = unit_vectors(500, seed=1), ExactIndex(DIM)
        ids = [f"p{i}" for i in range(500)]
        index.upsert(ids, vectors)
        exact.upsert(ids, vectors)
        queries = unit_vectors(20, seed=2)
        shared = [
            len({id_ for id_, _ in index.search(q, 10)} & {id_ for id_, _ in exact.search(q, 10)}) for q in queries
        ]
        assert sum(shared) >= 0.98 * 200
