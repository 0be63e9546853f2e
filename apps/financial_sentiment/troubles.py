"""What sources had wrong: a record for each kind of trouble of each source, with the last example and how often."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.financial_sentiment.sources import Refused
from core.job_run import described
from core.types import Caller
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Trouble:
    """``told`` is the last example: where, code, en, zh."""

    source: str
    code: str
    first_at: float
    last_at: float
    count: int
    told: Mapping[str, str]


class Troubles:
    """The record of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def note(self, caller: Caller, found: Iterable[Refused]) -> None:
        """Keep what was found wrong; the same again raises its count."""
        now = time.time()
        rows = []
        for one in found:
            told = {"where": one.where, **described(one.error)}
            text = json.dumps(told, ensure_ascii=False)
            rows.append((caller.tenant, one.source or one.where, told["code"], now, now, text))
        if not rows:
            return
        with self.workspace.write() as db:
            db.executemany(
                "INSERT INTO news_troubles VALUES (?, ?, ?, ?, ?, 1, ?) ON CONFLICT (tenant, source, code) DO UPDATE SET"
                " last_at = excluded.last_at, told = excluded.told, count = count + 1",
                rows,
            )

    def all(self, caller: Caller) -> list[Trouble]:
        """The newest first."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT source, code, first_at, last_at, count, told FROM news_troubles WHERE tenant = ?"
                " ORDER BY last_at DESC, source, code",
                (caller.tenant,),
            ).fetchall()
        return [Trouble(**{**dict(row), "told": json.loads(row["told"])}) for row in rows]

    def clear(self, caller: Caller) -> None:
        """Forget all of it, as after it was seen to."""
        with self.workspace.write() as db:
            db.execute("DELETE FROM news_troubles WHERE tenant = ?", (caller.tenant,))
