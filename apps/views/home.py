"""The home page: the apps, the models in use, and what the workspace holds."""

from __future__ import annotations

import streamlit as st

from apps import catalog
from apps.overview import overview
from apps.ui import health, look, session
from apps.ui.inert import inert
from apps.ui.session import t
from apps.ui.states import guarded
from core.settings import ROLES


def app_tiles() -> None:
    with st.grid("auto", min_column_width=300):
        for app in catalog.installed():
            with st.container(border=True, height="stretch"):
                st.markdown(f"### {app.icon} {t(app.title)}", anchors=False)
                st.markdown(t(app.about))
                st.page_link(app.path, label=t("home.open"), icon=":material/arrow_forward:", icon_position="right")


def models_in_use() -> None:
    runtime = session.runtime()
    rows = [f"| {t('home.models.role')} | {t('home.models.model')} | {t('home.models.state')} |", "|:--|:--|:--|"]
    for role in ROLES:
        name = runtime.settings.model(role)
        state = health.of(runtime, role)
        shown = inert(look.shortened(name)) if name else t("home.models.none")
        rows.append(f"| {t(f'ui.role.{role}')} | {shown} | {look.health_mark(state) if name else '–'} |")
    with st.container(border=True, height="stretch"):
        st.markdown(f"### {t('home.models.title')}", anchors=False)
        st.markdown("\n".join(rows), width="stretch")
        st.page_link("views/models.py", label=t("home.models.change"), icon=look.ICONS["models"])


def facts() -> None:
    with guarded():
        seen = overview(session.runtime().workspace, session.caller())
        st.markdown(f"### {t('home.facts.title')}", anchors=False)
        with st.grid("auto", min_column_width=150):
            st.metric(t("home.facts.documents"), look.count(seen.documents), border=True)
            st.metric(t("home.facts.passages"), look.count(seen.passages), border=True)
            st.metric(t("home.facts.conversations"), look.count(seen.conversations), border=True)
            st.metric(t("home.facts.calls"), look.count(seen.calls_today), border=True)
            st.metric(t("home.facts.tokens_in"), look.count(seen.input_tokens_today), border=True)
            st.metric(t("home.facts.tokens_out"), look.count(seen.output_tokens_today), border=True)
        st.caption(f"{t('home.facts.workspace')} {inert(str(session.runtime().settings.home))}")


look.header(t("ui.product"), subtitle=t("ui.tagline"))
left, right = st.columns([3, 2], gap="medium")
with left:
    app_tiles()
with right:
    models_in_use()
facts()
