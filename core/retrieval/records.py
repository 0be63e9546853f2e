"""What indexing and searching report: plain data for command line, pages and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from core.errors import TouchstoneError
from core.types import Hit, Language

if TYPE_CHECKING:
    import numpy as np

    from core.retrieval.explain import Explanation

Status = Literal["added", "updated", "unchanged", "removed", "failed", "skipped"]
Stage = Literal["files", "vectors", "index"]


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` files, passages to embed, or vectors to write; ``name`` is the file just done."""

    stage: Stage
    done: int
    total: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What happened to one file. ``error`` says why it failed or was skipped, in either language (``error.text("zh")``)."""

    source: str
    status: Status
    document_id: str | None = None
    title: str = ""
    passages: int = 0
    error: TouchstoneError | None = None

    def as_dict(self, language: str = "en") -> dict[str, Any]:
        return {
            "source": self.source,
            "status": self.status,
            "document_id": self.document_id,
            "title": self.title,
            "passages": self.passages,
            "error": self.error.as_dict(language) if self.error else None,
        }


@dataclass(frozen=True, slots=True)
class SyncReport:
    """One row per file, and what the vectors cost. ``notices`` are message codes, such as ``embedding_down``."""

    files: Sequence[FileResult]
    embedded: int = 0  # passages embedded now
    cached: int = 0  # passages of new text whose vector was already there
    seconds: float = 0.0
    notices: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        return sum(1 for row in self.files if row.status == status)

    def as_dict(self, language: str = "en") -> dict[str, Any]:
        """The report as data, for ``--json``."""
        statuses: tuple[Status, ...] = ("added", "updated", "unchanged", "removed", "failed", "skipped")
        return {
            **{status: self.count(status) for status in statuses},
            "embedded": self.embedded,
            "cached": self.cached,
            "seconds": round(self.seconds, 3),
            "notices": list(self.notices),
            "files": [row.as_dict(language) for row in self.files],
        }


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    id: str
    source: str
    title: str
    language: Language
    media_type: str
    passages: int
    characters: int
    updated_at: float


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    name: str
    documents: int
    passages: int
    pending: int  # passages without a vector of the current model
    generation: int


@dataclass(frozen=True, slots=True)
class Found:
    """A search with what the answerer needs to judge it.

    ``weights`` are the question's content terms with their inverse document frequency in the collection;
    ``vector`` is the question's, ``None`` when no embedding model answered; ``spread`` is mean and standard
    deviation of its cosine with passages at large.
    """

    query: str
    hits: tuple[Hit, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    passages: int = 0
    vector: np.ndarray | None = field(default=None, repr=False)
    spread: tuple[float, float] | None = None
    notices: tuple[str, ...] = ()
    explanations: tuple[Explanation, ...] = ()  # one for each hit, when they were asked for
