"""Feeds that are read again and again: what they bring counts from when it was fetched, what is known already is left alone.

A feed is asked for every ``EVERY_S``; one that fails is asked for half as often each time, at least twice a day. Any number
of processes may follow the same feeds: who notes the time first asks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.financial_sentiment import sources
from apps.financial_sentiment.sources import Reading
from core.errors import InputError, NotFound
from core.job_run import described
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk

EVERY_S = 900.0
LONGEST_S = 12 * 3600.0
MOST = 100  # of a tenant
_DOUBLINGS = 10  # beyond which the wait is the longest anyway


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that is followed. ``error`` (code, en, zh) is why it brought nothing when it was asked for last."""

    address: str
    added_at: float
    looked_at: float | None
    failures: int
    brought: int
    error: Mapping[str, Any] | None

    @property
    def due_at(self) -> float:
        """When it is asked for next."""
        if self.looked_at is None:
            return self.added_at
        return self.looked_at + min(EVERY_S * 2 ** min(self.failures, _DOUBLINGS), LONGEST_S)


class Following:
    """The feeds that a desk follows."""

    def __init__(self, desk: Desk, *, fetch: Callable[[str], Reading] | None = None) -> None:
        """
        Args:
            fetch: by default :func:`apps.financial_sentiment.sources.fetch`.
        """
        self.desk, self._fetch = desk, fetch or sources.fetch
        self._workspace = desk.runtime.workspace

    def add(self, address: str, caller: Caller = LOCAL) -> None:
        """Follow the feed at ``address``, as :func:`apps.financial_sentiment.sources.fetch` takes it, from the next look on.

        Raises:
            InputError: no address, or too many feeds.
        """
        address = address.strip()
        if not address:
            raise InputError(reason="bad_value", name="feed", value=address, allowed="https://…")
        known = [feed.address for feed in self.all(caller)]
        if len(known) >= MOST and address not in known:
            raise InputError(reason="bad_value", name="feeds", value=len(known) + 1, allowed=f"… {MOST}")
        with self._workspace.write() as db:
            db.execute(
                "INSERT OR IGNORE INTO news_feeds (tenant, address, added_at) VALUES (?, ?, ?)",
                (caller.tenant, address, time.time()),
            )

    def remove(self, address: str, caller: Caller = LOCAL) -> None:
        """Follow it no longer; the news stays.

        Raises:
            NotFound: it is not followed.
        """
        with self._workspace.write() as db:
            gone = db.execute("DELETE FROM news_feeds WHERE tenant = ? AND address = ?", (caller.tenant, address))
        if not gone.rowcount:
            raise NotFound(kind="feed", value=address)

    def all(self, caller: Caller = LOCAL) -> list[Feed]:
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT address, added_at, looked_at, failures, brought, error FROM news_feeds WHERE tenant = ?"
                " ORDER BY address",
                (caller.tenant,),
            ).fetchall()
        return [Feed(**{**dict(row), "error": row["error"] and json.loads(row["error"])}) for row in rows]

    def any(self) -> bool:
        """Whether any tenant follows a feed."""
        with self._workspace.read() as db:
            return db.execute("SELECT 1 FROM news_feeds LIMIT 1").fetchone() is not None

    def look_all(self) -> list[Feed]:
        """Ask for the feeds of all tenants that are due; for a thread that does so again and again."""
        with self._workspace.read() as db:
            tenants = [row["tenant"] for row in db.execute("SELECT DISTINCT tenant FROM news_feeds")]
        return [feed for tenant in tenants for feed in self.look(Caller(tenant=tenant, user="watch"))]

    def look(self, caller: Caller = LOCAL, *, now: float | None = None) -> list[Feed]:
        """Ask for the caller's feeds that are due; how each stands now. A dead one does not stop the others."""
        now = time.time() if now is None else now
        due = [feed for feed in self.all(caller) if feed.due_at <= now]
        looked = [feed.address for feed in due if self._claimed(feed, caller, now)]
        for address in looked:
            made = self.desk.add_reading(self._fetch(address), caller)
            # a feed of which nothing can be read is dead; one with a bad entry among good ones is not
            dead = made.refused[0].error if made.refused and not (made.added.kept or made.added.known) else None
            with self._workspace.write() as db:
                db.execute(
                    "UPDATE news_feeds SET failures = CASE WHEN ? THEN failures + 1 ELSE 0 END, brought = brought + ?,"
                    " error = ? WHERE tenant = ? AND address = ?",
                    (dead is not None, made.added.kept, json.dumps(described(dead), ensure_ascii=False) if dead else None,
                     caller.tenant, address),
                )  # fmt: skip
        return [feed for feed in self.all(caller) if feed.address in looked]

    def _claimed(self, feed: Feed, caller: Caller, now: float) -> bool:
        """Note the time of the look, before it: a process killed in it asks again when the feed is due, and another one
        that wanted to ask now does not."""
        with self._workspace.write() as db:
            noted = db.execute(
                "UPDATE news_feeds SET looked_at = ? WHERE tenant = ? AND address = ? AND looked_at IS ?",
                (now, caller.tenant, feed.address, feed.looked_at),
            )
        return noted.rowcount == 1
