"""What a person asks for on the page, as one value: words, mode, places, filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from core.retrieval.options import SearchOptions
from core.retrieval.query_help import KINDS as KINDS_OF_SLIPS
from core.types import Hit

Mode = Literal["hybrid", "keyword", "vector"]
MODES: tuple[Mode, ...] = ("hybrid", "keyword", "vector")
HELPS = (*KINDS_OF_SLIPS, "synonyms")
PLACES = ("sample", "shared", "mine")
COLLAPSE = 0.8  # from this likeness on a passage is folded into the better one it repeats


@dataclass(frozen=True, slots=True)
class Query:
    """Empty filters let everything through. ``since`` is an ISO date, ``kinds`` are groups of media types.

    ``help`` is what may be done about slips and other words; nothing of it changes what was typed.
    """

    text: str
    mode: Mode = "hybrid"
    places: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: str = ""
    help: tuple[str, ...] = HELPS

    def options(self, depth: int) -> SearchOptions:
        """The search that this asks for.

        Raises:
            InputError: a value is not allowed.
        """
        parts: list[dict[str, Any]] = []
        if self.languages:
            parts.append({"language": {"$in": list(self.languages)}})
        if self.kinds:
            parts.append({"media_type": {"$in": [m for kind in self.kinds for m in KINDS.get(kind, ())]}})
        if self.since:
            parts.append({"updated_at": {"$gte": self.since}})
        where = {"$and": parts} if len(parts) > 1 else (parts[0] if parts else None)
        return SearchOptions(
            top_k=depth, mode=self.mode, where=where, collapse=COLLAPSE, synonyms="synonyms" in self.help
        )


KINDS: dict[str, tuple[str, ...]] = {
    "text": ("text/markdown", "text/plain"),
    "table": ("text/csv",),
    "page": ("text/html",),
    "pdf": ("application/pdf",),
    "office": ("application/vnd.openxmlformats",),
    "data": ("application/json",),
}


def by_language(hits: Iterable[Hit]) -> dict[str, int]:
    """How many hits are in each language, most first."""
    found = Counter(hit.passage.language for hit in hits if hit.passage.language)
    return dict(found.most_common())
