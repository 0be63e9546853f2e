"""The agent desk: who waits at the left, the open conversation in the middle, what is known of it at the right."""

from __future__ import annotations

import time

import streamlit as st

from apps.customer_service.handover import Case
from apps.customer_service.policy import in_language
from apps.customer_service.replies import labels
from apps.customer_service.views import messages
from apps.customer_service.views.state import service
from apps.ui import look, session, states
from apps.ui.inert import inert, inert_lines
from apps.ui.session import language, t
from core.errors import NotAllowed, NotFound, TouchstoneError
from core.i18n import Phrase

LOOK_S = 2.0
CAUSES = {"asked": "blue", "rule": "red", "frustration": "orange", "misses": "violet", "tool_failure": "red"}
_ERROR = "desk_error"


def page() -> None:
    look.header(t("customer_service.desk.title"))
    if not session.allowed("agent"):
        states.failed(NotAllowed(action=Phrase("customer_service.desk.action"), role="agent"))
        return
    queue = service().desk.queue(session.caller())
    current = _current(queue)
    if error := st.session_state.pop(_ERROR, None):
        states.failed(error)
    watch(_signature(queue, current))
    if not queue and current is None:
        states.empty(
            t("customer_service.desk.empty"), icon=look.ICONS["support"], hint=t("customer_service.desk.empty_hint")
        )
        return
    at_left, middle, at_right = st.columns([1, 2.4, 1.3], gap="medium")
    with at_left:
        waiting(queue, current)
    if current is None:
        with middle:
            states.empty(t("customer_service.desk.choose"), icon=":material/arrow_back:")
        return
    with middle:
        conversation(current)
    with at_right:
        known(current)


def _current(queue: list[Case]) -> Case | None:
    """The case of the address (``?case=``), else the one that the caller has taken."""
    wanted = st.query_params.get("case")
    if wanted and wanted.isdecimal():
        try:
            return service().desk.case(session.caller(), int(wanted))
        except NotFound:
            st.query_params.pop("case")
    return next((case for case in queue if case.agent == session.caller().user), None)


def _open(case_id: int) -> None:
    st.query_params["case"] = str(case_id)


def _try(call: str, *arguments: object) -> None:
    """Do something at the desk; an error is shown on the run that follows."""
    try:
        getattr(service().desk, call)(session.caller(), *arguments)
    except TouchstoneError as error:
        st.session_state[_ERROR] = error


# --- who waits ------------------------------------------------------------------------------------


def waiting(queue: list[Case], current: Case | None) -> None:
    st.markdown(f"**{t('customer_service.desk.queue', count=len(queue))}**")
    for case in queue:
        with st.container(border=True, gap="xsmall", key=f"case_{case.id}"):
            mark = ":material/chat: " if current and case.id == current.id else ""
            st.markdown(f"{mark}{_cause(case)} :small[:gray[{_age(case)}]]")
            st.markdown(inert(case.brief["last"][:80]))
            if case.state == "taken":
                st.caption(t("customer_service.desk.taken_by", name=inert(case.agent or "")))
            st.button(
                t("customer_service.desk.open"), key=f"desk_open_{case.id}", width="stretch", on_click=_open, args=(case.id,)
            )  # fmt: skip


def _cause(case: Case) -> str:
    marks = f":{CAUSES[case.cause]}-badge[{t(f'customer_service.desk.cause.{case.cause}')}]"
    return marks + (f" :gray-badge[{t('customer_service.desk.after_hours')}]" if case.after_hours else "")


