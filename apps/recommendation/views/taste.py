"""What we think somebody likes, and on what grounds; each can be taken back, and all of it forgotten."""

from __future__ import annotations

import streamlit as st

from apps.recommendation.lists import FEEDBACK
from apps.recommendation.views import cards
from apps.recommendation.views.state import label, person, service
from apps.ui import look, states
from apps.ui.inert import inert
from apps.ui.session import language, t

TAGS, LISTED = 10, 30


def draw() -> None:
    spoken, user = language(), person()
    events = service().history(user)
    if not events:
        states.empty(t("recommendation.taste.nothing"), hint=t("recommendation.taste.nothing_hint"))
        return
    weights: dict[str, float] = {}
    for event in events:
        for tag in service().item(event.item).tags:
            weights[tag] = weights.get(tag, 0.0) + FEEDBACK.get(event.kind, 1.0)
    best = sorted((tag for tag in weights if weights[tag] > 0), key=lambda tag: -weights[tag])[:TAGS]
    liked = [f"{inert(label('tag', tag, spoken))} ({weights[tag]:g})" for tag in best]
    unloved = [inert(label("tag", tag, spoken)) for tag, weight in weights.items() if weight < 0]
    lines = [f"**{t('recommendation.taste.likes')}** " + (" · ".join(liked) or "–")]
    if unloved:
        lines.append(f"**{t('recommendation.taste.less')}** " + " · ".join(unloved))
    st.markdown("\n\n".join(lines))
    told = [event for event in reversed(events) if event.kind != "event"]
    st.markdown(f"### {t('recommendation.taste.told', count=look.count(len(told)))}", anchors=False)
    for event in told[:LISTED]:
        title = inert(service().item(event.item).title(spoken))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{t(f'recommendation.feedback.{event.kind}')}: **{title}**", width="content")
            st.button(
                t("recommendation.taste.take_back"),
                key=f"back_{event.item}",
                icon=":material/undo:",
                type="tertiary",
                on_click=_take_back,
                args=(user, event.item),
            )
    rest = [event for event in reversed(events) if event.kind == "event"]
    if rest:
        st.markdown(f"### {t('recommendation.taste.did', count=look.count(len(rest)))}", anchors=False)
        items = [service().item(event.item) for event in rest[:LISTED]]
        st.markdown(
            "  \n".join(f"{inert(item.title(spoken))} :small[:gray[{cards.facets(item, spoken)}]]" for item in items)
        )
    with st.container(border=True):
        st.markdown(t("recommendation.taste.erase_about", count=look.count(len(events))))
        sure = st.checkbox(t("recommendation.taste.sure"), key="recommend_sure")
        st.button(
            t("recommendation.taste.erase"),
            key="recommend_erase",
            icon=":material/delete_forever:",
            disabled=not sure,
            on_click=_erase,
            args=(user,),
        )


def _take_back(user: str, item: str) -> None:
    service().forget(user, item)


def _erase(user: str) -> None:
    count = service().erase(user)
    st.session_state["recommend_sure"] = False
    st.toast(t("recommendation.taste.erased", count=look.count(count)))
