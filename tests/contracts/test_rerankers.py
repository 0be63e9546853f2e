"""Every reranker keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.contracts import Reranker
from core.providers.registry import ENGINES, open_model
from core.providers.sync import run
from core.settings import load_settings
from core.telemetry.ledger import Ledger, RecordedReranker
from tests.contracts.reranker import RerankerContract, Traits
from tests.core.providers.tiny_gguf import rank_metadata, rank_tensors, write_gguf
from tests.core.providers.tiny_torch import write_cross_encoder
from tests.servers.llama import rerank_server

MODELS: dict[str, Traits] = {
    "embedded:lexical": Traits(pointwise=False, wise=True),
    "gguf:rank.gguf": Traits(),
    "openai:rank": Traits(any_length=False),  # llama.cpp's own server
    "sentence-transformers:cross": Traits(),
    "decision:gguf:tiny.gguf": Traits(tolerance=0.05),  # batches change the last digits of llama.cpp's logits
    "recorded, sentence-transformers:cross": Traits(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rerankers")
    write_gguf(folder / "tiny.gguf")
    write_gguf(folder / "rank.gguf", rank_metadata(), rank_tensors())
    write_cross_encoder(folder / "cross")
    return folder


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def traits(name: str) -> Traits:
    return MODELS[name]


@pytest.fixture(scope="module")
def model(name: str, folder: Path, ledger: Ledger) -> Iterator[Reranker]:
    _wrapper, comma, plain = name.rpartition(", ")
    variables = {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LOCAL_SLOTS": "3"}
    server = rerank_server(folder / "rank.gguf") if plain.startswith("openai:") else None
    if server is not None:
        variables["OPENAI_BASE_URL"] = f"{server.listening_address}/v1"
    opened: Reranker = open_model("rerank", plain, load_settings(folder, variables))
    yield RecordedReranker(opened, ledger) if comma else opened
    run(opened.aclose())


class TestRerankers(RerankerContract):
    pass


def test_every_engine_that_ranks_is_a_subject() -> None:
    # what was trained is opened by sentence-transformers: tests/core/training
    assert {name for name, row in ENGINES.items() if row.rerank} - {"trained"} <= {
        name.partition(":")[0] for name in MODELS
    }
