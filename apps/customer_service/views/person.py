"""A person in the conversation: the way to one, the state of it, and their messages as they come."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.handover import Case
from apps.customer_service.views.state import later, service
from apps.ui.inert import inert
from apps.ui.session import caller, t
from core.transcripts import Conversation

LISTEN_S = 2.0


def case_of(current: Conversation | None) -> Case | None:
    """The open case of the conversation."""
    return service().assistant.cases.of_conversation(caller(), current.id) if current else None


def way(case: Case | None) -> None:
    """The button to a person; with a person, who it is and the way back to the assistant."""
    if case is None:
        label = t("customer_service.person.ask")
        st.button(
            label,
            key="support_person",
            icon=":material/support_agent:",
            type="tertiary",
            on_click=later,
            args=(t("customer_service.person.words"),),
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if case.state == "taken":
            state = t("customer_service.person.with", name=inert(case.agent or ""))
        else:
            state = t(
                f"customer_service.person.{'ticket' if case.after_hours else 'waiting'}", ticket=case.ticket or "–"
            )
        st.badge(state, icon=":material/support_agent:", color="green" if case.state == "taken" else "orange")
        st.button(
            t("customer_service.person.back"),
            key="support_back",
            icon=":material/auto_awesome:",
            type="tertiary",
            on_click=_back,
            args=(case.conversation_id,),
        )


def _back(conversation_id: str) -> None:
    service().desk.withdraw(caller(), conversation_id)


@st.fragment(run_every=LISTEN_S)
def listen(conversation_id: str, newest: int, state: str) -> None:
    """Draw the page again when the person has written, taken over or left."""
    case = service().assistant.cases.of_conversation(caller(), conversation_id)
    last = service().conversations.messages(caller(), conversation_id, limit=1)
    if (last and last[-1].id != newest) or (case.state if case else "closed") != state:
        st.rerun()
