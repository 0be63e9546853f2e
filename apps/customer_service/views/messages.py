"""One message of a conversation: how it looks when it is kept, and how it grows while it is written."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import streamlit as st

from apps.customer_service.events import Begun, Event
from apps.customer_service.service import partial
from apps.customer_service.views import cards
from apps.customer_service.views.state import later, service
from apps.ui import chat, sources
from apps.ui.inert import formatted, inert, inert_lines
from apps.ui.look import seconds, shortened
from apps.ui.session import caller, language, t
from core.errors import TouchstoneError
from core.i18n import detect_language
from core.i18n import message as message_text
from core.retrieval.answer import SentenceReady
from core.transcripts import StoredMessage, answer_from_json, error_text, notice_texts
from core.types import Answer, Queued, Switched

WEAK = 0.5  # an answer of less confidence is marked as resting on weak evidence
_RATED = "support_rated"  # thumbs and reasons as this session last saw them, by message
TICK_S = 0.2  # how soon a press on Stop is noticed while nothing comes


def draw(message: StoredMessage, *, last: bool = False, busy: bool = False) -> None:
    """A kept message. The last one can be asked again, unless an answer is being written (``busy``)."""
    if message.role == "user":
        with chat.message("user"):
            st.markdown(_asked(message.text), anchors=False)
        return
    if message.role == "agent":
        _agent(message)
        return
    if message.state == "streaming":
        _draw_growing(message.conversation_id)
        return
    with chat.message("assistant"):
        kept = _rendered(message.state, message.text, message.answer_json, language())
        body = "\n\n".join([*filter(None, [kept.body]), *_notices(message)])
        if body:
            st.markdown(body, anchors=False)
        if message.card:
            cards.draw(message.card, key=message.id, live=last and not busy, said=message.text)
        if kept.panel:
            with st.expander(kept.label, icon=":material/menu_book:", type="compact"):
                st.markdown(kept.panel, anchors=False)
        if message.state == "failed":
            _failed(message)
        elif message.state == "stopped":
            _stopped(message)
        elif kept.mode and kept.mode != "frame":
            _thumbs(message.id, message.up, message.comment, busy=busy)
        if last and not busy and message.state != "done" and message.reply_to:
            st.button(
                t("customer_service.again"),
                key=f"again_{message.id}",
                icon=":material/refresh:",
                on_click=later,
                kwargs={"question_id": message.reply_to},
            )


def record(message: StoredMessage) -> None:
    """A kept message as a person at the desk reads it: without buttons, thumbs and errors' details."""
    if message.role == "agent":
        _agent(message)
        return
    with chat.message(message.role):
        st.markdown(_asked(message.text) or "–", anchors=False)
        if message.card:
            cards.draw(message.card, key=message.id, live=False, said=message.text)


