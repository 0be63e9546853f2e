"""The retrieval tester: two settings side by side, on one query or on judged ones, and the gate before a setting is used.

Figures are those of ``touchstone evaluate retrieval``: both rank and judge through :mod:`core.evaluation.retrieval`.
"""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from apps.search import judgments
from apps.search.query import Query
from core.errors import InputError, NotAllowed
from core.evaluation import gate, judged
from core.evaluation.corpus import Corpus
from core.evaluation.datasets import Dataset, Record
from core.evaluation.gate import GateRow
from core.evaluation.loaders import load_beir
from core.evaluation.results import Evaluation
from core.evaluation.retrieval import PASSAGES, Ranker, Setting, measured
from core.evaluation.tasks import report
from core.i18n import Phrase
from core.jobs import Jobs
from core.retrieval.records import DocumentInfo, Progress
from core.types import LOCAL, Caller, Hit

if TYPE_CHECKING:
    from apps.search.service import Search
    from core.retrieval.index import Index

FIGURES = ("ndcg@10", "recall@100", "mrr@10")
FEWEST = 5  # judged queries that a comparison can say anything with
Told = Callable[[Progress], None]
Source = Literal["judgments", "sample"]


@dataclass(frozen=True, slots=True)
class Side:
    """A hit of one of two rankings and where it stands in the other; ``None``: not among those compared."""

    hit: Hit
    rank: int
    other_rank: int | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A judged query and what became of it: nDCG@10, and the rank of the first document that answers it."""

    question: str
    before: float
    after: float
    rank_before: int | None
    rank_after: int | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Two settings on the same judged queries. ``rows`` say of each figure whether the second is better or worse."""

    first: Evaluation
    second: Evaluation
    rows: tuple[GateRow, ...]
    changed: tuple[Changed, ...]

    @property
    def worse(self) -> GateRow | None:
        """The first figure in which the second setting is worse beyond noise."""
        return next((row for row in self.rows if row.verdict == "worse"), None)


