"""Messages of a conversation: drawn from what is stored, and written while an answer streams.

A click anywhere ends the running script, so what has come is handed to ``keep`` *before* it is drawn
(the caller stores it), and the browser is updated a few times a second instead of once per token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from apps.ui.inert import formatted, inert, inert_lines
from apps.ui.session import t
from apps.ui.sources import marks
from core.types import Answer

CURSOR = ":primary[▍]"
REDRAW_S = 0.08
AVATARS = {"user": ":material/person:", "assistant": ":material/auto_awesome:", "agent": ":material/support_agent:"}


def message(role: Literal["user", "assistant", "agent"]) -> DeltaGenerator:
    """A message's frame, to be used in ``with``. An agent is a person who answers in the assistant's place."""
    return st.chat_message("assistant" if role == "agent" else role, avatar=AVATARS[role])


def user_text(text: str) -> None:
    """Draw a person's message, letter by letter as they wrote it."""
    with message("user"):
        st.markdown(inert_lines(text), anchors=False)


def answer_markdown(answer: Answer) -> str:
    """An answer as Markdown: quoted sentences letter by letter, generated ones with their harmless formatting.

    What answers one of several questions is a paragraph under it.
    """
    if not answer.sentences:
        return inert_lines(answer.text) if answer.mode == "extractive" else formatted(answer.text)
    paragraphs: list[str] = []
    for sentence in answer.sentences:
        shown = inert if answer.mode == "extractive" and (sentence.citations or not sentence.asked) else formatted
        said = f"{shown(sentence.text)}{marks(sentence.citations)}"
        if sentence.asked:
            paragraphs.append(f"**{inert(sentence.asked)}**  \n{said}")
        else:
            paragraphs[-1:] = [" ".join([*paragraphs[-1:], said])]
    return "\n\n".join(paragraphs)


def stopped(*, by_person: bool = True) -> None:
    """Say under a partial answer that it is not whole."""
    st.caption(f":material/stop_circle: {t('ui.chat.stopped' if by_person else 'ui.chat.broken')}")


def write(
    pieces: Iterable[str | None],
    *,
    keep: Callable[[str], None] | None = None,
    shown: Callable[[str], str] = formatted,
    waiting: str | None = None,
    redraw_s: float = REDRAW_S,
) -> str:
    """Draw ``pieces`` of an answer as they come and return the whole text.

    ``None`` is a sign of life (``iterate(..., tick_s=0.25)`` of ``core.providers.sync`` sends it): it lets a click
    on Stop be noticed while nothing comes. When the run ends early ``pieces`` is closed, which cancels the work; on
    an error what has come stays on the page, without the cursor, and the error goes on to the caller.

    Args:
        keep: called with every piece before it is drawn; store it there.
        shown: makes the text safe for the page; ``inert_lines`` for quoted text.
        waiting: the text shown until the first piece comes.
        redraw_s: seconds between two updates of the page.
    """
    place = st.empty()
    idle = f":shimmer[{waiting or t('ui.chat.thinking')}]"
    text, next_at = "", 0.0
    place.markdown(idle)
    try:
        for piece in pieces:
            if piece:
                text += piece
                if keep:
                    keep(piece)
            if time.monotonic() >= next_at or piece is None:
                place.markdown(f"{shown(text)} {CURSOR}" if text else idle, anchors=False)
                next_at = time.monotonic() + redraw_s if text else 0.0
    except Exception:  # not Streamlit's own Stop and Rerun, under which nothing can be drawn
        if text:
            place.markdown(shown(text), anchors=False)
        else:
            place.empty()
        raise
    finally:
        if isinstance(pieces, Generator):
            pieces.close()
    place.markdown(shown(text), anchors=False)
    return text
