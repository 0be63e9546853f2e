"""Vectors: the truth in SQLite, and exact search in memory.

A vector belongs to a text and a model, not to a passage: the same text in two files, or in a file that was
moved, is embedded once. Kept as float16 (a cosine moves by less than 0.0005).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


class VectorIndex(Protocol):
    """Finds the vectors nearest to a query. Ids are passage ids; scores are cosines, higher is better."""

    def upsert(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Store ``vectors`` of shape ``(len(ids), dim)``; an id that is there gets the new vector."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Forget ``ids``; unknown ones are ignored."""
        ...

    def search(self, vector: np.ndarray, top_k: int) -> list[tuple[str, float]]:
        """``(id, cosine)`` of the ``top_k`` nearest, best first. Shape of ``vector``: ``(dim,)``, of norm 1."""
        ...

    def count(self) -> int: ...


class ExactIndex:
    """A matrix and a dot product: recall 1, and faster than a graph index for tens of thousands of vectors."""

    def __init__(self, dim: int) -> None:
        import numpy as np

        self.dim = dim
        self._ids: list[str] = []
        self._row: dict[str, int] = {}
        self._matrix = np.empty((0, dim), dtype=np.float32)
        self._lock = threading.Lock()

    def upsert(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        import numpy as np

        if vectors.shape != (len(ids), self.dim):
            raise InputError(reason="bad_value", name="vectors", value=vectors.shape, allowed=(len(ids), self.dim))
        with self._lock:
            fresh = [i for i, id_ in enumerate(ids) if id_ not in self._row]
            matrix = self._matrix
            if len(self._ids) + len(fresh) > len(matrix):
                matrix = np.empty((max(256, 2 * (len(self._ids) + len(fresh))), self.dim), dtype=np.float32)
                matrix[: len(self._ids)] = self._matrix[: len(self._ids)]
            for id_, vector in zip(ids, vectors, strict=True):
                row = self._row.setdefault(id_, len(self._ids))
                if row == len(self._ids):
                    self._ids.append(id_)
                matrix[row] = vector
            self._matrix = matrix

    def delete(self, ids: Sequence[str]) -> None:
        """Forget ``ids``. The matrix is copied: a search under way keeps the rows it began with."""
        with self._lock:
            gone = set(ids) & self._row.keys()
            if gone:
                kept = [i for i, id_ in enumerate(self._ids) if id_ not in gone]
                self._matrix = self._matrix[kept]
                self._ids = [self._ids[i] for i in kept]
                self._row = {id_: i for i, id_ in enumerate(self._ids)}

    def search(
        self, vector: np.ndarray, top_k: int, *, allowed: frozenset[str] | None = None
    ) -> list[tuple[str, float]]:
        """See :meth:`VectorIndex.search`; with ``allowed``, the nearest among these ids."""
        import numpy as np

        with self._lock:
            ids, matrix = self._ids, self._matrix[: len(self._ids)]
            if allowed is not None:
                ids = [id_ for id_ in ids if id_ in allowed]
                matrix = matrix[[self._row[id_] for id_ in ids]]
            scores = matrix @ vector.astype(np.float32)
            if top_k < len(ids):
                best = np.argpartition(-scores, top_k)[:top_k]
                best = best[np.argsort(-scores[best], kind="stable")]
            else:
                best = np.argsort(-scores, kind="stable")
            return [(ids[i], float(scores[i])) for i in best[:top_k]]

    def count(self) -> int:
        return len(self._ids)

    def ids(self) -> set[str]:
        return set(self._row)

    def scores(self, vector: np.ndarray, ids: Iterable[str]) -> dict[str, float]:
        """The cosines of ``vector`` with those of ``ids`` that are here."""
        with self._lock:
            rows = {id_: self._row[id_] for id_ in ids if id_ in self._row}
            values = self._matrix[list(rows.values())] @ vector if rows else ()
            return {id_: float(value) for id_, value in zip(rows, values, strict=True)}

    def spread(self, vector: np.ndarray) -> tuple[float, float] | None:
        """Mean and deviation of the cosines of ``vector`` with everything here; ``None`` for fewer than 30."""
        with self._lock:
            if len(self._ids) < 30:
                return None
            scores = self._matrix[: len(self._ids)] @ vector
        return float(scores.mean()), float(scores.std())


def get(db: sqlite3.Connection, model: str, hashes: Iterable[str]) -> dict[str, np.ndarray]:
    """The stored vectors of ``hashes``, float32; those that are not stored are left out."""
    import numpy as np

    found: dict[str, np.ndarray] = {}
    for chunk in chunks(hashes, 500):
        marks = ",".join("?" * len(chunk))
        rows = db.execute(
            f"SELECT text_hash, vector FROM vectors WHERE model = ? AND text_hash IN ({marks})", (model, *chunk)
        )
        found.update((row[0], np.frombuffer(row[1], dtype=np.float16).astype(np.float32)) for row in rows)
    return found


def put(db: sqlite3.Connection, model: str, vectors: Mapping[str, np.ndarray]) -> None:
    """Store vectors by text hash; those already there are kept."""
    import numpy as np

    db.executemany(
        "INSERT OR IGNORE INTO vectors (model, text_hash, vector) VALUES (?, ?, ?)",
        [(model, hash_, vector.astype(np.float16).tobytes()) for hash_, vector in vectors.items()],
    )


def export_file(db: sqlite3.Connection, model: str, hashes: Sequence[str], path: Path) -> int:
    """Write the vectors of ``hashes`` to ``path`` (.npz) and return how many there were."""
    import numpy as np

    found = get(db, model, hashes)
    keys = sorted(found)
    np.savez_compressed(
        path,
        model=np.array(model),
        hashes=np.array(keys),
        vectors=np.array([found[key] for key in keys], dtype=np.float16),
    )
    return len(keys)


def import_file(db: sqlite3.Connection, path: Path, model: str) -> int:
    """Take the vectors of an exported file that were made by ``model``; returns how many."""
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        if str(file["model"]) != model:
            return 0
        hashes, matrix = [str(h) for h in file["hashes"]], file["vectors"]
    put(db, model, dict(zip(hashes, matrix, strict=True)))
    return len(hashes)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
