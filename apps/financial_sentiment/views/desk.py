"""The sentiment desk's page: overview, one company, alerts, news in and out."""

from __future__ import annotations

import streamlit as st

from apps.financial_sentiment.views import alerts, company, feeds, overview
from apps.financial_sentiment.views.state import as_of, desk, open_tab, tab
from apps.ui import look, states
from apps.ui.session import t

TABS = {"overview": overview.draw, "company": company.draw, "alerts": alerts.draw, "news": feeds.draw}


def page() -> None:
    look.header(t("apps.sentiment.title"))
    desk()  # loads the sample on the first visit
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control(
            t("financial_sentiment.view"),
            list(TABS),
            default=tab(),
            format_func=lambda name: t(f"financial_sentiment.tab.{name}"),
            required=True,
            key="sentiment_tab",
            label_visibility="collapsed",
            on_change=lambda: open_tab(st.session_state["sentiment_tab"]),
        )
        st.space("stretch")
        as_of()
    TABS[tab()]()
    st.caption(t("financial_sentiment.no_advice"))


with states.guarded():
    page()