def _age(case: Case) -> str:
    minutes = max(0, int((time.time() - case.created_at) / 60))
    if minutes < 60:
        return t("customer_service.desk.minutes", count=minutes)
    return t("customer_service.desk.hours", count=minutes // 60)


# --- the conversation -----------------------------------------------------------------------------


def conversation(case: Case) -> None:
    with st.container(height=400, border=True, autoscroll=True):
        for message in service().desk.messages(session.caller(), case):
            messages.record(message)
    if case.state == "waiting":
        st.button(
            t("customer_service.desk.take"),
            key="desk_take",
            type="primary",
            icon=":material/support_agent:",
            on_click=_try,
            args=("take", case.id),
        )
    elif case.state == "closed":
        st.caption(f":material/check: {t('customer_service.desk.closed')}")
    elif case.agent != session.caller().user:
        st.caption(f":material/lock: {t('customer_service.desk.taken_by', name=inert(case.agent or ''))}")
    else:
        reply(case)


def reply(case: Case) -> None:
    """Where the person writes: the suggestion to begin with, canned answers, send, hand back."""
    name = f"desk_reply_{case.id}"
    if name not in st.session_state:
        answered = any(m.role == "agent" for m in service().desk.messages(session.caller(), case))
        st.session_state[name] = "" if answered else case.brief.get("suggested", "")
    chosen = f"desk_canned_{case.id}"
    st.pills(
        t("customer_service.desk.canned"),
        service().desk.canned(case.language),
        key=chosen,
        format_func=_short,
        label_visibility="collapsed",
        wrap=True,
        on_change=_canned,
        args=(name, chosen),
    )
    st.text_area(t("customer_service.desk.reply"), key=name, height=90, label_visibility="collapsed")
    with st.container(horizontal=True):
        st.button(
            t("customer_service.desk.send"),
            key="desk_send",
            type="primary",
            icon=":material/send:",
            on_click=_send,
            args=(case.id, name),
        )
        st.button(
            t("customer_service.desk.hand_back"),
            key="desk_hand_back",
            icon=":material/undo:",
            on_click=_try,
            args=("hand_back", case.id),
        )


def _short(text: str) -> str:
    limit = 24 if text.isascii() else 12
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _canned(name: str, chosen: str) -> None:
    if text := st.session_state.get(chosen):
        st.session_state[name] = text


def _send(case_id: int, name: str) -> None:
    _try("reply", case_id, st.session_state.get(name, ""))
    if _ERROR not in st.session_state:
        st.session_state[name] = ""


# --- what is known --------------------------------------------------------------------------------


def known(case: Case) -> None:
    """The customer panel: why, what about, what was tried, what was done."""
    desk, brief = service().desk, case.brief
    policy = service().assistant.policy
    rule = policy.intents.get(case.intent or "")
    customer = desk.customer(session.caller(), case)
    st.markdown(f"**{t('customer_service.desk.customer', name=inert(case.user))}**")
    st.caption(
        t("customer_service.desk.history", conversations=customer.conversations, cases=customer.cases)
        + " · "
        + session.LANGUAGE_NAMES[case.language]
    )
    rows = [(t("customer_service.desk.why"), _cause(case))]
    if rule:
        rows.append((t("customer_service.desk.about"), inert(in_language(rule.title, language()))))
        slots = labels(policy, rule, brief["slots"], language())  # type: ignore[arg-type]  # a language
        read = brief.get("by_model", ())
        told = [
            f"{value} ({t('customer_service.manager.by_model')})" if name in read else value
            for name, value in slots.items()
        ]
        rows += [(t("customer_service.desk.slots"), inert(", ".join(told)))] if told else []
    if case.ticket:
        rows.append((t("customer_service.desk.ticket"), inert(case.ticket)))
    proved = inert(", ".join(brief["proved"])) if brief["proved"] else t("customer_service.desk.not_proved")
    rows.append((t("customer_service.desk.proved"), proved))
    if customer.facts:
        rows.append((t("customer_service.desk.facts"), inert(", ".join(customer.facts))))
    rows.append((t("customer_service.desk.first"), inert(brief["first"][:200])))
    rows.append((t("customer_service.desk.last"), inert(brief["last"][:200])))
    for title, text in rows:
        st.markdown(f":small[:gray[{title}]]  \n{text}")
    if brief["tried"]:
        with st.expander(t("customer_service.desk.tried", count=len(brief["tried"])), icon=":material/menu_book:"):
            for source in brief["tried"]:
                st.markdown(f"**{inert(source['title'])}**  \n{inert_lines(source['quote'][:300])}")
    if customer.calls:
        with st.expander(t("customer_service.desk.calls", count=len(customer.calls)), icon=":material/build:"):
            for entry in customer.calls:
                when = time.strftime("%H:%M:%S", time.localtime(entry.started_at))
                said = f" :small[:orange[{inert(entry.said(language()))}]]" if entry.error else ""
                st.markdown(
                    f":small[{when} {inert(entry.tool)} · {t(f'customer_service.desk.outcome.{entry.outcome}')}]{said}"
                )


# --- news -----------------------------------------------------------------------------------------


def _signature(queue: list[Case], current: Case | None) -> str:
    parts = [f"{case.id}{case.state}" for case in queue]
    if current:
        newest = service().desk.messages(session.caller(), current, limit=1)
        parts.append(f"{current.id}{current.state}{newest[-1].id if newest else 0}")
    return " ".join(parts)


@st.fragment(run_every=LOOK_S)
def watch(seen: str) -> None:
    """Draw the page again when somebody waits, writes or takes over."""
    queue = service().desk.queue(session.caller())
    if _signature(queue, _current(queue)) != seen:
        st.rerun()


with states.guarded():
    page()
