"""``symmetric:NAME``: an embedding model for documents that are the same kind of text as the queries.

Some models read a query and a document differently, because a question is not like its answer. Where the documents
are questions themselves (a FAQ matched by its questions, duplicate tickets), both sides must be read alike:
``symmetric:embedded:e5`` reads everything as a query. Its vectors are kept apart from those of the model it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.types import EmbeddingKind

if TYPE_CHECKING:
    import numpy as np

    from core.settings import Settings

ENGINE = "symmetric"


class Symmetric:
    """Embeds every text with ``model`` as a query."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model
        self.name = f"{ENGINE}:{model.name}"

    @property
    def dim(self) -> int:
        return self.model.dim

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        return await self.model.embed(texts, kind="query")

    async def aclose(self) -> None:
        await self.model.aclose()


def open_embedding(name: str, *, engine: str, settings: Settings) -> Any:
    """Open ``name``, itself ``engine:model``, and read all texts as queries."""
    from core.providers.registry import open_model

    return Symmetric(open_model("embedding", name, settings))
