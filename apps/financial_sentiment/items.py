"""News items and their store: every version kept, copies folded, nothing told before it was seen.

``moment`` of an item is when it counts: when its source says it was published, but never before that nor after it was
seen. What is *visible* at a time depends on ``seen_at`` alone.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apps.financial_sentiment import sketches
from apps.financial_sentiment.analysis import Opinion
from core.errors import InputError, NotFound
from core.i18n import detect_language
from core.types import Caller
from core.workspace import Workspace

TEXT_LIMIT = 1_000_000  # characters of an item that are kept
TITLE_LIMIT = 300  # of a title; the rest of a longer one begins the text
COPY_WINDOW_S = 7 * 86_400  # syndicated copies come within a week
SLACK_S = 300  # clocks differ: so much later than seen is not the future
_AT_ONCE = 500
_MOST_LIKE = 64  # of items that may say the same so many are compared, those with most in common
Dated = Literal["source", "missing", "future"]


@dataclass(frozen=True, slots=True)
class NewsItem:
    """An item as a source gives it. Times are seconds since the epoch; ``published_at`` may be unknown."""

    title: str
    text: str = ""
    source: str = "manual"
    external_id: str = ""
    url: str = ""
    published_at: float | None = None
    seen_at: float | None = None  # by default now
    language: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item as it is kept; ``body`` is what places of opinions refer to."""

    id: int
    source: str
    external_id: str
    language: str
    title: str
    text: str
    url: str
    published_at: float
    dated: Dated
    seen_at: float
    superseded_at: float | None
    copy_of: int | None

    @property
    def body(self) -> str:
        return f"{self.title}\n{self.text}" if self.text else self.title


@dataclass(frozen=True, slots=True)
class Mood:
    """What an item says of a company, as it is kept."""

    item_id: int
    company: str
    label: str
    probability: float
    mood: float
    evidence: tuple[int, int]
    marks: tuple[tuple[int, int, int], ...]
    events: tuple[tuple[str, int, int], ...]
    moment: float
    seen_at: float
    until: float = float("inf")  # when a newer version replaced it


@dataclass(frozen=True, slots=True)
class Added:
    """What came of items: how many are new, newer versions of known ones, copies, or known already."""

    new: int = 0
    updated: int = 0
    copies: int = 0
    known: int = 0
    undated: int = 0
    future: int = 0

    @property
    def kept(self) -> int:
        return self.new + self.updated + self.copies


