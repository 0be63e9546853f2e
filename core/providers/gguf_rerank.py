"""Rerankers from GGUF files in this process: ``gguf:/path/bge-reranker-v2-m3.gguf``, through llama.cpp.

The file must hold a ranking head, as those of bge-reranker, jina-reranker and Qwen3-Reranker do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError, ProviderError
from core.i18n import Phrase
from core.providers.gguf import EMBEDDING_CONTEXT_TOKENS, model_path
from core.providers.gguf_file import GgufHeader, read_header
from core.providers.llama import Engine, plan_of, shape_of
from core.providers.llama_trial import try_model
from core.providers.local_queue import QUEUE
from core.providers.openai_rerank import scores_of
from core.providers.refusals import refused
from core.providers.request import to_json
from core.providers.wire import parse_json
from core.settings import Settings

if TYPE_CHECKING:
    import numpy as np

RANK = 4  # of llama.cpp's kinds of pooling
_TOKENS = re.compile(r"\((\d+) tokens\)")
_SPECIAL_TOKENS = 8


def open_reranker(model: str, *, engine: str, settings: Settings) -> GgufReranker:
    """Open the GGUF file ``model`` as a reranker.

    Raises:
        MissingFile, ConfigurationError: no such file, not a whole GGUF file, or one that does not rank.
    """
    header = read_header(model_path(model, settings), f"{engine}:{model}")
    return GgufReranker(header, provider=engine, model=model, settings=settings)


class GgufReranker:
    """A reranker in this process. Of a passage longer than its context, the beginning is read."""

    def __init__(self, header: GgufHeader, *, provider: str, model: str, settings: Settings) -> None:
        if header.of_architecture("pooling_type") != RANK:
            detail = Phrase("local.no_ranking_head")
            raise ConfigurationError(reason="bad_model_file", path=str(header.path), detail=detail)
        self.name = f"{provider}:{model}"
        wished = settings.values["local.context_tokens"] or EMBEDDING_CONTEXT_TOKENS
        self.shape = shape_of(header, slots=settings.values["local.slots"], context_tokens=wished)
        plan = plan_of(header, self.shape, threads=settings.values["local.threads"], embedding=True)
        plan["pooling_type"] = RANK
        self.engine = Engine(header, plan, check=partial(try_model, header.path, plan, settings.home))
        self._provider, self._model = provider, model
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="touchstone-llama-rerank")

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        import numpy as np

        scores = np.zeros(len(passages), np.float32)
        for at in range(0, len(passages), self.shape.slots):
            piece = list(passages[at : at + self.shape.slots])
            server = await self.engine.server()
            ticket = QUEUE.enter(self.name, slots=1, provider=self._provider, admitted=at > 0)
            work = partial(self._score, [server], query, piece)
            del server
            scores[at : at + len(piece)] = await ticket.run(self._executor, work)
        return scores

    async def aclose(self) -> None:
        self.engine.release()

    def _score(self, held: list[Any], query: str, passages: list[str]) -> np.ndarray:
        """Shape: ``(len(passages),)`` float32. ``held`` gives the server away, so that releasing it waits for this."""
        import numpy as np

        server = held.pop()
        try:
            return self._ask(server, query, passages)
        except ProviderError as error:
            if _TOKENS.search(str(error.params.get("detail"))) is None:
                raise
        return np.array([self._beginning(server, query, text) for text in passages], np.float32)

    def _beginning(self, server: Any, query: str, text: str) -> float:
        """The score of ``text``, shortened until it fits beside the query."""
        limit = self.shape.context_tokens - _SPECIAL_TOKENS
        text = text[: limit * 8]
        while True:
            try:
                return float(self._ask(server, query, [text])[0])
            except ProviderError as error:
                tokens = _TOKENS.search(str(error.params.get("detail")))
                if tokens is None or not text:
                    raise
                over = max(1, int(tokens[1]) - limit)
                text = text[: max(0, int((len(text) - over * len(text) / int(tokens[1])) * 0.95))]

    def _ask(self, server: Any, query: str, passages: list[str]) -> np.ndarray:
        known: dict[str, Any] = {"provider": self._provider, "model": self._model}
        body = to_json({"query": query or " ", "documents": [text or " " for text in passages]})
        try:
            sent = parse_json(server.handle_rerank(body))
        except (ValueError, RuntimeError) as error:
            raise refused(400, str(error), **known) from error
        if "results" not in sent:
            raise refused(int(sent.get("error", {}).get("code", 500)), sent, **known)
        return scores_of(sent, len(passages))
