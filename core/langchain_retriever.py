"""A library as a LangChain retriever, for chains and agents that are written against LangChain.

    retriever = LibraryRetriever(library=Library.of(runtime), k=4)
    retriever.invoke("几天可以退货")            # Documents with score, source, page, passage_id in their metadata
    retriever.invoke("…", filter={"year": 2026})

Here and not in :mod:`core.retrieval`, because a synchronous call goes through the loop thread of the providers.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from core import blocking
from core.retrieval.library import Library
from core.retrieval.options import SearchOptions
from core.types import Hit


class LibraryRetriever(BaseRetriever):
    """Searches ``library``, which belongs to one caller: a filter can narrow what is found, never widen it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    library: Library = Field(repr=False)
    k: int = 8
    options: SearchOptions = Field(default_factory=SearchOptions)
    """Everything else that a search can be asked for; ``k`` stands in place of its ``top_k``."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, filter: Any = None
    ) -> list[Document]:
        return [document_of(hit) for hit in blocking.search(self.library, query, self._chosen(k, filter)).hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, filter: Any = None
    ) -> list[Document]:
        return [document_of(hit) for hit in (await self.library.search(query, self._chosen(k, filter))).hits]

    def _chosen(self, k: int | None, where: Any) -> SearchOptions:
        return self.options.changed(top_k=self.k if k is None else k).narrowed(where)


def document_of(hit: Hit) -> Document:
    """A hit as a LangChain document; its id is the passage's."""
    passage = hit.passage
    own = {
        "passage_id": passage.id,
        "document_id": passage.document_id,
        "collection": hit.collection,
        "source": passage.source,
        "title": passage.title,
        "heading": passage.heading,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "sentence": hit.sentence,
        "score": hit.score,
    }
    return Document(id=passage.id, page_content=passage.text, metadata={**passage.metadata, **own})
