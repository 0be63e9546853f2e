"""The manager's page: figures, what the documents lack, curated answers, the policy, the intents, and a box to try a message in."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.views import answers, figures, intents, policy, tryout
from apps.ui import look, session, states
from apps.ui.session import t
from core.errors import NotAllowed
from core.i18n import Phrase

PARTS = {
    "figures": figures.draw,
    "gaps": figures.draw_gaps,
    "answers": answers.draw,
    "policy": policy.draw,
    "intents": intents.draw,
    "try": tryout.draw,
}


def page() -> None:
    look.header(t("customer_service.manager.title"))
    if not session.allowed("admin"):
        states.failed(NotAllowed(action=Phrase("customer_service.manager.action"), role="admin"))
        return
    wanted = st.query_params.get("view", "")
    st.session_state.setdefault("manager_part", wanted if wanted in PARTS else "figures")
    part = st.segmented_control(
        t("customer_service.manager.part"),
        list(PARTS),
        format_func={name: t(f"customer_service.manager.tab.{name}") for name in PARTS}.__getitem__,
        required=True,
        key="manager_part",
        label_visibility="collapsed",
        on_change=_chosen,
    )
    PARTS[part or "figures"]()


def _chosen() -> None:
    st.query_params["view"] = st.session_state["manager_part"]


with states.guarded():
    page()
