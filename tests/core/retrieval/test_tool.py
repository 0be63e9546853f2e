"""Searching as a tool: data in by a schema, data out, and nothing widened."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from core.errors import InputError
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions
from core.retrieval.tool import search_tool


@pytest.fixture
def filled(library: Library) -> Library:
    async def add() -> None:
        for year in (2019, 2026):
            await library.collection().add_text(
                f"Rules of {year}: goods may be returned.", f"{year}.txt", metadata={"year": year}
            )

    asyncio.run(add())
    return library


def call(library: Library, options: SearchOptions | None = None, **arguments: Any) -> dict[str, Any]:
    return asyncio.run(search_tool(library, options).call(arguments))


def test_the_schema_is_json_and_says_what_is_known(filled: Library) -> None:
    tool = search_tool(filled)
    schema = json.loads(json.dumps(tool.schema))
    assert schema["required"] == ["query"]
    assert set(schema["properties"]) == {"query", "top_k", "mode", "filter"}
    assert schema["properties"]["top_k"]["default"] == 8
    assert tool.name == "search_documents"


def test_hits_are_plain_data(filled: Library) -> None:
    answer = json.loads(json.dumps(call(filled, query="rules 2026", top_k=1)))
    (hit,) = answer["hits"]
    assert (hit["source"], hit["metadata"], hit["collection"]) == ("2026.txt", {"year": 2026}, "default")
    assert hit["text"][hit["sentence"]["start"] - hit["start"] :].startswith(hit["sentence"]["text"])


def test_a_filter_narrows(filled: Library) -> None:
    newer = SearchOptions(where={"year": {"$gte": 2020}})
    assert [h["source"] for h in call(filled, newer, query="rules")["hits"]] == ["2026.txt"]
    assert call(filled, newer, query="rules", filter={"year": 2019})["hits"] == []
    assert [h["source"] for h in call(filled, query="rules", filter={"year": 2019})["hits"]] == ["2019.txt"]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"query": 7}, {"query": "  "}, {"query": "x", "top_k": 51}, {"query": "x", "top_k": "many"}, {"query": "x", "mode": "y"},
     {"query": "x", "collections": ["secret"]}, {"query": "x", "filter": {"a": {"$where": 1}}}, {"query": "x", "filter": "year=1"}],
    ids=repr,
)  # fmt: skip
def test_what_the_schema_does_not_allow(filled: Library, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        asyncio.run(search_tool(filled).call(arguments))