class Tester:
    """The tester over the documents that a :class:`~apps.search.service.Search` searches."""

    def __init__(self, desk: Search) -> None:
        self._desk = desk

    # --- one query ----------------------------------------------------------------------------

    def side_by_side(
        self, first: Query, second: Query, caller: Caller = LOCAL, top: int = 10
    ) -> tuple[list[Side], list[Side]]:
        """The best ``top`` passages of both, each with its rank on the other side.

        Raises:
            InputError: a query is empty, or a value is not allowed.
        """
        left, right = (
            list(self._desk.find(self._desk.understood(query, caller).query, caller).hits[:top])
            for query in (first, second)
        )
        places = [{hit.passage.id: rank for rank, hit in enumerate(hits, 1)} for hits in (left, right)]
        return (
            [Side(hit, rank, places[1].get(hit.passage.id)) for rank, hit in enumerate(left, 1)],
            [Side(hit, rank, places[0].get(hit.passage.id)) for rank, hit in enumerate(right, 1)],
        )

    # --- judged queries -----------------------------------------------------------------------

    def judged(self, source: Source, caller: Caller = LOCAL) -> Dataset:
        """The caller's tenant's judgments, or the sample's queries for choosing settings; named by document id."""
        if source == "judgments":
            kept = self._desk.judgments.all(caller, {info.id for info in self._documents(caller)})
            return judged.dataset(judgments.gains(kept), "judgments")
        from apps.search.evaluate import rows

        records = tuple(
            Record(row["id"], row["query"], relevant={name: float(gain) for name, gain in row["relevant"].items()})
            for row in rows("questions.yaml", "questions", "tune")
            if row["relevant"]
        )
        documents = self._desk.places(caller)[0].index.documents()
        return judged.placed(Dataset("sample", "tune", records), documents)

    def of_file(self, name: str, data: bytes, caller: Caller = LOCAL) -> Dataset:
        """Judgments from an uploaded CSV or JSONL file (:mod:`core.evaluation.judged`).

        Raises:
            InputError: another kind of file, an unreadable row, a document that the caller cannot search.
        """
        suffix = Path(name).suffix.lower()
        if suffix not in judged.SUFFIXES:
            raise InputError(reason="bad_value", name="file", value=name, allowed=", ".join(judged.SUFFIXES))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"judged{suffix}"
            path.write_bytes(data)
            found = judged.load_judged(path, name=Path(name).stem)
        return judged.placed(found, self._documents(caller))

    def export(self, caller: Caller = LOCAL) -> bytes:
        """The judgments with the documents they were made on as a zipped BEIR folder.

        ``touchstone evaluate retrieval --data FOLDER`` reads it once it is unpacked.

        Raises:
            InputError: nothing_judged
        """
        data = self.judged("judgments", caller)
        if not data.records:
            raise InputError(reason="nothing_judged")
        with tempfile.TemporaryDirectory() as folder, BytesIO() as out:
            written = judged.write_beir(self.with_documents(data, caller), Path(folder))
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in written:
                    archive.write(path, f"judgments/{path.relative_to(folder).as_posix()}")
            return out.getvalue()

    def with_documents(self, data: Dataset, caller: Caller = LOCAL) -> Dataset:
        """``data`` with the documents that the caller searches, under names that tell no folder of this machine."""
        found = self._documents(caller)
        names = judged.short_names(info.source for info in found)
        texts = judged.documents_of((info, self._desk.text(info.id, caller)) for info in found)
        whole = replace(data, documents=texts, checksum="")
        return judged.renamed(whole, {info.id: names[info.source] for info in found})

    # --- measuring ----------------------------------------------------------------------------

    async def measure(
        self, name: str, query: Query, data: Dataset | Path, caller: Caller = LOCAL, told: Told | None = None
    ) -> Evaluation:
        """The figures of the setting of ``query`` on judged queries.

        Args:
            data: judged by document id, measured where the query searches; or a BEIR folder, measured on its own
                documents in a workspace of its own.

        Raises:
            InputError: nothing_judged; setting_failed, some queries failed; what evaluating raises.
            ConfigurationError: the embedding model cannot be used.
        """
        say = told or (lambda step: None)
        setting = Setting(query.options(PASSAGES), query.slips)
        config = {
            **query.as_data(),
            "embedding": self._desk.runtime.settings.model("embedding"),
            "rerank_model": self._desk.runtime.settings.model("rerank"),
        }
        jobs = Jobs(self._desk.runtime.workspace)

        async def ranked(found: Dataset, ranker: Callable[[str], object]) -> Evaluation:
            if not any(gain > 0 for record in found.records for gain in record.relevant.values()):
                raise InputError(reason="nothing_judged")
            figures = await measured(
                found, ranker, name=name, jobs=jobs, caller=caller, config=config, resume=False,
                told=lambda job: say(Progress("files", job.done + job.failed, job.total, name)),
            )  # fmt: skip
            if failed := figures.errors:
                codes = ", ".join(sorted(set(failed.values())))
                raise InputError(reason="setting_failed", count=len(failed), total=len(figures.ids), codes=codes)
            return figures

        if isinstance(data, Path):
            loaded = await asyncio.to_thread(load_beir, data, split=_split(data))
            corpus = await Corpus.open(
                loaded,
                self._desk.runtime,
                setting,
                told=lambda stage, done, total: say(Progress("vectors", done, total, stage)),
            )
            with closing(corpus):
                return await ranked(loaded, corpus.search)
        indexes = await self._desk.ready(query, caller)
        if query.mode != "keyword":
            for index in indexes:
                await index.embed_pending(progress=say)
        names = {info.id: info.id for index in indexes for info in await asyncio.to_thread(index.documents)}
        return await ranked(data, Ranker(indexes, setting, names, lexicons=self._desk.lexicons))

    async def compare(
        self, first: Query, second: Query, data: Dataset | Path, caller: Caller = LOCAL, told: Told | None = None
    ) -> Compared:
        """Measure both and say what differs; errors as for :meth:`measure`."""
        left = await self.measure("A", first, data, caller, told)
        right = await self.measure("B", second, data, caller, told)
        questions = {record.id: record.input for record in (await self._records(data))}
        return await asyncio.to_thread(compared, left, right, questions)

    async def _records(self, data: Dataset | Path) -> Sequence[Record]:
        return (
            (await asyncio.to_thread(load_beir, data, split=_split(data))).records
            if isinstance(data, Path)
            else data.records
        )

    # --- the gate -----------------------------------------------------------------------------

    async def set_default(
        self,
        query: Query,
        data: Dataset | Path,
        caller: Caller = LOCAL,
        *,
        force: bool = False,
        told: Told | None = None,
    ) -> Compared | None:
        """Make the setting of ``query`` the usual one for the caller's tenant, unless it is worse than the one in use.

        Args:
            force: take it all the same; what was measured is kept with the change.

        Raises:
            NotAllowed: the caller is no admin.
            InputError: setting_worse, a figure is worse beyond noise; setting_unmeasured, too few judged queries.
        """
        if "admin" not in caller.roles:
            raise NotAllowed(action=Phrase("search.action.default"), role="admin")
        now = replace(self._desk.defaults.query(caller), places=query.places)
        wanted = now.tuned(query)
        found: Compared | None = None
        if isinstance(data, Path) or sum(any(g > 0 for g in r.relevant.values()) for r in data.records) >= FEWEST:
            found = await self.compare(now, wanted, data, caller, told)
            if (row := found.worse) and not force:
                numbers = {
                    name: f"{getattr(row, name) or 0.0:.3f}"
                    for name in ("baseline", "current", "difference", "low", "high", "p")
                }
                raise InputError(reason="setting_worse", measure=row.measure, queries=len(found.second.ids), **numbers)
        elif not force:
            raise InputError(reason="setting_unmeasured", fewest=FEWEST)
        figures = {row.measure: [row.baseline, row.current] for row in found.rows} if found else {}
        forced = force and (found is None or found.worse is not None)
        await asyncio.to_thread(self._desk.defaults.set, wanted, caller, forced=forced, figures=figures)
        return found

    def _documents(self, caller: Caller) -> list[DocumentInfo]:
        indexes: list[Index] = [place.index for place in self._desk.places(caller)]
        return [info for index in indexes for info in index.documents()]


