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
AVATARS = {"user": ":material/person:", "assistant": ":material/auto_awesome:"}


def message(role: Literal["user", "assistant"]) -> DeltaGenerator:
    """A message's frame, to be used in ``with``."""
    return st.chat_message(role, avatar=AVATARS[role])


def user_text(text: str) -> None:
    """Draw a person's message, letter by letter as they wrote it."""
    with message("user"):
        st.markdown(inert_lines(text))


def answer_markdown(answer: Answer) -> str:
    """An answer as Markdown: quoted sentences letter by letter, generated ones with their harmless formatting."""
    if not answer.sentences:
        return inert_lines(answer.text) if answer.mode == "extractive" else formatted(answer.text)
    shown = inert if answer.mode == "extractive" else formatted
    return " ".join(f"{shown(sentence.text)}{marks(sentence.citations)}" for sentence in answer.sentences)


def stopped(*, by_person: bool = True) -> None:
    """Say under a partial answer that it is not whole."""
    st.caption(f":material/stop_circle: {t('ui.chat.stopped' if by_person else 'ui.chat.broken')}")


def write(
    pieces: Iterable[str],
    *,
    keep: Callable[[str], None] | None = None,
    shown: Callable[[str], str] = formatted,
    waiting: str | None = None,
    redraw_s: float = REDRAW_S,
) -> str:
    """Draw ``pieces`` of an answer as they come and return the whole text.

    An empty piece is a sign of life: send one at least every quarter of a second while nothing comes, so that a
    click on Stop is noticed. When the run ends early ``pieces`` is closed, which cancels the work behind it.

    Args:
        keep: called with every piece before it is drawn; store it there.
        shown: makes the text safe for the page; ``inert_lines`` for quoted text.
        waiting: the text shown until the first piece comes.
        redraw_s: seconds between two updates of the page.
    """
    place = st.empty()
    text, drawn_at, drawn = "", time.monotonic(), False
    place.markdown(f":shimmer[{waiting or t('ui.chat.thinking')}]")
    try:
        for piece in pieces:
            if piece:
                text += piece
                if keep:
                    keep(piece)
            now = time.monotonic()
            if now - drawn_at >= redraw_s or (text and not drawn):
                place.markdown(f"{shown(text)} {CURSOR}" if text else f":shimmer[{waiting or t('ui.chat.thinking')}]")
                drawn_at, drawn = now, bool(text)
    finally:
        if isinstance(pieces, Generator):
            pieces.close()
    place.markdown(shown(text))
    return text
