"""A library as a LangChain retriever: LangChain's own suite, and what the suite does not ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.errors import InputError
from core.langchain_retriever import LibraryRetriever
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions
from core.runtime import Runtime
from core.settings import Settings, override

DOCUMENTS = {
    "returns.md": "# 退货政策\n\n自签收之日起 15 天内可以退货。运费由买家承担。\n",
    "kettle.md": "# KT-210 kettle\n\nThe kettle holds 1.5 L and may be returned within 15 days.\n",
    "tent.md": "---\nyear: 2026\n---\n\n# Tent\n\nThe tent weighs 3.2 kg and may be returned, too.\n",
    "old.md": "---\nyear: 2019\n---\n\n# Old rules\n\nNothing may be returned.\n",
}
QUERY = "may the tent be returned?"


@pytest.fixture
def opened(settings: Settings) -> Any:
    with Runtime(override(settings, models__embedding="scripted:hash")) as runtime:
        library = Library.of(runtime)

        async def add() -> None:
            for source, text in DOCUMENTS.items():
                await library.collection().add_text(text, source)

        asyncio.run(add())
        yield library
        library.close()


def test_documents_carry_what_a_citation_needs(opened: Library) -> None:
    documents = LibraryRetriever(library=opened, k=2).invoke(QUERY)
    first = documents[0]
    passage = opened.collection().passage(str(first.id))
    assert first.page_content == passage.text
    assert first.metadata["source"] == "tent.md"
    assert first.metadata["passage_id"] == first.id
    assert first.metadata["year"] == 2026
    assert first.metadata["page"] is None
    assert first.metadata["score"] >= documents[1].metadata["score"]
    start, end = first.metadata["sentence"]
    assert "tent" in opened.collection().document_text(passage.document_id)[start:end]


def test_a_filter_of_the_call_narrows_that_of_the_retriever(opened: Library) -> None:
    retriever = LibraryRetriever(library=opened, options=SearchOptions(where={"year": {"$exists": True}}))
    assert {d.metadata["source"] for d in retriever.invoke(QUERY)} == {"tent.md", "old.md"}
    assert [d.metadata["source"] for d in retriever.invoke(QUERY, filter={"year": {"$gte": 2020}})] == ["tent.md"]
    lifted = retriever.invoke(QUERY, filter={"$or": [{"year": 2026}, {"source": "kettle.md"}]})
    assert [d.metadata["source"] for d in lifted] == ["tent.md"]
    with pytest.raises(InputError):
        retriever.invoke(QUERY, filter={"year": {"$where": 1}})


def test_asynchronously_and_in_a_chain(opened: Library) -> None:
    from langchain_core.runnables import RunnableLambda

    retriever = LibraryRetriever(library=opened, k=1)
    assert asyncio.run(retriever.ainvoke(QUERY))[0].metadata["source"] == "tent.md"
    chain = retriever | RunnableLambda(lambda documents: documents[0].metadata["title"])
    assert chain.invoke(QUERY) == "Tent"
    assert [found[0].metadata["title"] for found in retriever.batch([QUERY, "kettle"])] == ["Tent", "KT-210 kettle"]


def test_the_library_stays_out_of_the_representation(opened: Library) -> None:
    assert "Library" not in repr(LibraryRetriever(library=opened)).removeprefix("LibraryRetriever")


try:
    import pytest_asyncio  # noqa: F401  (runs the suite's asynchronous tests)
    from langchain_tests.integration_tests import RetrieversIntegrationTests
except ModuleNotFoundError:  # comes with the development group
    pass
else:

    class TestLangChainsOwnSuite(RetrieversIntegrationTests):  # type: ignore[misc,unused-ignore]
        @pytest.fixture(autouse=True)
        def _library(self, opened: Library) -> None:
            self.library = opened

        @property
        def retriever_constructor(self) -> type[LibraryRetriever]:
            return LibraryRetriever

        @property
        def retriever_constructor_params(self) -> dict[str, Any]:
            return {"library": self.library}

        @property
        def retriever_query_example(self) -> str:
            return QUERY
