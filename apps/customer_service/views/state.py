"""What the parts of the page share: the service, the open conversation, a question on its way."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from apps.customer_service.own import own_shop
from apps.customer_service.service import CustomerService
from apps.ui import session, states
from apps.ui.shared import Shared
from core.errors import NotFound, TouchstoneError
from core.runtime import Runtime
from core.transcripts import Conversation

PAGE = 8  # messages drawn at once; a question with its answer costs a script run a millisecond
_OPEN, _SHOWN, _PENDING = "support_open", "support_shown", "support_pending"


@dataclass(frozen=True, slots=True)
class Pending:
    """A question to answer in the coming run: a new one, or a kept one again; or a confirmation's button."""

    question: str = ""
    question_id: int | None = None
    pressed: tuple[str, bool] | None = None


def _opened(runtime: Runtime) -> CustomerService:
    opened = CustomerService(runtime, **own_shop(runtime.settings))
    if opened.assistant.is_sample:
        opened.prepare()
    return opened


service = Shared(
    _opened, "customer_service.preparing"
)  # the service of this process, shared by all sessions, with the shop of the settings


def conversation() -> Conversation | None:
    """The open conversation: that of the address (``?c=``), else the one open before on another page."""
    wanted = st.query_params.get("c") or st.session_state.get(_OPEN)
    if not wanted:
        return None
    try:
        found = service().conversations.get(session.caller(), wanted)
    except NotFound:
        open_conversation(None)
        return None
    if st.session_state.get(_OPEN) != found.id or st.query_params.get("c") != found.id:
        open_conversation(found.id)
    return found


def open_conversation(conversation_id: str | None) -> None:
    """Open another conversation, or an empty page; the address follows."""
    st.session_state.pop(_SHOWN, None)
    if conversation_id is None:
        st.session_state.pop(_OPEN, None)
        st.query_params.pop("c", None)
    else:
        st.session_state[_OPEN] = conversation_id
        st.query_params["c"] = conversation_id


def shown() -> int:
    """How many messages are drawn."""
    return st.session_state.get(_SHOWN, PAGE)


def show_earlier() -> None:
    st.session_state[_SHOWN] = shown() + 2 * PAGE


def later(question: str = "", question_id: int | None = None, pressed: tuple[str, bool] | None = None) -> None:
    """Answer in the coming run."""
    st.session_state[_PENDING] = Pending(question, question_id, pressed)


def take_pending() -> Pending | None:
    return st.session_state.pop(_PENDING, None)


def outcome(key: str) -> None:
    """Say once what a button's callback left under ``key``: the error it met, or words that it went well."""
    said = st.session_state.pop(key, None)
    if isinstance(said, TouchstoneError):
        states.failed(said)
    elif said:
        st.toast(said, icon=":material/check:")
