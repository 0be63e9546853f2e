"""What every EmbeddingModel keeps. A new engine is one more row in ``test_embedding_models.py``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from core.contracts import EmbeddingModel
from core.errors import ProviderError
from core.providers.sync import run
from core.types import EmbeddingKind

TIMEOUT_S = 120.0
TEXTS = (
    "How do I return a kettle?",
    "怎么退货？",
    "The warranty lasts two years.",
    "保修期为两年。",
    "🙂",
    "x",
)


@dataclass(frozen=True)
class Traits:
    """What is known of a model beyond the contract.

    ``kinds_differ``: queries and documents are embedded differently. ``bilingual``: a Chinese sentence lies
    nearer to its translation than to another English one. ``any_length``: a text of any length has a vector;
    otherwise one that is too long is a ``ProviderError``. ``same_text``: the least cosine between two vectors of
    one text, computed in different company.
    """

    kinds_differ: bool = False
    bilingual: bool = False
    any_length: bool = True
    same_text: float = 0.999
    variables: dict[str, str] = field(default_factory=dict)


class EmbeddingModelContract:
    """Subclass it with the fixtures ``model`` and ``traits``."""

    def test_it_is_an_embedding_model(self, model: EmbeddingModel) -> None:
        assert isinstance(model, EmbeddingModel)
        engine, colon, name = model.name.partition(":")
        assert engine
        assert colon
        assert name

    def test_rows_of_norm_one(self, model: EmbeddingModel) -> None:
        found = embed(model, TEXTS)
        assert found.dtype == np.float32
        assert found.shape == (len(TEXTS), model.dim)
        assert model.dim > 1
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)

    def test_no_texts_give_no_rows(self, model: EmbeddingModel) -> None:
        embed(model, ["a service may tell the length of its vectors with the first of them"])
        found = embed(model, [])
        assert found.shape == (0, model.dim)
        assert found.dtype == np.float32

    def test_order_is_kept_and_company_changes_nothing(self, model: EmbeddingModel, traits: Traits) -> None:
        alone = np.concatenate([embed(model, [text]) for text in TEXTS])
        together = embed(model, TEXTS)
        backwards = embed(model, TEXTS[::-1])[::-1]
        for found in (together, backwards):
            assert (alone * found).sum(axis=1).min() > traits.same_text
        others = alone @ together.T - 2 * np.eye(len(TEXTS))
        assert (others.max(axis=1) < 0.9999).all(), "different texts have the same vector"

    def test_long_texts_in_company(self, model: EmbeddingModel, traits: Traits) -> None:
        texts = [
            f"{letter} kettle and its warranty. " * length for letter, length in zip("abcd", (9, 2, 12, 5), strict=True)
        ]
        alone = np.concatenate([embed(model, [text]) for text in texts])
        assert (alone * embed(model, texts)).sum(axis=1).min() > traits.same_text

    def test_more_texts_than_any_batch(self, model: EmbeddingModel, traits: Traits) -> None:
        texts = [f"Item {number} of the list" for number in range(70)]
        found = embed(model, texts)
        for number in (0, 33, 69):
            assert (found[number] * embed(model, [texts[number]])[0]).sum() > traits.same_text
            assert (found @ found[number]).argmax() == number

    @pytest.mark.parametrize("text", ["", " ", "\n", "\0", "a\0b", "\ud800", "\ufffe", "a" * 600])
    def test_odd_texts_have_a_vector(self, model: EmbeddingModel, text: str) -> None:
        found = embed(model, [text, "company"])
        assert np.isfinite(found).all()
        assert found.shape == (2, model.dim)

    def test_what_stands_after_a_nul_counts(self, model: EmbeddingModel) -> None:
        found = embed(model, ["a\0kettle", "a\0refrigerator"])
        assert (found[0] * found[1]).sum() < 0.9999

    def test_a_megabyte_of_text(self, model: EmbeddingModel, traits: Traits) -> None:
        text = "退货政策。Return policy. " * 50_000
        if traits.any_length:
            found = embed(model, [text, "short"])
            assert np.isfinite(found).all()
            assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
        else:
            with pytest.raises(ProviderError):
                embed(model, [text])
            assert np.isfinite(embed(model, ["short"])).all()

    def test_queries_and_documents(self, model: EmbeddingModel, traits: Traits) -> None:
        query, document = embed(model, TEXTS[:1], "query"), embed(model, TEXTS[:1], "document")
        same = float((query * document).sum())
        assert (same < 0.9999) == traits.kinds_differ

    def test_meaning_crosses_languages(self, model: EmbeddingModel, traits: Traits) -> None:
        if not traits.bilingual:
            pytest.skip("this model knows no languages")
        documents = embed(model, ["How do I return a product?", "The battery lasts ten hours."])
        queries = embed(model, ["怎样退货？", "电池能用多久？"], "query")
        assert ((queries @ documents.T).argmax(axis=1) == [0, 1]).all()

    def test_many_callers_at_once(self, model: EmbeddingModel, traits: Traits) -> None:
        async def together() -> list[np.ndarray]:
            return await asyncio.gather(*(model.embed([text, "x"], kind="document") for text in TEXTS * 2))

        found = run(together(), TIMEOUT_S)
        alone = embed(model, TEXTS)
        for number, rows in enumerate(found):
            assert (rows[0] * alone[number % len(TEXTS)]).sum() > traits.same_text

    def test_many_threads_at_once(self, model: EmbeddingModel, traits: Traits) -> None:
        found: dict[int, np.ndarray] = {}
        threads = [
            threading.Thread(target=lambda n=number: found.update({n: embed(model, [TEXTS[n]])})) for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        alone = embed(model, TEXTS[:4])
        assert all((found[number][0] * alone[number]).sum() > traits.same_text for number in range(4))

    def test_a_caller_who_leaves_disturbs_nobody(self, model: EmbeddingModel, traits: Traits) -> None:
        async def scene() -> np.ndarray:
            task = asyncio.create_task(model.embed([f"Text {n}" for n in range(50)], kind="document"))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled() or not task.exception()
            return await model.embed(TEXTS[:1], kind="document")

        found = run(scene(), TIMEOUT_S)
        assert (found[0] * embed(model, TEXTS[:1])[0]).sum() > traits.same_text

    def test_closing_twice_is_harmless(self, model: EmbeddingModel) -> None:
        async def close() -> None:
            await model.aclose()
            await model.aclose()

        run(close(), TIMEOUT_S)


def embed(model: EmbeddingModel, texts: Sequence[str], kind: EmbeddingKind = "document") -> np.ndarray:
    return run(model.embed(texts, kind=kind), TIMEOUT_S)
