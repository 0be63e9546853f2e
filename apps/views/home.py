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
    apps = catalog.installed()
    with st.grid(2 if len(apps) == 4 else max(1, min(3, len(apps))), min_column_width=300):  # no tile is left alone
        for app in apps:
            with st.container(border=True, height="stretch"):
                st.markdown(f"### :primary[{app.icon}] {t(app.title)}\n\n{t(app.about)}", anchors=False)
                st.page_link(app.path, label=f":primary[**{t('home.open')}**]", icon=":material/arrow_forward:")


def models_in_use() -> None:
    """The model of each role; drawn again every second until all have been looked at."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(f"### {t('home.models.title')}", anchors=False, width="content")
        st.space("stretch")
        if session.allowed("admin"):
            st.page_link("views/models.py", label=t("home.models.change"), icon=look.ICONS["models"])
    unseen = any(not state.looked_at for state in states().values())
    st.fragment(model_cards, run_every=1.0 if unseen else None)(unseen)


def states() -> dict[str, health.Health]:
    runtime = session.runtime()
    return {role: health.of(runtime, role) for role in ROLES if runtime.settings.model(role)}


def model_cards(polled: bool) -> None:
    seen = states()
    with st.grid(4, min_column_width=165):
        for role in ROLES:
            state = seen.get(role)
            name = inert(look.shortened(state.model)) if state else f":gray[{t('home.models.none')}]"
            mark = look.health_mark(state) if state else ""
            with st.container(border=True, height="stretch"):
                st.markdown(f"{t(f'ui.role.{role}')} {mark}  \n**{name}**")
    if polled and all(state.looked_at for state in seen.values()):
        st.rerun()


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
        st.caption(f"{t('home.facts.workspace')} {inert(look.place(session.runtime().settings.home))}")


look.header(t("ui.product"), subtitle=t("ui.tagline"))
app_tiles()
models_in_use()
facts()
