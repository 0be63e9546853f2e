"""The news of all companies as it comes: filters, what each item says of whom, the sentence marked; looks again by itself."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from apps.financial_sentiment.items import Mood, Stored
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.service import Reported
from apps.financial_sentiment.views.company import marked
from apps.financial_sentiment.views.state import at, color_of_label, desk, follow, open_company, when
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

SHOWN = 20
_MORE = "sentiment_feed_more"


def draw() -> None:
    known, language = desk().dictionary(session.caller()).companies, session.language()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.pills(
            t("financial_sentiment.mood"), LABELS, selection_mode="multi", key="sentiment_feed_labels",
            format_func={label: t(f"financial_sentiment.label.{label}") for label in LABELS}.__getitem__,
        )  # fmt: skip
        present = [s.company.id for s in desk().companies(session.caller(), at=at())]
        st.multiselect(
            t("financial_sentiment.company"), present, key="sentiment_feed_companies", width=320,
            format_func=lambda id_: known[id_].name(language), placeholder=t("financial_sentiment.feed_all"),
        )  # fmt: skip
        st.toggle(t("financial_sentiment.feed_events"), key="sentiment_feed_events")
    _listed()


@st.fragment(run_every=30)
def _listed() -> None:
    follow()
    state, caller, moment = st.session_state, session.caller(), at()
    shown = state.get(_MORE, SHOWN)
    found = desk().feed(
        caller, at=moment, labels=state.get("sentiment_feed_labels") or (),
        companies=state.get("sentiment_feed_companies") or (), events_only=bool(state.get("sentiment_feed_events")),
        limit=shown + 1,
    )  # fmt: skip
    if not found:
        states.empty(t("financial_sentiment.feed_none"), hint=t("financial_sentiment.feed_none_hint"))
        return
    for item, moods in found[:shown]:
        _item(item, moods)
    if len(found) > shown:
        st.button(t("financial_sentiment.more"), key="sentiment_feed_more_button", on_click=_more)


def _more() -> None:
    st.session_state[_MORE] = st.session_state.get(_MORE, SHOWN) + 2 * SHOWN


def _item(item: Stored, moods: Sequence[Mood]) -> None:
    known, language = desk().dictionary(session.caller()).companies, session.language()
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            for mood in moods:
                name = known[mood.company].name(language) if mood.company in known else mood.company
                label = t(f"financial_sentiment.label.{mood.label}")
                st.button(
                    f"**{inert(name)}** :{color_of_label(mood.label)}-badge[{label} {mood.probability:.0%}]",
                    key=f"sentiment_feed_{item.id}_{mood.company}", type="tertiary", on_click=open_company,
                    args=(mood.company,),
                )  # fmt: skip
        st.markdown(marked(Reported(item, max(moods, key=lambda m: abs(m.mood)))))
        kinds = dict.fromkeys(event[0] for mood in moods for event in mood.events)
        badges = " ".join(f":orange-badge[{t(f'financial_sentiment.event.{kind}')}]" for kind in kinds)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(
                f"{badges} :small[:gray[{inert(item.source)} · {when(item.published_at)}]]".strip(), width="stretch"
            )
            _correct(item, moods)


def _correct(item: Stored, moods: Sequence[Mood]) -> None:
    """What it says of a company instead."""
    known, language = desk().dictionary(session.caller()).companies, session.language()
    names = {
        f"{mood.company}:{label}": f"{inert(known[mood.company].name(language))} · {t(f'financial_sentiment.label.{label}')}"
        for mood in moods
        if mood.company in known
        for label in LABELS
        if label != mood.label
    }
    key = f"sentiment_feed_correct_{item.id}"
    if names:
        st.menu_button(
            t("financial_sentiment.correct"), list(names), key=key, type="tertiary", icon=":material/edit:",
            format_func=names.__getitem__, on_click=_corrected, args=(key, item.id),
        )  # fmt: skip


def _corrected(key: str, item_id: int) -> None:
    company, _, label = str(st.session_state.get(key) or "").rpartition(":")
    if not company:
        return
    try:
        desk().relabel(item_id, company, label, session.caller())
    except TouchstoneError as error:
        states.failed(error)
    else:
        st.toast(t("financial_sentiment.corrected"), icon=":material/check_circle:")
