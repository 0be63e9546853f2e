"""What of a collection is in Chroma: written in batches under a lease, entered in a manifest, checked at every opening.

The manifest (``vector_applied``) lists the passages that Chroma must hold. Every batch is written to Chroma first
and entered then, so Chroma may hold at most one batch more than the manifest says, and never less.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.errors import StoreDamaged
from core.retrieval import vectors
from core.retrieval.chroma import BATCH, ChromaIndex, ChromaStore
from core.retrieval.lease import Lease, held, hold
from core.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

LEASE = "chroma"
CANARIES = 3  # vectors that are looked for at every opening
Told = Callable[[int, int], None]


class Applied:
    """The Chroma index of one collection and one model."""

    def __init__(self, workspace: Workspace, store: ChromaStore, collection_id: int, model: str, dim: int) -> None:
        self.workspace, self.store = workspace, store
        self.collection_id, self.model, self.dim = collection_id, model, dim

    # --- checking ---------------------------------------------------------------------------------

    def check(self, db: sqlite3.Connection, index_id: int, name: str) -> ChromaIndex:
        """Make sure that Chroma holds what the manifest says, and finds it.

        Raises:
            StoreDamaged: it does not.
        """
        index = self.store.index(name, self.dim)
        held, listed = index.count(), _count(db, "SELECT count(*) FROM vector_applied WHERE index_id = ?", index_id)
        gone = _count(db, f"SELECT count(*) FROM ({GONE})", index_id)
        if not listed - gone <= held <= listed + BATCH:
            raise self._damaged(f"{held} vectors where the manifest lists {listed}")
        pivot = secrets.token_hex(8)  # ids begin with a hash: other canaries at every opening
        rows = db.execute(_CANARIES, (index_id, pivot, self.model, CANARIES)).fetchall()
        rows = rows or db.execute(_CANARIES, (index_id, "", self.model, CANARIES)).fetchall()
        stored = vectors.get(db, self.model, [row["text_hash"] for row in rows])
        for row in rows:
            vector = stored[row["text_hash"]]
            found = index.search(vector, min(5, held))
            if not found or found[0][1] < 0.99:  # another passage with the same text may stand in for it
                raise self._damaged(f"the vector of passage {row['id']} is not found")
        return index

    def mark(self, detail: str) -> None:
        """Keep every process from using this index until it was written anew."""
        with self.workspace.write() as db:
            db.execute(
                "UPDATE vector_indexes SET damage = ? WHERE collection_id = ? AND model = ?",
                (detail, self.collection_id, self.model),
            )

    def moves(self, seen: tuple[str | None, int | None]) -> bool:
        """Whether the index is being written, or was since its name and generation were ``seen``."""
        with self.workspace.read() as db:
            row = self._row(db)
        now = (row["name"], row["generation"]) if row is not None else (None, None)
        return now != seen or held(self.workspace, LEASE)

    def in_step(self, db: sqlite3.Connection) -> bool:
        """Whether there is nothing to write, as far as the manifest knows."""
        row = self._row(db)
        if row is None or row["damage"] is not None or row["place"] != self.store.place:
            return False
        unapplied = _count(db, _COUNT_UNAPPLIED, row["id"], self.collection_id, self.model)
        return not unapplied and db.execute(GONE + " LIMIT 1", (row["id"],)).fetchone() is None

    # --- writing ----------------------------------------------------------------------------------

    def apply(self, told: Told | None = None, *, wait_s: float = 60.0) -> int:
        """Bring Chroma in step with SQLite; returns how many vectors were written.

        Raises:
            StoreBusy: another process holds the right to write and did not finish in time.
            StoreDamaged: Chroma cannot be written, not even anew.
            StoreUnreachable: the Chroma server does not answer.
        """
        with hold(self.workspace, LEASE, wait_s=wait_s) as lease:
            try:
                with self.store.writing():
                    return self._write(lease, told)
            except StoreDamaged:
                self._set_aside()
            with self.store.writing():
                return self._write(lease, told)

    def forget(self, *, wait_s: float = 60.0) -> None:
        """Drop the index; the next :meth:`apply` writes it anew."""
        with self.workspace.read() as db:
            if self._row(db) is None:
                return
        with hold(self.workspace, LEASE, wait_s=wait_s):
            try:
                with self.store.writing():
                    self._drop()
            except StoreDamaged:
                self._set_aside()

    def _write(self, lease: Lease, told: Told | None) -> int:
        index_id, index = self._sound_index()
        written = 0
        while gone := self._batch(GONE, index_id):
            index.delete(gone)
            self._enter(index_id, removed=gone)
            lease.beat()
        with self.workspace.read() as db:
            total = _count(db, _COUNT_UNAPPLIED, index_id, self.collection_id, self.model)
        while rows := self._unapplied(index_id):
            index.upsert(list(rows), _stacked(list(rows.values())))
            self._enter(index_id, added=list(rows))
            lease.beat()
            written += len(rows)
            if told is not None:
                told(min(written, total), total)
        return written

    def _sound_index(self) -> tuple[int, ChromaIndex]:
        """The index to write, checked; a new one when there is none or it is not what the manifest says."""
        with self.workspace.read() as db:
            row = self._row(db)
            if row is not None and row["damage"] is None and row["place"] == self.store.place:
                try:
                    return int(row["id"]), self.check(db, row["id"], row["name"])
                except StoreDamaged:
                    self.store.close()
        if row is not None:
            self._drop()
        index_id, name = self._made()
        return index_id, self.store.index(name, self.dim)

    def _made(self) -> tuple[int, str]:
        with self.workspace.write() as db:
            number = db.execute(
                "INSERT INTO vector_indexes (collection_id, model, dim, name, place) VALUES (?, ?, ?, '', ?)",
                (self.collection_id, self.model, self.dim, self.store.place),
            ).lastrowid
            name = f"{prefix(db)}-{self.collection_id}-{number}"  # a name is never used twice
            db.execute("UPDATE vector_indexes SET name = ? WHERE id = ?", (name, number))
        return int(number or 0), name

    def _drop(self) -> None:
        """Drop the Chroma collection and its manifest."""
        with self.workspace.read() as db:
            row = self._row(db)
        if row is None:
            return
        if row["place"] == self.store.place:
            self.store.drop(row["name"])
        with self.workspace.write() as db:
            db.execute("DELETE FROM vector_indexes WHERE id = ?", (row["id"],))

    def _set_aside(self) -> None:
        """Give the folder up with all its indexes: they are written anew from SQLite."""
        self.store.set_aside()
        with self.workspace.write() as db:
            db.execute("DELETE FROM vector_indexes WHERE place = ?", (self.store.place,))

    def _row(self, db: sqlite3.Connection) -> sqlite3.Row | None:
        row: sqlite3.Row | None = db.execute(
            "SELECT * FROM vector_indexes WHERE collection_id = ? AND model = ?", (self.collection_id, self.model)
        ).fetchone()
        return row

    def _batch(self, sql: str, *values: object) -> list[str]:
        with self.workspace.read() as db:
            return [row[0] for row in db.execute(f"{sql} LIMIT {BATCH}", values)]

    def _unapplied(self, index_id: int) -> dict[str, np.ndarray]:
        import numpy as np

        with self.workspace.read() as db:
            rows = db.execute(_UNAPPLIED + f" LIMIT {BATCH}", (self.model, index_id, self.collection_id)).fetchall()
        return {row[0]: np.frombuffer(row[1], dtype=np.float16).astype(np.float32) for row in rows}

    def _enter(self, index_id: int, *, added: Sequence[str] = (), removed: Sequence[str] = ()) -> None:
        with self.workspace.write() as db:
            db.executemany("INSERT OR IGNORE INTO vector_applied VALUES (?, ?)", [(index_id, id_) for id_ in added])
            db.executemany(
                "DELETE FROM vector_applied WHERE index_id = ? AND passage_id = ?", [(index_id, id_) for id_ in removed]
            )
            db.execute("UPDATE vector_indexes SET generation = generation + 1 WHERE id = ?", (index_id,))

    def _damaged(self, detail: str) -> StoreDamaged:
        return StoreDamaged(path=self.store.place or str(self.store.folder), detail=detail)


def prefix(db: sqlite3.Connection) -> str:
    """How the names of this workspace's Chroma collections begin; workspaces may share a server."""
    row = db.execute("SELECT value FROM facts WHERE name = 'workspace'").fetchone()
    if row is None:
        row = (secrets.token_hex(6),)
        db.execute("INSERT INTO facts (name, value) VALUES ('workspace', ?)", row)
    return f"touchstone-{row[0]}"


GONE = (
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
_CANARIES = (
    "SELECT p.id, p.text_hash FROM vector_applied a JOIN passages p ON p.id = a.passage_id"
    " WHERE a.index_id = ? AND a.passage_id >= ?"
    " AND EXISTS (SELECT 1 FROM vectors v WHERE v.model = ? AND v.text_hash = p.text_hash) LIMIT ?"
)


def _count(db: sqlite3.Connection, sql: str, *values: object) -> int:
    return int(db.execute(sql, values).fetchone()[0])


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    import numpy as np

    return np.stack(rows)
