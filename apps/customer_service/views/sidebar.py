"""The list of conversations: new, open, search, rename, delete, export."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from apps.customer_service.views.state import open_conversation, service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import caller, language, t
from core.conversations import TITLE_LIMIT
from core.errors import TouchstoneError
from core.transcripts import Conversation, Format

LISTED = 8
_QUERY, _MORE = "support_query", "support_more"


def draw(current: Conversation | None) -> None:
    st.button(
        t("customer_service.new"),
        key="support_new",
        icon=":material/add:",
        width="stretch",
        on_click=open_conversation,
        args=(None,),
    )
    query = st.session_state.get(_QUERY) or ""
    limit = LISTED * (1 + st.session_state.get(_MORE, 0))
    found = service().conversations.recent(caller(), query, limit=limit + 1)
    if query or len(found) > 3:
        st.text_input(
            t("customer_service.search"),
            key=_QUERY,
            type="search",
            placeholder=t("customer_service.search"),
            label_visibility="collapsed",
        )
    if query and not found:
        st.caption(t("customer_service.nothing_found"))
    for item in found[:limit]:
        if current and item.id == current.id:
            _open_row(item)
        else:
            st.button(
                _label(item),
                key=f"open_{item.id}",
                type="tertiary",
                width="stretch",
                wrap=False,
                on_click=open_conversation,
                args=(item.id,),
            )
    if len(found) > limit:
        st.button(t("customer_service.more"), key="support_more_button", type="tertiary", on_click=_show_more)


def _show_more() -> None:
    st.session_state[_MORE] = st.session_state.get(_MORE, 0) + 1


def _label(item: Conversation) -> str:
    return inert(item.title) or t("customer_service.untitled")


def _open_row(item: Conversation) -> None:
    labels = {action: t(f"customer_service.{action}") for action in ACTIONS}
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        st.markdown(f":material/chat: **{_label(item)}**", width="stretch")
        chosen = st.menu_button(
            ":material/more_horiz:",
            list(ACTIONS),
            key=f"menu_{item.id}",
            type="tertiary",
            format_func=labels.__getitem__,
        )
    if chosen:
        st.dialog(t(f"customer_service.{chosen}"))(ACTIONS[chosen])(item)


def rename(item: Conversation) -> None:
    """What the dialog for a new title shows."""
    title = st.text_input(t("customer_service.title"), value=item.title, key=f"title_{item.id}", max_chars=TITLE_LIMIT)
    if st.button(t("customer_service.save"), key="rename_save"):
        try:
            service().conversations.rename(caller(), item.id, title)
        except TouchstoneError as error:
            states.failed(error)
        else:
            st.rerun()


def export(item: Conversation) -> None:
    """What the dialog for export shows: the conversation in two forms to download."""
    name = "".join(c if c.isalnum() else "-" for c in item.title[:40]).strip("-") or item.id
    for form, ending, mime in EXPORTS:
        st.download_button(
            t(f"customer_service.export_{form}"),
            service().conversations.export(caller(), item.id, form, language()),
            file_name=f"{name}.{ending}",
            mime=mime,
            key=f"export_{form}",
            icon=":material/download:",
            on_click="ignore",
            width="stretch",
        )


def delete(item: Conversation) -> None:
    """What the dialog before deleting shows."""
    st.markdown(t("customer_service.delete_sure", title=_label(item)))
    if st.button(t("customer_service.delete"), key="delete_sure", icon=":material/delete:"):
        service().conversations.delete(caller(), item.id)
        open_conversation(None)
        st.rerun()


ACTIONS: dict[str, Callable[[Conversation], None]] = {"rename": rename, "export": export, "delete": delete}
EXPORTS: tuple[tuple[Format, str, str], ...] = (
    ("markdown", "md", "text/markdown"),
    ("json", "json", "application/json"),
)
