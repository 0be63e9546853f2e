"""Which passages have no vector of a model yet, without counting them at every question.

Each collection remembers for each model up to which generation nothing was missing. Only a new document can make
something missing; every other change carries that mark along.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.contracts import DerivedEmbedding, EmbeddingModel
from core.retrieval import split, vectors
from core.workspace import Workspace, recalled

if TYPE_CHECKING:
    import numpy as np

MISSING = (  # of a collection and a model
    "FROM passages p WHERE p.collection_id = ? AND NOT EXISTS"
    " (SELECT 1 FROM vectors v WHERE v.model = ? AND v.text_hash = p.text_hash)"
)
_TEXT = (
    "SELECT p.text_hash, p.text, p.heading, p.metadata, d.title FROM passages p JOIN documents d"
    " ON d.id = p.document_id WHERE p.text_hash = ? AND +p.collection_id = ? AND NOT EXISTS"
    " (SELECT 1 FROM vectors v WHERE v.model = ? AND v.text_hash = p.text_hash) LIMIT 1"
)
_WAITING = 20_000  # passages without a vector that are listed at a time
_seen: dict[tuple[str, int, str], tuple[int, bool]] = {}  # generation, and whether something was missing then


def count(workspace: Workspace, collection: int, model: str) -> int:
    """How many texts of ``collection`` are to be embedded."""
    with workspace.read() as db:
        return int(db.execute(f"SELECT count(DISTINCT p.text_hash) {MISSING}", (collection, model)).fetchone()[0])


def nothing(workspace: Workspace, collection: int, model: str) -> bool:
    """Whether it is on record that nothing is missing."""
    with workspace.snapshot() as db:
        generation, complete = _marks(db, collection, model)
    return complete == generation


def some(workspace: Workspace, collection: int, model: str) -> bool:
    """Whether something is missing; looked up at most once for each state of the collection."""
    if nothing(workspace, collection, model):  # nearly always, and in one statement
        return False
    with workspace.snapshot() as db:
        generation, complete = _marks(db, collection, model)
        if complete == generation:
            return False
        key = (str(workspace.path), collection, model)
        if _seen.get(key, (-1, False))[0] != generation:
            _seen[key] = (
                generation,
                db.execute(f"SELECT 1 {MISSING} LIMIT 1", (collection, model)).fetchone() is not None,
            )
        return _seen[key][1]


def waiting(workspace: Workspace, collection: int, model: str) -> deque[str]:
    """Texts without a vector, by hash. They start anywhere, so that two processes rarely do the same work."""
    with workspace.read() as db:
        rows = db.execute(
            f"SELECT DISTINCT p.text_hash {MISSING} ORDER BY p.text_hash < ?, p.text_hash LIMIT ?",
            (collection, model, secrets.token_hex(16), _WAITING),
        ).fetchall()
    return deque(row[0] for row in rows)


def batch(
    workspace: Workspace, collection: int, model: str, hashes: deque[str], most: int, characters: int
) -> dict[str, str]:
    """The next texts to embed, by hash, taken from the front of ``hashes``; those that have a vector by now not."""
    found: dict[str, str] = {}
    with workspace.read() as db:
        while hashes and len(found) < most and characters > 0:
            row = db.execute(_TEXT, (hashes.popleft(), collection, model)).fetchone()
            if row is not None:
                context = split.context(row["title"], row["heading"], json.loads(row["metadata"]))
                found[row["text_hash"]] = f"{context}\n{row['text']}"
                characters -= len(found[row["text_hash"]])
    return found


async def made(workspace: Workspace, model: EmbeddingModel, texts: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Vectors of ``texts``, all by hash. What has a vector of the model from whose vectors ``model``'s follow is not embedded.

    Raises:
        ProviderError: the model fails.
    """
    known = await asyncio.to_thread(_derived, workspace, derivation(model), texts)
    rest = [hash_ for hash_ in texts if hash_ not in known]
    fresh = await model.embed([texts[hash_] for hash_ in rest], kind="document") if rest else ()
    return known | dict(zip(rest, fresh, strict=True))


def derivation(model: EmbeddingModel) -> DerivedEmbedding | None:
    """``model``, or the one that it keeps the record of, where its vectors follow from another model's."""
    held = getattr(model, "model", None)
    return next((one for one in (model, held) if isinstance(one, DerivedEmbedding)), None)


def _derived(workspace: Workspace, model: DerivedEmbedding | None, texts: Mapping[str, str]) -> dict[str, np.ndarray]:
    import numpy as np

    if model is None:
        return {}
    with workspace.read() as db:
        there = vectors.get(db, model.base, texts)
    return dict(zip(there, model.derived(np.array(list(there.values()))), strict=True)) if there else {}


def embedded(workspace: Workspace, collection: int, model: str, made: Mapping[str, np.ndarray]) -> None:
    """Keep vectors by the hash of their text, and tell every reader."""
    with workspace.write() as db:
        vectors.put(db, model, made)
        raise_generation(db, collection, complete=True)


def record(workspace: Workspace, collection: int, model: str) -> None:
    """Put on record that nothing is missing, if that is so."""
    with workspace.snapshot() as db:
        generation, _ = _marks(db, collection, model)
        missing = db.execute(f"SELECT 1 {MISSING} LIMIT 1", (collection, model)).fetchone()
    if missing is None:
        with workspace.write() as db:
            db.execute("INSERT OR REPLACE INTO embedded_up_to VALUES (?, ?, ?)", (collection, model, generation))


def raise_generation(db: sqlite3.Connection, collection: int, *, complete: bool) -> None:
    """Tell every reader that ``collection`` changed.

    Args:
        complete: the change leaves no passage without a vector that had none missing before.
    """
    if complete:
        db.execute(
            "UPDATE embedded_up_to SET generation = generation + 1 WHERE collection_id = ?"
            " AND generation = (SELECT generation FROM collections WHERE id = ?)",
            (collection, collection),
        )
    db.execute("UPDATE collections SET generation = generation + 1 WHERE id = ?", (collection,))


def _marks(db: sqlite3.Connection, collection: int, model: str) -> tuple[int, int]:
    """The collection's generation, and the last one with nothing missing (-1 when there was none)."""
    rows = recalled(
        db,
        "SELECT c.generation, coalesce(e.generation, -1) FROM collections c LEFT JOIN embedded_up_to e"
        " ON e.collection_id = c.id AND e.model = ? WHERE c.id = ?",
        model,
        collection,
    )
    return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)
