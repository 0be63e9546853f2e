"""What every Reranker keeps. A new one is one more row in ``test_rerankers.py``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from core.contracts import Reranker
from core.errors import ProviderError
from core.providers.sync import run, sync

TIMEOUT_S = 120.0
QUERY = "How do I return a kettle?"
PASSAGES = (
    "To return a kettle, send it back within seven days of delivery.",
    "退货：签收后七天内可以退回水壶。",
    "The warranty lasts two years.",
    "🙂",
    "x",
    "Our stores open at nine.",
)


@dataclass(frozen=True)
class Traits:
    """``pointwise``: a passage's score does not depend on its company. ``wise``: it tells an answer from other text.
    ``any_length``: a passage of any length has a score; otherwise one that is too long is a ``ProviderError``.
    """

    pointwise: bool = True
    wise: bool = False
    any_length: bool = True
    tolerance: float = 1e-3


class RerankerContract:
    """Subclass it with the fixtures ``model`` and ``traits``."""

    def test_it_is_a_reranker(self, model: Reranker) -> None:
        assert isinstance(model, Reranker)
        engine, colon, name = model.name.partition(":")
        assert engine
        assert colon
        assert name

    def test_one_finite_score_a_passage(self, model: Reranker) -> None:
        found = rank(model, PASSAGES)
        assert found.dtype == np.float32
        assert found.shape == (len(PASSAGES),)
        assert np.isfinite(found).all()
        assert len({round(float(score), 5) for score in found}) > 1, "it tells nothing apart"

    def test_no_passages_no_scores(self, model: Reranker) -> None:
        found = rank(model, ())
        assert found.shape == (0,)
        assert found.dtype == np.float32

    def test_the_order_of_the_passages_does_not_matter(self, model: Reranker, traits: Traits) -> None:
        assert np.allclose(rank(model, PASSAGES), rank(model, PASSAGES[::-1])[::-1], atol=traits.tolerance)

    def test_company_changes_nothing(self, model: Reranker, traits: Traits) -> None:
        if not traits.pointwise:
            pytest.skip("this one looks at the passages together")
        alone = np.concatenate([rank(model, [text]) for text in PASSAGES])
        assert np.allclose(alone, rank(model, PASSAGES), atol=traits.tolerance)

    def test_the_query_matters(self, model: Reranker) -> None:
        assert not np.allclose(rank(model, PASSAGES), rank(model, PASSAGES, "两年保修 warranty"), atol=1e-6)

    def test_an_answer_ranks_first(self, model: Reranker, traits: Traits) -> None:
        if not traits.wise:
            pytest.skip("its weights are random")
        assert rank(model, PASSAGES).argmax() == 0
        assert rank(model, PASSAGES, "水壶怎么退货？").argmax() == 1

    def test_more_passages_than_any_batch(self, model: Reranker, traits: Traits) -> None:
        passages = [f"Item {number} of the list. " * (1 + number % 5) for number in range(130)]
        found = rank(model, passages)
        assert found.shape == (130,)
        if traits.pointwise:
            for number in (0, 64, 129):
                assert found[number] == pytest.approx(rank(model, [passages[number]])[0], abs=traits.tolerance)

    @pytest.mark.parametrize("text", ["", " ", "\n", "a\0b", "\ud800", "\ufffe", "a" * 600])
    def test_odd_texts_have_a_score(self, model: Reranker, text: str) -> None:
        assert np.isfinite(rank(model, [text, "company"])).all()
        assert np.isfinite(rank(model, ["company"], text)).all()

    def test_a_long_passage(self, model: Reranker, traits: Traits) -> None:
        passages = ["退货政策。Return policy. " * 2_000, "short"]
        if traits.any_length:
            assert np.isfinite(rank(model, passages)).all()
        else:
            with pytest.raises(ProviderError):
                rank(model, passages)
            assert np.isfinite(rank(model, ["short"])).all()

    def test_callers_at_once(self, model: Reranker, traits: Traits) -> None:
        async def together() -> list[np.ndarray]:
            return await asyncio.gather(*(model.rerank(QUERY, PASSAGES) for _ in range(6)))

        expected = rank(model, PASSAGES)
        for found in run(together(), TIMEOUT_S):
            assert np.allclose(found, expected, atol=traits.tolerance)

    def test_threads_at_once(self, model: Reranker, traits: Traits) -> None:
        found: list[np.ndarray] = []
        threads = [threading.Thread(target=lambda: found.append(rank(model, PASSAGES))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        assert len(found) == 4
        assert all(np.allclose(scores, found[0], atol=traits.tolerance) for scores in found)

    def test_a_caller_who_leaves_disturbs_nobody(self, model: Reranker, traits: Traits) -> None:
        expected = rank(model, PASSAGES)

        async def scene() -> np.ndarray:
            task = asyncio.create_task(model.rerank(QUERY, [f"Text {n}" for n in range(50)]))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled() or not task.exception()
            return await model.rerank(QUERY, PASSAGES)

        assert np.allclose(run(scene(), TIMEOUT_S), expected, atol=traits.tolerance)

    def test_the_synchronous_face(self, model: Reranker, traits: Traits) -> None:
        assert np.allclose(sync(model).rerank(QUERY, PASSAGES), rank(model, PASSAGES), atol=traits.tolerance)

    def test_closing_twice_is_harmless_and_it_opens_again(self, model: Reranker) -> None:
        async def close() -> None:
            await model.aclose()
            await model.aclose()

        run(close(), TIMEOUT_S)
        assert rank(model, PASSAGES[:2]).shape == (2,)


def rank(model: Reranker, passages: Sequence[str], query: str = QUERY) -> np.ndarray:
    return run(model.rerank(query, passages), TIMEOUT_S)
