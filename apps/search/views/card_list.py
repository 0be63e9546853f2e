"""The cards of a page of results: one element for all of them, drawn by a script of our own in the browser.

A card as elements of Streamlit costs the browser's only thread several milliseconds, and a page has eight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from apps.ui.session import t

KEY = "search_cards"
Action = Literal["open", "why", "similar", "good", "poor", "unjudged"]
_FILES = Path(__file__).with_suffix("")
_drawn = st.components.v2.component(
    "touchstone_cards",
    js=_FILES.with_suffix(".js").read_text("utf-8"),
    css=_FILES.with_suffix(".css").read_text("utf-8"),
)


def draw(told: Mapping[str, Any], acted: Callable[[Action, str], None]) -> tuple[Action, str] | None:
    """Draw the cards of what was typed.

    Args:
        told: ``typed``, ``cards``, ``count``, which says how many there are, and ``ask``: how the browser asks for the
            next, or ``None``. All but ``ask`` is also what it gets when it asks.
        acted: is called with what :func:`draw` will return, before the run that draws it.

    Returns:
        What was clicked since the last run and the id of its passage, as the browser says.
    """
    result = _drawn(
        key=KEY,
        data={**told, "words": _words()},
        on_act_change=lambda: acted(*clicked) if (clicked := _clicked(st.session_state[KEY].get("act"))) else None,
    )
    return _clicked(result.act)


def _clicked(said: object) -> tuple[Action, str] | None:
    """What the browser says was clicked, if it makes sense."""
    match said:
        case {"action": "open" | "why" | "similar" | "good" | "poor" | "unjudged" as action, "id": str(passage_id)}:
            return action, passage_id
    return None


def _words() -> dict[str, object]:
    told: dict[str, object] = {name: t(f"search.{name}") for name in ("open", "why", "similar", "results")}
    told |= {name: t(f"search.verdict.{name}") for name in ("good", "poor")}
    return told | {"judged": {name: t(f"search.judged.{name}") for name in ("good", "poor")}}
