"""Readers of news: files and folders (CSV, JSONL, feeds, plain text), a feed's text, a feed's address.

A reader gives items and, for each thing it could not read, a record that says which and why; one bad row never costs
the others.
"""

from __future__ import annotations

import csv
import io
import json
import re
from calendar import timegm
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from pathlib import Path
from typing import Any

from apps.financial_sentiment.items import TEXT_LIMIT, NewsItem
from apps.spreadsheet import decoded
from core.errors import InputError, MissingFile, TouchstoneError
from core.safety.fetch import Limits
from core.safety.fetch import fetch as fetched

FILE_LIMIT_MB = 50
FEED_LIMITS = Limits(total_s=20.0, bytes=5_000_000)
SUFFIXES = (".csv", ".jsonl", ".xml", ".rss", ".atom", ".txt", ".md")
_BREAK = re.compile(r"(?i)<br\s*/?>|</(?:p|div|li|h\d|tr)>")
_INLINE = re.compile(r"(?i)</?(?:b|i|u|em|strong|a|span|font|small|sup|sub|mark)(?:\s[^<>]{0,2000})?>")
_TAG = re.compile(r"(?s)<(script|style)\b.*?</\1>|<[^>]{0,2000}>")
_LATEST_MS = 1e14  # the year 5138; more is no time in seconds or milliseconds
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y年%m月%d日")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a table, or key of a line of JSON, holds what; those that are not there are left out."""

    title: str = "title"
    text: str = "text"
    published: str = "published"
    seen: str = "seen"
    source: str = "source"
    id: str = "id"
    url: str = "url"
    language: str = "language"


COLUMNS = Columns()


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not read: where, and why; ``source`` is the file or address as a whole, where that is another."""

    where: str
    error: TouchstoneError
    source: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """``noticed`` is what was read and is odd all the same, as a feed that is empty."""

    items: tuple[NewsItem, ...] = ()
    refused: tuple[Refused, ...] = ()
    noticed: tuple[Refused, ...] = ()

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.items + other.items, self.refused + other.refused, self.noticed + other.noticed)


def moment(value: str | float | None) -> float | None:
    """A time as seconds since the epoch; without a zone it is UTC. ``None`` for what is empty.

    >>> moment("2026-03-01T08:00:00+08:00") == moment("2026-03-01") == moment("2026年3月1日")
    True

    Raises:
        InputError: (``bad_value``) not a time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        if isinstance(value, bool) or not abs(value) < _LATEST_MS:  # NaN is not, either
            raise InputError(reason="bad_value", name="date", value=value, allowed="2026-03-01T08:00:00+08:00")
        return float(value) / (1000 if value > 1e11 else 1)
    said = value.strip()
    if re.fullmatch(r"\d{9,13}(\.\d+)?", said):
        return moment(float(said))
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        found = _by_format(said)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _by_format(said: str) -> datetime:
    for form in _FORMATS:
        try:
            return datetime.strptime(said, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(said)
    except ValueError:
        raise InputError(
            reason="bad_value", name="date", value=said[:60], allowed="2026-03-01T08:00:00+08:00"
        ) from None


def read(path: Path, columns: Columns = COLUMNS) -> Reading:
    """A file, or all supported files of a folder and those below it, by name.

    Raises:
        MissingFile: nothing is there.
    """
    if path.is_dir():
        found = Reading()
        for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
            found += read(file, columns)
        return found
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="news")
    return parse(path.name, path.read_bytes(), columns)


