"""Taught sentences that look like another intent: each is moved, kept or removed by a person."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.views.state import service
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError
from core.providers.sync import run
from core.training.label_errors import Suspect

_FOUND, _FAILED = "intents_suspects", "intents_suspects_failed"
MOST = 8  # shown at once; the next come up as these are settled


def button(taught: bool) -> None:
    st.button(
        t("customer_service.manager.suspect.check"), key="intents_check", icon=":material/fact_check:",
        disabled=not taught, on_click=_check,
    )  # fmt: skip


def draw() -> None:
    """What the check found."""
    if failed := st.session_state.pop(_FAILED, None):
        states.failed(failed)
    found: list[Suspect] | None = st.session_state.get(_FOUND)
    if found is None:
        return
    if not found:
        st.caption(f":material/check: {t('customer_service.manager.suspect.none')}")
        return
    st.markdown(f"**{t('customer_service.manager.suspect.title', count=len(found))}**", anchors=False)
    st.caption(t("customer_service.manager.suspect.help"))
    for suspect in found[:MOST]:
        _one(suspect)


def _one(suspect: Suspect) -> None:
    names = {"label": inert(suspect.label), "other": inert(suspect.other)}
    if suspect.twin:
        why = t("customer_service.manager.suspect.twin", **names)
    else:
        own, probability = f"{suspect.own:.0%}", f"{suspect.probability:.0%}"
        why = t("customer_service.manager.suspect.says", own=own, probability=probability, **names)
    with st.container(border=True, gap="xxsmall", key=f"suspect_{suspect.place}"):
        st.markdown(f"{inert(suspect.text)}  \n:small[:gray[{why}]]", anchors=False)
        with st.container(horizontal=True):
            for what, icon, intent in (
                ("move", ":material/arrow_forward:", suspect.other),
                ("keep", ":material/check:", suspect.label),
                ("remove", ":material/delete:", None),
            ):
                st.button(
                    t(f"customer_service.manager.suspect.{what}", intent=suspect.other), icon=icon, type="tertiary",
                    key=f"suspect_{what}_{suspect.place}", on_click=_settle, args=(suspect, what, intent),
                )  # fmt: skip


def _check() -> None:
    try:
        with states.loading(t("customer_service.manager.suspect.checking")):
            st.session_state[_FOUND] = run(service().control.suspects(session.caller()))
    except TouchstoneError as error:
        st.session_state[_FAILED] = error


def _settle(suspect: Suspect, what: str, intent: str | None) -> None:
    try:
        service().control.settle(session.caller(), suspect.text, intent)
    except TouchstoneError as error:
        st.session_state[_FAILED] = error
        return
    st.session_state[_FOUND] = [one for one in st.session_state[_FOUND] if one is not suspect]
    past = {"move": "moved", "keep": "kept", "remove": "removed"}[what]
    st.toast(t(f"customer_service.manager.suspect.{past}", intent=suspect.other), icon=":material/check:")
