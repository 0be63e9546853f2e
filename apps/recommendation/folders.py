"""A folder of one's own, such as an unpacked MovieLens: which file is the catalogue, which the events, and what their columns are.

Files are known by their columns and not by their names: whoever names a person and an item tells what happened;
an id and a title without a person are things. Of several the one with most columns that are known is taken, then the
largest: MovieLens' ratings before its tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.recommendation import tables
from apps.recommendation.data import EVENT_COLUMNS, ITEM_COLUMNS
from core.errors import InputError, MissingFile

TITLES = ("title", "title_zh", "title_en")


@dataclass(frozen=True, slots=True)
class Recognized:
    """The files of a folder that can be recommended from, and what their columns say (our names → theirs)."""

    items: Path
    interactions: Path | None = None
    item_columns: Mapping[str, str] = field(default_factory=dict)
    event_columns: Mapping[str, str] = field(default_factory=dict)


def look(folder: Path) -> Recognized:
    """What ``folder``, or the only level below it, holds. Only the heads of files are read.

    Raises:
        MissingFile: no such folder.
        InputError: nothing in it is a catalogue; the error names what was looked at.
    """
    if not folder.is_dir():
        raise MissingFile(path=str(folder), needed_for="recommend import")
    files = _tables(folder, "*") or _tables(folder, "*/*")
    items: list[tuple[int, int, Path, dict[str, str]]] = []
    events: list[tuple[int, int, Path, dict[str, str]]] = []
    for path in files:
        try:
            columns = tables.heads(path)
        except InputError:  # a file beside them that is no table
            continue
        of_events, of_items = (tables.recognized(columns, known) for known in (EVENT_COLUMNS, ITEM_COLUMNS))
        if {"user", "item"} <= set(of_events):
            events.append((len(of_events), path.stat().st_size, path, of_events))
        elif "id" in of_items and any(title in of_items for title in TITLES):
            items.append((len(of_items), path.stat().st_size, path, of_items))
    if not items:
        looked = ", ".join(path.name for path in files[:20]) or "–"
        raise InputError(reason="no_catalogue", name=str(folder), files=looked, allowed=", ".join(tables.SUFFIXES))
    _, _, of_things, item_columns = max(items, key=lambda row: row[:2])
    if not events:
        return Recognized(of_things, None, item_columns)
    _, _, of_people, event_columns = max(events, key=lambda row: row[:2])
    return Recognized(of_things, of_people, item_columns, event_columns)


def _tables(folder: Path, pattern: str) -> list[Path]:
    return sorted(p for p in folder.glob(pattern) if p.suffix.lower() in tables.SUFFIXES and p.is_file())
