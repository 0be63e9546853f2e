"""What the parts of the page share: the service of a catalogue, who the list is for, and what was said."""

from __future__ import annotations

import threading

import streamlit as st

from apps.recommendation.data import SAMPLE
from apps.recommendation.service import Recommender
from apps.recommendation.store import catalogues
from apps.ui import session
from core.i18n import catalogue as texts

CATALOGUE, PERSON, SAYS, CONVERSATION, DROPPED, VIEW, ITEM = (
    f"recommend_{name}" for name in ("catalogue", "person", "says", "conversation", "dropped", "view", "item")
)
YOU = ""  # in the list of people: whoever sits at the page

_services: dict[tuple[str, str], Recommender] = {}
_opening = threading.Lock()


def service() -> Recommender:
    """The service of the chosen catalogue, shared by all sessions of this process, fitted."""
    runtime, tenant = session.runtime(), session.caller().tenant
    key = tenant, st.session_state.get(CATALOGUE) or SAMPLE
    found = _services.get(key)
    if found is None or found.runtime is not runtime:
        with _opening:
            found = _services.get(key)
            if found is None or found.runtime is not runtime:
                found = Recommender(runtime, catalogue=key[1], tenant=tenant)
                with st.spinner(session.t("recommendation.preparing")):
                    found.prepare()
                _services[key] = found
    return found


def take(made: Recommender) -> None:
    """A service that was fitted elsewhere, in use for all sessions."""
    tenant, name = made.key
    _services[tenant, name] = made


def names() -> list[str]:
    """The catalogues there are; the sample first."""
    others = catalogues(session.runtime().workspace, session.caller().tenant)
    return [SAMPLE, *(name for name in others if name != SAMPLE)]


def person() -> str:
    """Whose events count. A person at the page has a history of their own, apart from the people of a file."""
    return st.session_state.get(PERSON) or f"page:{session.caller().user}"


def label(group: str, name: str, language: str) -> str:
    """A kind, tag or concept in ``language``; one that is not known stays as it is.

    Asking the session for its language costs more than all the rest of this, so a run asks once and hands it on.
    """
    return texts(language).get(f"recommendation.{group}.{name}", name)
