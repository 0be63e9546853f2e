"""Every way to decide keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.contracts import DecisionModel
from core.providers.calibration import Calibrated, Calibration
from core.providers.decisions import LabelLogits, NearestExamples, Structured
from core.providers.registry import open_model
from core.providers.sync import run
from core.settings import load_settings
from core.types import Example
from tests.contracts.decision_model import DecisionModelContract
from tests.core.providers.tiny_gguf import write_gguf
from tests.core.providers.tiny_torch import write_chat
from tests.servers.decisions import openai_decisions, system_one
from tests.servers.json import json_server

EXAMPLES = [
    Example(text, label)
    for label, texts in {
        "shipping": ("Where is my parcel?", "The delivery is late"),
        "refund": ("I want my money back", "How do I get a refund?"),
        "battery": ("The battery dies fast", "How long does it take to charge?"),
        "物流": ("包裹在哪里？", "什么时候发货？"),
        "退款": ("怎么退款？", "我要退钱"),
        "yes": ("I need this right now", "today please"),
        "no": ("whenever you have time", "no hurry"),
        "1": ("This is awful", "I hate it"),
        "5": ("I love it", "Wonderful, thank you"),
    }.items()
    for text in texts
]
ROUTES = {"POST /v1/decisions": openai_decisions, "POST /v1/systemone": system_one}
MODELS: dict[str, tuple[str, str, Callable[[Any], DecisionModel]]] = {
    "label logits": ("chat", "gguf:tiny.gguf", LabelLogits),
    "label logits, not calibrated": ("chat", "gguf:tiny.gguf", lambda chat: LabelLogits(chat, calibrate=False)),
    "structured, percent": ("chat", "gguf:tiny.gguf", Structured),
    "structured, samples": ("chat", "gguf:tiny.gguf", lambda chat: Structured(chat, samples=2)),
    "pipeline": ("pipeline", "transformers:chat", lambda model: model),
    "endpoint, decisions": ("decisions", "openai:m", lambda model: model),
    "endpoint, systemone": ("systemone", "openai:m", lambda model: model),
    "calibrated": ("chat", "gguf:tiny.gguf", lambda chat: Calibrated(LabelLogits(chat), {"topic": Calibration(0.5)})),
    "examples, e5": ("embedding", "embedded:e5", lambda model: NearestExamples(model, EXAMPLES)),
    "examples, hashed": ("embedding", "scripted:hash", lambda model: NearestExamples(model, EXAMPLES)),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecisionModel]:
    folder = tmp_path_factory.mktemp("decisions")
    write_gguf(folder / "tiny.gguf")
    variables = {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LOCAL_THREADS": "1"}
    kind, name, build = MODELS[request.param]
    if kind == "pipeline":
        write_chat(folder / "chat")
    with json_server(ROUTES) as url:
        variables["OPENAI_BASE_URL"] = f"{url}/v1"
        opened = open_model(kind, name, load_settings(Path(folder), variables))
        yield build(opened)
        run(opened.aclose())


class TestDecisionModels(DecisionModelContract):
    pass
