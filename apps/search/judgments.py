"""Thumbs on results: which document answers which query, kept until they are an evaluation set."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from core.types import Caller
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Judgment:
    """``gain`` is 1 where the document answers the query and 0 where it does not. ``user`` said so."""

    query: str
    document_id: str
    gain: float
    user: str
    at: float


@dataclass(frozen=True, slots=True)
class Judgments:
    """Those of a workspace. What one person judged counts for the tenant; only they can take it back."""

    workspace: Callable[[], Workspace]

    def judge(self, query: str, document_id: str, gain: float | None, caller: Caller) -> None:
        """Keep the caller's judgment in place of an earlier one; ``None`` takes it back."""
        key = (caller.tenant, caller.user, _normal(query), document_id)
        with self.workspace().write() as db:
            if gain is None:
                db.execute(
                    "DELETE FROM search_judgments WHERE tenant = ? AND user = ? AND query = ? AND document_id = ?", key
                )
            else:
                db.execute(
                    "INSERT OR REPLACE INTO search_judgments VALUES (?, ?, ?, ?, ?, ?)", (*key, gain, time.time())
                )

    def own(self, query: str, caller: Caller) -> dict[str, float]:
        """What the caller said of documents for ``query``."""
        with self.workspace().read() as db:
            rows = db.execute(
                "SELECT document_id, gain FROM search_judgments WHERE tenant = ? AND user = ? AND query = ?",
                (caller.tenant, caller.user, _normal(query)),
            )
            return dict(rows.fetchall())

    def all(self, caller: Caller, documents: Collection[str]) -> list[Judgment]:
        """Those of the caller's tenant on ``documents``, oldest first; of two on the same, the newer."""
        with self.workspace().read() as db:
            rows = db.execute(
                "SELECT query, document_id, gain, user, at FROM search_judgments WHERE tenant = ? ORDER BY at",
                (caller.tenant,),
            ).fetchall()
        newest = {(row["query"], row["document_id"]): Judgment(*row) for row in rows if row["document_id"] in documents}
        return sorted(newest.values(), key=lambda judgment: judgment.at)


def gains(judgments: Collection[Judgment]) -> dict[str, dict[str, float]]:
    """By query, what each document is worth."""
    found: dict[str, dict[str, float]] = {}
    for judgment in judgments:
        found.setdefault(judgment.query, {})[judgment.document_id] = judgment.gain
    return found


def _normal(query: str) -> str:
    return " ".join(query.split())
