"""Measuring a way of searching: one path for ``touchstone evaluate retrieval`` and for the tester of a page.

    ranker = Ranker([library.collection()], Setting(SearchOptions(mode="keyword")), sources)
    found = await measured(data, ranker, name="keyword", jobs=Jobs(workspace))

A :class:`Setting` says how is searched, a :class:`Ranker` ranks documents that way, :func:`measured` runs it over the
judged queries of a data set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import ConfigurationError
from core.evaluation.datasets import Dataset, Record
from core.evaluation.judges import retrieval_task
from core.evaluation.results import Evaluation
from core.evaluation.tasks import evaluate
from core.jobs import Job, Jobs
from core.retrieval.index import Index
from core.retrieval.lexicons import Lexicons
from core.retrieval.options import SearchOptions
from core.retrieval.query_help import Kind, helped
from core.retrieval.several import Several
from core.types import LOCAL, Caller

PASSAGES = 300  # enough for 100 documents of several passages each
DEPTH = 100  # documents of a ranking
NO_VECTORS = ("embedding_down", "embedding_pending", "index_unreachable")


@dataclass(frozen=True, slots=True)
class Setting:
    """How is searched. ``help`` is what is done about slips before; of ``options`` the cut does not count."""

    options: SearchOptions = field(default_factory=SearchOptions)
    help: tuple[Kind, ...] = ()


class Ranker:
    """Ranks the documents of ``indexes``, searched as one; a document stands where its best passage does."""

    def __init__(
        self,
        indexes: Sequence[Index],
        setting: Setting,
        names: Mapping[str, str],
        *,
        lexicons: Lexicons | None = None,
    ) -> None:
        """
        Args:
            names: what documents are called in the judgments, by their id in the index; others are not ranked.
            lexicons: those in use already, for a setting that helps with queries.
        """
        self.setting = setting
        self._indexes, self._names = tuple(indexes), names
        self._several, self._lexicons = Several(indexes), lexicons or (Lexicons() if setting.help else None)
        self._options = replace(setting.options, top_k=PASSAGES, collapse=None, sentences=False, explain=False)

    async def __call__(self, query: str) -> list[str]:
        """Names of the best documents, best first.

        Raises:
            ConfigurationError: vectors are asked for and not there; words alone would be measured under their name.
        """
        if self.setting.help:
            query = await asyncio.to_thread(self._meant, query)
        found = await self._several.find(query, options=self._options)
        if missing := [code for code in found.notices if code in NO_VECTORS]:
            raise ConfigurationError(detail=f"embedding: {', '.join(missing)}")
        ids = dict.fromkeys(hit.passage.document_id for hit in found.hits)
        return [self._names[id_] for id_ in ids if id_ in self._names][:DEPTH]

    def _meant(self, query: str) -> str:
        lexicon = self._lexicons.of(self._indexes, wait_s=None) if self._lexicons else None
        return helped(query, lexicon, self.setting.help).query if lexicon else query


async def measured(
    data: Dataset,
    ranker: Callable[[str], Any],
    *,
    name: str,
    jobs: Jobs,
    caller: Caller = LOCAL,
    config: Mapping[str, Any] | None = None,
    resume: bool | None = None,
    told: Callable[[Job], None] | None = None,
) -> Evaluation:
    """Rank for every judged query of ``data``; arguments and errors are those of :func:`core.evaluation.tasks.evaluate`."""

    async def system(record: Record) -> Any:
        return await ranker(record.input)

    return await evaluate(
        retrieval_task(data), system, name=name, jobs=jobs, caller=caller, config=config, resume=resume, on_progress=told
    )  # fmt: skip
