"""What a person asks for on the page, as one value: words, mode, places, filters, and how the best are arranged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from core.errors import InputError
from core.retrieval.filters import from_text
from core.retrieval.options import Recency, SearchOptions
from core.retrieval.query_help import KINDS as KINDS_OF_SLIPS
from core.retrieval.query_help import Kind

Mode = Literal["hybrid", "keyword", "vector"]
MODES: tuple[Mode, ...] = ("hybrid", "keyword", "vector")
HELPS = (*KINDS_OF_SLIPS, "synonyms", "other_language")
PLACES = ("sample", "shared", "mine")
COLLAPSE = 0.8  # from this likeness on a passage is folded into the better one it repeats


@dataclass(frozen=True, slots=True)
class Query:
    """Empty filters let everything through. ``since`` is an ISO date, ``kinds`` are groups of media types.

    ``help`` is what may be done about slips and other words; nothing of it changes what was typed.
    ``half_life_days`` of 0 leaves the age of documents out; ``title`` and ``heading`` are boosts.
    """

    text: str
    mode: Mode = "hybrid"
    places: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: str = ""
    where: tuple[str, ...] = ()  # conditions as the command line has them: year>=2025
    help: tuple[str, ...] = HELPS
    rerank: bool = True
    diversity: float = 0.0
    half_life_days: float = 0.0
    title: float = 0.0
    heading: float = 0.0

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
        options = SearchOptions(
            top_k=depth,
            mode=self.mode,
            where=where,
            collapse=COLLAPSE,
            synonyms="synonyms" in self.help,
            rerank=None if self.rerank else False,
            diversity=self.diversity,
            recency=Recency(self.half_life_days) if self.half_life_days else None,
            boosts={name: weight for name, weight in (("title", self.title), ("heading", self.heading)) if weight},
        )
        return options.narrowed(from_text(self.where)) if self.where else options

    @property
    def slips(self) -> tuple[Kind, ...]:
        """The kinds of slips that may be corrected."""
        return tuple(kind for kind in KINDS_OF_SLIPS if kind in self.help)

    def setting(self) -> dict[str, Any]:
        """How is searched, whatever is searched for: what can be made the usual for everybody."""
        return {name: value for name, value in self.as_data().items() if name in SETTING}

    def tuned(self, other: Query) -> Query:
        """This query, searched as ``other`` says."""
        return replace(self, **{name: getattr(other, name) for name in SETTING})

    def as_data(self) -> dict[str, Any]:
        """What JSON can hold; :meth:`of_data` reads it again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Query:
        """The query that :meth:`as_data` wrote, perhaps of another version: what is not known is left out.

        Raises:
            InputError: a value is not allowed.
        """
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name in known
        }
        query = cls(**{"text": "", **values})
        for name, given, allowed in (("mode", (query.mode,), MODES), ("help", query.help, HELPS)):
            if wrong := [str(value) for value in given if value not in allowed]:
                raise InputError(reason="bad_value", name=name, value=", ".join(wrong), allowed=", ".join(allowed))
        query.options(1)
        return query


SETTING = ("mode", "help", "rerank", "diversity", "half_life_days", "title", "heading")
KINDS: dict[str, tuple[str, ...]] = {
    "text": ("text/markdown", "text/plain"),
    "table": ("text/csv",),
    "page": ("text/html",),
    "pdf": ("application/pdf",),
    "office": ("application/vnd.openxmlformats",),
    "data": ("application/json",),
}


def kind_of(media_type: str) -> str | None:
    """The kind that a media type is of."""
    return next((kind for kind, types in KINDS.items() if media_type.startswith(types)), None)
