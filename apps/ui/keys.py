"""Keys typed on a page: out of the widget before the script runs, masked from then on.

A submit button calls :func:`take` first, so the script, the session's ``repr`` and the logs see a ``Secret``
only, and the field goes back to the browser empty.
"""

from __future__ import annotations

import streamlit as st

from core.i18n import masked, remember_secret
from core.settings import Secret

_STORE = "ui_keys"


def field(variable: str) -> str:
    """The widget key of the input for ``variable``."""
    return f"ui_key_{variable}"


def take(variable: str | None) -> None:
    """Move what was typed for ``variable`` into this session's store; the callback of submit buttons."""
    if variable is None:
        return
    typed = (st.session_state.get(field(variable)) or "").strip()
    if typed:
        remember_secret(typed)
        st.session_state[_STORE] = {**st.session_state.get(_STORE, {}), variable: Secret(typed)}
    st.session_state[field(variable)] = ""


def given(variable: str) -> str:
    """The key typed for ``variable`` in this session and not yet in use; empty when there is none."""
    return st.session_state.get(_STORE, {}).get(variable, "")


def forget(variable: str) -> None:
    st.session_state[_STORE] = {n: v for n, v in st.session_state.get(_STORE, {}).items() if n != variable}


def tail(key: str) -> str:
    """``…abcd``: enough to know which key it is."""
    return masked(key)
