"""Changing the embedding model while the old one serves: make, compare, switch, roll back.

The new model's vectors are made beside the old ones, which go on answering. A search takes the vector of its
question and those of the passages from one model, so there is no moment at which two are mixed. After the switch
the old vectors stay until ``vacuum``, so that rolling back costs nothing.

    migration = Migration.of(runtime, "openai:text-embedding-3-small")
    await migration.prepare()
    print((await migration.compare(queries)).overlap)
    migration.switch()                       # and migration.rollback()
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contracts import EmbeddingModel
from core.errors import InputError, ProviderError
from core.retrieval import choice, load, pending
from core.retrieval.index import Index, ProgressCallback
from core.retrieval.library import DEFAULT_COLLECTION, Library
from core.types import LOCAL, Caller, Hit

if TYPE_CHECKING:
    from core.runtime import Runtime

TOP = 10
# One look-up for each model; DISTINCT would read every vector's key.
_MODELS = """
WITH RECURSIVE kept (model) AS (
    SELECT min(model) FROM vectors UNION ALL
    SELECT (SELECT min(model) FROM vectors WHERE model > kept.model) FROM kept WHERE kept.model IS NOT NULL
)
SELECT model FROM kept WHERE model IS NOT NULL
"""
_DRAWN = 50  # queries taken from the documents' own headings when none are given


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and the documents that answer it (id, title, source, or the source's file name) when known."""

    text: str
    relevant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One query: how many of the first ten passages both models find, and nDCG@10 where it is judged."""

    query: str
    overlap: float
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``overlap`` is the mean share of the first ten passages that both models find."""

    old: str
    new: str
    queries: int
    overlap: float
    judged: int
    ndcg_old: float | None
    ndcg_new: float | None
    rows: tuple[Difference, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "old": self.old,
            "new": self.new,
            "queries": self.queries,
            "overlap@10": self.overlap,
            "judged": self.judged,
            "ndcg@10": {"old": self.ndcg_old, "new": self.ndcg_new} if self.judged else None,
            "rows": [{"query": r.query, "overlap": r.overlap, "old": r.before, "new": r.after} for r in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What a collection still lacks of a model's vectors."""

    tenant: str
    collection: str
    passages: int
    pending: int


class Migration:
    """From the model that serves to ``model``, for all collections of all tenants."""

    def __init__(self, library: Library, model: str, open_model: Callable[[str], EmbeddingModel], setting: str) -> None:
        self.library, self.name, self.setting = library, model, setting
        self._open = open_model

    @classmethod
    def of(cls, runtime: Runtime, model: str | None = None) -> Migration:
        """To ``model``; without one, to the model that served before."""
        setting = runtime.settings.model("embedding")
        made = choice.current(runtime.workspace)
        if model is None and made is None:
            raise InputError(reason="nothing_to_roll_back")
        return cls(Library.of(runtime), model or (made.previous if made else ""), runtime.embedding, setting)

    @property
    def serving(self) -> str:
        return choice.serving(self.library.workspace, self.setting)

    def others(self) -> list[str]:
        """Further models whose vectors are kept, in order: of a migration under way, or of one that ended."""
        with self.library.workspace.read() as db:
            models = [row[0] for row in db.execute(_MODELS)]
        return [model for model in models if model not in (self.name, self.serving)]

    def standings(self) -> list[Standing]:
        """What is still to be made, by collection."""
        found = []
        for tenant, name, index in self._indexes(self.library):
            with index.workspace.read() as db:
                sql = "SELECT count(*) FROM passages WHERE collection_id = ?"
                passages = int(db.execute(sql, (index.id(),)).fetchone()[0])
            found.append(Standing(tenant, name, passages, pending.count(index.workspace, index.id(), self.name)))
        return found

    async def prepare(self, progress: ProgressCallback | None = None) -> int:
        """Make the vectors that are missing; how many. May be stopped and called again.

        Raises:
            ProviderError, ConfigurationError: the new model cannot be used.
        """
        model = self._open(self.name)
        await model.embed(["touchstone"], kind="query")  # indexing would only take note of a model that fails
        made = 0
        for _, _, index in self._indexes(self.library.with_embedding(model)):
            embedded, notices = await index.embed_pending(progress=progress)
            made += embedded
            if "embedding_down" in notices:
                await model.embed(["touchstone"], kind="query")
                raise ProviderError(provider=self.name.partition(":")[0], model=self.name, detail="embedding")
        return made

    async def compare(self, queries: Sequence[Query] = (), *, collection: str = DEFAULT_COLLECTION) -> Comparison:
        """Ask both models, as a search would with each of them serving.

        Without ``queries``, headings and titles of the documents stand in: enough to see how much changes, not
        whether it changes for the better.
        """
        old = self.library.with_embedding(self._open(self.serving)).collection(collection)
        new = self.library.with_embedding(self._open(self.name)).collection(collection)
        asked = list(queries) or await asyncio.to_thread(_drawn, old)
        if not asked:
            raise InputError(reason="nothing_indexed", collection=collection, allowed="–")
        rows = []
        for query in asked:
            before, after = await old.search(query.text, TOP), await new.search(query.text, TOP)
            first, second = ({hit.passage.id for hit in hits} for hits in (before, after))
            overlap = len(first & second) / max(1, len(first), len(second))
            judged = bool(query.relevant)
            rows.append(
                Difference(
                    query.text,
                    overlap,
                    ndcg(before, query.relevant) if judged else None,
                    ndcg(after, query.relevant) if judged else None,
                )
            )
        scored = [(row.before, row.after) for row in rows if row.before is not None and row.after is not None]
        return Comparison(
            self.serving,
            self.name,
            len(rows),
            sum(row.overlap for row in rows) / len(rows),
            len(scored),
            sum(a for a, _ in scored) / len(scored) if scored else None,
            sum(b for _, b in scored) / len(scored) if scored else None,
            tuple(rows),
        )

    def switch(self) -> choice.Choice:
        """From the next question on the new model serves.

        Raises:
            InputError: migration_pending while vectors are missing; same_model when it serves already.
        """
        if self.name == self.serving:
            raise InputError(reason="same_model", model=self.name)
        missing = sum(row.pending for row in self.standings())
        if missing:
            raise InputError(reason="migration_pending", model=self.name, count=missing)
        return choice.choose(self.library.workspace, self.name, previous=self.serving, setting=self.setting)

    async def rollback(self, progress: ProgressCallback | None = None) -> choice.Choice:
        """Back to the model that served before, after making what was added since."""
        await self.prepare(progress)
        return self.switch()

    def _indexes(self, library: Library) -> list[tuple[str, str, Index]]:
        return [
            (tenant, name, library.for_caller(Caller(tenant, LOCAL.user)).collection(name))
            for tenant, name in library.tenants()
        ]


def read_queries(path: Path) -> list[Query]:
    """Questions of a file: one a line, or JSONL with ``query`` and, where judged, a list ``relevant``.

    Raises:
        InputError: unreadable_file, bad_json, data_row.
    """
    text = load.decode(load.read(path), path.name)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if path.suffix.lower() not in (".jsonl", ".json"):
            found.append(Query(line.strip()))
            continue
        where = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(reason="bad_json", where=where, detail=str(error)) from error
        relevant = row.get("relevant", []) if isinstance(row, dict) else None
        if not isinstance(relevant, list) or not isinstance(row.get("query"), str) or not row["query"].strip():
            raise InputError(reason="data_row", where=where, detail='{"query": "…", "relevant": ["…"]}')
        found.append(Query(row["query"], tuple(map(str, relevant))))
    return found


def ndcg(hits: Sequence[Hit], relevant: Sequence[str]) -> float:
    """nDCG@10 over documents in the order of their first passage; each name in ``relevant`` counts once."""
    import numpy as np

    from core.evaluation import ranking

    left, gains, seen = set(relevant), [], set()
    for hit in hits:
        if hit.passage.document_id in seen:
            continue
        seen.add(hit.passage.document_id)
        names = {hit.passage.document_id, hit.passage.title, hit.passage.source, Path(hit.passage.source).name}
        gains.append(1.0 if left & names else 0.0)
        left -= names
    ideal = np.ones((1, len(set(relevant))))
    return float(ranking.ndcg(np.array([gains or [0.0]]), ideal, TOP)[0])


def _drawn(index: Index) -> list[Query]:
    """Headings and titles, the same ones each time."""
    with index.workspace.read() as db:
        rows = db.execute(
            "SELECT DISTINCT coalesce(p.heading, d.title) AS text FROM passages p JOIN documents d"
            " ON d.id = p.document_id WHERE p.collection_id = ? ORDER BY p.text_hash LIMIT ?",
            (index.id(), _DRAWN),
        ).fetchall()
    return [Query(row["text"].replace(" › ", " ")) for row in rows]
