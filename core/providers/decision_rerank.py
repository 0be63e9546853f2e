"""A reranker out of any decision model: how likely is it that this passage answers the question?

``decision:ENGINE:MODEL`` asks a chat model, one question for each passage: dear, and as good as the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.contracts import DecisionModel
from core.errors import ContextTooLong
from core.i18n import detect_language, message
from core.settings import Settings
from core.types import Question

if TYPE_CHECKING:
    import numpy as np

    from core.contracts import ChatModel

AT_ONCE = 8
LEAST_CHARACTERS = 200  # a passage of this length is not shortened further
ANSWERS = "answers"


def open_reranker(model: str, *, engine: str, settings: Settings) -> DecisionReranker:
    """Open the chat model ``model`` (``ENGINE:MODEL``) and rank by its decisions."""
    from core.providers.decisions import decision_model
    from core.providers.registry import open_model

    chat: ChatModel = open_model("chat", model, settings)
    return DecisionReranker(decision_model(chat), name=f"{engine}:{model}", holds=chat)


class DecisionReranker:
    """Scores are the probabilities of ``yes``, at most ``AT_ONCE`` passages at a time. Of a passage longer than the
    model's context, the beginning is read.

    Args:
        holds: a model to close with this one.
    """

    def __init__(self, model: DecisionModel, *, name: str | None = None, holds: ChatModel | None = None) -> None:
        self.name = name or f"decision:{model.name}"
        self._model, self._holds = model, holds

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        import numpy as np

        language = detect_language(query)
        question = Question(ANSWERS, "yes_no", message("decision.relevant", language))
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(passage: str) -> float:
            async with turn:
                while True:
                    state = message("decision.pair", language, query=query, passage=passage)
                    try:
                        return (await self._model.decide(state, [question]))[ANSWERS].probabilities["yes"]
                    except ContextTooLong:
                        if len(passage) < LEAST_CHARACTERS:
                            raise
                        passage = passage[: len(passage) // 2]

        tasks = [asyncio.ensure_future(one(passage)) for passage in passages]
        try:
            return np.array(await asyncio.gather(*tasks), np.float32)
        finally:
            for task in tasks:
                task.cancel()

    async def aclose(self) -> None:
        if self._holds is not None:
            await self._holds.aclose()
