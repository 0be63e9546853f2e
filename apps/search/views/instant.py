"""What somebody at the search page types, found and drawn: by a run of the page, or by a key that waits for none."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from apps.search.query import Query
from apps.search.service import Search, Understood
from apps.search.views.cards import cards, counted
from core.retrieval.records import Found
from core.types import LOCAL, Caller, Hit

WAIT_S = 0.5  # for help with a query; without it results come at once


@dataclass(eq=False)
class Asker:
    """One session, as the last run of its page had it.

    Attributes:
        query: what was searched; another text is searched in the same way.
        as_typed: the text in which nothing is to be corrected.
        page: the page of results of ``query``.
        drawn: what was typed, and what was found for it, last.
    """

    desk: Search
    caller: Caller = LOCAL
    language: str = "en"
    query: Query = field(default_factory=lambda: Query(""))
    as_typed: str | None = None
    page: int = 1
    drawn: tuple[str, Found | None] = ("", None)
    _kept: tuple[Any, tuple[Understood, Found, float]] | None = field(default=None, repr=False)

    def found(self, asked: Query) -> tuple[Understood, Found, float]:
        """What is searched for ``asked``, what it finds, and the seconds that took.

        The last is kept until a collection changes: a click on the page searches nothing again, nor does the run that
        follows a key.
        """
        verbatim = self.as_typed == asked.text
        key = (asked, self.caller, verbatim, self.desk.generations(self.caller))
        kept = self._kept
        if kept is None or kept[0] != key:
            began = time.perf_counter()
            meant = self._understood(asked, verbatim)
            there = self.desk.find(meant.query, self.caller, sentences=False)
            kept = (key, (meant, there, time.perf_counter() - began))
            # Where something was missing, it may be there at the next click.
            self._kept = kept if meant.complete and not there.notices else None
        self.drawn = (asked.text, kept[1][1])
        return kept[1]

    def _understood(self, asked: Query, verbatim: bool) -> Understood:
        if verbatim:
            asked = replace(asked, help=tuple(kind for kind in asked.help if kind not in asked.slips))
        return self.desk.understood(asked, self.caller, wait_s=WAIT_S)

    def typed(self, text: str) -> dict[str, Any]:
        """The cards of ``text``, searched as ``query`` was; see :mod:`apps.search.views.card_list`.

        Raises:
            TouchstoneError: it cannot be searched.
        """
        text = text.strip()
        if not any(c.isalnum() for c in text):
            return {"typed": text, "count": "", "cards": []}
        asked = replace(self.query, text=text)
        page = self.page if asked == self.query else 1
        _, found, took_s = self.found(asked)
        return self.told(text, found, took_s, page)

    def told(self, text: str, found: Found | None, took_s: float, page: int) -> dict[str, Any]:
        """What the browser is told to draw for what was typed."""
        shown = cards(self.desk, found, text, page, self.caller, self.language) if found else []
        return {"typed": text, "count": counted(found, took_s, self.language) if found else "", "cards": shown}


def named(passage_id: str, found: Found | None) -> Hit | None:
    """The hit that the browser names, if it was found."""
    return next((hit for hit in found.hits if hit.passage.id == passage_id), None) if found else None