def _agent(message: StoredMessage) -> None:
    with chat.message("agent"):
        name = inert(str((message.card or {}).get("name", "")))
        st.markdown(
            f":small[:green[{t('customer_service.person.name', name=name)}]]  \n{_asked(message.text)}", anchors=False
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """Markdown of an answer's body and of its sources, and the label of the sources."""

    body: str
    panel: str = ""
    label: str = ""
    mode: str = ""


_asked = lru_cache(maxsize=2000)(inert_lines)


@lru_cache(maxsize=2000)
def _rendered(state: str, text: str, answer_json: str | None, language: str) -> _Kept:
    """A kept answer as it is drawn. It never changes and pages draw it on every run, so it is rendered once."""
    if not answer_json:
        return _Kept(formatted(text))
    answer = replace(answer_from_json(answer_json), text=text)
    cited = sources.numbered(answer)
    panel = "\n\n".join(sources.describe(citation, surroundings=_surroundings) for citation in cited)
    key = "covered" if answer.mode == "refused" else "sources"
    body = _body(answer) if state == "done" else chat.answer_markdown(answer)
    return _Kept(body, panel, t(f"customer_service.{key}", count=len(cited)), answer.mode)


def _surroundings(citation: sources.Citation) -> tuple[str, str]:
    return service().surroundings(citation, caller())


def _body(answer: Answer) -> str:
    lines = [chat.answer_markdown(answer)]
    if answer.mode == "refused":
        lines.insert(0, f":gray-badge[:material/help: {t('customer_service.refused')}]")
    elif answer.confidence is not None and answer.confidence < WEAK:
        lines.insert(0, f":orange-badge[:material/help: {t('ui.weak.title')}] :small[:gray[{t('ui.weak.text')}]]")
    facts = []
    if answer.mode in ("extractive", "generated", "curated"):
        facts.append(t(f"customer_service.mode.{answer.mode}"))
    if answer.mode == "extractive" and any(
        _is_foreign(sentence.text, answer.language) for sentence in answer.sentences
    ):
        facts.append(message_text("customer_service.foreign", answer.language))
    if answer.mode == "generated" and answer.model:
        facts.append(inert(shortened(answer.model)))
    if answer.removed:
        facts.append(t("customer_service.removed", count=answer.removed))
    if answer.timings.total_s is not None:
        facts.append(seconds(answer.timings.total_s))
    if facts:
        lines.append(f":small[:gray[{' · '.join(facts)}]]")
    return "\n\n".join(lines)


def _is_foreign(text: str, language: str) -> bool:
    return detect_language(text, language) != language


def _notices(message: StoredMessage) -> list[str]:
    said = notice_texts(message.notices, language()) if message.notices else ()
    return [f":small[:orange[:material/info: {inert(text)}]]" for text in said]


def _failed(message: StoredMessage) -> None:
    if message.error:
        text = inert(error_text(message.error, language()))
        st.error(
            f"{text}  \n:small[:gray[{t('ui.error.code')} {inert(message.error['code'])}]]", icon=":material/error:"
        )
    else:
        st.error(t("ui.error.unexpected", trace_id=message.trace_id or "–"), icon=":material/error:")


def _stopped(message: StoredMessage) -> None:
    if message.text:
        chat.stopped()
    else:
        st.caption(f":material/stop_circle: {t('customer_service.stopped_early')}")


def _thumbs(message_id: int, up: bool | None, comment: str, *, busy: bool) -> None:
    """Thumbs and, after one down, the reason.

    While an answer is written (``busy``) a click waits for the next run, which stores it. A fragment for each
    answer would do the same and cost 2 ms a run each.
    """
    known: dict[int, tuple[int | None, str]] = st.session_state.setdefault(_RATED, {})
    before = known.setdefault(message_id, (None if up is None else int(up), comment))
    waits: Literal["ignore", "rerun"] = "ignore" if busy else "rerun"
    thumb = st.feedback("thumbs", key=f"thumb_{message_id}", default=before[0], on_change=waits)
    reason = ""
    if thumb == 0:
        reason = st.text_input(
            t("customer_service.reason"),
            value=before[1],
            key=f"reason_{message_id}",
            placeholder=t("customer_service.reason"),
            label_visibility="collapsed",
            max_chars=2000,
            on_change=waits,
        )
    if (thumb, reason) != before:  # a click of this session, and not one in another window
        known[message_id] = (thumb, reason)
        service().conversations.rate(caller(), message_id, None if thumb is None else bool(thumb), reason)
        if thumb is not None:
            st.toast(t("customer_service.thanks"), icon=":material/check:")


# --- while it is written --------------------------------------------------------------------------


def write(events: Generator[Event | None, None, None]) -> TouchstoneError | None:
    """Draw an answer as it comes; an error that ended it is returned when nothing of it was kept.

    When the run ends early (Stop, another page) ``events`` is closed, and what has come is kept as stopped.
    """
    begun = False
    with chat.message("assistant"):
        place = st.empty()
        waiting = t("ui.chat.thinking")
        place.markdown(f":shimmer[{waiting}]")
        said: list[SentenceReady] = []
        drawn_at = time.monotonic()
        try:
            for event in events:
                match event:
                    case Begun():
                        begun = True
                    case SentenceReady():
                        said.append(event)
                    case Queued():
                        waiting = t("customer_service.queued", position=event.position)
                    case Switched():
                        waiting = t("customer_service.switched", model=inert(shortened(event.model)))
                now = time.monotonic()
                if event is None or now - drawn_at >= chat.REDRAW_S or isinstance(event, Queued | Switched):
                    text = chat.answer_markdown(partial("", said))
                    place.markdown(f"{text} {chat.CURSOR}" if text else f":shimmer[{waiting}]")
                    drawn_at = now
        except TouchstoneError as error:
            return None if begun else error
        finally:
            events.close()
    return None


@st.fragment(run_every=1.0)
def _draw_growing(conversation_id: str) -> None:
    """An answer that another run writes, as after a reload in the middle: what has come, until it is whole."""
    growing = _growing(conversation_id)
    if growing is None:
        st.rerun()
    with chat.message("assistant"):
        st.markdown(f"{inert_lines(growing.text)} {chat.CURSOR}")


@st.fragment(run_every=1.0)
def watch(conversation_id: str, since: float) -> None:
    """See to it that a stopped answer is drawn as stopped: Stop ends the run before it can draw anything more.

    ``since`` is the beginning of that run (``time.monotonic``), in which there is nothing to look for yet.
    """
    if time.monotonic() - since > 0.9 and not _growing(conversation_id):
        st.rerun()


def _growing(conversation_id: str) -> StoredMessage | None:
    newest = service().conversations.messages(caller(), conversation_id, limit=1)
    return newest[-1] if newest and newest[-1].state == "streaming" else None
