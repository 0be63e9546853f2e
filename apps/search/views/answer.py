"""The answer above the results: quoted at once, or written by a model when somebody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from dataclasses import dataclass, replace

import streamlit as st

from apps.search.query import Query
from apps.search.views import place
from apps.search.views.state import service
from apps.ui import chat, direct, sources, states
from apps.ui.inert import inert
from apps.ui.look import seconds
from apps.ui.session import caller, language, t
from core.errors import TouchstoneError
from core.providers.sync import iterate
from core.retrieval import tokens
from core.retrieval.answer import AnswerDone, AnswerEvent, SentenceReady
from core.types import Answer, Citation, Message

WEAK = 0.5  # an answer of less confidence is marked as resting on weak evidence
EXCERPT = 120
LOOK_S = 0.1  # between two looks for an answer that is being made
# After its results without another key, and a query is answered. Where the run itself comes after such a pause, it is not waited
# for again.
STILL_S = 0.2
_QUOTED = "search_quoted"
_TALK, _FOLLOW = "search_talk", "search_follow"
_WRITTEN = "search_written"  # the query whose answer a model was asked to write


def worth_answering(text: str) -> bool:
    """A single word asks for documents, not for an answer."""
    return len(tokens.content_terms(text)) >= 2


def begin(query: Query) -> None:
    """Let the answer to ``query`` be made in the background, if :func:`draw` will quote one."""
    if worth_answering(query.text) and st.session_state.get(_WRITTEN) != query:
        _quoted(query)


def draw(query: Query) -> None:
    """The answer to ``query``, in the place where this is called, and what was asked after it."""
    if not worth_answering(query.text):
        return
    kept = _quoted(query) if st.session_state.get(_WRITTEN) != query else None
    if kept is not None and kept.error is None and kept.answer is None:
        st.fragment(_waiting, run_every=LOOK_S)(kept)  # with its own frame: see what desk() says of its places
        return
    with st.container(border=True, key="search_answer"):
        if kept is None:
            answer = _streamed(query)
            _draw_whole(answer)
        elif kept.error is not None:
            states.failed(kept.error)
            return
        else:
            assert kept.answer is not None  # else it would be waited for  # noqa: S101
            answer = kept.answer
            _draw_whole(answer)
            if service().able():
                st.button(
                    t("search.write"), key="search_write", icon=":material/edit_note:", on_click=_write, args=(query,)
                )
        if answer.mode != "refused":
            _conversation(query, answer)


def _quoted(query: Query) -> _Quoted:
    """The answer in quotes as far as it is made.

    An answer costs many times what a search does, and a run of the page that waits for it would keep the results of
    the next key waiting, too.
    """
    asked = (query, service().generations(caller()))
    kept: _Quoted | None = st.session_state.get(_QUOTED)
    if kept is None or kept.asked != asked:
        if kept is not None:
            kept.events.close()
        kept = st.session_state[_QUOTED] = _Quoted.begun(asked)
    kept.look()
    return kept


def _waiting(quoted: _Quoted) -> None:
    """Draw the answer at the look that finds it; the next look draws the page anew, with what comes after an answer."""
    if quoted.answer is not None or quoted.error is not None:
        st.rerun()
    quoted.look()
    with st.container(border=True, key="search_answer"):
        if quoted.answer is not None:
            _draw_whole(quoted.answer)
        else:
            st.markdown(f":shimmer[{t('search.answering')}]")


@dataclass
class _Quoted:
    """An answer in quotes to what was ``asked`` of the collections as they were; closing ``events`` ends its making."""

    asked: tuple[Query, str]
    events: Generator[AnswerEvent | None, None, None]
    answer: Answer | None = None
    error: TouchstoneError | None = None

    @classmethod
    def begun(cls, asked: tuple[Query, str]) -> _Quoted:
        """It is made in the background from ``STILL_S`` on, whether or not anybody looks."""
        return cls(asked, iterate(_still(service().stream(asked[0], caller(), written=False)), tick_s=0.0))

    def look(self) -> None:
        """Take what has come, without waiting."""
        if self.answer is not None or self.error is not None:
            return
        try:
            for event in self.events:
                if event is None:
                    return
                if isinstance(event, AnswerDone):
                    self.answer = event.answer
        except TouchstoneError as error:
            self.error = error


async def _still(events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[AnswerEvent, None]:
    """``events``, begun once nobody has typed for a moment: closing this before then costs nothing."""
    await asyncio.sleep(0.0 if direct.served() else STILL_S)
    async with aclosing(events):
        async for event in events:
            yield event


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
