"""Catalogues and interactions from files (:mod:`apps.recommendation.tables`).

Columns are known by their names in MovieLens, RecBole and Amazon files; other names are given as a mapping. What is
wrong with a file is counted and reported (:class:`Findings`); what makes it unusable is a typed error.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from apps.recommendation import tables
from core.errors import InputError

SAMPLE = "sample"  # the name of the catalogue that comes with the install
EVENT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "user_id", "userId", "reviewerID", "uid"),
    "item": ("item_id_list", "item", "item_id", "movieId", "parent_asin", "asin", "iid"),
    "value": ("value", "rating", "overall", "stars", "score"),
    "at": ("at", "timestamp", "unixReviewTime", "time", "date"),
}
ITEM_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "item", "item_id", "movieId", "parent_asin", "asin"),
    "title": ("title", "name", "movie_title"),
    "title_zh": ("title_zh",),
    "title_en": ("title_en",),
    "about": ("about", "description", "summary", "text"),
    "about_zh": ("about_zh",),
    "about_en": ("about_en",),
    "kind": ("kind", "type", "main_category"),
    "tags": ("tags", "genres", "genre", "class", "category", "categories"),
    "year": ("year", "release_year"),
    "age": ("age", "min_age"),
    "stock": ("stock", "in_stock"),
}
_TAG_MARKS = re.compile(r"[|;]")
_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
_LARGEST = 1e6  # a rating or weight beyond it, either way, is a slip that would drown all others
_SHOWN = 5  # examples of what is wrong


@dataclass(frozen=True, slots=True)
class Item:
    """Something to recommend. ``titles`` and ``abouts`` are by language; ``""`` is the key where none was said."""

    id: str
    titles: Mapping[str, str]
    abouts: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    tags: tuple[str, ...] = ()
    year: int | None = None
    age: int = 0  # the youngest it is for
    stock: bool = True

    def title(self, language: str) -> str:
        return self.titles.get(language) or next((t for t in self.titles.values() if t), self.id)

    def about(self, language: str) -> str:
        return self.abouts.get(language) or next((t for t in self.abouts.values() if t), "")

    def text(self) -> str:
        """What is embedded: every title, description and tag."""
        parts = [*self.titles.values(), ", ".join(self.tags), *self.abouts.values()]
        return ". ".join(part.strip().rstrip(".") for part in parts if part.strip())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Item:
        return cls(**{**row, "tags": tuple(row["tags"])})


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is ``event`` for what a file says, or one of :data:`apps.recommendation.lists.FEEDBACK`."""

    user: str
    item: str
    at: float
    value: float = 1.0
    kind: str = "event"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a file holds, and what was left out of it, with examples."""

    rows: int
    kept: int
    duplicates: int = 0
    incomplete: int = 0  # no user, item or title, or a value that is no number or beyond a million
    unknown_items: int = 0  # events whose item is not in the catalogue
    future: int = 0  # times after now
    undated: bool = False  # no column of times: the order of a person's rows counts, and ``at`` is their number
    unordered: bool = False  # times do not follow the order of the rows; sorted here
    examples: tuple[str, ...] = ()


def read_items(path: Path, columns: Mapping[str, str] | None = None) -> tuple[list[Item], Findings]:
    """The catalogue in ``path``. ``columns`` maps our names (:data:`ITEM_COLUMNS`) to those of the file.

    Raises:
        MissingFile, InputError: no such file; unreadable, without rows, or without a needed column.
    """
    table = tables.read(path)
    names = tables.named(table, ITEM_COLUMNS, columns or {}, path)
    tables.demand(names, [("id",), ("title", "title_zh", "title_en")], table, path)
    items: dict[str, Item] = {}
    duplicates = incomplete = 0
    examples: list[str] = []
    for row in table[list(names.values())].rename(columns={v: k for k, v in names.items()}).to_dict("records"):
        item = _item({str(k): v for k, v in row.items() if _present(v)})
        if item is None:
            incomplete += 1
            examples.append(str(row)[:120])
        elif item.id in items:
            duplicates += 1
            examples.append(item.id)
        else:
            items[item.id] = item
    if not items:
        raise InputError(reason="no_rows", name=path.name)
    found = Findings(len(table), len(items), duplicates, incomplete, examples=tuple(examples[:_SHOWN]))
    return list(items.values()), found


def read_events(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    known: frozenset[str] | None = None,
    now: float | None = None,
) -> tuple[list[Event], Findings]:
    """The interactions in ``path``, sorted by time.

    Args:
        columns: maps our names (:data:`EVENT_COLUMNS`) to those of the file.
        known: ids of the catalogue; events with other items are left out and counted.
        now: seconds since the epoch; later events are left out and counted.

    Raises:
        MissingFile, InputError: as in :func:`read_items`.
    """
    import numpy as np
    import pandas as pd

    table = tables.read(path)
    names = tables.named(table, EVENT_COLUMNS, columns or {}, path)
    tables.demand(names, [("user",), ("item",)], table, path)
    if names["item"] == "item_id_list":
        table = tables.exploded(table)
    table = table[list(names.values())].rename(columns={v: k for k, v in names.items()})
    rows = len(table)
    undated = "at" not in table
    table["at"] = table.groupby("user").cumcount().astype(float) if undated else tables.seconds(table["at"])
    table["value"] = pd.to_numeric(table["value"], errors="coerce") if "value" in table else 1.0
    sound = (
        table["user"].notna() & table["item"].notna() & np.isfinite(table["at"]) & (table["value"].abs() <= _LARGEST)
    )
    table["user"], table["item"] = table["user"].map(_id), table["item"].map(_id)
    strange = sound & ~table["item"].isin(known) if known is not None else ~sound & False
    late = sound & ~strange & (table["at"] > (now if now is not None else time.time())) & (not undated)
    kept = table[sound & ~strange & ~late]
    twice = kept.duplicated(["user", "item", "at"]) if not undated else kept.duplicated(["user", "item"], keep="last")
    bad = [*table[~sound].index[:2], *table[strange].index[:2], *table[late].index[:1]]
    examples = tuple(str(table.loc[i, ["user", "item", "at"]].to_dict()) for i in bad)
    kept = kept[~twice]
    if kept.empty:
        raise InputError(reason="no_rows", name=path.name)
    in_order = not undated and kept.groupby("user")["at"].is_monotonic_increasing.all()
    kept = kept.sort_values("at", kind="stable")
    found = Findings(
        rows, len(kept), int(twice.sum()), int((~sound).sum()), int(strange.sum()), int(late.sum()), undated,
        not undated and not in_order, examples,
    )  # fmt: skip
    columns_ = (kept[name].tolist() for name in ("user", "item", "at", "value"))
    return [Event(*row) for row in zip(*columns_, strict=True)], found


def with_years(items: Sequence[Item]) -> list[Item]:
    """Items with the year that their title ends in, as in ``Heat (1995)``, where none is given."""
    found = []
    for item in items:
        match = next((m for t in item.titles.values() if (m := _YEAR.search(t))), None)
        found.append(replace(item, year=int(match[1])) if item.year is None and match else item)
    return found


# --- rows ---------------------------------------------------------------------------------------


def _item(row: Mapping[str, Any]) -> Item | None:
    titles = {name.partition("_")[2]: str(row[name]) for name in ("title_zh", "title_en", "title") if name in row}
    abouts = {name.partition("_")[2]: _joined(row[name]) for name in ("about_zh", "about_en", "about") if name in row}
    if "id" not in row or not titles:
        return None
    return Item(
        _id(row["id"]), titles, abouts, str(row.get("kind", "")), _tags(row.get("tags")), _whole(row.get("year")),
        _whole(row.get("age")) or 0, str(row.get("stock", "1")).lower() not in ("0", "0.0", "false", "no", "否"),
    )  # fmt: skip


def _tags(value: Any) -> tuple[str, ...]:
    if value is None or value == "(no genres listed)":
        return ()
    parts = _TAG_MARKS.split(value) if isinstance(value, str) else [str(v) for v in value]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(str(part) for part in value)


def _id(value: Any) -> str:
    """An id as text; a whole number that a file keeps as 12.0 is 12."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _whole(value: Any) -> int | None:
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _present(value: Any) -> bool:
    return value is not None and value != "" and not (isinstance(value, float) and value != value)
