"""The documents a person uploads: with progress, a reason for each that was refused, and a way to remove them."""

from __future__ import annotations

import streamlit as st


def sample_on() -> bool:
    return st.session_state.get("support_sample", True)


def draw() -> None:
    pass
