"""The answer above the results: quoted at once, or written by a model when somebody asks for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import streamlit as st

from apps.search.query import Query
from apps.search.views import place
from apps.search.views.state import service
from apps.ui import chat, sources, states
from apps.ui.inert import inert
from apps.ui.look import seconds
from apps.ui.session import caller, language, t
from core.providers.sync import iterate
from core.retrieval import tokens
from core.retrieval.answer import AnswerDone, SentenceReady
from core.types import Answer, Citation, Message

WEAK = 0.5  # an answer of less confidence is marked as resting on weak evidence
EXCERPT = 120
_TALK, _FOLLOW = "search_talk", "search_follow"
_WRITTEN = "search_written"  # the query whose answer a model was asked to write


def worth_answering(text: str) -> bool:
    """A single word asks for documents, not for an answer."""
    return len(tokens.content_terms(text)) >= 2


def draw(query: Query) -> None:
    """The answer to ``query``, in the place where this is called, and what was asked after it."""
    if not worth_answering(query.text):
        return
    with st.container(border=True):
        if st.session_state.get(_WRITTEN) == query:
            answer = _streamed(query)
            _draw_whole(answer)
        else:
            answer = service().answer(query, caller(), written=False)
            _draw_whole(answer)
            if service().able():
                st.button(
                    t("search.write"), key="search_write", icon=":material/edit_note:", on_click=_write, args=(query,)
                )
        if answer.mode != "refused":
            _conversation(query, answer)


def _conversation(query: Query, answer: Answer) -> None:
    """What was asked after the answer, with its answers, and the field for what comes next."""
    talk = _talk(query)
    history = [Message("user", query.text), Message("assistant", answer.text)]
    for number, (question, found) in enumerate(talk):
        if found is None:
            written = st.session_state.get(_WRITTEN) == query
            found = service().answer(replace(query, text=question), caller(), written=written, history=history)
            talk[number] = (question, found)
        history += [Message("user", question), Message("assistant", found.text)]
        chat.user_text(question)
        with chat.message("assistant"):
            _draw_whole(found)
    last = next((found for _, found in reversed(talk) if found is not None), answer)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text_input(
            t("search.follow"), key=_FOLLOW, placeholder=t("search.follow"), label_visibility="collapsed", width=320,
            on_change=_typed, args=(query,),
        )  # fmt: skip
        for number, heading in enumerate(service().follow_ups(last, caller())):
            st.button(
                inert(heading), key=f"search_follow_{number}", icon=":material/subdirectory_arrow_right:",
                type="tertiary", on_click=_ask, args=(query, heading),
            )  # fmt: skip


def _talk(query: Query) -> list[tuple[str, Answer | None]]:
    """The follow-up questions to ``query`` with their answers; another query begins another conversation."""
    kept: tuple[Query, list[tuple[str, Answer | None]]] | None = st.session_state.get(_TALK)
    if kept is None or kept[0] != query:
        kept = (query, [])
        st.session_state[_TALK] = kept
    return kept[1]


def _typed(query: Query) -> None:
    if question := (st.session_state.get(_FOLLOW) or "").strip():
        _ask(query, question)
    st.session_state[_FOLLOW] = ""


def _ask(query: Query, question: str) -> None:
    _talk(query).append((question, None))


def _write(query: Query) -> None:
    st.session_state[_WRITTEN] = query


def _streamed(query: Query) -> Answer:
    """Draw the sentences as they come and return the whole."""
    place = st.empty()
    events = iterate(service().stream(query, caller(), language="zh" if language() == "zh" else "en"), tick_s=0.2)
    done: list[Answer] = []

    def pieces() -> Generator[str | None, None, None]:
        for event in events:
            if isinstance(event, SentenceReady):
                yield event.sentence.text + " "
            elif isinstance(event, AnswerDone):
                done.append(event.answer)
            else:
                yield None

    with place.container():
        chat.write(pieces())
    place.empty()
    return done[0]


def _draw_whole(answer: Answer) -> None:
    cited = sources.numbered(answer)
    lines = [chat.answer_markdown(answer)]
    if answer.mode == "refused":
        lines.insert(0, f":gray-badge[:material/help: {t('search.no_source')}]")
    elif answer.confidence is not None and answer.confidence < WEAK:
        lines.insert(0, f":orange-badge[:material/help: {t('ui.weak.title')}] :small[:gray[{t('ui.weak.text')}]]")
    facts = [t(f"search.answer.{answer.mode}")] if answer.mode in ("extractive", "generated") else []
    if answer.mode == "generated" and answer.model:
        facts.append(inert(answer.model))
    if answer.removed:
        facts.append(t("search.removed", count=answer.removed))
    facts.append(seconds(answer.timings.total_s))
    lines.append(f":small[:gray[{' · '.join(facts)}]]")
    st.markdown("\n\n".join(lines), anchors=False)
    sources.panel(cited, surroundings=_surroundings)


def _surroundings(citation: Citation) -> tuple[str, str]:
    with states.guarded():
        text = service().text(citation.document_id, caller())
        if text[citation.start : citation.end] == citation.quote:
            return place.before(text, citation.start, EXCERPT), text[citation.end : citation.end + EXCERPT]
    return "", ""
