"""Who looks at the page, in which language, over which runtime.

A script run asks for these dozens of times, so each answer costs microseconds: the runtime is one per process,
the language is decided once per session, and texts come from an in-memory catalogue.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from core.i18n import LANGUAGES, message
from core.runtime import Runtime, open_runtime
from core.types import LOCAL, Caller
from core.workspace import Workspace

LANGUAGE_KEY = "ui_language"
LANGUAGE_SWITCH_KEY = "ui_language_switch"
LANGUAGE_NAMES = {"zh": "中文", "en": "English"}
_ROLES = frozenset({"admin", "agent"})


@st.cache_resource(show_spinner=False)
def runtime() -> Runtime:
    """The runtime of this process, shared by all sessions. ``runtime().reload(...)`` changes it for everybody."""
    return open_runtime()


def caller() -> Caller:
    """Who is asking.

    Without a login provider (``[auth]`` in ``.streamlit/secrets.toml``) it is the local user, who may do everything.
    With one, a person who has not logged in may do nothing that needs a role; one who has gets the roles in the
    ``roles`` claim of the identity provider.
    """
    if not login_configured():
        return LOCAL
    user = st.user
    if not user["is_logged_in"]:
        return Caller(user="anonymous", roles=frozenset())
    claimed: Any = user.get("roles") or ()
    roles = {claimed} if isinstance(claimed, str) else {str(role) for role in claimed}
    name = user.get("email") or user.get("sub") or "unnamed"
    return Caller(tenant=str(user.get("tenant") or "local"), user=str(name), roles=_ROLES & roles)


@cache
def login_configured() -> bool:
    """Whether ``.streamlit/secrets.toml`` names a login provider; looked up once, it means reading files."""
    return "is_logged_in" in st.user


def require_login() -> None:
    """With a login provider, show nothing but the way in until the person has logged in."""
    if login_configured() and not st.user["is_logged_in"]:
        st.title(t("ui.product"), anchor=False)
        st.markdown(t("ui.login.needed"))
        st.button(t("ui.login.in"), icon=":material/login:", on_click=st.login)
        st.stop()


def logout_button() -> None:
    """The way out, for a person who has logged in."""
    if login_configured():
        st.button(t("ui.login.out"), icon=":material/logout:", type="tertiary", on_click=st.logout)


def allowed(role: str) -> bool:
    return role in caller().roles


def may_read_folders() -> bool:
    """Whether folders of this machine may be named on a page: by an administrator, inside the folders of the setting
    ``retrieval.folders``; where it is empty, only by the person who sits at this machine.
    """
    at_machine = not login_configured() and st.context.ip_address is None
    return allowed("admin") and (bool(runtime().settings.values["retrieval.folders"]) or at_machine)


def language() -> str:
    """``zh`` or ``en``: ``?lang=`` first, then what was chosen before, the setting, the browser, English."""
    known = st.session_state.get(LANGUAGE_KEY)
    if known is None:
        known = _first_language()
        st.session_state[LANGUAGE_KEY] = known
    return known


def t(key: str, **params: Any) -> str:
    """The text for ``key`` in the language of this session."""
    return message(key, language(), **params)


def language_switch(*, busy: bool = False) -> None:
    """Draw the switch 中文 | English. While an answer streams (``busy``) a click waits for the next run."""
    st.segmented_control(
        t("ui.language"),
        LANGUAGES,
        default=language(),
        format_func=LANGUAGE_NAMES.__getitem__,
        required=True,
        key=LANGUAGE_SWITCH_KEY,
        label_visibility="collapsed",
        on_change="ignore" if busy else _language_chosen,
    )


def _language_chosen() -> None:
    chosen = st.session_state[LANGUAGE_SWITCH_KEY]
    st.session_state[LANGUAGE_KEY] = chosen
    st.query_params["lang"] = chosen
    if _is_one_person():
        save_preference(runtime().workspace, caller(), "language", chosen)


def _is_one_person() -> bool:
    """Whether the caller stands for one person: logged in, or at this machine. Else everybody is ``local``."""
    return login_configured() or st.context.ip_address is None


def _first_language() -> str:
    asked = st.query_params.get("lang")
    if asked in LANGUAGES:
        return asked
    opened = runtime()
    chosen = preference(opened.workspace, caller(), "language") if _is_one_person() else None
    saved = chosen or opened.settings.values["language"]
    if saved in LANGUAGES:
        return saved
    return "zh" if (st.context.locale or "").lower().startswith("zh") else "en"


def preference(workspace: Workspace, who: Caller, name: str) -> str | None:
    """What ``who`` chose for ``name`` in an earlier session."""
    with workspace.read() as db:
        row = db.execute(
            "SELECT value FROM preferences WHERE tenant = ? AND user = ? AND name = ?", (who.tenant, who.user, name)
        ).fetchone()
    return row["value"] if row else None


def save_preference(workspace: Workspace, who: Caller, name: str, value: str) -> None:
    with workspace.write() as db:
        db.execute(
            "INSERT INTO preferences (tenant, user, name, value) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (tenant, user, name) DO UPDATE SET value = excluded.value",
            (who.tenant, who.user, name, value),
        )
