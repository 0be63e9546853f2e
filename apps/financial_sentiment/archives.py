"""Archives: dated news apart from the desk's own, to replay as if it were live.

The items of an archive lie under a tenant of their own, made of the caller's and the archive's name; the dictionary, the
portfolios and the rules are the caller's (:func:`home`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.errors import InputError, NotFound
from core.types import LOCAL, Caller

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Desk, Import
    from apps.financial_sentiment.sources import Reading

_MARK = "\x1farchive\x1f"  # in no tenant's name that a user gives
NAME_LIMIT = 80


@dataclass(frozen=True, slots=True)
class Archive:
    """``items`` without copies; ``first`` and ``last`` are when the earliest and latest were seen."""

    name: str
    added_at: float
    items: int
    first: float | None
    last: float | None


def inside(caller: Caller, name: str) -> Caller:
    """The caller as one who looks at an archive."""
    return replace(caller, tenant=f"{caller.tenant}{_MARK}{name}")


def home(caller: Caller) -> Caller:
    """The caller outside of any archive.

    >>> home(inside(LOCAL, "2025")) == LOCAL
    True
    """
    tenant, mark, _ = caller.tenant.partition(_MARK)
    return replace(caller, tenant=tenant) if mark else caller


class Archives:
    """The archives of a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._workspace = desk.runtime.workspace

    def add(self, name: str, readings: Iterable[Reading], caller: Caller = LOCAL) -> Import:
        """Keep what was read under a name, seen when it was published; one of the same name grows.

        Raises:
            InputError: (``bad_value``) the name is empty or too long; (``no_rows``) nothing was read. Nothing is kept then.
        """
        name = " ".join(name.replace(_MARK[0], " ").split())
        if not name or len(name) > NAME_LIMIT:
            raise InputError(reason="bad_value", name="archive", value=name[:NAME_LIMIT], allowed=f"1 … {NAME_LIMIT}")
        whole = None
        for reading in readings:
            whole = reading if whole is None else whole + reading
        if whole is None:
            raise InputError(reason="no_rows", name=name)
        with self._workspace.write() as db:
            db.execute(
                "INSERT OR IGNORE INTO news_archives (tenant, name, added_at) VALUES (?, ?, ?)",
                (caller.tenant, name, time.time()),
            )
        return self.desk.add_reading(whole, inside(caller, name), archive=True)

    def all(self, caller: Caller = LOCAL) -> list[Archive]:
        """By name."""
        with self._workspace.read() as db:
            rows = db.execute(
                "SELECT a.name, a.added_at, count(i.id) AS items, min(i.seen_at) AS first, max(i.seen_at) AS last"
                " FROM news_archives a LEFT JOIN news_items i ON i.tenant = a.tenant || ? || a.name AND i.copy_of IS NULL"
                " WHERE a.tenant = ? GROUP BY a.name ORDER BY a.name",
                (_MARK, caller.tenant),
            ).fetchall()
        return [Archive(**dict(row)) for row in rows]

    def delete(self, name: str, caller: Caller = LOCAL) -> None:
        """Forget an archive with all its news.

        Raises:
            NotFound: there is none of this name.
        """
        with self._workspace.write() as db:
            gone = db.execute("DELETE FROM news_archives WHERE tenant = ? AND name = ?", (caller.tenant, name))
            if not gone.rowcount:
                raise NotFound(kind="archive", value=name)
            tenant = inside(caller, name).tenant
            for table in ("news_items", "news_troubles"):
                db.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))
