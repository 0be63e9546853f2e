"""A matrix over another model's vectors: what it learns, what it is as a model, and what an index need not embed again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.contracts import DerivedEmbedding
from core.errors import InputError, MissingFile
from core.evaluation import results
from core.evaluation.datasets import Record
from core.providers.registry import open_model
from core.retrieval.library import Library
from core.retrieval.migrate import Migration
from core.retrieval.upkeep import vacuum
from core.runtime import Runtime
from core.training import linear_adapter, work
from core.training.data import NEGATIVES
from core.training.linear_adapter import Pairs, learn, turned
from core.training.recipes.embedding_adapter import embedded
from core.training.store import Version

KEPT, ALL = 8, 24  # dimensions that pairs share; the others are noise
SETTINGS = {"epochs": 6, "batch_size": 32, "learning_rate": 0.01, "scale": 20.0}
ASKED = ("where is my {}", "{} has not come", "is the {} on its way", "{} please", "when do I get the {}")
MEANT = ("delivery of a {}", "the {}: state of shipping")
GOODS = ("kettle", "lamp", "toaster", "tent", "stove", "scale", "blender", "bottle", "pan", "fan", "clock", "mat")


def drawn(count: int, seed: int, *, kept: slice = slice(KEPT)) -> Pairs:
    """Pairs whose vectors agree in some of their dimensions."""
    random = np.random.default_rng(seed)
    queries, documents = random.normal(size=(2, count, ALL))
    documents[:, kept] = queries[:, kept]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, documents)]
    own = np.stack([np.arange(count)] * 2, axis=1)
    return Pairs(*unit, own, [()] * count, [None] * count)  # type: ignore[arg-type]


def first(pairs: Pairs, matrix: np.ndarray) -> float:
    """The share of queries whose own document is nearest."""
    scores = turned(pairs.queries, matrix) @ turned(pairs.documents, matrix).T
    return float((scores.argmax(axis=1) == np.arange(len(scores))).mean())


def test_it_learns_which_directions_count() -> None:
    held_out, unseen = drawn(100, 1), drawn(100, 2)
    found = learn(drawn(600, 0), held_out, **SETTINGS)  # type: ignore[arg-type]
    assert found.epoch > 0
    assert found.after < found.before
    assert first(unseen, found.matrix) > first(unseen, np.eye(ALL)) + 0.2
    weight = np.abs(np.diag(found.matrix))
    assert weight[:KEPT].min() > weight[KEPT:].max()


def test_what_harms_held_out_pairs_is_not_kept() -> None:
    found = learn(drawn(300, 0), drawn(100, 1, kept=slice(KEPT, None)), **SETTINGS)  # type: ignore[arg-type]
    assert (found.epoch, found.before) == (0, found.after)
    assert (found.matrix == np.eye(ALL)).all()


def test_the_derivative_is_that_of_the_loss() -> None:
    pairs = replace(drawn(6, 3), own=np.array([[0, 0], [0, 1], [1, 1], [2, 2]]), wrong=[(3, 4), (), (5,), (), (), ()])
    rows, right = np.arange(4), pairs.right()
    matrix = np.eye(ALL) + np.random.default_rng(4).normal(size=(ALL, ALL)) / 20
    _, gradient = linear_adapter._gradient(matrix, pairs, rows, right, 5.0)
    for at in ((0, 0), (3, 7), (ALL - 1, 2)):
        step = np.zeros_like(matrix)
        step[at] = 1e-5
        up, down = (linear_adapter._gradient(matrix + s, pairs, rows, right, 5.0)[0] for s in (step, -step))
        assert gradient[at] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-9)


def test_a_second_right_text_is_no_stranger(runtime: Runtime) -> None:
    records = [
        Record("1", "a", answers=("A",), metadata={NEGATIVES: ["B", "x", "a"]}),
        Record("2", "a", answers=("B",)),
        Record("3", "b", answers=("b",)),
    ]
    pairs = asyncio.run(embedded(records, runtime.embedding()))
    assert pairs.own.tolist() == [[0, 0], [0, 1]], "a text is no pair with itself"
    assert pairs.wrong == [[2], []], "what is right in another row, and the text itself, are not wrong"
    assert pairs.right() == [{0, 1, 3}, {4}]


# --- as a model -----------------------------------------------------------------------------------


@pytest.fixture
def version(runtime: Runtime, tmp_path: Path) -> Version:
    path = tmp_path / "pairs.jsonl"
    told = [{"anchor": a.format(g), "positive": m.format(g)} for g in GOODS for a in ASKED for m in MEANT]
    path.write_text("".join(json.dumps(row) + "\n" for row in told), "utf-8")
    prepared = work.prepare(runtime, "embedding-adapter", path, out="faq", settings={"epochs": "3"})
    return asyncio.run(work.train(runtime, prepared))


def embed(model, texts: Sequence[str]) -> np.ndarray:  # type: ignore[no-untyped-def]
    return asyncio.run(model.embed(texts, kind="query"))


def test_from_a_file_to_a_judged_model(runtime: Runtime, version: Version, tmp_path: Path) -> None:
    mine, plain = results.load(version.report).evaluations
    assert (mine.system, plain.system) == ("trained:faq@1", "base scripted:hash")
    assert version.facts()["validation_loss"] < version.facts()["validation_loss_before"]
    model = open_model("embedding", "trained:faq@1", runtime.settings)
    assert isinstance(model, DerivedEmbedding)
    assert (model.name, model.base, model.dim) == ("trained:faq@1", "scripted:hash", 256)
    found = embed(model, ["where is my kettle", ""])
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert embed(model, []).shape == (0, 256)
    plain_vectors = embed(runtime.embedding("scripted:hash"), ["where is my kettle", ""])
    assert np.allclose(found, model.derived(plain_vectors), atol=1e-6)
    assert not np.allclose(found, plain_vectors, atol=1e-3)
    about = version.model / "adapter.json"
    assert json.loads(about.read_text())["pairs"] == version.splits().train.checksum
    about.write_text(about.read_text().replace("scripted:hash", "embedded:e5"))
    with pytest.raises(InputError, match="trained:faq@1"):
        open_model("embedding", "trained:faq@1", runtime.settings)
    (version.model / "adapter.safetensors").unlink()
    with pytest.raises(MissingFile):
        open_model("embedding", "trained:faq@1", runtime.settings)


def test_an_index_goes_over_without_embedding_anew(
    runtime: Runtime, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.of(runtime)
    texts = [m.format(g) for g in GOODS for m in MEANT]
    for number, text in enumerate(texts):
        asyncio.run(library.collection().add_text(text, f"{number}.txt"))
    model = runtime.embedding(version.served_as)
    asked: list[str] = []

    async def noted(texts: Sequence[str], *, kind: str) -> np.ndarray:
        asked.extend(texts if kind == "document" else ())
        return await plain(texts, kind=kind)

    plain = model.model.model.embed  # of the base, under the adapter and the ledger
    monkeypatch.setattr(model.model.model, "embed", noted)
    migration = Migration.of(runtime, version.served_as)
    assert asyncio.run(migration.prepare()) == len(texts)
    assert not asked
    migration.switch()
    found = asyncio.run(library.collection().search("the tent has not come"))
    assert "tent" in found[0].passage.text
    asyncio.run(library.collection().add_text("delivery of a sofa", "sofa.txt"))
    assert len(asked) == 1, "what is new has no vector to follow from"
    vacuum(library, other_models=True)
    with runtime.workspace.read() as db:
        held = {row[0] for row in db.execute("SELECT DISTINCT model FROM vectors")}
    assert held == {"scripted:hash", "trained:faq@1"}, "the next adapter is made from the base's"
    library.close()