class Items:
    """The items of a tenant."""

    def __init__(
        self, workspace: Workspace, names: Callable[[Caller, str], Iterable[str]] = lambda caller, text: ()
    ) -> None:
        """
        Args:
            names: the companies of a text; two texts alike that name different ones are no copies.
        """
        self.workspace = workspace
        self._names = names
        self._sketched: set[str] = set()  # tenants whose news of the last week is known to have sketches

    def add(self, caller: Caller, items: Iterable[NewsItem], now: float) -> Added:
        """Store ``items`` in the order in which they were seen.

        Raises:
            InputError: (``bad_value``) an item has no title and no text.
        """
        ready = sorted((checked(item, now) for item in items), key=lambda item: item.seen_at or now)
        counts = dict.fromkeys(("new", "updated", "copies", "known", "undated", "future"), 0)
        self._sketch(caller)
        for start in range(0, len(ready), _AT_ONCE):  # other writers get their turn in between
            with self.workspace.write() as db:
                for item in ready[start : start + _AT_ONCE]:
                    self._one(db, caller, item, counts)
        return Added(**counts)

    def _sketch(self, caller: Caller) -> None:
        """Sketch items of the last week that have no sketch, as those of an earlier version's workspace."""
        if caller.tenant in self._sketched:
            return
        with self.workspace.write() as db:
            rows = db.execute(
                "SELECT id, title, text, seen_at FROM news_items i WHERE tenant = :tenant AND copy_of IS NULL AND seen_at >"
                " (SELECT max(seen_at) FROM news_items WHERE tenant = :tenant) - :window"
                " AND NOT EXISTS (SELECT 1 FROM news_sketches WHERE item_id = i.id)",
                {"tenant": caller.tenant, "window": COPY_WINDOW_S},
            ).fetchall()
            for row in rows:
                _sketched(
                    db, caller.tenant, row["id"], row["seen_at"], sketches.bands(f"{row['title']}\n{row['text']}")
                )
        self._sketched.add(caller.tenant)

    def _one(self, db: sqlite3.Connection, caller: Caller, item: NewsItem, counts: dict[str, int]) -> None:
        tenant = caller.tenant
        seen = item.seen_at or 0.0
        before = db.execute(
            "SELECT id, title, text, seen_at FROM news_items WHERE tenant = ? AND source = ? AND external_id = ?"
            " ORDER BY seen_at DESC, id DESC LIMIT 1",
            (tenant, item.source, item.external_id),
        ).fetchone()
        if before and (before["title"], before["text"]) == (item.title, item.text):
            counts["known"] += 1
            return
        if before and before["seen_at"] > seen:  # an older version that comes late changes nothing that was known
            counts["known"] += 1
            return
        if before and self._has(db, tenant, item):  # a file of several versions that is read again after a kill
            counts["known"] += 1
            return
        dated: Dated = "source"
        published = item.published_at
        if published is None:
            dated, published = "missing", seen
            counts["undated"] += 1
        elif published > seen + SLACK_S:
            dated, published = "future", seen
            counts["future"] += 1
        keys = sketches.bands(f"{item.title}\n{item.text}")
        copy_of = None if before else self._original(db, caller, item, keys)
        row = db.execute(
            "INSERT INTO news_items (tenant, source, external_id, language, title, text, url, published_at, dated,"
            " seen_at, copy_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (tenant, item.source, item.external_id, item.language, item.title, item.text, item.url,
             min(published, seen), dated, seen, copy_of),
        ).fetchone()  # fmt: skip
        if copy_of is None:
            _sketched(db, tenant, row["id"], seen, keys)
        if before:
            db.execute("UPDATE news_items SET superseded_at = ? WHERE id = ?", (seen, before["id"]))
        counts["updated" if before else "copies" if copy_of else "new"] += 1

    def _has(self, db: sqlite3.Connection, tenant: str, item: NewsItem) -> bool:
        """Whether the very version that was seen at that time is there."""
        found = db.execute(
            "SELECT 1 FROM news_items WHERE tenant = ? AND source = ? AND external_id = ? AND seen_at = ? AND title = ?"
            " AND text = ?",
            (tenant, item.source, item.external_id, item.seen_at, item.title, item.text),
        )
        return found.fetchone() is not None

    def _original(self, db: sqlite3.Connection, caller: Caller, item: NewsItem, keys: Sequence[int]) -> int | None:
        """The earliest item seen within the window that says the same."""
        if not keys:
            return None
        seen = item.seen_at or 0.0
        marks = ", ".join("?" * len(keys))
        rows = db.execute(
            "SELECT i.id, i.title, i.text FROM (SELECT item_id, count(*) AS shared FROM news_sketches WHERE tenant = ?"
            f" AND band IN ({marks}) AND seen_at BETWEEN ? AND ? GROUP BY item_id"
            " ORDER BY shared DESC, item_id LIMIT ?) JOIN news_items i ON i.id = item_id"
            " WHERE i.superseded_at IS NULL ORDER BY i.seen_at, i.id",
            (caller.tenant, *keys, seen - COPY_WINDOW_S, seen, _MOST_LIKE),
        )
        body = f"{item.title}\n{item.text}"
        for row in rows:
            if self._same(caller, body, f"{row['title']}\n{row['text']}"):
                return int(row["id"])
        return None

    def _same(self, caller: Caller, a: str, b: str) -> bool:
        return (
            sketches.likeness(a, b) >= sketches.LIKE
            and not sketches.contradict(sketches.figures(a), sketches.figures(b))
            and not sketches.contradict(self._names(caller, a), self._names(caller, b))
        )

    def pending(self, caller: Caller, judged_by: str, limit: int) -> list[Stored]:
        """Items that the head ``judged_by`` has not judged yet, oldest first; copies are never judged."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT * FROM news_items WHERE tenant = ? AND copy_of IS NULL AND judged_by IS NOT ?"
                " ORDER BY seen_at, id LIMIT ?",
                (caller.tenant, judged_by, limit),
            ).fetchall()
        return [_stored(row) for row in rows]

    def save_opinions(self, judged: Mapping[int, Sequence[Opinion]], judged_by: str) -> None:
        """Keep what was found in items; what stood there of an earlier head is replaced."""
        with self.workspace.write() as db:
            for item_id, opinions in judged.items():
                db.execute("DELETE FROM news_moods WHERE item_id = ?", (item_id,))
                db.executemany(
                    "INSERT INTO news_moods VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (item_id, o.company.id, o.label, o.probability, o.mood, *o.evidence,
                         json.dumps([(m.start, m.end, m.sign) for m in o.marks]),
                         json.dumps([(e.kind, e.start, e.end) for e in o.events]))
                        for o in opinions
                    ],
                )  # fmt: skip
                db.execute("UPDATE news_items SET judged_by = ? WHERE id = ?", (judged_by, item_id))

    def forget_judgments(self, caller: Caller) -> None:
        """Have every item judged again, as after a change of the dictionary."""
        with self.workspace.write() as db:
            db.execute("UPDATE news_items SET judged_by = NULL WHERE tenant = ?", (caller.tenant,))

    def moods(
        self, caller: Caller, at: float, *, company: str | None = None, since: float = 0.0, history: bool = False
    ) -> list[Mood]:
        """What was known at ``at``: of items seen by then, in the version of then; in the order of their moments.

        A person's correction counts from the time it was made.

        Args:
            history: also versions that had been replaced by then, and everything as the head judged it.
        """
        replaced = "" if history else "AND (i.superseded_at IS NULL OR i.superseded_at > :at)"
        wanted = "AND m.company = :company" if company else ""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT m.*, i.published_at, i.seen_at AS seen, i.superseded_at AS until, (SELECT l.label FROM news_labels"
                " l WHERE l.item_id = i.id AND l.company = m.company AND l.at <= :at ORDER BY l.id DESC LIMIT 1)"
                " AS corrected FROM news_moods m JOIN news_items i ON i.id = m.item_id WHERE i.tenant = :tenant"
                f" AND i.seen_at <= :at AND i.published_at >= :since {replaced} {wanted}"
                " ORDER BY i.published_at, i.id",
                {"at": at, "tenant": caller.tenant, "since": since, "company": company},
            ).fetchall()
        return [_mood(row, corrected=not history) for row in rows]

    def get(self, caller: Caller, ids: Iterable[int]) -> dict[int, Stored]:
        """The items of these ids that there are."""
        wanted = list(ids)
        found: dict[int, Stored] = {}
        with self.workspace.read() as db:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ", ".join("?" * len(part))
                rows = db.execute(
                    f"SELECT * FROM news_items WHERE tenant = ? AND id IN ({marks})",
                    (caller.tenant, *part),
                )
                found.update((row["id"], _stored(row)) for row in rows)
        return found

    def copies(self, caller: Caller, item_id: int, at: float) -> list[Stored]:
        """The copies of an item that were seen by ``at``."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT * FROM news_items WHERE tenant = ? AND copy_of = ? AND seen_at <= ? ORDER BY seen_at",
                (caller.tenant, item_id, at),
            ).fetchall()
        return [_stored(row) for row in rows]

    def history(self, caller: Caller, item_id: int) -> list[Stored]:
        """All versions of an item, oldest first."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT o.* FROM news_items i JOIN news_items o ON o.tenant = i.tenant AND o.source = i.source"
                " AND o.external_id = i.external_id WHERE i.tenant = ? AND i.id = ? ORDER BY o.seen_at, o.id",
                (caller.tenant, item_id),
            ).fetchall()
        return [_stored(row) for row in rows]

    def latest(self, caller: Caller) -> float | None:
        """When the newest item was seen."""
        with self.workspace.read() as db:
            return db.execute("SELECT max(seen_at) FROM news_items WHERE tenant = ?", (caller.tenant,)).fetchone()[0]

    def span(self, caller: Caller) -> tuple[float | None, float | None]:
        """When the oldest and the newest item were seen."""
        with self.workspace.read() as db:
            row = db.execute(
                "SELECT min(seen_at) AS first, max(seen_at) AS last FROM news_items WHERE tenant = ?", (caller.tenant,)
            ).fetchone()
        return row["first"], row["last"]

    def sources(self, caller: Caller) -> list[dict[str, Any]]:
        """Of each source: items, copies, undated, future-dated, replaced by newer versions, naming no company that is
        known, and when the last was seen."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT source, count(*) AS items, sum(copy_of IS NOT NULL) AS copies, sum(dated = 'missing') AS undated,"
                " sum(dated = 'future') AS future, sum(superseded_at IS NOT NULL) AS replaced, sum(copy_of IS NULL"
                " AND judged_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM news_moods m WHERE m.item_id = i.id)) AS unnamed,"
                " max(seen_at) AS last_seen_at FROM news_items i WHERE tenant = ? GROUP BY source ORDER BY items DESC, source",
                (caller.tenant,),
            ).fetchall()
        return [dict(row) for row in rows]

    # --- corrections --------------------------------------------------------------------------

    def relabel(self, caller: Caller, item_id: int, company: str, label: str, at: float) -> None:
        """Keep a person's label of what an item says of a company.

        Raises:
            NotFound: the item says nothing of that company.
        """
        with self.workspace.write() as db:
            known = db.execute(
                "SELECT 1 FROM news_moods m JOIN news_items i ON i.id = m.item_id"
                " WHERE i.tenant = ? AND m.item_id = ? AND m.company = ?",
                (caller.tenant, item_id, company),
            ).fetchone()
            if not known:
                raise NotFound(kind="item", value=f"{item_id} ({company})")
            db.execute(
                "INSERT INTO news_labels (tenant, user, item_id, company, label, at) VALUES (?, ?, ?, ?, ?, ?)",
                (caller.tenant, caller.user, item_id, company, label, at),
            )

    def corrected(self, caller: Caller, at: float) -> dict[tuple[int, str], str]:
        """The last word of people by ``at`` on each item and company, in the order in which it was said."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT item_id, company, label FROM news_labels WHERE id IN (SELECT max(id) FROM news_labels"
                " WHERE tenant = ? AND at <= ? GROUP BY item_id, company) ORDER BY id",
                (caller.tenant, at),
            ).fetchall()
        return {(row["item_id"], row["company"]): row["label"] for row in rows}

    def labels(self, caller: Caller) -> list[tuple[str, str, str]]:
        """``(text, company, label)`` of everything people corrected, the last word on each."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT i.*, l.company, l.label FROM news_labels l JOIN news_items i ON i.id = l.item_id WHERE l.id IN"
                " (SELECT max(id) FROM news_labels WHERE tenant = ? GROUP BY item_id, company) ORDER BY l.id",
                (caller.tenant,),
            ).fetchall()
        return [(_stored(row).body, row["company"], row["label"]) for row in rows]


