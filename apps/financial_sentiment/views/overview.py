"""All companies at a time: mood, change, volume, a line of the last two weeks; a click opens one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from apps.financial_sentiment.series import DAY
from apps.financial_sentiment.service import Standing
from apps.financial_sentiment.views.state import at, color_of, desk, open_company, open_tab, signed, when
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t


def draw() -> None:
    moment, caller = at(), session.caller()
    standings = desk().companies(caller, at=moment)
    alerts = desk().alerts(caller, at=moment, since=moment - 7 * DAY)
    if not standings:
        states.empty(t("financial_sentiment.nothing"), hint=t("financial_sentiment.nothing_hint"))
        st.button(
            t("financial_sentiment.tab.news"), on_click=open_tab, args=("news",), icon=":material/upload:",
            key="sentiment_to_news",
        )  # fmt: skip
        return
    with st.grid(4, min_column_width=150):
        st.metric(t("financial_sentiment.companies"), len(standings), border=True)
        st.metric(t("financial_sentiment.items_today"), sum(s.last[-1].count for s in standings), border=True)
        st.metric(t("financial_sentiment.alerts_week"), len(alerts), border=True)
        st.metric(t("financial_sentiment.mood_all"), signed(_mean(standings)), border=True)
    _movers(standings)
    _table(standings)
    if latest := desk().items.latest(caller):
        st.caption(t("financial_sentiment.fresh", when=when(min(latest, moment))))


def _mean(standings: list[Standing]) -> float:
    weight = sum(s.index.weight for s in standings)
    return sum(s.index.mood * s.index.weight for s in standings) / weight if weight else 0.0


def _movers(standings: list[Standing]) -> None:
    """The two that rose and fell most in a week."""
    by_change = sorted(standings, key=lambda s: s.change)
    moved = [s for s in [*by_change[-2:][::-1], *by_change[:2]] if abs(s.change) >= 0.1]
    if not moved:
        return
    with st.container(horizontal=True, gap="small"):
        for standing in dict.fromkeys(moved):
            arrow = "north_east" if standing.change > 0 else "south_east"
            name = inert(standing.company.name(session.language()))
            st.button(
                f":{color_of(standing.change)}[:material/{arrow}: {signed(standing.change)}] {name}",
                key=f"sentiment_mover_{standing.company.id}",
                on_click=open_company,
                args=(standing.company.id,),
            )


def _table(standings: list[Standing]) -> None:
    language = session.language()
    rows = {
        t("financial_sentiment.company"): [s.company.name(language) for s in standings],
        t("financial_sentiment.mood"): [round(s.index.mood, 2) for s in standings],
        t("financial_sentiment.change"): [round(s.change, 2) for s in standings],
        t("financial_sentiment.items"): [s.items for s in standings],
        t("financial_sentiment.course"): [[round(d.index.mood, 3) for d in s.last] for s in standings],
        t("financial_sentiment.events"): [
            [t(f"financial_sentiment.event.{kind}") for kind in s.events[:3]] for s in standings
        ],
    }
    names = list(rows)
    config: dict[str, Any] = {
        names[0]: st.column_config.TextColumn(pinned=True, width="medium"),
        names[1]: st.column_config.NumberColumn(format="%+.2f", help=t("financial_sentiment.mood_help"), width="small"),
        names[2]: st.column_config.NumberColumn(
            format="%+.2f", help=t("financial_sentiment.change_help"), width="small"
        ),
        names[3]: st.column_config.NumberColumn(help=t("financial_sentiment.items_help"), width="small"),
        names[4]: st.column_config.LineChartColumn(y_min=-1, y_max=1, width="small"),
        names[5]: st.column_config.ListColumn(width="large"),
    }
    st.dataframe(
        rows,
        column_config=config,
        hide_index=True,
        key="sentiment_table",
        on_select=lambda: _picked([s.company.id for s in standings]),
        selection_mode="single-row",
        height="content",
    )
    st.caption(t("financial_sentiment.pick"))


def _picked(ids: list[str]) -> None:
    if chosen := st.session_state["sentiment_table"].selection.rows:
        open_company(ids[chosen[0]])
