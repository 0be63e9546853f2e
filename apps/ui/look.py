"""The look of every page: icons, the header with model, health and language, and small pieces of text.

Colors, fonts and radii are theme options (``apps/ui/theme.toml``); no page writes CSS.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

import streamlit as st

from apps.ui import health
from apps.ui.inert import inert
from apps.ui.session import language, language_switch, logout_button, runtime, t

LOGO = Path(__file__).parent / "logo.svg"
ICONS = {
    "home": ":material/home:",
    "models": ":material/tune:",
    "training": ":material/model_training:",
    "support": ":material/support_agent:",
    "sources": ":material/menu_book:",
    "weak": ":material/help:",
    "error": ":material/error:",
    "empty": ":material/inbox:",
    "ok": ":material/check_circle:",
    "model": ":material/memory:",
    "key": ":material/key:",
    "test": ":material/play_arrow:",
    "save": ":material/save:",
}
SIGNS: dict[health.Status, str] = {"ok": "●", "failed": "✕", "unknown": "○"}
DOTS: dict[health.Status, Literal["green", "red", "gray"]] = {"ok": "green", "failed": "red", "unknown": "gray"}


def header(title: str, *, subtitle: str | None = None, busy: bool = False) -> None:
    """Draw the top of a page: title, the chat model in use with its health, the language switch.

    ``busy`` says that this run streams an answer: then no widget of the header may start another run.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(title, anchor=False, width="content")
        st.space("stretch")
        model_badge()
        language_switch(busy=busy)
        if not busy:
            logout_button()
    if subtitle:
        st.caption(subtitle)


def model_badge() -> None:
    """The chat model in use; its color says whether it can answer."""
    name = runtime().settings.model("chat")
    state = health.of(runtime(), "chat")
    st.badge(f"{SIGNS[state.status]} {inert(shortened(name))}", color=DOTS[state.status], help=health_text(state))


def shortened(name: str, limit: int = 32) -> str:
    """A model's name for a small place: of a file only its name, the middle of a long one left out.

    >>> shortened("gguf:/models/qwen/Qwen3-4B-Q4_K_M.gguf")
    'gguf:Qwen3-4B-Q4_K_M.gguf'
    """
    engine, _, model = name.partition(":")
    if "/" in model and engine in ("gguf", "scripted"):
        model = model.rstrip("/").rpartition("/")[2]
    full = f"{engine}:{model}" if model else engine
    return full if len(full) <= limit else f"{full[: limit - 12]}…{full[-11:]}"


def seconds(value: float | None) -> str:
    """``0.42 s`` or ``38 ms``; a dash for what is unknown."""
    if value is None:
        return "–"
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def count(value: int | None) -> str:
    """``12,345``; a dash for what is unknown."""
    return "–" if value is None else f"{value:,}"


def health_mark(state: health.Health) -> str:
    """A small colored word: ready, cannot answer, not checked."""
    return f":{DOTS[state.status]}-badge[{SIGNS[state.status]} {t(f'ui.health.short.{state.status}')}]"


def health_text(state: health.Health) -> str:
    """What is known of a model, as Markdown in the language of the page."""
    if state.error is not None:
        return inert(state.error.text(language()))
    return t(f"ui.health.{state.status}")


def size(value: int | None) -> str:
    """Bytes as ``0.4 GB``; a dash for what is unknown."""
    if value is None:
        return "–"
    return f"{value / 1e9:.1f} GB" if value >= 1e8 else f"{value / 1e6:.0f} MB"


def place(path: Path) -> str:
    """A folder or file for a page: the person's own folder as ``~``."""
    home = Path.home()
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)


def moment(at: float) -> str:
    """Seconds since the epoch as date and time of this machine."""
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"


def day(at: float, now: float) -> str:
    """The day of a moment as people name it: today, yesterday, a day of the last week, else the date."""
    then, today = datetime.fromtimestamp(at).date(), datetime.fromtimestamp(now).date()
    ago = (today - then).days
    if ago in (0, 1):
        return t(f"ui.day.ago_{ago}")
    return t(f"ui.day.{then.weekday()}") if 1 < ago < 7 else then.isoformat()


def machine_memory() -> int | None:
    """Bytes of memory this machine has; ``None`` where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
