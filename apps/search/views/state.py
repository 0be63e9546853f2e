"""What the parts of the page share: the service, the open part, and the query as the controls and the address say it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from apps.search.query import HELPS, KINDS, MODES, PLACES, Query
from apps.search.service import Search
from apps.search.views.instant import Asker
from apps.ui import session
from apps.ui.direct import Line
from apps.ui.shared import Shared
from core.i18n import LANGUAGES
from core.retrieval.records import Found
from core.runtime import Runtime

NOTHING = "none"  # in the address: every choice is switched off
VIEW, VIEWS = "view", ("search", "saved", "compare", "documents")
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (  # key and codes
    ("in", PLACES),
    ("language", LANGUAGES),
    ("kind", tuple(KINDS)),
    ("help", HELPS),
)
_AS_TYPED = "search_as_typed"  # the text for which no correction is wanted
_TYPED = "typed"  # in the address
_KEPT = "search_kept"
_ASKER, _LINE = "search_asker", "search_line"
_PAGED = "search_paged"  # the query whose pages are turned


def _opened(runtime: Runtime) -> Search:
    opened = Search(runtime)
    opened.prepare()
    return opened


service = Shared(
    _opened, "search.preparing"
)  # the service of this process, shared by all sessions, with the sample company loaded


# --- the parts ------------------------------------------------------------------------------------


def view() -> str:
    """The open part of the page, as the address says."""
    chosen = st.query_params.get(VIEW, VIEWS[0])
    return chosen if chosen in VIEWS else VIEWS[0]


def open_view(name: str) -> None:
    """For callbacks, and for the switch."""
    st.session_state[f"search_{VIEW}"] = name
    if name == VIEWS[0]:
        st.query_params.pop(VIEW, None)
    else:
        st.query_params[VIEW] = name


def keep(names: Iterable[str]) -> None:
    """Hold what controls say while they are not drawn, or not yet in the browser.

    Streamlit forgets a control of a part that is closed, and tells the browser a value once: a popover that is opened
    some runs later would show its controls empty.
    """
    for name in names:
        if name in st.session_state:
            st.session_state[name] = st.session_state[name]


KEPT = ("q", "mode", "since", "where", "page", *(name for name, _ in _CHOICES))


# --- the query ------------------------------------------------------------------------------------


def usual() -> Query:
    """How is searched where nobody chooses otherwise."""
    return service().defaults.query(session.caller())


def restore() -> None:
    """Set the controls as the address says, where this session has not set them yet.

    The address holds codes. Streamlit's own binding would hold the labels of the page's language, counts included,
    so that a search shared with somebody who reads the other language would lose its filters.
    """
    state, address = st.session_state, st.query_params
    default = usual()
    if "mode" not in state:
        state["mode"] = mode if (mode := address.get("mode")) in MODES else default.mode
    for name, codes in _CHOICES:
        if name not in state:
            said = address.get_all(name)
            state[name] = [code for code in codes if code in said] if said else list(_usual(name, default))
    if "page" not in state:  # the cards are drawn before the control that would read it
        state["page"] = _page(address.get("page", ""))
    if "since" not in state:
        state["since"] = _date(address.get("since", ""))
    if "where" not in state:
        state["where"] = address.get("where", "")
    keep(name for name, _ in _CHOICES)
    if _AS_TYPED not in state:
        state[_AS_TYPED] = (state.get("q") or "").strip() if _TYPED in address else None


def remember() -> None:
    """Let the address say what the controls say; what is as usual is left out."""
    state, address = st.session_state, st.query_params
    default = usual()
    wanted = {"mode": [] if state.get("mode", default.mode) == default.mode else [state["mode"]]}
    for name, codes in _CHOICES:
        chosen = [code for code in codes if code in (state.get(name) or ())]
        wanted[name] = [] if chosen == list(_usual(name, default)) else chosen or [NOTHING]
    wanted["since"] = [state["since"].isoformat()] if state.get("since") else []
    wanted["where"] = [state["where"]] if state.get("where") else []
    text = (state.get("q") or "").strip()
    wanted[_TYPED] = ["1"] if text and state.get(_AS_TYPED) == text else []
    _set_query(text)
    for name, values in wanted.items():
        if address.get_all(name) != values:
            if values:
                address[name] = values
            else:
                del address[name]


def _set_query(text: str) -> None:
    """Let the address say ``text``.

    The browser binds the field to it, and says with each run what the address holds; on a busy machine that may be
    what was typed before, and whatever the run then adds to the address would put it back.
    """
    context = get_script_run_ctx()
    if context is None or st.query_params.get("q", "").strip() == text:
        return
    with context.session_state.query_params() as params:
        if text:
            params.set_corrected_value("q", text, "string_value")
        else:
            params.remove_param("q")


def _usual(name: str, default: Query) -> tuple[str, ...]:
    return default.help if name == "help" else ()


def _page(text: str) -> int:
    try:
        return max(1, int(text))
    except ValueError:
        return 1


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def query() -> Query:
    """What the controls say; they are drawn after it is read, so it is read from their state."""
    state, default = st.session_state, usual()
    mode, since = state.get("mode") or default.mode, state.get("since")
    helps = default.help if state.get("help") is None else tuple(kind for kind in state["help"] if kind in HELPS)
    return replace(
        default,
        text=(state.get("q") or "").strip(),
        mode=mode if mode in MODES else default.mode,
        places=tuple(place for place in state.get("in") or () if place in PLACES),
        languages=tuple(state.get("language") or ()),
        kinds=tuple(kind for kind in state.get("kind") or () if kind in KINDS),
        since=since.isoformat() if since else "",
        where=tuple(filter(None, (part.strip() for part in (state.get("where") or "").split(";")))),
        help=helps,
    )


def begin_pages(asked: Query) -> None:
    """Let another query than that of :func:`end_pages` begin at its first page."""
    if st.session_state.get(_PAGED, asked) != asked:
        st.session_state["page"] = 1


def end_pages(asked: Query) -> None:
    """Say whose pages are turned, once the control that turns them is drawn.

    A run that was stopped before leaves the browser with the page of the query before.
    """
    st.session_state[_PAGED] = asked


def show(asked: Query) -> None:
    """Set the controls as ``asked`` says, and search, in the coming run; for callbacks."""
    state = st.session_state
    state["q"], state["mode"], state["page"] = asked.text, asked.mode, 1
    state["in"], state["language"], state["kind"] = list(asked.places), list(asked.languages), list(asked.kinds)
    state["help"], state["since"], state["where"] = list(asked.help), _date(asked.since), "; ".join(asked.where)
    open_view("search")


def asker() -> Asker:
    """What a key of this session is searched with, as the controls stand."""
    state, desk = st.session_state, service()
    kept: Asker | None = state.get(_ASKER)
    if kept is None or kept.desk is not desk:
        kept = state[_ASKER] = Asker(desk)
        state[_LINE] = Line(kept.typed)
    kept.caller, kept.language, kept.as_typed = session.caller(), session.language(), state.get(_AS_TYPED)
    kept.query, kept.page = query(), state.get("page") or 1
    return kept


def line() -> dict[str, str] | None:
    """How the browser asks for the cards of what is typed, where it can."""
    asker()
    return st.session_state[_LINE].renewed()


def keep_in_history(asked: Query, found: Found) -> None:
    """Keep a search once its results are on the screen; a run of the page that searched nothing keeps none."""
    if st.session_state.get(_KEPT) is not found:
        st.session_state[_KEPT] = found
        service().history.add(asked, len(found.hits), session.caller())


def as_typed(text: str) -> None:
    """Correct nothing in ``text`` from the coming run on."""
    st.session_state[_AS_TYPED] = text


def ask(text: str) -> None:
    """Search for ``text`` in the coming run."""
    st.session_state["q"] = text
    st.session_state["page"] = 1
