"""The search page: what is typed is searched as it is typed; the answer stands above, the reasons a click away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlencode

import streamlit as st

from apps.search import export
from apps.search.query import HELPS, KINDS, MODES, PLACES, Query
from apps.search.service import Understood
from apps.search.views import answer, compare, documents, results, saved
from apps.search.views.state import (
    KEPT,
    VIEW,
    VIEWS,
    as_typed,
    ask,
    asker,
    begin_pages,
    end_pages,
    keep,
    keep_in_history,
    open_view,
    query,
    remember,
    restore,
    service,
    view,
)
from apps.ui import direct, look, session, states
from apps.ui.inert import inert
from apps.ui.session import caller, t
from core.i18n import LANGUAGES, message
from core.retrieval.records import Found

PAUSE = "200ms"  # after the last key, and the page runs; its cards were there before
AT_ONCE = "0ms"  # where cards come with the run; a key that comes into the run of the one before stops it
STARTERS = ("1", "2", "3", "4")


def page() -> None:
    look.header(t("apps.search.title"))
    service()
    chosen = parts()
    if chosen == "search":
        desk()
        return
    keep(KEPT)
    {"saved": saved.draw, "compare": compare.draw, "documents": documents.draw}[chosen]()


def parts() -> str:
    """The switch between the parts of the page; one with news says how many."""
    news = saved.news()
    names = {name: t(f"search.view.{name}") for name in VIEWS}
    if news:
        names["saved"] = f"{names['saved']} ({news})"
    st.session_state[f"search_{VIEW}"] = view()
    st.segmented_control(
        t("search.view.label"),
        VIEWS,
        required=True,
        key=f"search_{VIEW}",
        format_func=names.__getitem__,
        label_visibility="collapsed",
        on_change=_opened,
    )
    return view()


def _opened() -> None:
    open_view(st.session_state[f"search_{VIEW}"])


@st.fragment
def desk() -> None:
    """Everything below the header; a key press runs only this."""
    st.text_input(
        t("search.query"),
        key="q",
        type="search",
        placeholder=t("search.placeholder"),
        label_visibility="collapsed",
        live=PAUSE if direct.served() else AT_ONCE,
        bind="query-params",
    )
    restore()
    asked = query()
    begin_pages(asked)
    remember()
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    # Always at the same places. When a key stops a run, Streamlit drops what the run has drawn but for what stands in
    # fragments within it, such as the wait for an answer: without its place the page would break.
    said, top, other, cards = (st.container() for _ in range(4))
    if not any(c.isalnum() for c in asked.text):
        with cards:
            results.draw(asked, asked.text)
        controls(bar, None, asked, None)
        welcome()
        return
    with states.guarded():
        meant, found, took_s = asker().found(asked)
        typed, asked = asked, meant.query
        with cards:
            results.draw(asked, typed.text, found, took_s)
        if found.hits:
            answer.begin(asked)
        with said:
            help_line(typed, meant)
            notices(found)
        if found.hits:
            results.paging(found)
            end_pages(typed)
            if also := service().beside(asked, found, caller()):
                with other:
                    results.beside(also)
            with top:
                answer.draw(asked)
        else:
            states.empty(t("search.nothing"), icon=":material/search_off:", hint=t("search.nothing_hint"))
        why_not(asked)
        controls(bar, found, typed, meant)
        keep_in_history(typed, found)


def controls(
    bar: st.delta_generator.DeltaGenerator, found: Found | None, asked: Query, meant: Understood | None
) -> None:
    with bar:
        st.segmented_control(
            t("search.mode"),
            MODES,
            required=True,
            key="mode",
            format_func=_names("modes", MODES),
            label_visibility="collapsed",
        )
        chosen = len(asked.places) + len(asked.languages) + len(asked.kinds) + bool(asked.since) + len(asked.where)
        label = f"{t('search.filter')} ({chosen})" if chosen else t("search.filter")
        with st.popover(label, icon=":material/filter_list:"):
            filters(found)
        if any(c.isalnum() for c in asked.text):
            with st.popover(t("search.saved.save"), icon=":material/bookmark_add:"):
                saved.keep_it(meant.query if meant else asked)  # an alert on a slip would wait for it to be made again
        if found and found.hits and meant:
            with st.popover(t("search.save"), icon=":material/download:"):
                saves(found, asked, meant)


def filters(found: Found | None) -> None:
    """What is searched and what is let through, with what each choice has; the address keeps it, to be shared."""
    here = service().facets(found.hits, caller()) if found else {}
    for key, label, codes, group in (
        ("in", "in", PLACES, "place"),
        ("language", "languages", LANGUAGES, "language"),
        ("kind", "kinds", tuple(KINDS), "kind"),
        ("help", "help", HELPS, "helps"),
    ):
        named = {code: t(f"search.{group}.{code}") for code in codes}
        counted = {
            code: f"{name} ({count})" if (count := here.get(key, {}).get(code)) else name
            for code, name in named.items()
        }
        st.pills(t(f"search.{label}"), codes, selection_mode="multi", key=key, format_func=counted.__getitem__)
    st.date_input(t("search.since"), key="since", max_value="today")
    st.text_input(t("search.where"), key="where", placeholder="year>=2025; team~sales", help=t("search.where_help"))


def _names(group: str, codes: Iterable[str]) -> Callable[[str], str]:
    """What the codes of a choice are called, in the language of this run."""
    return {code: t(f"search.{group}.{code}") for code in codes}.__getitem__


def saves(found: Found, asked: Query, meant: Understood) -> None:
    st.caption(t("search.link"))
    st.code(address(), language=None, wrap_lines=True)
    st.caption(t("search.link_hint"))
    st.download_button(
        "CSV", lambda: export.as_csv(found.hits), "results.csv", "text/csv", key="save_csv", on_click="ignore"
    )
    st.download_button(
        "Markdown",
        lambda: export.as_markdown(asked.text, found.hits),
        "results.md",
        "text/markdown",
        key="save_markdown",
        on_click="ignore",
    )
    st.download_button(
        "JSON",
        lambda: json.dumps(service().as_data(meant, found, asked.text, caller()), ensure_ascii=False, indent=1),
        "results.json",
        "application/json",
        key="save_json",
        on_click="ignore",
    )


def address() -> str:
    """Where this search is, without the language of whoever looks at it."""
    base = (st.context.url or "").partition("?")[0]
    said = [(name, value) for name in st.query_params for value in st.query_params.get_all(name) if name != "lang"]
    return f"{base}?{urlencode(said, quote_via=quote)}"


def help_line(asked: Query, meant: Understood) -> None:
    """What was corrected, and the way back; what is searched beside it."""
    if meant.changes:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(t("search.meant", query=f"**{inert(meant.query.text)}**"), width="content")
            st.button(
                t("search.as_typed", query=inert(asked.text)),
                key="search_as_typed_button",
                icon=":material/undo:",
                type="tertiary",
                on_click=as_typed,
                args=(asked.text,),
            )
    if meant.also:
        st.caption(t("search.also", words=" · ".join(map(inert, meant.also))))


def notices(found: Found) -> None:
    for code in found.notices:
        st.caption(f":orange[:material/info: {inert(message(f'notice.{code}', session.language()))}]")


def why_not(asked: Query) -> None:
    """Somebody misses a document: say why it was not found."""
    with st.expander(t("search.why_not"), icon=":material/travel_explore:", type="compact"):
        about = st.text_input(t("search.why_not_name"), key="search_about", placeholder=t("search.why_not_example"))
        if about.strip():
            results.reasons(asked, about.strip())


def welcome() -> None:
    states.empty(t("search.welcome"), icon=":material/search:", hint=t("search.welcome_hint"))
    other = "en" if session.language() == "zh" else "zh"
    queries = [t(f"search.starter.{n}") for n in STARTERS] + [
        message(f"search.starter.{n}", other) for n in STARTERS[:2]
    ]
    with st.container(horizontal_alignment="center"):
        st.pills(t("search.starters"), queries, key="search_starter", label_visibility="collapsed", on_change=_start)


def _start() -> None:
    if chosen := st.session_state.get("search_starter"):
        ask(chosen)


with states.guarded():
    page()
