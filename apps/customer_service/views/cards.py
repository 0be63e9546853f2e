"""What a message shows beside its text: a confirmation, choices, orders, a hand-off.

Only the newest message has buttons; a card above it is a record of what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.customer_service.policy import in_language
from apps.customer_service.views.state import later
from apps.ui.inert import inert, inert_lines
from apps.ui.session import language, t

Card = Mapping[str, Any]
COLORS = {"paid": "blue", "shipped": "orange", "delivered": "green", "cancelled": "gray"}


def draw(card: Card, *, key: int, live: bool, said: str = "") -> None:
    """Draw a card; ``live`` says that its buttons may be pressed, ``said`` is the text that it stands below."""
    match card["kind"]:
        case "confirm":
            _confirm(card, key=key, live=live, said=said)
        case "choices" if live:
            _choices(card, key=key)
        case "order":
            _order(card)
        case "orders":
            for order in card["orders"]:
                _order(order)
        case "handed_over":
            closed = "after_hours" if card["after_hours"] else "waiting"
            st.badge(t(f"customer_service.card.{closed}"), icon=":material/support_agent:", color="orange")


def _confirm(card: Card, *, key: int, live: bool, said: str) -> None:
    text = in_language(card["text"], language())
    if not live and text in said:
        return
    with st.container(border=True, gap="xsmall"):
        title = inert(in_language(card["title"], language()))
        st.markdown(f":material/task_alt: **{title[:1].upper()}{title[1:]}**", anchors=False)
        if text not in said:  # the conversation is in the other language than the page
            st.markdown(inert_lines(text), anchors=False)
        if not live:
            return
        with st.container(horizontal=True):
            for yes in (True, False):
                label = t(f"customer_service.card.{'confirm' if yes else 'not_now'}")
                st.button(
                    label,
                    key=f"confirm_{yes}_{key}",
                    type="primary" if yes else "secondary",
                    on_click=later,
                    kwargs={"question": label, "pressed": (card["id"], yes)},
                )


def _choices(card: Card, *, key: int) -> None:
    name = f"choices_{key}"
    labels = [in_language(option, language()) for option in card["options"]]
    st.pills(
        t("customer_service.card.choose"),
        labels,
        key=name,
        label_visibility="collapsed",
        on_change=_chosen,
        args=(name,),
    )


def _chosen(name: str) -> None:
    if label := st.session_state.get(name):
        later(label)


def _order(card: Card) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/package_2: **{inert(card['number'])}**", width="content")
            state = t(f"customer_service.card.status.{card['status']}")
            st.badge(state, color=COLORS[card["status"]])  # type: ignore[arg-type]  # names of colors
            st.space("stretch")
            st.markdown(f":small[:gray[{inert(card['placed'])}]]", width="content")
        for item in card["items"]:
            with st.container(horizontal=True, wrap=False, gap="small"):
                name = inert(in_language(item["name"], language()))
                returned = f" :gray-badge[{t('customer_service.card.returned')}]" if item["returned"] else ""
                st.markdown(f"{item['quantity']} × {name}{returned}", width="stretch")
                st.markdown(inert(item["price"]), width="content")
        with st.container(horizontal=True, wrap=False, gap="small"):
            st.markdown(f":small[:gray[{inert(in_language(card['state'], language()))}]]", width="stretch")
            st.markdown(f"**{inert(card['total'])}**", width="content")
