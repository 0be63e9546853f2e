"""Results as a page shows them: plain data of plain texts, whoever draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypedDict

from apps.search.service import DEPTH, PAGE, Search
from apps.ui import sources
from apps.ui.inert import plain
from apps.ui.look import seconds
from core.i18n import message
from core.retrieval.arrange import with_sentence
from core.retrieval.records import Found
from core.types import Caller, Hit

BEFORE, AFTER = 90, 160  # characters of a passage around the sentence that answers best
NAMED = 3  # near-duplicates that a card names
Verdict = Literal["good", "poor"]
_VERDICTS: dict[float, Verdict] = {0.0: "poor", 1.0: "good"}


class Card(TypedDict):
    """One result. Every text is as people read it, on one line; it is no markup, whatever stands in it.

    ``before``, ``marked`` and ``after`` are the snippet; ``marked`` is empty where no sentence answers.
    ``verdict`` is what the reader said of it as a result of what they typed.
    """

    id: str
    rank: int
    title: str
    before: str
    marked: str
    after: str
    facts: list[str]
    folded: str
    verdict: Verdict | None


def page_count(found: Found) -> int:
    return max(1, math.ceil(len(found.hits) / PAGE))


def counted(found: Found, took_s: float, language: str) -> str:
    """How many were found, and how fast; nothing where nothing was."""
    more = "+" if len(found.hits) == DEPTH else ""
    said = {"count": f"{len(found.hits)}{more}", "seconds": seconds(took_s)}
    return message("search.count", language, **said) if found.hits else ""


def cards(desk: Search, found: Found, typed: str, page: int, caller: Caller, language: str) -> list[Card]:
    """A page of results, counted from 1, in ``language``; judgments are those of the caller on what was ``typed``."""
    judged = desk.judgments.own(typed, caller)
    first = (min(max(1, page), page_count(found)) - 1) * PAGE
    hits = [with_sentence(hit, found.weights) for hit in found.hits[first : first + PAGE]]
    dates = desk.dates([hit.passage.document_id for hit in hits])
    said = (_VERDICTS.get(judged.get(hit.passage.document_id, math.nan)) for hit in hits)
    return [
        card(rank, hit, dates, language, verdict)
        for rank, (hit, verdict) in enumerate(zip(hits, said, strict=True), first + 1)
    ]


def card(rank: int, hit: Hit, dates: Mapping[str, float], language: str, verdict: Verdict | None = None) -> Card:
    """A hit at a rank; ``dates`` as of the service."""
    passage = hit.passage
    facts = [file_name(hit)]
    if passage.page is not None:
        facts.append(message("ui.sources.page", language, page=passage.page))
    if passage.language:
        facts.append(message(f"search.language.{passage.language}", language))
    facts.append(dated(hit, dates, language))
    facts.append(message("ui.sources.score", language, score=f"{hit.score:.2f}"))
    facts.append(ranks(hit, language))
    folded = ""
    if hit.similar:
        names = ", ".join(map(file_name, hit.similar[:NAMED]))
        folded = message("search.folded", language, count=len(hit.similar), names=names)
    before, marked, after = snippet(hit)
    return Card(
        id=passage.id,
        rank=rank,
        title=titled(hit),
        before=before,
        marked=marked,
        after=after,
        facts=list(filter(None, facts)),
        folded=folded,
        verdict=verdict,
    )


def titled(hit: Hit) -> str:
    """Title and heading of a hit."""
    return " › ".join(plain(part) for part in (hit.passage.title, hit.passage.heading) if part)


def file_name(hit: Hit) -> str:
    return plain(hit.passage.source.rsplit("/", 1)[-1])


def dated(hit: Hit, dates: Mapping[str, float], language: str) -> str:
    """The date that a document gives itself, or else the day on which it was read."""
    if value := hit.passage.metadata.get("date"):
        return plain(str(value)[:10])
    at = dates.get(hit.passage.document_id)
    return message("search.read_on", language, day=f"{datetime.fromtimestamp(at):%Y-%m-%d}") if at else ""


def ranks(hit: Hit, language: str) -> str:
    """Its ranks in both legs."""
    legs: Sequence[tuple[str, int | None]] = (("keyword", hit.keyword_rank), ("vector", hit.vector_rank))
    return " · ".join(message(f"search.rank.{name}", language, rank=rank) for name, rank in legs if rank is not None)


def snippet(hit: Hit) -> tuple[str, str, str]:
    """The sentence that answers best, between its surroundings; else the beginning of the passage, and nothing."""
    passage = hit.passage
    if hit.sentence is None:
        return sources.beginning(passage.text, BEFORE + AFTER), "", ""
    start, end = (place - passage.start for place in hit.sentence)
    before, after = passage.text[max(0, start - BEFORE) : start], passage.text[end : end + AFTER]
    best = passage.text[start:end].strip()
    best = best if best.startswith("|") else sources.without_marks(best)
    return sources.excerpt(before, best, after)