def _sketched(db: sqlite3.Connection, tenant: str, item_id: int, seen: float, keys: Sequence[int]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO news_sketches VALUES (?, ?, ?, ?)", [(tenant, key, seen, item_id) for key in keys]
    )


def checked(item: NewsItem, now: float) -> NewsItem:
    """``item`` with everything filled in.

    Raises:
        InputError: it has no title and no text.
    """
    title, text = " ".join(item.title.split()), item.text.strip()[:TEXT_LIMIT]
    if not title:
        title, _, text = text.partition("\n")
        title, text = title.strip(), text.strip()
    if not title:
        raise InputError(reason="bad_value", name="title", value="", allowed="title, text")
    if len(title) > TITLE_LIMIT:
        end = title.rfind(" ", TITLE_LIMIT // 2, TITLE_LIMIT)
        end = TITLE_LIMIT if end < 0 else end
        title, text = title[:end], f"{title[end:].strip()}\n{text}".strip()
    name = item.external_id or hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()[:24]
    return NewsItem(
        title, text, item.source, name, item.url, item.published_at, now if item.seen_at is None else item.seen_at,
        item.language or detect_language(f"{title} {text[:500]}"),
    )  # fmt: skip


def _stored(row: sqlite3.Row) -> Stored:
    return Stored(**{name: row[name] for name in Stored.__slots__})


_CERTAIN = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}


def _mood(row: sqlite3.Row, *, corrected: bool) -> Mood:
    said = row["corrected"] if corrected else None
    return Mood(
        row["item_id"],
        row["company"],
        said or row["label"],
        1.0 if said else row["probability"],
        _CERTAIN[said] if said else row["mood"],
        (row["evidence_start"], row["evidence_end"]),
        tuple(tuple(mark) for mark in json.loads(row["marks"])),
        tuple(tuple(event) for event in json.loads(row["events"])),
        row["published_at"],
        row["seen"],
        float("inf") if row["until"] is None else row["until"],
    )
