"""Decision models made for it: a server's decision endpoint, and the ``decision`` pipeline of transformers.

``HostedDecisions`` speaks ``POST /v1/decisions`` (OpenAI, Fireworks, SGLang, LiteLLM) or ``POST /v1/systemone`` (vLLM,
SGLang, Ollama, ``transformers serve``); ``PipelineDecisions`` runs any chat model or decision model of a folder or the
hub in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import MissingPackage
from core.providers.decision_forms import openai_answers, openai_body, system_one_answers, system_one_body
from core.providers.decisions import checked
from core.providers.endpoint import Endpoint, open_endpoint
from core.providers.reply import Reply
from core.providers.request import to_json
from core.providers.retry import Attempts, until_answered
from core.providers.sentence_transformers import INSTALL, Loaded
from core.settings import Settings
from core.types import Decision, Question


def open_decisions(model: str, *, engine: str, settings: Settings) -> HostedDecisions:
    """The endpoint ``/decisions`` of the service ``engine``."""
    return HostedDecisions(open_endpoint(engine, settings), model, settings=settings)


def open_system_one(model: str, *, engine: str, settings: Settings) -> HostedDecisions:
    """The endpoint ``/systemone`` of the service ``engine``."""
    return HostedDecisions(open_endpoint(engine, settings), model, settings=settings, system_one=True)


class HostedDecisions:
    """All questions about a state in one request."""

    def __init__(self, endpoint: Endpoint, model: str, *, settings: Settings, system_one: bool = False) -> None:
        self.name = f"{endpoint.name}:{model}"
        self._endpoint, self._model, self._settings, self._system_one = endpoint, model, settings, system_one

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        if not checked(questions):
            return {}
        values = self._settings.values
        attempts = Attempts(values["retries.attempts"], values["retries.wait_s"])
        return await until_answered(lambda: self._ask(state, questions), attempts)

    async def _ask(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        endpoint, deadlines, model = self._endpoint, self._settings.deadlines, self._model
        until = asyncio.get_running_loop().time() + deadlines.total_s
        if self._system_one:
            path, body, answers = "/systemone", system_one_body(state, questions, model), system_one_answers
        else:
            path, body, answers = "/decisions", openai_body(model, state, questions), openai_answers
        response = await endpoint.send(
            "POST", path, to_json(body), model=model, deadlines=deadlines, until=until, phase="total"
        )
        reply = Reply(endpoint, model, deadlines, response)
        try:
            return answers(await reply.whole(until, "total"), questions, self.name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise reply.invalid() from error
        finally:
            reply.close()

    async def aclose(self) -> None:
        await self._endpoint.aclose()


def open_pipeline(model: str, *, engine: str, settings: Settings) -> PipelineDecisions:
    """``pipeline("decision")`` over the folder or hub id ``model``. It is loaded at its first use.

    Raises:
        MissingPackage: transformers is not installed.
    """
    if find_spec("transformers") is None or find_spec("torch") is None:
        raise MissingPackage(package="transformers", needed_for=f"{engine}:{model}", install=INSTALL)
    folder = settings.folder / Path(model).expanduser()
    source = str(folder) if folder.is_dir() else model
    device = settings.values.get("local.device") or None

    def load() -> Any:
        from transformers import pipeline

        kwargs = {"use_safetensors": True}
        return pipeline("decision", model=source, device=device, trust_remote_code=False, model_kwargs=kwargs)

    return PipelineDecisions(Loaded(load, engine, model))


class PipelineDecisions:
    """Each question costs one pass through the model; no text is generated."""

    def __init__(self, loaded: Loaded[Any]) -> None:
        self.name = loaded.name
        self._loaded = loaded

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        if not checked(questions):
            return {}
        clean = state.encode("utf-8", "replace").decode()  # no tokenizer takes a lone surrogate
        body = system_one_body(clean, questions)
        answers = await self._loaded.run(lambda pipe: pipe(body))
        return system_one_answers(answers, questions, self.name)

    async def aclose(self) -> None:
        self._loaded.release()
