"""Every embedding engine keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.contracts import EmbeddingModel
from core.providers.langchain import LangChainEmbedding
from core.providers.langchain_bridge import TouchstoneEmbeddings
from core.providers.registry import ENGINES, open_model
from core.providers.sync import run
from core.settings import load_settings
from tests.contracts.embedding_model import EmbeddingModelContract, Traits
from tests.core.providers.tiny_gguf import metadata, write_gguf
from tests.core.providers.tiny_torch import minilm
from tests.servers.llama import embedding_server

MODELS: dict[str, Traits] = {
    "embedded:e5": Traits(kinds_differ=True, bilingual=True),
    "symmetric:scripted:hash": Traits(),
    "symmetric:embedded:e5": Traits(bilingual=True),
    "gguf:tiny-e5.gguf": Traits(kinds_differ=True),  # its name has the prefixes of e5, its weights are random
    "gguf:tiny.gguf": Traits(),
    "scripted:hash": Traits(),
    "sentence-transformers:minilm": Traits(),
    "sentence-transformers:minilm?dim=128": Traits(),
    "langchain:scripted:hash": Traits(),  # there and back
    "openai:tiny": Traits(any_length=False, same_text=0.998),  # llama.cpp's own server
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embeddings")
    (folder / "minilm").symlink_to(minilm())
    write_gguf(folder / "tiny.gguf", metadata(context_tokens=512))
    write_gguf(folder / "tiny-4k.gguf")
    write_gguf(folder / "tiny-e5.gguf", metadata(context_tokens=512, general__name="Tiny E5"))
    return folder


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def traits(name: str) -> Traits:
    return MODELS[name]


@pytest.fixture(scope="module")
def model(name: str, folder: Path) -> Iterator[EmbeddingModel]:
    variables = {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LOCAL_SLOTS": "3"}
    server = embedding_server(folder / "tiny-4k.gguf") if name.startswith("openai:") else None
    if server is not None:
        variables["OPENAI_BASE_URL"] = f"{server.listening_address}/v1"
    settings = load_settings(folder, variables)
    if name.startswith("langchain:"):
        held = open_model("embedding", name.removeprefix("langchain:"), settings)
        opened: EmbeddingModel = LangChainEmbedding(TouchstoneEmbeddings(held.name, embedding=held))
    else:
        opened = open_model("embedding", name, settings)
    yield opened
    run(opened.aclose())


class TestEmbeddingModels(EmbeddingModelContract):
    pass


def test_every_engine_that_embeds_is_a_subject() -> None:
    engines = {name for name, row in ENGINES.items() if row.embedding}
    # what was trained is opened by sentence-transformers: tests/core/training
    assert engines - {"trained"} <= {name.partition(":")[0] for name in MODELS}
