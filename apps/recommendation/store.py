"""Catalogues and events in the workspace. Files replace a catalogue; clicks are appended one by one."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from apps.recommendation.data import Event, Item
from apps.recommendation.log import Log
from core.workspace import Workspace

BULK = 200_000  # events from which on the indexes are made anew
_INDEXES = ("recommendation_events_by_user", "recommendation_events_by_catalogue")


@dataclass(frozen=True, slots=True)
class Store:
    """One catalogue of one tenant."""

    workspace: Workspace
    tenant: str
    catalogue: str

    @property
    def _key(self) -> tuple[str, str]:
        return self.tenant, self.catalogue

    def replace(self, items: Sequence[Item], events: Iterable[Event]) -> None:
        """Put ``items`` and ``events`` in the place of what was there, in one transaction.

        Many events are written without their indexes, which are then made anew: at a million that takes two fifths of the
        time. Not beside many of others, for whose events they would be made anew too.
        """
        told = ((*self._key, e.user, e.item, e.kind, e.value, e.at) for e in events)
        first = list(islice(told, BULK))
        with self.workspace.write() as db:
            made = []
            if len(first) == BULK and db.execute(_OF_OTHERS, (*self._key, *self._key, BULK)).fetchone()[0] < BULK:
                for name in _INDEXES:
                    made.append(db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()["sql"])
                    db.execute(f"DROP INDEX {name}")
            for table in ("recommendation_items", "recommendation_events"):
                db.execute(f"DELETE FROM {table} WHERE tenant = ? AND catalogue = ?", self._key)
            db.executemany(
                "INSERT INTO recommendation_items (tenant, catalogue, id, place, item) VALUES (?, ?, ?, ?, ?)",
                (
                    (*self._key, item.id, place, json.dumps(item.as_dict(), ensure_ascii=False))
                    for place, item in enumerate(items)
                ),
            )
            db.execute(
                "INSERT INTO recommendation_catalogues (tenant, catalogue, version) VALUES (?, ?, 1)"
                " ON CONFLICT (tenant, catalogue) DO UPDATE SET version = version + 1",
                self._key,
            )
            db.executemany(_INSERT, chain(first, told))
            for index in made:
                db.execute(index)

    def add(self, event: Event) -> int:
        """Append an event and return its number."""
        with self.workspace.write() as db:
            row = (*self._key, event.user, event.item, event.kind, event.value, event.at)
            return int(db.execute(_INSERT, row).lastrowid or 0)

    def withdraw(self, user: str, item: str | None = None) -> int:
        """Forget what ``user`` told by clicks, about ``item`` or at all; what a file says stays. How many there were."""
        with self.workspace.write() as db:
            return db.execute(
                "DELETE FROM recommendation_events WHERE tenant = ? AND catalogue = ? AND user = ?"
                " AND kind != 'event' AND (item = ? OR ? IS NULL)",
                (*self._key, user, item, item),
            ).rowcount

    def erase(self, user: str) -> int:
        """Delete every event of ``user`` in all catalogues of the tenant, those of files too. How many there were."""
        with self.workspace.write() as db:
            return db.execute(
                "DELETE FROM recommendation_events WHERE tenant = ? AND user = ?", (self.tenant, user)
            ).rowcount

    def boosts(self) -> dict[str, float]:
        """What the merchant adds to scores, by item id or tag."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT name, amount FROM recommendation_boosts WHERE tenant = ? AND catalogue = ? ORDER BY name",
                self._key,
            ).fetchall()
        return {row["name"]: row["amount"] for row in rows}

    def boost(self, name: str, amount: float) -> None:
        """Add ``amount`` for ``name`` from now on; 0 takes it away."""
        with self.workspace.write() as db:
            db.execute(
                "DELETE FROM recommendation_boosts WHERE tenant = ? AND catalogue = ? AND name = ?", (*self._key, name)
            )
            if amount:
                db.execute(
                    "INSERT INTO recommendation_boosts (tenant, catalogue, name, amount) VALUES (?, ?, ?, ?)",
                    (*self._key, name, amount),
                )

    def items(self) -> list[Item]:
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT item FROM recommendation_items WHERE tenant = ? AND catalogue = ? ORDER BY place", self._key
            ).fetchall()
        return [Item.from_dict(json.loads(row["item"])) for row in rows]

    def events(self, user: str | None = None) -> list[Event]:
        """The events of ``user``, or of everybody, oldest first."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT user, item, at, value, kind FROM recommendation_events"
                f" WHERE tenant = ? AND catalogue = ?{'' if user is None else ' AND user = ?'} ORDER BY at, id",
                self._key if user is None else (*self._key, user),
            ).fetchall()
        return [Event(*row) for row in rows]

    def log(self, items: Mapping[str, int], *, without: Collection[str] = ()) -> Log:
        """Everybody's events with ``items`` (id → number) as arrays, but for these kinds.

        Rows are read one by one, for as objects ten million of them would take gigabytes; and in the order they lie in, which
        the index has too: no row of another catalogue is looked at, and none is sorted, for the log sorts them anyway.
        """
        numbers: dict[str, int] = {}
        user, item, at, value = array("i"), array("i"), array("d"), array("f")
        with self.workspace.read() as db:
            for name, id_, when, weight, kind in db.execute(_OF_ALL, self._key):
                if (number := items.get(id_)) is not None and kind not in without:
                    user.append(numbers.setdefault(name, len(numbers)))
                    item.append(number)
                    at.append(when)
                    value.append(weight)
        users = sorted(numbers)
        rank = np.empty(len(users), np.int32)
        rank[[numbers[name] for name in users]] = np.arange(len(users), dtype=np.int32)
        columns = np.array(item, np.int32), np.array(at), np.array(value, np.float32)
        return Log.of(users, list(items), rank[np.array(user, np.int32)], *columns)

    def users(self, limit: int = 1000) -> list[tuple[str, int]]:
        """People with events, those with most first."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT user, count(*) AS n FROM recommendation_events WHERE tenant = ? AND catalogue = ?"
                " GROUP BY user ORDER BY n DESC, user LIMIT ?",
                (*self._key, limit),
            ).fetchall()
        return [(row["user"], row["n"]) for row in rows]

    def version(self) -> int:
        """How often files were imported; 0 when there is no such catalogue."""
        with self.workspace.read() as db:
            row = db.execute(
                "SELECT version FROM recommendation_catalogues WHERE tenant = ? AND catalogue = ?", self._key
            ).fetchone()
        return int(row["version"]) if row else 0


def catalogues(workspace: Workspace, tenant: str) -> list[str]:
    """The catalogues of a tenant, by name."""
    with workspace.read() as db:
        rows = db.execute(
            "SELECT catalogue FROM recommendation_catalogues WHERE tenant = ? ORDER BY catalogue", (tenant,)
        ).fetchall()
    return [row["catalogue"] for row in rows]


_INSERT = (
    "INSERT INTO recommendation_events (tenant, catalogue, user, item, kind, value, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_OF_ALL = (
    "SELECT user, item, at, value, kind FROM recommendation_events INDEXED BY recommendation_events_by_catalogue"
    " WHERE tenant = ? AND catalogue = ? ORDER BY id"
)
_OF_OTHERS = (
    "SELECT count(*) FROM ("
    "SELECT 1 FROM recommendation_events WHERE (tenant, catalogue) < (?, ?)"
    " UNION ALL SELECT 1 FROM recommendation_events WHERE (tenant, catalogue) > (?, ?) LIMIT ?)"
)