def compared(first: Evaluation, second: Evaluation, questions: dict[str, str]) -> Compared:
    """Paired, query by query; those that changed most come first."""
    told = [report("search", [side]) for side in (second, first)]
    rows = gate.compare(*told, measures=FIGURES).rows
    ndcg, reciprocal = (
        [dict(zip(side.ids, side.columns[name], strict=True)) for side in (first, second)]
        for name in ("ndcg@10", "mrr@10")
    )
    changed = [
        Changed(
            questions[id_],
            _number(ndcg[0][id_]),
            _number(ndcg[1][id_]),
            _rank(reciprocal[0][id_]),
            _rank(reciprocal[1][id_]),
        )
        for id_ in first.ids
    ]
    moved = [row for row in changed if abs(row.after - row.before) > 1e-9]
    return Compared(first, second, rows, tuple(sorted(moved, key=lambda row: -abs(row.after - row.before))))


def _split(folder: Path) -> str:
    """The split that a BEIR folder is measured on: ``test``, or the only one it has."""
    there = sorted({path.name.partition(".")[0] for path in (folder / "qrels").glob("*.tsv*")})
    return there[0] if len(there) == 1 else "test"


def _number(cell: float | str | None) -> float:
    return float(cell or 0.0)


def _rank(cell: float | str | None) -> int | None:
    return round(1 / float(cell)) if cell else None
