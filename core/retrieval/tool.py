"""Searching as a tool: a name, a JSON schema and a function from data to data, for MCP servers, HTTP and agents.

    tool = search_tool(library)
    tool.name, tool.description, tool.schema        # what a protocol announces
    await tool.call({"query": "几天可以退货", "filter": {"year": {"$gte": 2025}}})

The caller is the library's: arguments can narrow what is found, never widen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.retrieval.options import MODES, SearchOptions
from core.types import Hit

if TYPE_CHECKING:
    from core.retrieval.library import Library

MOST = 50  # hits of one call


@dataclass(frozen=True, slots=True)
class SearchTool:
    """``schema`` describes the arguments of :meth:`call`; ``description`` is written for a model."""

    library: Library
    options: SearchOptions
    name: str = "search_documents"
    description: str = (
        "Search the document collections. Returns passages with their source, page and score, best first. "
        "在文档集合中检索，返回带来源、页码和分数的段落，最相关的在前。"
    )

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "query": {"type": "string", "minLength": 1, "description": "What to look for, in the user's words."},
                "top_k": {"type": "integer", "minimum": 1, "maximum": MOST, "default": self.options.top_k},
                "mode": {"type": "string", "enum": list(MODES), "default": self.options.mode},
                "filter": {
                    "type": "object",
                    "description": 'Conditions on metadata, such as {"year": {"$gte": 2025}, "language": "zh"}.',
                },
            },
            "required": ["query"],
            "additionalProperties": False,
        }

    async def call(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """
        Raises:
            InputError: an argument that the schema does not allow.
        """
        known = self.schema["properties"]
        for name in arguments:
            if name not in known:
                raise InputError(reason="bad_value", name="argument", value=str(name)[:100], allowed=", ".join(known))
        query = arguments.get("query")
        if not isinstance(query, str):
            raise InputError(reason="bad_value", name="query", value=str(query)[:100], allowed="string")
        changes = {name: arguments[name] for name in ("top_k", "mode") if name in arguments}
        top_k = changes.get("top_k", 1)
        if isinstance(top_k, int) and top_k > MOST:
            raise InputError(reason="bad_value", name="top_k", value=top_k, allowed=f"1-{MOST}")
        options = self.options.changed(**changes).narrowed(arguments.get("filter"))
        found = await self.library.search(query, options)
        return {"query": found.query, "hits": [hit_data(hit) for hit in found.hits], "notices": list(found.notices)}


def search_tool(library: Library, options: SearchOptions | None = None) -> SearchTool:
    """The tool over ``library``; ``options`` hold for every call, and their filter cannot be lifted by one."""
    return SearchTool(library, options or SearchOptions())


def hit_data(hit: Hit) -> dict[str, Any]:
    """A hit as plain data: what ``--json``, HTTP and MCP send."""
    passage = hit.passage
    return {
        "passage_id": passage.id,
        "document_id": passage.document_id,
        "collection": hit.collection,
        "title": passage.title,
        "source": passage.source,
        "heading": passage.heading,
        "page": passage.page,
        "language": passage.language,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "sentence": _span(hit.sentence, passage.start, passage.text),
        "score": hit.score,
        "keyword_rank": hit.keyword_rank,
        "keyword_score": hit.keyword_score,
        "vector_rank": hit.vector_rank,
        "vector_score": hit.vector_score,
        "matched_terms": list(hit.matched_terms),
        "parts": dict(hit.parts),
        "metadata": dict(passage.metadata),
        "similar": [other.passage.id for other in hit.similar],
    }


def _span(span: Sequence[int] | None, offset: int, text: str) -> dict[str, Any] | None:
    if span is None:
        return None
    start, end = span
    return {"start": start, "end": end, "text": text[start - offset : end - offset]}
