"""The customer-service page: conversations at the side, the open one in the middle, the question below."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st

from apps.customer_service.service import checked
from apps.customer_service.views import documents, messages, own, person, sidebar
from apps.customer_service.views.state import (
    Pending,
    conversation,
    later,
    open_conversation,
    service,
    show_earlier,
    shown,
    take_pending,
)
from apps.ui import chat, look, session, states
from apps.ui.session import t
from core.errors import InputError
from core.i18n import message
from core.transcripts import Conversation, StoredMessage

STARTERS = ("1", "2", "3", "4")
TITLE = 60  # characters of the first question


def page() -> None:
    current = conversation()
    typed = st.chat_input(t("customer_service.ask"), key="support_question", submit_mode="stop")
    pending = Pending(typed) if typed else take_pending()
    refused = None
    if pending and pending.question_id is None:
        try:
            pending = replace(pending, question=checked(pending.question))
        except InputError as error:
            pending, refused = None, error
        else:
            current = current or begin(pending.question)
    look.header(t("apps.support.title"), busy=pending is not None)
    case = person.case_of(current)
    hint()
    with st.sidebar:
        sidebar.draw(current)
        documents.draw()
        own.draw()
        desk_link()
    kept = earlier(current, pending)
    if not kept:
        top = st.empty()  # the same place with the first question, so that the welcome goes when it comes
        if not pending:
            with top.container():
                welcome()
    for number, item in enumerate(kept, 1):
        messages.draw(item, last=number == len(kept), busy=pending is not None)
    if pending and current and case and case.silences:
        tell(pending, current.id)
    elif pending and current:
        answer(pending, current.id, typed=bool(typed))
    else:
        if refused:
            states.failed(refused)
        person.way(case)  # at the end, where it is seen however long the conversation is
        if case and current:
            person.listen(current.id, kept[-1].id if kept else 0, case.state)


def begin(question: str) -> Conversation:
    """A new conversation, named by its first question and open."""
    made = service().conversations.create(session.caller(), question[:TITLE])
    open_conversation(made.id)
    return made


def earlier(current: Conversation | None, pending: Pending | None) -> list[StoredMessage]:
    """The messages to draw; without the answer that is about to be replaced."""
    if current is None:
        return []
    kept = service().conversations.messages(session.caller(), current.id, limit=shown() + 1)
    if len(kept) > shown():
        kept = kept[1:]
        st.button(t("customer_service.earlier"), key="support_earlier", type="tertiary", on_click=show_earlier)
    again = pending.question_id if pending else None
    return [item for item in kept if again is None or item.reply_to != again]


def hint() -> None:
    """Say that answers are quoted, not written, when the model set cannot write them; a click leads to the models."""
    if not service().able():
        st.page_link("views/models.py", label=t("customer_service.extractive_hint"), icon=look.ICONS["models"])


def desk_link() -> None:
    """The ways to the agent desk, with the number of those who wait, and to the manager's page, for those who may."""
    if session.allowed("agent"):
        waiting = sum(case.state == "waiting" for case in service().desk.queue(session.caller()))
        label = t("customer_service.desk.link", count=waiting) if waiting else t("customer_service.desk.title")
        st.page_link("customer_service/views/desk.py", label=label, icon=":material/headset_mic:")
    if session.allowed("admin"):
        title = t("customer_service.manager.title")
        st.page_link("customer_service/views/manager.py", label=title, icon=":material/monitoring:")


def welcome() -> None:
    states.empty(t("customer_service.welcome"), icon=look.ICONS["support"], hint=t("customer_service.welcome_hint"))
    other = "en" if session.language() == "zh" else "zh"
    questions = [t(f"customer_service.starter.{n}") for n in STARTERS]
    questions += [message(f"customer_service.starter.{n}", other) for n in STARTERS[:2]]
    with st.container(horizontal_alignment="center"):
        st.pills(
            t("customer_service.starters"),
            questions,
            key="support_starter",
            label_visibility="collapsed",
            on_change=_start,
        )


def _start() -> None:
    if chosen := st.session_state.get("support_starter"):
        later(chosen)


def answer(pending: Pending, conversation_id: str, *, typed: bool) -> None:
    """Draw the question and its answer as it comes; then run again, so that all is drawn from what is kept."""
    shop, caller, sample = service(), session.caller(), documents.sample_on()
    if pending.question_id is None:
        chat.user_text(pending.question)
        events = shop.stream(
            pending.question, caller=caller, conversation_id=conversation_id, sample=sample, pressed=pending.pressed
        )
    else:
        events = shop.again(pending.question_id, caller=caller, sample=sample)
    messages.watch(conversation_id, time.monotonic())
    if not typed:  # the question's field shows its Stop button only for what was typed there
        st.button(t("customer_service.stop"), key="support_stop", icon=":material/stop_circle:", type="tertiary")
    unkept = messages.write(shop.iterate(events, tick_s=messages.TICK_S))
    if unkept:
        states.failed(unkept)
    else:
        st.rerun()


def tell(pending: Pending, conversation_id: str) -> None:
    """Keep what the customer says to a person; nothing answers."""
    for _ in service().iterate(
        service().stream(pending.question, caller=session.caller(), conversation_id=conversation_id)
    ):
        pass
    st.rerun()


with states.guarded():
    page()
