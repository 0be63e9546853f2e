"""Saved searches: a query kept under a name, and the document versions that have come to match it since.

A match is a document among the ``TOP`` best that shares ``SHARE`` of the weight of the query's words, or whose meaning
lies ``DEVIATIONS`` above that of passages at large: search by meaning always finds something, and an alert for the
least bad would be none. Chosen on the sample's queries of split tune (docs/decisions/0017).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.search.query import Query
from core.errors import InputError, NotFound
from core.retrieval.records import Found
from core.types import LOCAL, Caller, Hit

if TYPE_CHECKING:
    from apps.search.service import Search

TOP = 10  # documents
SHARE, DEVIATIONS = 0.4, 3.0
MOST = 100  # of one person
LONGEST = 80  # characters of a name
_UNSURE = ("embedding_pending", "embedding_down", "index_unreachable")  # meaning has not looked at everything


@dataclass(frozen=True, slots=True)
class New:
    """A document version that matches and was not there when its owner last looked."""

    document_id: str
    title: str
    source: str
    found_at: float


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved search; ``new`` are the matches since ``seen_at``, newest first."""

    id: int
    name: str
    query: Query
    created_at: float
    seen_at: float
    new: tuple[New, ...]


class SavedSearches:
    """Those of a desk's workspace. Each person has their own."""

    def __init__(self, desk: Search) -> None:
        self._desk = desk

    def save(self, name: str, query: Query, caller: Caller = LOCAL) -> Saved:
        """Keep ``query``; one of the same name is replaced. What matches now is known from the start.

        Raises:
            InputError: an empty or too long name, no words, too many of them; a value of the query is not allowed.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= LONGEST:
            raise InputError(reason="bad_value", name="name", value=name[:LONGEST], allowed=f"1-{LONGEST}")
        others = [saved for saved in self.all(caller) if saved.name != name]
        if len(others) >= MOST:
            raise InputError(reason="too_many_saved", limit=MOST)
        found = self._desk.find(query, caller)
        now = time.time()
        with self._desk.runtime.workspace.write() as db:
            db.execute(
                "DELETE FROM search_saved WHERE tenant = ? AND user = ? AND name = ?",
                (caller.tenant, caller.user, name),
            )
            id_ = db.execute(
                "INSERT INTO search_saved (tenant, user, name, query, created_at, seen_at, checked_at, generations)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(caller.tenant, caller.user, name, json.dumps(query.as_data(), ensure_ascii=False)),
                    *(now, now, now, self._desk.generations(caller)),
                ),
            ).lastrowid
            assert id_ is not None  # an INSERT has a row id  # noqa: S101
            for document in matching(found):
                db.execute(
                    "INSERT OR IGNORE INTO search_matches SELECT ?, id, content_hash, ? FROM documents WHERE id = ?",
                    (id_, now, document),
                )
        return self.get(name, caller)

    def all(self, caller: Caller = LOCAL) -> list[Saved]:
        """Those with the newest matches first, then by name."""
        with self._desk.runtime.workspace.read() as db:
            rows = db.execute(
                "SELECT id, name, query, created_at, seen_at FROM search_saved WHERE tenant = ? AND user = ?",
                (caller.tenant, caller.user),
            ).fetchall()
            found = [
                Saved(
                    row["id"], row["name"], Query.of_data(json.loads(row["query"])), row["created_at"], row["seen_at"],
                    tuple(
                        New(*new)
                        for new in db.execute(
                            "SELECT d.id, d.title, d.source, m.found_at FROM search_matches m JOIN documents d"
                            " ON d.id = m.document_id AND d.content_hash = m.version"
                            " WHERE m.saved_id = ? AND m.found_at > ? ORDER BY m.found_at DESC, d.title",
                            (row["id"], row["seen_at"]),
                        )
                    ),
                )
                for row in rows
            ]  # fmt: skip
        return sorted(found, key=lambda saved: (-max((new.found_at for new in saved.new), default=0.0), saved.name))

    def get(self, name: str, caller: Caller = LOCAL) -> Saved:
        """
        Raises:
            NotFound: the caller has saved none under this name.
        """
        for saved in self.all(caller):
            if saved.name == name:
                return saved
        raise NotFound(kind="saved search", value=name)

    def remove(self, name: str, caller: Caller = LOCAL) -> None:
        """
        Raises:
            NotFound: the caller has saved none under this name.
        """
        saved = self.get(name, caller)
        with self._desk.runtime.workspace.write() as db:
            db.execute("DELETE FROM search_saved WHERE id = ?", (saved.id,))

    def seen(self, name: str, caller: Caller = LOCAL) -> None:
        """Its owner has looked: nothing of it is new any more."""
        saved = self.get(name, caller)
        with self._desk.runtime.workspace.write() as db:
            db.execute("UPDATE search_saved SET seen_at = ? WHERE id = ?", (time.time(), saved.id))

    # --- looking for new ones -----------------------------------------------------------------

    def check_all(self, caller: Caller = LOCAL) -> int:
        """Look for new matches where the collections have changed since the last look; how many searches were asked."""
        generations = self._desk.generations(caller)
        with self._desk.runtime.workspace.read() as db:
            rows = db.execute(
                "SELECT id, query, checked_at FROM search_saved WHERE tenant = ? AND user = ? AND generations <> ?",
                (caller.tenant, caller.user, generations),
            ).fetchall()
        for row in rows:
            self._check(row["id"], Query.of_data(json.loads(row["query"])), row["checked_at"], generations, caller)
        return len(rows)

    def check_tenant(self, tenant: str) -> None:
        """Look for new matches of everybody's searches: a collection that all of them search has changed."""
        with self._desk.runtime.workspace.read() as db:
            users = db.execute("SELECT DISTINCT user FROM search_saved WHERE tenant = ?", (tenant,)).fetchall()
        for (user,) in users:
            self.check_all(Caller(tenant, user, frozenset()))

    def _check(self, id_: int, query: Query, checked_at: float, generations: str, caller: Caller) -> None:
        began = time.time()
        found = self._desk.find(query, caller)
        unsure = any(code in _UNSURE for code in found.notices)
        with self._desk.runtime.workspace.write() as db:
            for document in matching(found):
                db.execute(  # an older document that moved up, because others are gone, is no news
                    "INSERT OR IGNORE INTO search_matches"
                    " SELECT ?, id, content_hash, CASE WHEN updated_at > ? THEN ? ELSE 0 END FROM documents WHERE id = ?",
                    (id_, checked_at, time.time(), document),
                )
            db.execute(
                "UPDATE search_saved SET generations = ?, checked_at = ? WHERE id = ?",
                (generations, checked_at if unsure else began, id_),
            )


def matching(found: Found) -> list[str]:
    """Ids of the documents of ``found`` that match, best first."""
    best: dict[str, list[Hit]] = {}
    for hit in found.hits:
        for one in (hit, *hit.similar):
            best.setdefault(one.passage.document_id, []).append(one)
    return [id_ for id_, hits in list(best.items())[:TOP] if any(_matches(hit, found) for hit in hits)]


def _matches(hit: Hit, found: Found) -> bool:
    whole = sum(found.weights.values())
    shared = sum(found.weights.get(term, 0.0) for term in hit.matched_terms)
    if shared >= SHARE * whole if whole else hit.keyword_rank is not None:
        return True
    if found.spread is None or hit.vector_score is None:
        return False
    mean, deviation = found.spread
    return hit.vector_score >= mean + DEVIATIONS * deviation
