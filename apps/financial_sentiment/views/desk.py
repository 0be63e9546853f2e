"""The sentiment desk's page: overview, the news as it comes, groups, one company, alerts, their rules, replays, the model, news in and out."""

from __future__ import annotations

import streamlit as st

from apps.financial_sentiment.views import alerts, company, feeds, groups, live, model, overview, replay, rules
from apps.financial_sentiment.views.state import TAB, arrived, as_of, desk, keep_tab, open_tab, tab
from apps.ui import look, states
from apps.ui.session import t

TABS = {
    "overview": overview.draw,
    "live": live.draw,
    "groups": groups.draw,
    "company": company.draw,
    "alerts": alerts.draw,
    "rules": rules.draw,
    "replay": replay.draw,
    "model": model.draw,
    "news": feeds.draw,
}


def page() -> None:
    look.header(t("apps.sentiment.title"))
    desk()  # loads the sample on the first visit
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        open_tab(tab())  # kept while another page was open
        chosen = st.segmented_control(
            t("financial_sentiment.view"),
            list(TABS),
            format_func={name: t(f"financial_sentiment.tab.{name}") for name in TABS}.__getitem__,
            required=True,
            key=TAB,
            label_visibility="collapsed",
        )
        st.space("stretch")
        as_of()
    arrived()
    TABS[chosen or "overview"]()
    keep_tab(chosen or "overview")
    st.caption(t("financial_sentiment.no_advice"))


with states.guarded():
    page()
