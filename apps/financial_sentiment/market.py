"""When an exchange is open: by the package exchange_calendars, an extra. A desk may want alerts only while it trades."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from functools import lru_cache

from core.errors import InputError, MissingPackage

INSTALL = 'pip install "touchstone-llm[news]"'
MARKETS = ("XSHG", "XHKG", "XTKS", "XLON", "XFRA", "XNYS")  # offered; any name that the package knows may be given


def opens(market: str, moment: float) -> float | None:
    """When the exchange opens next; ``None`` while it is open. A pause at noon counts as open.

    Holidays are known twenty years back and for a year at most ahead. Outside of that it counts as open: an alert too
    many is better than one that waits.

    Raises:
        InputError: (``bad_value``) there is no such exchange.
        MissingPackage: exchange_calendars is not installed.
    """
    begins, ends = sessions(market)
    if not begins or not begins[0] <= moment < ends[-1]:
        return None
    number = bisect_right(ends, moment)  # the first session that ends later
    return None if begins[number] <= moment else begins[number]


@lru_cache(maxsize=16)
def sessions(market: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """When the sessions begin and end; raises as :func:`opens`."""
    try:
        import exchange_calendars
    except ImportError as error:
        raise MissingPackage(package="exchange_calendars", needed_for="market calendar", install=INSTALL) from error
    if market not in exchange_calendars.get_calendar_names(include_aliases=True):
        raise InputError(reason="bad_value", name="market", value=market, allowed=", ".join(MARKETS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pandas 3.1 about how the package reads its own table
        schedule = exchange_calendars.get_calendar(market).schedule
    begins, ends = (tuple(moment.timestamp() for moment in schedule[column]) for column in ("open", "close"))
    return begins, ends
