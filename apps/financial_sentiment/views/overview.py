"""All companies at a time: mood, change, volume, lines of the last two weeks, open alerts; a click opens one. Looks again by
itself."""

from __future__ import annotations

from typing import Any

import streamlit as st

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.digest import alert_text, subject_name
from apps.financial_sentiment.inbox import Inbox
from apps.financial_sentiment.series import DAY, Index
from apps.financial_sentiment.service import Standing
from apps.financial_sentiment.views.alerts import ICONS
from apps.financial_sentiment.views.state import (
    at,
    color_of,
    desk,
    follow,
    open_company,
    open_group,
    open_tab,
    signed,
    when,
)
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t

REFRESH_S = 60
INBOX = 4  # alerts shown
_INBOX_DAYS = 14


@st.fragment(run_every=REFRESH_S)
def draw() -> None:
    follow()
    moment, caller = at(), session.caller()
    standings = desk().companies(caller, at=moment)
    if not standings:
        states.empty(t("financial_sentiment.nothing"), hint=t("financial_sentiment.nothing_hint"))
        st.button(
            t("financial_sentiment.tab.news"), on_click=open_tab, args=("news",), icon=":material/upload:",
            key="sentiment_to_news",
        )  # fmt: skip
        return
    listed = Inbox(desk()).listed(caller, at=moment, since=moment - _INBOX_DAYS * DAY)
    days = [sum(parts) for parts in zip(*([d.count for d in s.last] for s in standings), strict=True)]
    alerts = [sum(moment - (n + 1) * DAY < a.at <= moment - n * DAY for a, _ in listed) for n in range(_INBOX_DAYS)][
        ::-1
    ]
    moods = [round(_mean([s.last[n].index for s in standings]), 3) for n in range(len(days))]
    with st.grid(4, min_column_width=150):
        st.metric(
            t("financial_sentiment.companies"),
            len(standings),
            border=True,
            chart_data=[sum(bool(s.last[n].count) for s in standings) for n in range(len(days))],
            chart_type="bar",
        )
        st.metric(t("financial_sentiment.items_today"), days[-1], border=True, chart_data=days, chart_type="bar")
        st.metric(
            t("financial_sentiment.alerts_week"), sum(alerts[-7:]), border=True, chart_data=alerts, chart_type="bar"
        )
        st.metric(t("financial_sentiment.mood_all"), signed(moods[-1]), border=True, chart_data=moods)
    _movers(standings)
    _inbox([alert for alert, state in listed if state == "open"])
    _table(standings)
    if latest := desk().items.latest(caller):
        st.caption(t("financial_sentiment.fresh", when=when(min(latest, moment)), looked=when(moment), every=REFRESH_S))


def _mean(indexes: list[Index]) -> float:
    weight = sum(index.weight for index in indexes)
    return sum(index.mood * index.weight for index in indexes) / weight if weight else 0.0


def _inbox(listed: list[Alert]) -> None:
    """The newest alerts that nobody has seen to."""
    if not listed:
        return
    dictionary, language = desk().dictionary(session.caller()), session.language()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{t('financial_sentiment.inbox.title', count=len(listed))}**", anchors=False, width="stretch")
        st.button(
            t("financial_sentiment.tab.alerts"), key="sentiment_to_alerts", type="tertiary", icon=":material/inbox:",
            on_click=open_tab, args=("alerts",),
        )  # fmt: skip
    with st.grid(2, min_column_width=320):
        for number, alert in enumerate(listed[:INBOX]):
            name = inert(subject_name(alert, dictionary, language))
            st.button(
                f":material/{ICONS[alert.when]}: **{name}** · {inert(alert_text(alert, language))}"
                f" :small[:gray[{when(alert.at)[5:]}]]",
                key=f"sentiment_inbox_{number}", on_click=open_group if alert.scope == "group" else open_company,
                args=(alert.subject,), width="stretch", wrap=True,
            )  # fmt: skip


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
