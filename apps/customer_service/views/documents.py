"""The documents that answers come from: the sample shop's switch, and what the person uploads."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.views.state import service
from apps.ui import uploads
from apps.ui.session import t

_SAMPLE = "support_sample"


def sample_on() -> bool:
    """Whether answers may come from the sample shop."""
    return st.session_state.get(_SAMPLE, True)


def draw() -> None:
    """The button that opens the documents; nothing else is looked up until it is pressed."""
    title = t("customer_service.documents")
    if st.button(title, key="support_documents", icon=":material/folder_open:", width="stretch"):
        st.dialog(title, width="medium", icon=":material/folder_open:")(panel)()


def panel() -> None:
    """What the dialog shows: the sample shop's switch, the uploader, the documents."""
    if service().assistant.is_sample:
        st.toggle(t("customer_service.sample"), value=True, key=_SAMPLE, persist_state="session")
    uploads.draw(service(), "customer_service", "support")
