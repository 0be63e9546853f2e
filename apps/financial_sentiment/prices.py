"""Closing prices beside the mood, as a user gives them: kept, drawn, and no figure rests on them.

A close counts as known when it was given, or at the end of its day (UTC) when it is given later, so that a chart of the
past shows no price of its future.
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from apps.financial_sentiment import groups, sources
from apps.financial_sentiment.companies import Dictionary
from apps.financial_sentiment.series import DAY
from apps.financial_sentiment.sources import Refused
from core.errors import InputError, NotFound, TouchstoneError
from core.types import Caller
from core.workspace import Workspace

GUESSES = {
    "day": ("date", "day", "日期", "交易日期", "交易日", "时间", "time", "trade_date"),
    "close": ("close", "adj close", "closing", "price", "收盘", "收盘价", "close/last"),
    "company": ("company", "ticker", "symbol", "code", "代码", "股票代码", "证券代码", "公司", "名称"),
}


@dataclass(frozen=True, slots=True)
class PriceColumns:
    """Which column holds what; without ``company`` a file is about one company."""

    day: str = "date"
    close: str = "close"
    company: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """``day`` is ``YYYY-MM-DD``."""

    company: str
    day: str
    close: float


def columns(text: str) -> list[str]:
    """The names of the columns of a CSV text."""
    return [name for name in next(csv.reader(io.StringIO(text, newline="")), []) if name.strip()]


def guessed(names: Sequence[str]) -> PriceColumns:
    """What columns of these names hold; the first ones where their names say nothing.

    >>> guessed(["代码", "日期", "开盘", "收盘"])
    PriceColumns(day='日期', close='收盘', company='代码')
    """
    plain = {name.strip().casefold(): name for name in reversed(names)}
    found = {what: next((plain[g] for g in known if g in plain), "") for what, known in GUESSES.items()}
    rest = [name for name in names if name not in found.values()]
    for what in ("day", "close"):
        if not found[what] and rest:
            found[what] = rest.pop(0)
    return PriceColumns(**found)


def parse(
    text: str, where: str, dictionary: Dictionary, given: PriceColumns, *, company: str = ""
) -> tuple[list[Price], list[Refused]]:
    """The rows of a CSV text; one that cannot be taken is refused with its reason and the others are taken.

    Args:
        company: the id of the company that the file is about, when no column says so.

    Raises:
        InputError: (``data_column``) a column is missing.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for name in (given.day, given.close, *([given.company] if given.company else ())):
        if name not in (reader.fieldnames or ()):
            raise InputError(reason="data_column", where=where, value=name, allowed=", ".join(reader.fieldnames or ()))
    ids = _tickers(dictionary) | groups.ids_of(dictionary)
    found: list[Price] = []
    refused: list[Refused] = []
    for number, row in enumerate(reader, 2):
        said = (row.get(given.company) or "").strip() if given.company else company
        try:
            id_ = said if said in dictionary.companies else ids.get(said.casefold(), "")
            if not id_:
                raise NotFound(kind="company", value=said)
            found.append(Price(id_, _day(row.get(given.day) or ""), _close(row.get(given.close) or "")))
        except TouchstoneError as error:
            refused.append(Refused(f"{where}:{number}", error))
    return found, refused


def _tickers(dictionary: Dictionary) -> dict[str, str]:
    """The company of every code without its market; those of more than one company are left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for company in dictionary.companies.values():
        for code in company.codes:
            found[code.partition(".")[0].casefold()].add(company.id)
    return {code: next(iter(ids)) for code, ids in found.items() if len(ids) == 1}


def _day(said: str) -> str:
    text = said.strip()
    if len(text) == 8 and text.isdigit():  # 20260301
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    moment = sources.moment(text)
    if moment is None:
        raise InputError(reason="bad_value", name="date", value=said, allowed="2026-03-01, 20260301, 2026/3/1")
    try:  # the day as it is written, whatever the zone beside it
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return (date(1970, 1, 1) + timedelta(days=int(moment // DAY))).isoformat()


def _close(said: str) -> float:
    try:
        value = float(said.replace(",", "").strip().lstrip("$¥￥"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(reason="bad_value", name="close", value=said[:40], allowed="> 0")
    return value


class Prices:
    """The prices of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def save(self, caller: Caller, listed: Iterable[Price], now: float) -> int:
        """Keep prices; one of the same company and day is replaced. Returns how many there were."""
        rows = [(caller.tenant, p.company, p.day, p.close, min(now, end_of(p.day))) for p in listed]
        with self.workspace.write() as db:
            db.executemany(
                "INSERT INTO news_prices VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, company, day) DO UPDATE SET"
                " close = excluded.close, seen_at = min(seen_at, excluded.seen_at)",
                rows,
            )
        return len(rows)

    def of(self, caller: Caller, company: str, at: float, *, since: float = 0.0) -> list[Price]:
        """The closes that were known at ``at`` of the days since, by day."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT company, day, close FROM news_prices WHERE tenant = ? AND company = ? AND seen_at <= ?"
                " AND day >= ? ORDER BY day",
                (caller.tenant, company, at, _date(since)),
            ).fetchall()
        return [Price(**dict(row)) for row in rows]

    def delete(self, caller: Caller, company: str) -> None:
        with self.workspace.write() as db:
            db.execute("DELETE FROM news_prices WHERE tenant = ? AND company = ?", (caller.tenant, company))


def end_of(day: str) -> float:
    """The end of a day (UTC), in seconds since the epoch.

    >>> end_of("1970-01-01")
    86400.0
    """
    return (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal() + 1) * DAY


def _date(moment: float) -> str:
    return (date(1970, 1, 1) + timedelta(days=int(moment // DAY))).isoformat()
