"""The vector leg of one collection: in memory, or Chroma with the newest vectors searched exactly.

Collections are answered from memory (:mod:`core.retrieval.memory`) as long as their vectors fit there: that is
faster than a graph index, is in step with every commit and needs no index on disk. From ``EXACT_BELOW`` passages on, vectors are applied to Chroma, and
what is not applied yet (the tail) is searched exactly beside it, so nothing waits for the index.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from core.errors import StoreDamaged
from core.retrieval import keyword, vectors
from core.retrieval.chroma import BATCH, ChromaIndex, ChromaStore
from core.retrieval.follow import Allowed, Followed
from core.retrieval.lease import hold
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

Mode = Literal["auto", "exact", "chroma"]
EXACT_BELOW = 1_000_000  # passages; see docs/decisions/0012-keyword-postings-and-sketches.md
LEASE = "chroma"
_COMPARED = 20_000  # allowed passages that are compared one by one
_WIDEST = 5000  # neighbors that Chroma is asked for when a filter lets few of them through
Told = Callable[[int, int], None]


class VectorLeg:
    """Vectors of one collection and one embedding model, in step with SQLite by its generation."""

    def __init__(
        self, workspace: Workspace, store: ChromaStore, collection_id: int, model: str, dim: int, mode: Mode = "auto"
    ) -> None:
        self.workspace, self.store = workspace, store
        self.collection_id, self.model, self.dim, self.mode = collection_id, model, dim, mode
        self.wait_s = 60.0
        self._followed = Followed(collection_id, model, dim)  # everything, unless Chroma is used
        self._exact = vectors.ExactIndex(dim)  # the tail, when Chroma has the rest
        self._gone: set[str] = set()  # in Chroma, but deleted since
        self._seen: tuple[int, int] | None = None  # generations of collection and index at the last refresh
        self._index_seen: tuple[str, int] | None = None
        self._lock = threading.RLock()

    # --- reading ----------------------------------------------------------------------------------

    def search(
        self,
        vector: np.ndarray,
        top_k: int,
        *,
        also: Mapping[str, float] = {},
        allowed: Allowed | None = None,
    ) -> tuple[dict[str, float], tuple[float, float] | None]:
        """Cosines of the ``top_k`` nearest passages and of those in ``also``, and mean and deviation at large.

        Args:
            allowed: the only passages that may be among the nearest.
        """
        with self.workspace.read() as db:
            with self._lock:
                self._refresh(db)
                if self._index_seen is not None:
                    return self._search_index(db, self._index_seen[0], vector, top_k, also, allowed)
            return self._followed.search(db, vector, top_k, also=also, allowed=allowed)

    def _search_index(
        self,
        db: sqlite3.Connection,
        name: str,
        vector: np.ndarray,
        top_k: int,
        also: Mapping[str, float],
        allowed: Allowed | None,
    ) -> tuple[dict[str, float], tuple[float, float] | None]:
        index, only = self.store.index(name, self.dim), allowed.ids if allowed is not None else None
        near = dict(self._exact.search(vector, top_k, allowed=only))
        applied = (
            index.search(vector, top_k + len(self._gone))
            if only is None
            else self._within(db, index, vector, top_k, only)
        )
        for id_, score in applied:
            if id_ not in self._gone:
                near.setdefault(id_, score)
        found = dict(sorted(near.items(), key=lambda item: -item[1])[:top_k])
        found.update(self._scores(db, vector, [id_ for id_ in also if id_ not in found]))
        return found, self._exact.spread(vector)

    def _within(
        self, db: sqlite3.Connection, index: ChromaIndex, vector: np.ndarray, top_k: int, allowed: frozenset[str]
    ) -> list[tuple[str, float]]:
        """The nearest of ``allowed`` among what is in Chroma.

        Few are compared exactly, out of SQLite. Of many, the graph is asked for more and more until enough of them
        are among its nearest: the nearest allowed then are the nearest of all that are allowed.
        """
        if len(allowed) > _COMPARED:
            here, wanted = index.count(), 2 * top_k
            while wanted < min(here, _WIDEST):
                near = [
                    pair for pair in index.search(vector, wanted) if pair[0] in allowed and pair[0] not in self._gone
                ]
                if len(near) >= top_k:
                    return near[:top_k]
                wanted *= 4
        scores: dict[str, float] = {}
        for chunk in vectors.chunks(allowed, 500):
            scores.update(self._scores(db, vector, chunk))
            if len(scores) > 20 * top_k:
                scores = dict(sorted(scores.items(), key=lambda item: -item[1])[:top_k])
        return sorted(scores.items(), key=lambda item: -item[1])[:top_k]

    def _scores(self, db: sqlite3.Connection, vector: np.ndarray, ids: list[str]) -> dict[str, float]:
        scores = self._exact.scores(vector, ids)
        rest = [id_ for id_ in ids if id_ not in scores]
        for some in vectors.chunks(rest, 500):
            marks = ",".join("?" * len(some))
            hashes = dict(db.execute(f"SELECT id, text_hash FROM passages WHERE id IN ({marks})", some).fetchall())
            stored = vectors.get(db, self.model, hashes.values())
            scores.update((id_, float(stored[h] @ vector)) for id_, h in hashes.items() if h in stored)
        return scores

    def _refresh(self, db: sqlite3.Connection) -> None:
        """Bring memory in step with SQLite when a generation moved."""
        row = db.execute(
            "SELECT c.generation AS generation, i.id AS id, i.name AS name, i.generation AS applied FROM collections c"
            " LEFT JOIN vector_indexes i ON i.collection_id = c.id AND i.model = ? WHERE c.id = ?",
            (self.model, self.collection_id),
        ).fetchone()
        if row is None:
            return
        generations = (row["generation"], row["applied"] or 0)
        if generations == self._seen:
            return
        use_chroma = self.mode != "exact" and row["id"] is not None and self._wanted(db)
        if not use_chroma:
            self._gone, self._index_seen, self._seen = set(), None, generations
            return
        self._gone = {id_ for (id_,) in db.execute(_GONE, (row["id"],))}
        if self._index_seen is not None and self._index_seen != (row["name"], row["applied"]):
            self.store.reopen()
        self._index_seen = (row["name"], row["applied"])
        wanted: dict[str, str] = dict(
            db.execute(
                "SELECT id, text_hash FROM passages p WHERE p.collection_id = ? AND NOT EXISTS"
                " (SELECT 1 FROM vector_applied a WHERE a.index_id = ? AND a.passage_id = p.id)",
                (self.collection_id, row["id"]),
            ).fetchall()
        )
        have = self._exact.ids()
        self._exact.delete([id_ for id_ in have if id_ not in wanted])
        missing = {id_: hash_ for id_, hash_ in wanted.items() if id_ not in have}
        for chunk in vectors.chunks(missing, 2000):
            stored = vectors.get(db, self.model, {missing[id_] for id_ in chunk})
            ready = [id_ for id_ in chunk if missing[id_] in stored]
            if ready:
                self._exact.upsert(ready, _stacked([stored[missing[id_]] for id_ in ready]))
        self._seen = generations

    def _wanted(self, db: sqlite3.Connection) -> bool:
        """Whether this collection is to be in Chroma."""
        if self.mode != "auto":
            return self.mode == "chroma"
        return keyword.passages(db, self.collection_id) >= EXACT_BELOW

    # --- writing ----------------------------------------------------------------------------------

    def apply(self, told: Told | None = None) -> int:
        """Bring Chroma in step with SQLite where it is to be used; returns how many vectors were written.

        Every batch is written to Chroma first and then entered in its manifest, so that a kill between the
        two only repeats a write.

        Raises:
            StoreBusy: another process holds the right to write and did not finish in time.
            StoreDamaged: Chroma cannot be written, not even anew.
        """
        with self.workspace.read() as db:
            if not self._wanted(db) or self._in_step(db):
                return 0
        with hold(self.workspace, LEASE, wait_s=self.wait_s) as lease:
            self.store.reopen()  # another process may have written since
            index_id, index = self._sound_index()
            written = 0
            while gone := self._batch(_GONE, index_id):
                index.delete(gone)
                self._enter(index_id, removed=gone)
                lease.beat()
            with self.workspace.read() as db:
                total = db.execute(_COUNT_UNAPPLIED, (index_id, self.collection_id, self.model)).fetchone()[0]
            while rows := self._unapplied(index_id):
                index.upsert(list(rows), _stacked(list(rows.values())))
                self._enter(index_id, added=list(rows))
                lease.beat()
                written += len(rows)
                if told is not None:
                    told(min(written, total), total)
        return written

    def rebuild(self, told: Told | None = None) -> int:
        """Write Chroma anew from the vectors in SQLite; nothing is embedded again."""
        with hold(self.workspace, LEASE, wait_s=self.wait_s):
            self._forget_index()
        return self.apply(told)

    def _in_step(self, db: sqlite3.Connection) -> bool:
        row = db.execute(
            "SELECT id FROM vector_indexes WHERE collection_id = ? AND model = ?", (self.collection_id, self.model)
        ).fetchone()
        if row is None:
            return False
        unapplied = db.execute(_COUNT_UNAPPLIED, (row["id"], self.collection_id, self.model)).fetchone()[0]
        return not unapplied and db.execute(_GONE + " LIMIT 1", (row["id"],)).fetchone() is None

    def _sound_index(self) -> tuple[int, ChromaIndex]:
        """The index to write, its number of vectors checked against the manifest; a new one when they differ."""
        index_id, name = self._entry()
        try:
            index = self.store.index(name, self.dim)
            if index.count() == self._manifest_count(index_id):
                return index_id, index
        except StoreDamaged:
            self.store.close()
        self._forget_index()
        index_id, name = self._entry()
        index = self.store.index(name, self.dim)
        index.count()
        return index_id, index

    def _entry(self) -> tuple[int, str]:
        key = (self.collection_id, self.model)
        with self.workspace.write() as db:
            row = db.execute(
                "SELECT id, name FROM vector_indexes WHERE collection_id = ? AND model = ?", key
            ).fetchone()
            if row is None:
                number = db.execute(
                    "INSERT INTO vector_indexes (collection_id, model, dim, name) VALUES (?, ?, ?, '')",
                    (*key, self.dim),
                ).lastrowid
                name = f"touchstone-{self.collection_id}-{number}"  # a name is never used twice
                db.execute("UPDATE vector_indexes SET name = ? WHERE id = ?", (name, number))
                return int(number or 0), name
        return int(row["id"]), str(row["name"])

    def _forget_index(self) -> None:
        """Drop the Chroma collection and its manifest; a folder that cannot be opened is set aside."""
        with self.workspace.read() as db:
            row = db.execute(
                "SELECT id, name FROM vector_indexes WHERE collection_id = ? AND model = ?",
                (self.collection_id, self.model),
            ).fetchone()
        if row is None:
            return
        try:
            self.store.drop(row["name"])
        except StoreDamaged:
            self.store.set_aside()
            with self.workspace.write() as db:  # every index lived in that folder
                db.execute("DELETE FROM vector_indexes")
        with self.workspace.write() as db:
            db.execute("DELETE FROM vector_indexes WHERE id = ?", (row["id"],))

    def _manifest_count(self, index_id: int) -> int:
        with self.workspace.read() as db:
            return int(db.execute("SELECT count(*) FROM vector_applied WHERE index_id = ?", (index_id,)).fetchone()[0])

    def _batch(self, sql: str, *values: object) -> list[str]:
        with self.workspace.read() as db:
            return [row[0] for row in db.execute(f"{sql} LIMIT {BATCH}", values)]

    def _unapplied(self, index_id: int) -> dict[str, np.ndarray]:
        import numpy as np

        with self.workspace.read() as db:
            rows = db.execute(_UNAPPLIED + f" LIMIT {BATCH}", (self.model, index_id, self.collection_id)).fetchall()
        return {row[0]: np.frombuffer(row[1], dtype=np.float16).astype(np.float32) for row in rows}

    def _enter(self, index_id: int, *, added: list[str] = [], removed: list[str] = []) -> None:  # noqa: B006
        with self.workspace.write() as db:
            db.executemany("INSERT OR IGNORE INTO vector_applied VALUES (?, ?)", [(index_id, id_) for id_ in added])
            db.executemany(
                "DELETE FROM vector_applied WHERE index_id = ? AND passage_id = ?", [(index_id, id_) for id_ in removed]
            )
            db.execute("UPDATE vector_indexes SET generation = generation + 1 WHERE id = ?", (index_id,))


_GONE = (
    "SELECT passage_id FROM vector_applied a WHERE a.index_id = ? AND NOT EXISTS"
    " (SELECT 1 FROM passages p WHERE p.id = a.passage_id)"
)
_UNAPPLIED = (
    "SELECT p.id, v.vector FROM passages p JOIN vectors v ON v.model = ? AND v.text_hash = p.text_hash"
    " WHERE NOT EXISTS (SELECT 1 FROM vector_applied a WHERE a.index_id = ? AND a.passage_id = p.id)"
    " AND p.collection_id = ?"
)
_COUNT_UNAPPLIED = (
    "SELECT count(*) FROM passages p WHERE NOT EXISTS"
    " (SELECT 1 FROM vector_applied a WHERE a.index_id = ? AND a.passage_id = p.id) AND p.collection_id = ?"
    " AND EXISTS (SELECT 1 FROM vectors v WHERE v.model = ? AND v.text_hash = p.text_hash)"
)


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    import numpy as np

    return np.stack(rows)
