"""The vector leg of one collection: in memory, or Chroma with the newest vectors searched exactly.

Collections are answered from memory (:mod:`core.retrieval.memory`) as long as their vectors fit there: that is
faster than a graph index, is in step with every commit and needs no index on disk. From ``EXACT_BELOW`` passages on, vectors are applied to Chroma, and
what is not applied yet (the tail) is searched exactly beside it, so nothing waits for the index.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Literal

from core.errors import StoreDamaged, StoreUnreachable
from core.retrieval import keyword, vectors
from core.retrieval.applied import GONE, Applied, Told
from core.retrieval.chroma import ChromaIndex, ChromaStore
from core.retrieval.follow import Allowed, Followed, Near
from core.retrieval.names import Names
from core.workspace import Workspace, recalled

if TYPE_CHECKING:
    import numpy as np

Mode = Literal["auto", "exact", "chroma"]
EXACT_BELOW = 1_000_000  # passages; see docs/decisions/0012-keyword-postings-and-sketches.md
_COMPARED = 20_000  # allowed passages that are compared one by one
_WIDEST = 5000  # neighbors that Chroma is asked for when a filter lets few of them through
_RETRY_S = 30.0  # until a server that did not answer is asked again
_MOVING_S = 0.5  # until an index that another process is writing is looked at again
_log = logging.getLogger(__name__)


class IndexFailed(Exception):
    """The vector index cannot be asked. Why (is another process just writing it?) is not seen from within a snapshot."""

    def __init__(self, error: StoreDamaged | StoreUnreachable) -> None:
        super().__init__(str(error))
        self.error = error


class VectorLeg:
    """Vectors of one collection and one embedding model, in step with SQLite by its generation."""

    def __init__(
        self, workspace: Workspace, store: ChromaStore, collection_id: int, model: str, dim: int, mode: Mode = "auto"
    ) -> None:
        self.workspace, self.store = workspace, store
        self.collection_id, self.model, self.dim, self.mode = collection_id, model, dim, mode
        self.applied = Applied(workspace, store, collection_id, model, dim)
        self.wait_s = 60.0
        self.notices: tuple[str, ...] = ()  # why Chroma was not asked: index_damaged, index_unreachable
        self._followed = Followed(collection_id, model, dim)  # everything, unless Chroma is used
        self._exact = vectors.ExactIndex(dim)  # the tail, when Chroma has the rest
        self._gone: set[str] = set()  # in Chroma, but deleted since
        # Generation of the collection, and name and generation of the index, at the last refresh.
        self._seen: tuple[int, str | None, int | None] | None = None
        self._index_row: tuple[str | None, int | None] = (None, None)
        self._listed = 0  # vectors that Chroma must have: those of the manifest that are still wanted
        self._index_seen: tuple[str, int] | None = None
        self._retry_at = float("inf")  # when an index that could not be asked is tried again
        self._lock = threading.RLock()

    # --- reading ----------------------------------------------------------------------------------

    def search(
        self, vector: np.ndarray, top_k: int, *, also: np.ndarray | None = None, allowed: Allowed | None = None
    ) -> Near:
        """The ``top_k`` nearest passages and those of the numbers ``also`` that have a vector, best first.

        Args:
            allowed: the only passages that may be among the nearest.

        Raises:
            IndexFailed: inside a transaction; ask again after :meth:`without_index`, outside.
        """
        import numpy as np

        others = np.empty(0, np.int64) if also is None else also
        try:
            return self._search(vector, top_k, others, allowed)
        except (StoreDamaged, StoreUnreachable) as error:
            if self.workspace.connection().in_transaction:
                raise IndexFailed(error) from error
            self.without_index(error)
            return self._search(vector, top_k, others, allowed)

    def _search(self, vector: np.ndarray, top_k: int, also: np.ndarray, allowed: Allowed | None) -> Near:
        with self.workspace.snapshot() as db:
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
        also: np.ndarray,
        allowed: Allowed | None,
    ) -> Near:
        import numpy as np

        index, only = self.store.index(name, self.dim), allowed.ids if allowed is not None else None
        near = dict(self._exact.search(vector, top_k, allowed=only))
        applied = (
            self._nearest(index, vector, top_k + len(self._gone))
            if only is None
            else self._within(db, index, vector, top_k, only)
        )
        for id_, score in applied:
            if id_ not in self._gone:
                near.setdefault(id_, score)
        found = dict(sorted(near.items(), key=lambda item: -item[1])[:top_k])
        names = Names(db, self.collection_id)
        others = [id_ for id_ in names.ids(also) if id_ is not None and id_ not in found]
        found.update(self._scores(db, vector, others))
        numbers = names.numbers(found)
        places, cosines = np.array(list(numbers.values()), np.int64), np.array([found[id_] for id_ in numbers])
        order = np.lexsort((places, -cosines))
        return Near(places[order], cosines[order], self._exact.spread(vector))

    def _nearest(self, index: ChromaIndex, vector: np.ndarray, wanted: int) -> list[tuple[str, float]]:
        """What Chroma finds; fewer than the manifest lists are a damage, and no answer."""
        nearest = index.search(vector, wanted)
        if len(nearest) < min(wanted, self._listed):
            detail = f"{len(nearest)} vectors found where the manifest lists {self._listed}"
            raise StoreDamaged(path=self.store.place or str(self.store.folder), detail=detail)
        return nearest

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
                nearest = self._nearest(index, vector, wanted)
                near = [pair for pair in nearest if pair[0] in allowed and pair[0] not in self._gone]
                if len(near) >= top_k:
                    return near[:top_k]
                wanted *= 4
        scores: dict[str, float] = {}
        for chunk in vectors.chunks(allowed, 500):
            scores.update(self._scores(db, vector, chunk))
            if len(scores) > 20 * top_k:
                scores = dict(sorted(scores.items(), key=lambda item: -item[1])[:top_k])
        return sorted(scores.items(), key=lambda item: -item[1])[:top_k]

    def without_index(self, error: StoreDamaged | StoreUnreachable) -> None:
        """Search everything exactly from here on: slower, and nothing is missing.

        While another process writes, what it has not yet entered or sealed looks like damage: that passes.
        """
        with self._lock:
            self._seen = self._index_seen = None
            if isinstance(error, StoreUnreachable):
                self.notices, self._retry_at = ("index_unreachable",), time.monotonic() + _RETRY_S
            elif self.applied.moves(self._index_row):
                self.notices, self._retry_at = (), time.monotonic() + _MOVING_S
            else:
                _log.warning("%s", error)
                self.notices, self._retry_at = ("index_damaged",), float("inf")
                self.applied.mark(str(error.params["detail"]))

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
        rows = recalled(
            db,
            "SELECT c.generation AS generation, i.id AS id, i.name AS name, i.generation AS applied,"
            " i.place AS place, i.damage AS damage FROM collections c"
            " LEFT JOIN vector_indexes i ON i.collection_id = c.id AND i.model = ? WHERE c.id = ?",
            self.model,
            self.collection_id,
        )
        if not rows:
            return
        row = rows[0]
        generations = (row["generation"], row["name"], row["applied"])
        self._index_row = (row["name"], row["applied"])
        if generations == self._seen and time.monotonic() < self._retry_at:
            return
        usable = row["id"] is not None and row["place"] == self.store.place and self._wanted(db)
        use_chroma = self.mode != "exact" and usable and row["damage"] is None and not self._waits()
        if use_chroma and self._index_seen != (row["name"], row["applied"]):
            self.store.reopen()
            self.applied.check(db, row["id"], row["name"])
        if use_chroma or not usable or self.mode == "exact":
            self.notices = ()
        elif row["damage"] is not None:
            self.notices = ("index_damaged",)
        if not use_chroma:
            self._gone, self._index_seen, self._seen = set(), None, generations
            return
        self._gone = {id_ for (id_,) in db.execute(GONE, (row["id"],))}
        listed = db.execute("SELECT count(*) FROM vector_applied WHERE index_id = ?", (row["id"],)).fetchone()[0]
        self._listed = listed - len(self._gone)
        self._retry_at = float("inf")
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

    def _waits(self) -> bool:
        """Whether an index that could not be asked just now is left alone for a while."""
        return self._index_seen is None and time.monotonic() < self._retry_at < float("inf")

    def _wanted(self, db: sqlite3.Connection) -> bool:
        """Whether this collection is to be in Chroma."""
        if self.mode != "auto":
            return self.mode == "chroma"
        return keyword.passages(db, self.collection_id) >= EXACT_BELOW

    # --- writing ----------------------------------------------------------------------------------

    def apply(self, told: Told | None = None) -> int:
        """Bring Chroma in step with SQLite where it is to be used; see :meth:`core.retrieval.applied.Applied.apply`."""
        with self.workspace.read() as db:
            if not self._wanted(db) or self.applied.in_step(db):
                return 0
        return self.applied.apply(told, wait_s=self.wait_s)

    def rebuild(self, told: Told | None = None) -> int:
        """Write Chroma anew from the vectors in SQLite; nothing is embedded again."""
        self.applied.forget(wait_s=self.wait_s)
        return self.apply(told)


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    import numpy as np

    return np.stack(rows)
