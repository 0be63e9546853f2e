"""The policy as text: checked before it is kept, in use from the next message on, with a way back."""

from __future__ import annotations

import re
from difflib import unified_diff

import streamlit as st

from apps.customer_service.policy_versions import Version
from apps.customer_service.views.state import service
from apps.ui import look, session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

_TEXT, _SAID = "policy_text", "policy_said"
_LINE = re.compile(r":(\d+)$")
AROUND = 2  # lines shown before and after a mistake


def draw() -> None:
    control = service().control
    if _TEXT not in st.session_state:
        st.session_state[_TEXT] = control.policy_text(session.caller())
    kept = control.policy_text(session.caller())
    st.caption(t("customer_service.manager.policy_help"))
    left, right = st.columns([2, 1], gap="large")
    with left:
        text = st.text_area(
            t("customer_service.manager.tab.policy"), key=_TEXT, height=430, label_visibility="collapsed"
        )
        changed = text != kept
        with st.container(horizontal=True):
            st.button(
                t("customer_service.manager.save_policy"), key="policy_save", icon=look.ICONS["save"], type="primary",
                disabled=not changed, on_click=_save,
            )  # fmt: skip
            st.button(
                t("customer_service.manager.discard"), key="policy_discard", icon=":material/undo:", disabled=not changed,
                on_click=_show, args=(kept,),
            )  # fmt: skip
        _said(text)
        if changed:
            _difference(kept, text)
    with right:
        _history(control.policy_history(session.caller()))


def _save() -> None:
    try:
        service().control.save_policy(session.caller(), st.session_state[_TEXT])
    except TouchstoneError as error:
        st.session_state[_SAID] = error
    else:
        st.session_state[_SAID] = t("customer_service.manager.saved")


def _show(text: str) -> None:
    st.session_state[_TEXT] = text
    st.session_state.pop(_SAID, None)


def _back(text: str) -> None:
    try:
        service().control.save_policy(session.caller(), text)
    except TouchstoneError as error:  # the shop's tools are others than then
        st.session_state[_SAID] = error
    else:
        _show(service().control.policy_text(session.caller()))
        st.session_state[_SAID] = t("customer_service.manager.saved")


def _said(text: str) -> None:
    """What came of saving: a mistake with the lines around it, as long as it is shown."""
    said = st.session_state.pop(_SAID, None)
    if isinstance(said, str):
        st.success(said, icon=look.ICONS["ok"])
        return
    if said is None:
        return
    states.failed(said)
    found = _LINE.search(str(said.params.get("where", "")))
    lines = text.splitlines()
    if found and lines:
        at = min(int(found[1]), len(lines))
        rows = range(max(1, at - AROUND), min(len(lines), at + AROUND) + 1)
        shown = "\n".join(f"{'▶' if n == at else ' '} {n:4} {lines[n - 1]}" for n in rows)
        st.code(shown, language=None)


def _difference(old: str, new: str) -> None:
    lines = list(unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    with st.expander(t("customer_service.manager.difference"), icon=":material/difference:", type="compact"):
        st.code("\n".join(lines), language="diff", wrap_lines=True)


def _history(versions: list[Version]) -> None:
    st.markdown(f"**{t('customer_service.manager.versions')}**", anchors=False)
    current = next(iter(versions), None)
    file_serves = current is None or current.outdated or not current.text
    if current and current.outdated:
        st.caption(f":material/info: {t('customer_service.manager.outdated')}")
    for version in versions:
        if not version.text:
            what = t("customer_service.manager.to_file")
        else:
            what = t("customer_service.manager.version", number=version.id)
        serves = version is current and not file_serves
        with st.container(border=True, gap="xxsmall", key=f"policy_{version.id}"):
            mark = f" :green-badge[{t('customer_service.manager.in_use')}]" if serves else ""
            st.markdown(
                f"{what}{mark}  \n:small[:gray[{look.moment(version.at)} · {inert(version.user)}]]", anchors=False
            )
            if version.text and not serves:
                st.button(
                    t("customer_service.manager.back_to_this"), key=f"policy_back_{version.id}", type="tertiary",
                    icon=":material/history:", on_click=_back, args=(version.text,),
                )  # fmt: skip
    with st.container(border=True, gap="xxsmall", key="policy_file"):
        mark = f" :green-badge[{t('customer_service.manager.in_use')}]" if file_serves else ""
        name = inert(service().assistant.policies.file.name)
        st.markdown(f"{t('customer_service.manager.file', name=name)}{mark}", anchors=False)
        if not file_serves:
            st.button(
                t("customer_service.manager.back_to_this"), key="policy_back_file", type="tertiary",
                icon=":material/history:", on_click=_back, args=("",),
            )  # fmt: skip
