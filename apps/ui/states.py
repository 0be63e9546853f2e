"""The four states a page can be in besides "here is your result": empty, loading, weak evidence, error.

They look and read the same on every page.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import streamlit as st

from apps.ui.inert import formatted, inert
from apps.ui.session import language, t
from core.errors import TouchstoneError, code_of
from core.telemetry.trace import new_trace_id

log = logging.getLogger(__name__)


def empty(text: str, *, icon: str = ":material/inbox:", hint: str | None = None) -> None:
    """Nothing here yet: an icon, one sentence, and what to do next. Draw the action's button after it."""
    with st.container(horizontal_alignment="center", gap="xsmall"):
        st.space("small")
        st.markdown(f"## :gray[{icon}]", text_alignment="center", anchors=False)
        st.markdown(f"**{text}**", text_alignment="center")
        if hint:
            st.caption(hint, text_alignment="center")


def loading(text: str | None = None) -> AbstractContextManager[None]:
    """Show that work goes on while the block runs."""
    return st.spinner(text or t("ui.loading"))


def weak(text: str | None = None, *, title: str | None = None) -> None:
    """The answer rests on weak evidence, or there is none."""
    st.warning(text or t("ui.weak.text"), title=title or t("ui.weak.title"), icon=":material/help:")


def failed(error: TouchstoneError, *, next_step: str | None = None) -> None:
    """What went wrong in the language of the page, with its code; the text names the next step."""
    body = formatted(error.text(language()))
    if next_step:
        body += f"  \n{next_step}"
    st.error(f"{body}  \n:small[:gray[{t('ui.error.code')} {inert(code_of(error))}]]", icon=":material/error:")


def unexpected(error: Exception, trace_id: str | None = None) -> str:
    """A mistake of ours: a short text with a trace id; the details go to the log only. Returns the trace id."""
    trace_id = trace_id or new_trace_id()
    log.error("unexpected error on a page, trace %s", trace_id, exc_info=error)
    st.error(t("ui.error.unexpected", trace_id=trace_id), title=t("ui.error.title"), icon=":material/error:")
    return trace_id


@contextmanager
def guarded() -> Iterator[None]:
    """Run a block of a page; an error in it is drawn in its place and the page goes on after it."""
    try:
        yield
    except TouchstoneError as error:
        failed(error)
    except Exception as error:  # noqa: BLE001  the page shows it with a trace id, the log has the details
        unexpected(error)
