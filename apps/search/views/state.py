"""What the parts of the page share: the service, and the query as the controls and the address say it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from apps.search.query import HELPS, KINDS, MODES, PLACES, Query
from apps.search.service import Search, Understood
from apps.ui import session
from apps.ui.shared import Shared
from core.i18n import LANGUAGES
from core.runtime import Runtime

NOTHING = "none"  # in the address: every choice is switched off
_CHOICES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (  # key, codes, the usual choice
    ("in", PLACES, ()),
    ("language", LANGUAGES, ()),
    ("kind", tuple(KINDS), ()),
    ("help", HELPS, HELPS),
)
WAIT_S = 0.5  # for help with a query; without it results come at once


def _opened(runtime: Runtime) -> Search:
    opened = Search(runtime)
    opened.prepare()
    return opened


service = Shared(
    _opened, "search.preparing"
)  # the service of this process, shared by all sessions, with the sample company loaded


def restore() -> None:
    """Set the controls as the address says, where this session has not set them yet.

    The address holds codes. Streamlit's own binding would hold the labels of the page's language, counts included,
    so that a search shared with somebody who reads the other language would lose its filters.
    """
    state, address = st.session_state, st.query_params
    if "mode" not in state:
        state["mode"] = mode if (mode := address.get("mode")) in MODES else "hybrid"
    for name, codes, usual in _CHOICES:
        if name not in state:
            said = address.get_all(name)
            state[name] = [code for code in codes if code in said] if said else list(usual)


def remember() -> None:
    """Let the address say what the controls say; what is as usual is left out."""
    state, address = st.session_state, st.query_params
    wanted = {"mode": [] if state.get("mode", "hybrid") == "hybrid" else [state["mode"]]}
    for name, codes, usual in _CHOICES:
        chosen = [code for code in codes if code in (state.get(name) or ())]
        wanted[name] = [] if chosen == list(usual) else chosen or [NOTHING]
    for name, values in wanted.items():
        if address.get_all(name) != values:
            if values:
                address[name] = values
            else:
                del address[name]


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
