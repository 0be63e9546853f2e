"""The catalogue: everything there is, or what a text finds, with a way to look at each thing closely."""

from __future__ import annotations

import streamlit as st

from apps.recommendation.lists import SENTENCE_LIMIT
from apps.recommendation.views import cards
from apps.recommendation.views.state import service
from apps.ui import look, states
from apps.ui.inert import inert
from apps.ui.session import language, t

SOUGHT, PAGE = "recommend_sought", "recommend_page"
SHOWN = 12


def draw() -> None:
    spoken = language()
    st.text_input(
        t("recommendation.find.text"),
        key=SOUGHT,
        type="search",
        placeholder=t("recommendation.find.hint"),
        max_chars=SENTENCE_LIMIT,
        label_visibility="collapsed",
        on_change=_first_page,
    )
    text = (st.session_state.get(SOUGHT) or "").strip()
    items = service().search(text, 100) if text else service().items()
    if not items:
        states.empty(t("recommendation.find.nothing"), hint=t("recommendation.find.nothing_hint"))
        return
    st.caption(t("recommendation.find.found" if text else "recommendation.find.all", count=look.count(len(items))))
    pages = -(-len(items) // SHOWN)
    page = min(st.session_state.get(PAGE) or 1, pages)
    with st.grid(3, min_column_width=240):
        for item in items[(page - 1) * SHOWN : page * SHOWN]:
            with st.container(border=True, height="stretch", gap="small"):
                st.markdown(
                    f"**{inert(item.title(spoken))}**  \n:small[:gray[{cards.facets(item, spoken)}]]\n\n"
                    f":small[{inert(item.about(spoken))}]",
                    anchors=False,
                )
                cards.answers(item.id, spoken, "like", "own", cards.OPEN)
    if pages > 1:
        st.pagination(pages, key=PAGE)


def _first_page() -> None:
    st.session_state[PAGE] = 1
