"""Rerankers behind ``POST …/rerank``, the form that Jina, Cohere, SiliconFlow, vLLM, SGLang and llama.cpp share.

The services are those of ``core.providers.services``; Cohere's base URL for this is ``https://api.cohere.com/v2``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.providers.endpoint import Endpoint, open_endpoint
from core.providers.reply import Reply
from core.providers.request import to_json
from core.providers.retry import RetryingReranker, retrying_reranker
from core.settings import Settings
from core.types import Deadlines

if TYPE_CHECKING:
    import numpy as np

BATCH = 100  # passages in one request; the services allow from 64 tokens' worth to 1,000
PARALLEL = 4  # requests at a time


def open_reranker(model: str, *, engine: str, settings: Settings) -> RetryingReranker:
    """Open the reranker ``model`` of the service ``engine``, with retries."""
    endpoint = open_endpoint(engine, settings)
    return retrying_reranker(OpenAIReranker(endpoint, model, deadlines=settings.deadlines), settings)


class OpenAIReranker:
    """A reranker of one service."""

    def __init__(self, endpoint: Endpoint, model: str, *, deadlines: Deadlines | None = None) -> None:
        self.name = f"{endpoint.name}:{model}"
        self._endpoint = endpoint
        self._model = model
        self._deadlines = deadlines or Deadlines()

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        import numpy as np

        turn = asyncio.Semaphore(PARALLEL)

        async def one(batch: Sequence[str]) -> np.ndarray:
            async with turn:
                return await self._score(query, batch)

        tasks = [asyncio.ensure_future(one(passages[at : at + BATCH])) for at in range(0, len(passages), BATCH)]
        try:
            return np.concatenate([np.zeros(0, np.float32), *await asyncio.gather(*tasks)])
        finally:
            for task in tasks:
                task.cancel()

    async def _score(self, query: str, passages: Sequence[str]) -> np.ndarray:
        """One request. Shape: ``(len(passages),)`` float32."""
        endpoint, deadlines = self._endpoint, self._deadlines
        until = asyncio.get_running_loop().time() + deadlines.total_s
        body = {"model": self._model, "query": query or " ", "documents": [text or " " for text in passages]}
        response = await endpoint.send(
            "POST", "/rerank", to_json(body), model=self._model, deadlines=deadlines, until=until, phase="total"
        )
        reply = Reply(endpoint, self._model, deadlines, response)
        try:
            return scores_of(await reply.whole(until, "total"), len(passages))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise reply.invalid() from error
        finally:
            reply.close()

    async def aclose(self) -> None:
        await self._endpoint.aclose()


def scores_of(sent: Any, count: int) -> np.ndarray:
    """The scores of a response in the order of the passages. Shape: ``(count,)`` float32.

    ``{"results": [{"index", "relevance_score"}]}``, or SGLang's bare list of ``{"index", "score"}``.

    Raises:
        ValueError, KeyError, TypeError: not of this form, or a passage has no finite score.
    """
    import numpy as np

    rows = sent["results"] if isinstance(sent, Mapping) else sent
    scores = np.full(count, np.nan, np.float32)
    for row in rows:
        index = row["index"]
        if not 0 <= index < count:
            raise ValueError(f"passage {index} of {count}")
        scores[index] = row["relevance_score"] if "relevance_score" in row else row["score"]
    if not np.isfinite(scores).all():
        raise ValueError("a passage has no score")
    return scores
