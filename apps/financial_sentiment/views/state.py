"""What the parts of the page share: the desk, the open part and company, the time it is looked at."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Literal

import streamlit as st

from apps.background import Repeating
from apps.financial_sentiment.following import Following
from apps.financial_sentiment.series import DAY
from apps.financial_sentiment.service import Desk
from apps.financial_sentiment.watch import Watch
from apps.ui import session
from apps.ui.session import t
from apps.ui.shared import Shared
from core.runtime import Runtime

TAB = "sentiment_tab"  # the key of the switch
_KEPT, _COMPANY, _DATE = "sentiment_kept", "sentiment_company", "sentiment_date"
BACK_DAYS = 60
WATCH_EVERY_S = 10.0
_GROUP, _DAY = "sentiment_group", "sentiment_day"
_MOVED = "sentiment_moved"  # another part was opened from within a fragment
Color = Literal["red", "green", "gray"]


def _opened(runtime: Runtime) -> Desk:
    opened = Desk(runtime)
    opened.prepare(session.caller())
    watching(opened)
    return opened


_lock = threading.Lock()
_reading: tuple[Desk, Repeating] | None = None  # the desk whose folders and feeds are read, and by what


def watching(opened: Desk) -> None:
    """Read the watched folders and the feeds of ``opened`` in the background from now on, when there are any."""
    global _reading
    watch, following = Watch(opened), Following(opened)

    def look() -> None:
        watch.look_all()
        following.look_all()

    with _lock:
        if _reading is not None and _reading[0] is not opened:
            _reading[1].stop()
            _reading = None
        if _reading is None and (watch.any() or following.any()):
            repeating = Repeating(look, every_s=WATCH_EVERY_S, name="touchstone-news-watch")
            repeating.start()
            _reading = opened, repeating


def stop_watching() -> None:
    """Read no more folders and feeds until :func:`watching` is called again."""
    global _reading
    with _lock:
        if _reading is not None:
            _reading[1].stop()
        _reading = None


desk = Shared(
    _opened, "financial_sentiment.preparing"
)  # the desk of this process, shared by all sessions; a desk without news begins with the sample


def tab() -> str:
    """The open part: as chosen, else as it was before another page was opened."""
    return str(st.session_state.get(TAB) or st.session_state.get(_KEPT, "overview"))


def open_tab(name: str) -> None:
    """For callbacks, and before the switch is drawn."""
    if st.session_state.get(TAB) != name:
        st.session_state[_MOVED] = True
    st.session_state[TAB] = name


def follow() -> None:
    """Draw the whole page again when another part was opened. First in every fragment: a click in one draws only it."""
    if st.session_state.pop(_MOVED, False):
        st.rerun()


def arrived() -> None:
    """The whole page is drawn."""
    st.session_state.pop(_MOVED, None)


def keep_tab(name: str) -> None:
    st.session_state[_KEPT] = name


def company_id() -> str | None:
    return st.session_state.get(_COMPANY) or st.query_params.get("company")


def open_company(id_: str, day: str | None = None) -> None:
    """Look at one company, or at one day of it; the address follows. For callbacks."""
    st.session_state[_COMPANY] = id_
    st.query_params["company"] = id_
    pick_day(day)
    open_tab("company")


def pick_day(day: str | None) -> None:
    """Look at the items of one day (``YYYY-MM-DD``) of the company, or of all. For callbacks."""
    st.session_state[_DAY] = day


def picked_day() -> str | None:
    return st.session_state.get(_DAY)


def group_id() -> str | None:
    return st.session_state.get(_GROUP) or st.query_params.get("group")


def open_group(id_: str) -> None:
    """Look at one group; the address follows. For callbacks."""
    st.session_state[_GROUP] = id_
    st.query_params["group"] = id_
    open_tab("groups")


def as_of() -> None:
    """Draw the choice of the day that the desk is looked at: the past as it was known then."""
    today = datetime.now(UTC).date()
    st.date_input(
        t("financial_sentiment.as_of"),
        value=today,
        min_value=today - timedelta(days=BACK_DAYS),
        max_value=today,
        key=_DATE,
        help=t("financial_sentiment.as_of_help"),
        width=160,
    )


def at() -> float:
    """The end of the chosen day, or now."""
    chosen = st.session_state.get(_DATE)
    now = time.time()
    if chosen is None:
        return now
    return min(now, datetime(chosen.year, chosen.month, chosen.day, tzinfo=UTC).timestamp() + DAY)


def live() -> bool:
    """Whether the desk is looked at as of now."""
    chosen = st.session_state.get(_DATE)
    return chosen is None or chosen >= datetime.now(UTC).date()


def color_of(value: float) -> Color:
    """Up is red in Chinese, green in English; around nothing is gray."""
    if abs(value) < 0.1:
        return "gray"
    up = value > 0
    return "red" if up == (session.language() == "zh") else "green"


def color_of_label(label: str) -> Color:
    return color_of({"positive": 1.0, "negative": -1.0}.get(label, 0.0))


def shades() -> tuple[str, str]:
    """Colors of good and bad in charts."""
    red, green = "#d1495b", "#3a9d6e"
    return (red, green) if session.language() == "zh" else (green, red)


def when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def signed(value: float) -> str:
    """``+0.42``; a true minus sign."""
    return f"{value:+.2f}".replace("-", "−")
