"""What is held to the chat contract: each engine, each wrapper, stacks of wrappers. One line each.

The engines answer with SmolLM2. Wrappers are tried around an engine that was tried already, so there a tiny model with
random weights is enough: it goes through the same engine in a thirtieth of the time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.contracts import ChatModel
from core.providers.embedded import CHAT, find_file
from core.providers.endpoint import Endpoint
from core.providers.langchain import LangChainChat
from core.providers.langchain_bridge import ChatTouchstone
from core.providers.openai import CAPABILITIES, OpenAIChat
from core.providers.registry import open_model
from core.providers.retry import Retrying
from core.providers.tools_by_schema import ToolsBySchema
from core.settings import load_settings
from core.telemetry.ledger import Recorded
from core.types import Deadlines
from tests.contracts.chat_model import Subject
from tests.core.providers.tiny_gguf import metadata, terse, write_gguf
from tests.core.providers.tiny_transformers import write_vision_model

HERE = Path(__file__).parent
SMOLLM2_ON_A_SERVER = replace(CAPABILITIES, tools=False, images=False, reasoning=False)


PATIENT = {"TOUCHSTONE_FIRST_TOKEN_S": "600", "TOUCHSTONE_IDLE_S": "600"}  # a busy machine is no broken contract
ONE_THREAD = {"TOUCHSTONE_LOCAL_THREADS": "1"}  # the other core works on the other half of the tests


def named(name: str, **variables: str) -> ChatModel:
    model: ChatModel = open_model("chat", name, load_settings(HERE, {**PATIENT, **ONE_THREAD, **variables}))
    return model


def openai_at(url: Any) -> ChatModel:
    return named("openai:served", OPENAI_BASE_URL=str(url))


def bare_at(url: Any) -> ChatModel:
    endpoint = Endpoint("openai", str(url), "none")
    return OpenAIChat(endpoint, "smollm2", deadlines=Deadlines(5, 600, 600, 600), capabilities=SMOLLM2_ON_A_SERVER)


def retrying_at(url: Any) -> ChatModel:
    return Retrying(bare_at(url), deadlines=Deadlines(5, 600, 600, 600))


def gguf(_: Any) -> ChatModel:
    return named(f"gguf:{find_file(CHAT['smollm2'])}")


def tiny(_: Any) -> ChatModel:
    return named(f"gguf:{tiny_chat()}")


def bridged(model: ChatModel) -> ChatModel:
    """There and back: our model as LangChain's, and that one as ours again."""
    return LangChainChat(ChatTouchstone(model=model.name, chat=model), deadlines=Deadlines(5, 600, 600, 600))


CONVERTED = HERE.parent.parent / ".pytest_cache" / "touchstone"  # converting SmolLM2 takes a minute: once per checkout


def transformers(_: Any) -> ChatModel:
    return named(f"transformers:{find_file(CHAT['smollm2'])}", TOUCHSTONE_HOME=str(CONVERTED))


def transformers_with_eyes(_: Any) -> ChatModel:
    return named(f"transformers:{_vision_folder()}", TOUCHSTONE_HOME=str(CONVERTED))


@cache
def _vision_folder() -> Path:
    """A model with random weights; the folder goes with the process."""
    return write_vision_model(_folder())


@cache
def tiny_chat() -> Path:
    """A llama with random weights, a token for each byte and room for many of them."""
    return write_gguf(_folder() / "tiny.gguf", metadata(context_tokens=8192), terse())


def _folder() -> Path:
    """It goes with the process."""
    _keep.append(folder := TemporaryDirectory(prefix="touchstone-"))
    return Path(folder.name)


_keep: list[TemporaryDirectory[str]] = []


SUBJECTS: tuple[Subject, ...] = (
    Subject("openai", openai_at, "wire_url", echoes=True),
    Subject("openai, llama.cpp server", bare_at, "llama_url", forgets=True),
    Subject("openai, llama.cpp server, retrying", retrying_at, "tiny_url", forgets=True),
    Subject("gguf", gguf, forgets=True),
    Subject("transformers", transformers, forgets=True),
    Subject("transformers, a model that sees", transformers_with_eyes, forgets=True),
    Subject("embedded", lambda _: named("embedded:smollm2"), forgets=True),
    Subject("scripted", lambda _: named("scripted:echo.yaml"), echoes=True),
    Subject("tools by schema, gguf", lambda _: ToolsBySchema(tiny(_)), forgets=True),
    Subject("langchain, scripted", lambda _: bridged(named("scripted:echo.yaml")), echoes=True),
    Subject("langchain, gguf", lambda _: bridged(tiny(_)), forgets=True),
    Subject("recorded, retrying, scripted", lambda ledger: Recorded(Retrying(named("scripted:echo.yaml")), ledger), "ledger", echoes=True),
)  # fmt: skip