def parse(name: str, data: bytes, columns: Columns = COLUMNS) -> Reading:
    """The items of a file's bytes; its kind follows from the end of ``name``, its encoding is UTF-8 or GB18030."""
    try:
        if len(data) > FILE_LIMIT_MB * 1_000_000:
            size = round(len(data) / 1e6, 1)
            raise InputError(reason="file_too_large", name=name, size_mb=size, limit_mb=FILE_LIMIT_MB)
        suffix = Path(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(reason="binary_file", name=name, allowed=", ".join(SUFFIXES))
        if suffix in (".xml", ".rss", ".atom"):
            return feed(data, name)
        text = decoded(data, name)
        if not text.strip():
            raise InputError(reason="empty_file", name=name)
        if suffix in (".txt", ".md"):
            return Reading((NewsItem("", plain(text), Path(name).stem, external_id=name),))
        rows = _csv(text, name, columns) if suffix == ".csv" else _jsonl(text, name)
        return _table(rows, name, columns)
    except TouchstoneError as error:
        return Reading(refused=(Refused(name, error),))


def feed(data: bytes | str, name: str) -> Reading:
    """RSS or Atom from its text.

    An empty feed is a reading without items, which is noticed; what is no feed at all is refused.
    """
    import feedparser

    parsed = feedparser.parse(io.BytesIO(data.encode() if isinstance(data, str) else data))
    if not parsed.get("version"):
        detail = str(parsed.get("bozo_exception") or "no RSS or Atom feed")
        return Reading(refused=(Refused(name, InputError(reason="unreadable_file", name=name, detail=detail)),))
    source = parsed.feed.get("title") or name
    items = []
    for entry in parsed.entries:
        when = entry.get("published_parsed") or entry.get("updated_parsed")
        body = next((c.value for c in entry.get("content", ())), entry.get("summary", ""))
        item = NewsItem(
            plain(entry.get("title", "")), plain(body), source, entry.get("id") or entry.get("link", ""),
            entry.get("link", ""), float(timegm(when)) if when else None,
        )  # fmt: skip
        if item.title or item.text:
            items.append(item)
    return Reading(tuple(items), noticed=() if items else (Refused(name, InputError(reason="empty_feed", name=name)),))


def fetch(url: str, *, limits: Limits = FEED_LIMITS) -> Reading:
    """The feed at an address of the public internet that a person gave, or ``akshare:600519``, ``yfinance:AAPL``; what
    fails is a refusal that says why."""
    from apps.financial_sentiment import adapters

    try:
        if adapted := adapters.address(url):
            return adapted()
        return feed(fetched(url, limits=limits).data, url)
    except TouchstoneError as error:
        return Reading(refused=(Refused(url, error),))


def plain(text: str) -> str:
    """Text without HTML tags and entities, with single spaces; line breaks stay."""
    bare = unescape(_TAG.sub(" ", _INLINE.sub("", _BREAK.sub("\n", text))))
    return "\n".join(line for raw in bare.splitlines() if (line := " ".join(raw.split())))


def _csv(text: str, name: str, columns: Columns) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    fields = reader.fieldnames or ()
    if columns.title not in fields and columns.text not in fields:
        allowed = ", ".join(fields)
        raise InputError(reason="data_column", where=name, value=f"{columns.title} / {columns.text}", allowed=allowed)
    yield from reader


def _jsonl(text: str, name: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                yield InputError(reason="bad_json", where=f"{name}:{number}", detail=str(error))


def _table(rows: Iterator[Any], name: str, columns: Columns) -> Reading:
    items, refused = [], []
    for number, row in enumerate(rows, 1):
        try:
            if isinstance(row, TouchstoneError):
                raise row
            items.append(_item(row, name, columns))
        except TouchstoneError as error:
            refused.append(Refused(f"{name}:{number}", error, name))
    return Reading(tuple(items), tuple(refused))


def _item(row: Any, name: str, columns: Columns) -> NewsItem:
    if not isinstance(row, Mapping):
        raise InputError(reason="data_row", where=name, detail=repr(row)[:80])

    def said(column: str) -> str:
        return str(row.get(column) or "").strip()

    item = NewsItem(
        plain(said(columns.title)), plain(said(columns.text)), said(columns.source) or Path(name).stem,
        said(columns.id), said(columns.url), moment(row.get(columns.published)), moment(row.get(columns.seen)),
        said(columns.language),
    )  # fmt: skip
    if not item.title and not item.text:
        raise InputError(reason="data_row", where=name, detail=repr(dict(row))[:80])
    return item


def as_if_live(reading: Reading) -> Reading:
    """The items of an archive, each seen when it was published, unless it says when it was seen."""
    return replace(
        reading,
        items=tuple(
            replace(item, seen_at=item.published_at) if item.seen_at is None else item for item in reading.items
        ),
    )


def cut(item: NewsItem) -> Refused:
    """The record of an item whose text is longer than what is kept of it."""
    name = item.title or item.external_id or item.text[:60]
    return Refused(name, InputError(reason="text_cut", name=name, size=len(item.text), limit=TEXT_LIMIT), item.source)
