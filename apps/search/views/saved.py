"""Saved searches with what is new in each, and the history of what was searched."""

from __future__ import annotations

import time

import streamlit as st

from apps.search.query import Query
from apps.search.saved import LONGEST, Saved
from apps.search.views.state import service, show
from apps.ui import look, states
from apps.ui.inert import inert
from apps.ui.session import caller, t

SHOWN = 20  # new documents that are named
RECENT = 50
_NAME = "search_save_name"
_CHECKED_S = 5.0  # the collections are compared with what was last looked at no more often
_CHECKED = "search_checked"


def news() -> int:
    """How many saved searches have something new; looks first where the collections have changed."""
    with states.guarded():
        if time.monotonic() - st.session_state.get(_CHECKED, -_CHECKED_S) >= _CHECKED_S:
            service().saved.check_all(caller())
            st.session_state[_CHECKED] = time.monotonic()
        return sum(bool(saved.new) for saved in service().saved.all(caller()))
    return 0


def keep_it(asked: Query) -> None:
    """What the popover of the search holds: a name to keep ``asked`` under."""
    name = st.text_input(
        t("search.saved.name"), value=asked.text[:LONGEST], max_chars=LONGEST, key=f"{_NAME}_{hash(asked)}"
    )
    st.caption(t("search.saved.about"))
    if st.button(t("search.saved.keep"), key="search_saved_keep", icon=":material/bookmark_add:", type="primary"):
        with states.guarded():
            kept = service().saved.save(name, asked, caller())
            st.success(t("search.saved.kept", name=inert(kept.name)), icon=":material/check_circle:")


def draw() -> None:
    with states.guarded():
        found = service().saved.all(caller())
        if not found:
            states.empty(t("search.saved.none"), icon=":material/bookmark:", hint=t("search.saved.none_hint"))
        for saved in found:
            _one(saved)
    st.markdown(f"### {t('search.history.title')}", anchors=False)
    with states.guarded():
        _history()


def _one(saved: Saved) -> None:
    with st.container(border=True, gap="xsmall", key=f"saved_{saved.id}"):
        badge = ""
        if saved.new:
            since = look.day(saved.seen_at, time.time())
            badge = f" :green-badge[{t('search.saved.new', count=len(saved.new), since=since)}]"
        st.markdown(f"**{inert(saved.name)}**{badge}  \n:small[:gray[{_described(saved.query)}]]", anchors=False)
        for new in saved.new[:SHOWN]:
            name = new.source.replace("\\", "/").rsplit("/", 1)[-1]
            st.markdown(
                f":material/fiber_new: {inert(new.title)} :small[:gray[{inert(name)} · {look.moment(new.found_at)}]]",
                anchors=False,
            )
        with st.container(horizontal=True, gap="small"):
            for name, icon, action in (
                ("open", ":material/search:", _open),
                *((("seen", ":material/done_all:", _seen),) if saved.new else ()),
                ("remove", ":material/delete:", _remove),
            ):
                st.button(
                    t(f"search.saved.{name}"), key=f"saved_{name}_{saved.id}", icon=icon, type="tertiary",
                    on_click=action, args=(saved,),
                )  # fmt: skip


def _described(query: Query) -> str:
    """A query in words: text, mode, filters."""
    parts = [f"“{query.text}”", t(f"search.modes.{query.mode}")]
    parts += [t(f"search.place.{place}") for place in query.places]
    parts += [t(f"search.language.{code}") for code in query.languages] + [
        t(f"search.kind.{kind}") for kind in query.kinds
    ]
    parts += [f"≥ {query.since}"] if query.since else []
    return " · ".join(map(inert, (*parts, *query.where)))


def _open(saved: Saved) -> None:
    service().saved.seen(saved.name, caller())
    show(saved.query)


def _seen(saved: Saved) -> None:
    service().saved.seen(saved.name, caller())


def _remove(saved: Saved) -> None:
    service().saved.remove(saved.name, caller())


def _history() -> None:
    history = service().history
    with st.container(horizontal=True, vertical_alignment="center"):
        on = history.on(caller())
        st.toggle(t("search.history.keep"), value=on, key="search_history_on", on_change=_switched)
        found = history.all(caller(), RECENT)
        if found:
            st.button(
                t("search.history.clear"), key="search_history_clear", icon=":material/delete_sweep:", type="tertiary",
                on_click=history.clear, args=(caller(),),
            )  # fmt: skip
    if not found:
        st.caption(t("search.history.none"))
    for number, asked in enumerate(found):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                inert(asked.query.text), key=f"history_{number}", type="tertiary", icon=":material/history:",
                on_click=show, args=(asked.query,),
            )  # fmt: skip
            facts = t("search.history.facts", hits=asked.hits, at=look.moment(asked.at))
            st.caption(facts, width="content")


def _switched() -> None:
    service().history.switch(st.session_state["search_history_on"], caller())
