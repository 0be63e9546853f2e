"""Intents: what each leads to, sentences taught for them and what looks wrong in those, a head trained on them."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.policy import in_language
from apps.customer_service.teaching import LEAST, Taught
from apps.customer_service.views import suspects
from apps.customer_service.views.state import outcome, service
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import language, t
from core.errors import TouchstoneError
from core.providers.sync import run

_TAUGHT, _SAID, _SENTENCES = "intents_taught", "intents_said", "intents_sentences"
WRONG = 8


def draw() -> None:
    control, caller = service().control, session.caller()
    policy, head = service().assistant.policy, service().assistant.head()
    taught = control.taught(caller)
    counts = head.about.get("per_label", {})
    rows = "\n".join(
        f"| {inert(name)} :small[:gray[{inert(in_language(rule.title, language()))} ·"
        f" {t(f'customer_service.manager.do.{rule.do}')}]] | {counts.get(name, 0)} | {len(taught.get(name, ()))} |"
        for name, rule in policy.intents.items()
    )
    head_row = " | ".join(t(f"customer_service.manager.column.{name}") for name in ("intent", "learned", "taught"))
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(f"| {head_row} |\n| --- | ---: | ---: |\n{rows}", anchors=False)
        if unknown := [name for name in policy.intents if name not in head.labels]:
            st.caption(f":material/info: {t('customer_service.manager.untrained', names=inert(', '.join(unknown)))}")
        version = control.serving(caller)
        st.caption(
            t("customer_service.manager.head_own", version=version)
            if version
            else t("customer_service.manager.head_shipped")
        )
    with right:
        if not service().assistant.is_sample:
            st.info(t("customer_service.manager.own_head"), icon=":material/info:")
            return
        _teach(list(policy.intents), taught)
        _train(sum(map(len, taught.values())), version)
        suspects.draw()
    outcome(_SAID)


def _teach(names: list[str], taught: dict[str, list[str]]) -> None:
    st.markdown(f"**{t('customer_service.manager.teach')}**", anchors=False)
    st.caption(t("customer_service.manager.teach_help", least=LEAST))
    intent = st.selectbox(
        t("customer_service.manager.column.intent"), names, key="intents_name", label_visibility="collapsed"
    )
    st.text_area(
        t("customer_service.manager.sentences"), key=_SENTENCES, height=130,
        placeholder=t("customer_service.manager.sentences"), label_visibility="collapsed",
    )  # fmt: skip
    with st.container(horizontal=True):
        st.button(
            t("customer_service.manager.keep"), key="intents_keep", icon=":material/add:", on_click=_keep, args=(intent,)
        )  # fmt: skip
        if taught.get(intent):
            st.button(
                t("customer_service.manager.forget", count=len(taught[intent])), key="intents_forget", type="tertiary",
                icon=":material/delete:", on_click=_forget, args=(intent,),
            )  # fmt: skip


def _train(count: int, version: int | None) -> None:
    with st.container(horizontal=True):
        suspects.button(bool(count))
        st.button(
            t("customer_service.manager.train"), key="intents_train", icon=":material/model_training:",
            disabled=not count, on_click=_learn,
        )  # fmt: skip
        if version:
            st.button(
                t("customer_service.manager.back_head"), key="intents_back", type="tertiary", icon=":material/undo:",
                on_click=_try, args=("back", t("customer_service.manager.head_back")),
            )  # fmt: skip
    taught: Taught | None = st.session_state.get(_TAUGHT)
    if taught is None:
        return
    with st.container(border=True, key="intents_result"):
        cells = [
            (t("customer_service.manager.all_checked"), taught.checked, taught.before, taught.after),
            (t("customer_service.manager.known_checked"), taught.known, taught.before_known, taught.after_known),
        ]
        lines = "\n".join(
            f"| {name} | {whole} | {_share(before, whole)} | {_share(after, whole)} |"
            for name, whole, before, after in cells
        )
        titles = " | ".join(t(f"customer_service.manager.column.{name}") for name in ("checked", "before", "after"))
        st.markdown(f"| | {titles} |\n| --- | ---: | ---: | ---: |\n{lines}", anchors=False)
        st.caption(
            t("customer_service.manager.trained", sentences=taught.sentences, seconds=f"{taught.seconds:.0f}", version=taught.version)
        )  # fmt: skip
        st.button(
            t("customer_service.manager.use_head"), key="intents_use", type="primary", icon=":material/check:",
            on_click=_use, args=(taught,),
        )  # fmt: skip
        if taught.wrong:
            with st.expander(t("customer_service.manager.wrong", count=len(taught.wrong)), type="compact"):
                st.markdown(
                    "\n".join(f"- {inert(text)}  \n  :small[:gray[{inert(label)} → {inert(said)}]]" for text, label, said in taught.wrong[:WRONG]),
                    anchors=False,
                )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _keep(intent: str) -> None:
    try:
        lines = str(st.session_state.get(_SENTENCES, "")).splitlines()
        count = service().control.teach(session.caller(), intent, lines)
    except TouchstoneError as error:
        st.session_state[_SAID] = error
    else:
        st.session_state[_SENTENCES] = ""
        st.session_state[_SAID] = t("customer_service.manager.kept", count=count)


def _forget(intent: str) -> None:
    _try("forget", "", intent)


def _learn() -> None:
    try:
        with states.loading(t("customer_service.manager.training")):
            st.session_state[_TAUGHT] = run(service().control.train(session.caller()))
    except TouchstoneError as error:
        st.session_state[_SAID] = error


def _use(taught: Taught) -> None:
    _try("use", t("customer_service.manager.head_used"), taught)
    st.session_state.pop(_TAUGHT, None)


def _try(call: str, said: str, *arguments: object) -> None:
    try:
        getattr(service().control, call)(session.caller(), *arguments)
    except TouchstoneError as error:
        st.session_state[_SAID] = error
    else:
        st.session_state[_SAID] = said
