"""What the parts of the page share: the service, and the query as the controls and the address say it."""

from __future__ import annotations

import threading
from dataclasses import replace

import streamlit as st

from apps.search.query import HELPS, KINDS, MODES, PLACES, Query
from apps.search.service import Search, Understood
from apps.ui import session

_services: list[Search] = []
_opening = threading.Lock()
WAIT_S = 0.5  # for help with a query; without it results come at once


def service() -> Search:
    """The service of this process, shared by all sessions, with the sample company loaded."""
    runtime = session.runtime()
    if _services and _services[0].runtime is runtime:
        return _services[0]
    with _opening:
        if not _services or _services[0].runtime is not runtime:
            opened = Search(runtime)
            with st.spinner(session.t("search.preparing")):
                opened.prepare()
            _services[:] = [opened]
        return _services[0]


def query() -> Query:
    """What the controls say; they are drawn after it is read, so it is read from their state."""
    state = st.session_state
    mode = state.get("mode") or "hybrid"
    return Query(
        (state.get("q") or "").strip(),
        mode if mode in MODES else "hybrid",
        tuple(place for place in state.get("in") or () if place in PLACES),
        tuple(state.get("language") or ()),
        tuple(kind for kind in state.get("kind") or () if kind in KINDS),
        help=HELPS if state.get("help") is None else tuple(kind for kind in state["help"] if kind in HELPS),
    )


_AS_TYPED = "search_as_typed"  # the text for which no correction is wanted


def understood(asked: Query) -> Understood:
    """What is searched for ``asked``; somebody who wants it as it was typed gets it so."""
    if st.session_state.get(_AS_TYPED) == asked.text:
        asked = replace(asked, help=tuple(kind for kind in asked.help if kind == "synonyms"))
    return service().understood(asked, session.caller(), wait_s=WAIT_S)


def as_typed(text: str) -> None:
    """Correct nothing in ``text`` from the coming run on."""
    st.session_state[_AS_TYPED] = text


def ask(text: str) -> None:
    """Search for ``text`` in the coming run."""
    st.session_state["q"] = text
    st.session_state["page"] = 1
