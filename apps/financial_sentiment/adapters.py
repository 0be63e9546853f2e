"""News of one company by way of akshare (A shares, from Eastmoney) and yfinance (from Yahoo); both are extras.

The functions ``from_…`` map what those packages return and need neither of them. Whether the sources may be used for
your purpose is between you and them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from apps.financial_sentiment.items import NewsItem
from apps.financial_sentiment.sources import Reading, Refused, moment, plain
from core.errors import InputError, MissingPackage, TouchstoneError

INSTALL = 'pip install "touchstone-llm[news]"'
SHANGHAI = ZoneInfo("Asia/Shanghai")
_ADDRESS = re.compile(r"(akshare|yfinance):([A-Za-z0-9.^=-]{1,20})")


def address(text: str) -> Callable[[], Reading] | None:
    """What fetches ``akshare:600519`` or ``yfinance:AAPL``; ``None`` when ``text`` is no such address."""
    found = _ADDRESS.fullmatch(text.strip())
    if not found:
        return None
    fetched, code = (akshare if found[1] == "akshare" else yfinance), found[2]
    return lambda: fetched(code)


def akshare(code: str) -> Reading:
    """The latest news of an A share by its six digits.

    Raises:
        MissingPackage: akshare is not installed.
    """
    package = _package("akshare")
    return _read(f"akshare:{code}", lambda: from_akshare(package.stock_news_em(symbol=code).to_dict("records"), code))


def yfinance(code: str) -> Reading:
    """The latest news of a ticker of Yahoo Finance.

    Raises:
        MissingPackage: yfinance is not installed.
    """
    package = _package("yfinance")
    return _read(f"yfinance:{code}", lambda: from_yfinance(package.Ticker(code).news or [], code))


def from_akshare(rows: Iterable[Mapping[str, Any]], code: str = "") -> Reading:
    """Rows of ``stock_news_em``. Their times have no zone; they are those of Shanghai."""
    return _mapped(rows, f"akshare:{code}", _akshare_item)


def from_yfinance(rows: Iterable[Mapping[str, Any]], code: str = "") -> Reading:
    """Items of ``Ticker.news``, as they are since version 0.2.50 (under ``content``) and as they were before."""
    return _mapped(rows, f"yfinance:{code}", _yahoo_item)


def _akshare_item(row: Mapping[str, Any]) -> NewsItem:
    url = _said(row, "新闻链接")
    return NewsItem(
        plain(_said(row, "新闻标题")), plain(_said(row, "新闻内容")), _said(row, "文章来源") or "akshare", url, url,
        _shanghai(_said(row, "发布时间")), language="zh",
    )  # fmt: skip


def _yahoo_item(row: Mapping[str, Any]) -> NewsItem:
    content = row.get("content")
    if not isinstance(content, Mapping):  # as it was before
        return NewsItem(
            plain(_said(row, "title")), "", _said(row, "publisher") or "yfinance", _said(row, "uuid"), _said(row, "link"),
            moment(row.get("providerPublishTime")),
        )  # fmt: skip
    links = [content.get(name) for name in ("canonicalUrl", "clickThroughUrl")]
    url = next((str(link["url"]) for link in links if isinstance(link, Mapping) and link.get("url")), "")
    provider = content.get("provider")
    source = _said(provider, "displayName") if isinstance(provider, Mapping) else ""
    return NewsItem(
        plain(_said(content, "title")), plain(_said(content, "summary") or _said(content, "description")),
        source or "yfinance", _said(row, "id") or _said(content, "id"), url, moment(_said(content, "pubDate")),
    )  # fmt: skip


def _said(row: Mapping[str, Any], name: str) -> str:
    """A value as text; pandas writes what is not there as NaN."""
    value = row.get(name)
    return "" if value is None or value != value else str(value).strip()


def _shanghai(said: str) -> float | None:
    found = moment(said)
    if found is None or re.search(r"(?:Z|[+-]\d\d:?\d\d)$", said):
        return found
    return datetime.fromtimestamp(found, UTC).replace(tzinfo=SHANGHAI).timestamp()


def _mapped(rows: Iterable[Mapping[str, Any]], where: str, item: Callable[[Mapping[str, Any]], NewsItem]) -> Reading:
    items, refused = [], []
    for number, row in enumerate(rows, 1):
        try:
            made = item(row)
            if not made.title and not made.text:
                raise InputError(reason="data_row", where=where, detail=repr(dict(row))[:80])
            items.append(made)
        except TouchstoneError as error:
            refused.append(Refused(f"{where}:{number}", error, where))
    empty = Refused(where, InputError(reason="empty_feed", name=where))  # as of a code that the source does not know
    return Reading(tuple(items), tuple(refused), () if items or refused else (empty,))


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackage(package=name, needed_for=f"{name}:…", install=INSTALL) from error


def _read(where: str, call: Callable[[], Reading]) -> Reading:
    """What the package returns; whatever it raises is a refusal that names it."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  these packages raise what the network, pandas and the page's format raise
        detail = f"{type(error).__name__}: {error}"[:300]
        return Reading(refused=(Refused(where, InputError(reason="url_failed", url=where, detail=detail)),))
