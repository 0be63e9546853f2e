"""Methods side by side for one person: what each alone would show, and what all show together."""

from __future__ import annotations

import streamlit as st

from apps.recommendation.views.state import person, service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import language, t

SHOWN = 5


def draw() -> None:
    spoken = language()
    st.caption(t("recommendation.beside.about"))
    lists = service().side_by_side(person(), SHOWN)
    lists = {name: items for name, items in lists.items() if items}
    if not lists:
        states.empty(t("recommendation.nothing"))
        return
    fused = {item.id for item in lists.get("fused", [])}
    weights = service().catalogue().fused.weights
    with st.grid(3, min_column_width=240):
        for name, items in lists.items():
            with st.container(border=True, height="stretch", gap="small"):
                weight = f" :small[:gray[{weights[name]:+.2f}]]".replace("-", "−") if name in weights else ""
                lines = [
                    f"{place}. {':primary[' if item.id in fused else ''}{inert(item.title(spoken))}"
                    f"{']' if item.id in fused else ''}"
                    for place, item in enumerate(items, 1)
                ]
                st.markdown(f"**{t(f'recommendation.method.{name}')}**{weight}\n\n" + "\n".join(lines), anchors=False)
    st.caption(t("recommendation.beside.marked"))
