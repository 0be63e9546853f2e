"""The section around a passage: what a reader, or a model, needs beside the sentence that matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.types import Passage

MOST = 4000  # characters


@dataclass(frozen=True, slots=True)
class Section:
    """``text`` is the document's text from ``start`` to ``end``; ``passages`` are the ids it is made of, in order."""

    document_id: str
    title: str
    source: str
    heading: str | None
    start: int
    end: int
    text: str
    pages: tuple[int, ...]
    passages: tuple[str, ...]


def widened(passage: Passage, around: Sequence[Passage], text: str, most: int = MOST) -> Section:
    """Grow from ``passage`` in both directions over ``around``, its neighbors in order, while ``most`` allows it.

    Only neighbors that follow one another belong to the section: the same heading may stand elsewhere again.
    """
    places = {p.position: p for p in around}
    first = last = passage
    grown = True
    while grown:
        grown = False
        before, after = places.get(first.position - 1), places.get(last.position + 1)
        if before is not None and last.end - before.start <= most:
            first, grown = before, True
        if after is not None and after.end - first.start <= most:
            last, grown = after, True
    members = [places[position] for position in range(first.position, last.position + 1) if position in places]
    pages = tuple(dict.fromkeys(p.page for p in members if p.page is not None))
    return Section(
        passage.document_id, passage.title, passage.source, passage.heading, first.start, last.end,
        text[first.start : last.end], pages, tuple(p.id for p in members),
    )  # fmt: skip
