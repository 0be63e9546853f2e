"""What is kept of the customer, in their own hands: what may be remembered and learned from, and an end to all of it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from apps.customer_service.views.state import open_conversation, service
from apps.training_data import agree, agrees
from apps.ui import look
from apps.ui.inert import inert
from apps.ui.session import caller, t

_REMEMBER, _LEARN, _SURE = "support_remember", "support_learn", "own_sure"
_FORGOTTEN = "own_forgotten"


def draw() -> None:
    """The button that opens it; nothing is looked up until it is pressed."""
    if st.session_state.pop(_FORGOTTEN, False):
        st.toast(t("customer_service.own.forgotten"), icon=look.ICONS["ok"])
    title = t("customer_service.own.title")
    if st.button(title, key="support_own", icon=":material/shield_person:", width="stretch"):
        st.dialog(title, icon=":material/shield_person:")(panel)()


def panel() -> None:
    """What the dialog shows: two consents, what is remembered, and the button that deletes everything."""
    if _FORGOTTEN in st.session_state:
        st.rerun()  # of the page, which closes the dialog
    facts, who = service().facts, caller()
    _consent(_REMEMBER, "remember", facts.agrees(who), lambda yes: facts.agree(who, yes))
    if kept := facts.of(who):
        st.caption(t("customer_service.own.remembered", values=inert(", ".join(kept))))
    workspace = service().runtime.workspace
    _consent(_LEARN, "learn", agrees(workspace, who), lambda yes: agree(workspace, who, yes))
    st.divider()
    st.markdown(t("customer_service.own.forget_about"))
    label = t("customer_service.own.forget")
    sure = st.checkbox(t("customer_service.own.forget_sure"), key=_SURE)
    st.button(label, key="own_forget", icon=":material/delete_forever:", disabled=not sure, on_click=_forget)


def _consent(key: str, name: str, given: bool, keep: Callable[[bool], None]) -> None:
    """A switch that is kept when it is pressed, and only then: what it shows may be older than what is kept."""
    help_ = t(f"customer_service.own.{name}_help")
    st.toggle(
        t(f"customer_service.own.{name}"),
        value=given,
        key=key,
        help=help_,
        on_change=lambda: keep(bool(st.session_state[key])),
    )


def _forget() -> None:
    """Before anything is drawn, so that the switches are drawn as they are after it."""
    service().forget(caller())
    for key in (_REMEMBER, _LEARN, _SURE):
        st.session_state.pop(key, None)
    st.session_state[_FORGOTTEN] = True
    open_conversation(None)
