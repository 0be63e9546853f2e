"""One thing: what it is, why it may suit the person, and what is like it."""

from __future__ import annotations

import streamlit as st

from apps.recommendation.closer import Similar
from apps.recommendation.lists import FEEDBACK
from apps.recommendation.views import cards
from apps.recommendation.views.state import ITEM, label, person, service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import language, t

SIMILAR, CAUSES = 6, 5


def draw(id_: str) -> None:
    spoken = language()
    item = service().item(id_)
    st.button(t("recommendation.one.back"), key="recommend_back", icon=":material/arrow_back:", on_click=_back)
    count = service().taken(id_)
    lines = [f"## {inert(item.title(spoken))}", f":gray[{cards.facets(item, spoken)}]"]
    lines += [inert(item.about(spoken))] if item.about(spoken) else []
    lines.append(f":small[{t('recommendation.reason.popular' if count else 'recommendation.reason.new', count=count)}]")
    st.markdown("\n\n".join(lines), anchors=False)
    cards.answers(id_, spoken, *FEEDBACK)
    st.markdown(f"### {t('recommendation.one.why')}\n\n{_why(id_, spoken)}", anchors=False)
    st.markdown(f"### {t('recommendation.one.similar')}", anchors=False)
    rows = service().similar(id_, SIMILAR)
    if not rows:
        states.empty(t("recommendation.nothing"))
    with st.grid(3, min_column_width=240):
        for row in rows:
            with st.container(border=True, height="stretch", gap="small"):
                other = row.item
                st.markdown(
                    f"**{inert(other.title(spoken))}**  \n:small[:gray[{cards.facets(other, spoken)}]]\n\n"
                    f":small[{inert(other.about(spoken))}]\n\n:small[:primary[{_likeness(row, spoken)}]]",
                    anchors=False,
                )
                cards.answers(other.id, spoken, "like", cards.OPEN)


def _why(id_: str, spoken: str) -> str:
    """The events that speak for it, the strongest first, with their shares."""
    rows = service().why(person(), id_, CAUSES)
    if not rows:
        return t("recommendation.one.no_why")
    return "\n".join(
        f"- {share:.0%} {t('recommendation.reason.history', title=inert(service().item(event.item).title(spoken)))}"
        for event, share in rows
    )


def _likeness(row: Similar, spoken: str) -> str:
    parts = []
    if row.together:
        parts.append(t("recommendation.one.together", together=row.together, people=row.people))
    if row.tags:
        tags = ", ".join(inert(label("tag", tag, spoken)) for tag in row.tags)
        parts.append(t("recommendation.one.shared", tags=tags))
    if not parts:
        parts.append(t("recommendation.one.reads_alike"))
    return " · ".join(parts)


def _back() -> None:
    st.session_state.pop(ITEM, None)
