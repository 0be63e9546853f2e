"""The Protocols every engine, wrapper and app is written against.

Async is the truth; ``core.providers.sync`` gives any of these a synchronous face. Contract suites in
``tests/contracts`` hold each implementation to the words written here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.types import Capabilities, Decision, EmbeddingKind, Event, Image, Message, Options, Question

if TYPE_CHECKING:
    import numpy as np

DEFAULT_OPTIONS = Options()


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers messages.

    ``name`` is ``engine:model``; ``capabilities`` says what may be asked of it.
    """

    name: str
    capabilities: Capabilities

    def stream(self, messages: Sequence[Message], options: Options = DEFAULT_OPTIONS) -> AsyncGenerator[Event, None]:
        """Answer ``messages`` as events, the last of which is exactly one ``Done``.

        Nothing happens before the first ``anext``. Closing the generator cancels the work: an upstream
        connection or a local slot is released within a second.

        Raises:
            core.errors.ProviderError: typed, with ``retryable``; ``StreamInterrupted`` carries the partial text.
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory. Calling it twice is harmless."""
        ...


@runtime_checkable
class EmbeddingModel(Protocol):
    """A model that turns texts into vectors."""

    name: str
    dim: int

    async def embed(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        """Embed ``texts``.

        Shape: ``(len(texts), dim)`` float32, each row of L2 norm 1. No texts give ``(0, dim)``.
        """
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class BlockingEmbedding(EmbeddingModel, Protocol):
    """An embedding model that a caller who waits anyway can ask without an event loop."""

    def embed_now(self, texts: Sequence[str], *, kind: EmbeddingKind) -> np.ndarray:
        """As :meth:`embed`; blocks. Not on the event loop's own thread."""
        ...


@runtime_checkable
class DerivedEmbedding(EmbeddingModel, Protocol):
    """An embedding model whose vectors follow from those of the model ``base``: what has these is not embedded again."""

    base: str

    def derived(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors of texts from those that ``base`` gives them as the same kind. Shape: ``(n, dim)`` float32, norm 1."""
        ...


@runtime_checkable
class ImageEmbeddingModel(EmbeddingModel, Protocol):
    """An embedding model that puts images into the space of its texts."""

    async def embed_images(self, images: Sequence[Image]) -> np.ndarray:
        """Embed ``images``. Shape: ``(len(images), dim)`` float32, each row of L2 norm 1.

        Raises:
            core.errors.Unsupported: this model cannot see.
        """
        ...


@runtime_checkable
class DecisionModel(Protocol):
    """A model that answers typed questions about a state with probabilities."""

    name: str

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        """Answer every question about ``state``; keys are question ids."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """A model that scores passages for a query."""

    name: str

    async def rerank(self, query: str, passages: Sequence[str]) -> np.ndarray:
        """Score each passage. Shape: ``(len(passages),)`` float32, higher is better.

        Scores are for ordering: they are comparable within one call, and their scale is the model's own.
        """
        ...

    async def aclose(self) -> None: ...
