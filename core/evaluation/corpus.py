"""The documents of a data set, indexed in a collection of their own, to measure search and answers on.

The collections lie in a workspace of their own under ``evaluation/`` and are named after the documents'
checksum, so a second measurement embeds nothing again, data sets made from one another share their vectors,
and the user's own collections are never touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.errors import ConfigurationError, InputError
from core.evaluation.datasets import Dataset, checksum
from core.evaluation.judges import Quote, joined
from core.evaluation.retrieval import Ranker, Setting
from core.retrieval.options import MODES, Mode, SearchOptions
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.contracts import ChatModel
    from core.retrieval.calibration import Calibration
    from core.retrieval.index import Index
    from core.retrieval.judge import Judge
    from core.retrieval.library import Library
    from core.runtime import Runtime
    from core.types import Answer

__all__ = ["MODES", "Corpus", "Mode"]
Told = Callable[[str, int, int], None]  # stage, done, total
_FORMAT = 2  # raised when the same documents are indexed otherwise


class Corpus:
    """Open it with :meth:`open`. One instance serves one setting, so each is timed alone."""

    def __init__(self, workspace: Workspace, library: Library, setting: Setting, name: str) -> None:
        self.setting, self.name = setting, name
        self._workspace, self._library = workspace, library
        self._data_id: dict[str, str] = {}  # by the id that the index gave the document
        self._ranker = Ranker([self._index_of()], setting, self._data_id)

    @classmethod
    async def open(
        cls,
        data: Dataset,
        runtime: Runtime,
        setting: Mode | Setting = "hybrid",
        *,
        embedding: str | None = None,
        told: Told | None = None,
    ) -> Corpus:
        """Index what is not indexed yet.

        Args:
            setting: how is searched; a mode alone leaves everything else as it is by default.
            embedding: the name of a model other than the one that is set.

        Raises:
            InputError: the data has no documents.
            ConfigurationError: the embedding model cannot be used; without it ``vector`` and ``hybrid`` would
                be measured as something that they are not.
        """
        from core.retrieval.library import Library

        if not data.documents:
            raise InputError(reason="data_no_documents", name=data.name)
        chosen = setting if isinstance(setting, Setting) else Setting(SearchOptions(mode=setting))
        mode = chosen.options.mode
        workspace = Workspace.open(runtime.settings.home / "evaluation")
        opened = None if mode == "keyword" else lambda: runtime.embedding(embedding)
        reranker = runtime.reranker if mode == "hybrid" else None
        name = f"{checksum((), data.documents)[:16]}-{_FORMAT}"
        corpus = cls(workspace, Library(workspace, opened, reranker=reranker), chosen, name)
        try:
            await corpus._index(data, told)
        except BaseException:
            corpus.close()
            raise
        return corpus

    async def search(self, query: str) -> list[str]:
        """Ids of the best documents, best first; see :class:`core.evaluation.retrieval.Ranker`."""
        return await self._ranker(query)

    async def passages(self, query: str, top: int) -> list[tuple[str, str]]:
        """``(document, passage as a reranker reads it)`` of the best passages, before any reranker, best first."""
        from core.retrieval.rerank import as_read

        options = replace(self.setting.options, top_k=top, collapse=None, sentences=False, rerank=False)
        found = await self._index_of().find(query, options=options)
        return [(self._data_id[hit.passage.document_id], as_read(hit)) for hit in found.hits]

    async def answer(self, question: str, chat: ChatModel | None = None, judge: Judge | None = None) -> Answer:
        """The app's answer: quoted, or written by ``chat`` and its sentences judged by ``judge``."""
        return await self._library.answer(question, collection=self.name, chat=chat, judge=judge)

    async def calibrate(self, *, told: Callable[[int, int], None] | None = None) -> Calibration:
        """Calibrate the collection on questions made from its sentences, as a user's collection would be."""
        from core.retrieval.calibration import calibrate

        return await calibrate(self._index_of(), told=told)

    async def quote_by_words(self, question: str, quotes: int = 2) -> dict[str, Any]:
        """The baseline that an answering system must beat: sentences that share most with the question.

        Of the ten best passages, the sentences that hold the largest share of the question's terms, weighted
        by their inverse document frequency; that share is the confidence. It declines only when no
        passage shares a term. What ``core.evaluation.judges.answer_task`` judges comes back.
        """
        from core.retrieval import sentences, tokens

        found = await self._index_of().find(question, 10)
        whole = sum(found.weights.values()) or 1.0
        scored: list[tuple[float, Quote]] = []
        for hit in found.hits:
            document, at = hit.passage.document_id, hit.passage.start
            for start, end in sentences.spans(hit.passage.text):
                sentence = hit.passage.text[start:end]
                there = set(tokens.tokens(sentence))
                share = sum(w for term, w in found.weights.items() if term in there) / whole
                scored.append((share, Quote(document, at + start, at + end, sentence)))
        best = sorted(scored, key=lambda pair: -pair[0])[:quotes]  # stable: of equals, the better passage's
        return {
            "answered": bool(best),
            "quotes": joined([quote for _, quote in best]),
            "confidence": best[0][0] if best else 0.0,
        }

    def close(self) -> None:
        self._library.close()
        self._workspace.close()

    def _index_of(self) -> Index:
        return self._library.collection(self.name)

    async def _index(self, data: Dataset, told: Told | None) -> None:
        index = self._index_of()
        there = {row.source: row.id for row in await asyncio.to_thread(index.documents)}
        for done, document in enumerate(data.documents, 1):
            source = f"{quote(document.id, safe='')}.txt"
            if source not in there and (document.text or document.title).strip():
                result = await index.add_text(
                    document.text or document.title, source, title=document.title, embed=False
                )
                there[source] = result.document_id or ""
            if source in there:
                self._data_id[there[source]] = document.id
            if told:
                told("documents", done, len(data.documents))
        if self.setting.options.mode == "keyword":
            return
        _, notices = await index.embed_pending(
            progress=lambda step: told(step.stage, step.done, step.total) if told else None
        )
        if notices:
            raise ConfigurationError(detail=f"embedding: {', '.join(notices)}")
