"""How good the lists are: figures with intervals by method and by group, and whose places the lists give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from apps.recommendation.quality import Quality
from apps.recommendation.views.state import service
from apps.ui import look
from apps.ui.session import language, t
from core.errors import InputError

BEYOND = ("coverage@10", "popularity@10", "novelty@10", "diversity by text@10", "diversity by tags@10")
LISTS = ("fused", "fused, diverse")


def draw() -> None:
    st.caption(t("recommendation.measured.about"))
    if not service().measured_already() and not st.button(
        t("recommendation.measured.begin"), key="recommend_measure", icon=":material/speed:"
    ):
        return
    try:
        with st.spinner(t("recommendation.measured.running")):
            found = service().quality()
    except InputError as error:
        st.info(error.text(language()))
        return
    st.caption(t("recommendation.measured.of", people=look.count(found.people)))
    _figures(found)
    _beyond(found)
    _tenths(found.tenths)


def _figures(found: Quality) -> None:
    names = sorted(found.evaluations, key=lambda name: -found.evaluations[name].figures["ndcg@10"].value)
    measures = list(dict.fromkeys(m for name in names for m in found.evaluations[name].figures))
    rows: dict[str, list[str]] = {t("recommendation.shop.method"): [_name(name) for name in names]}
    for measure in measures:
        cells = []
        for name in names:
            figure = found.evaluations[name].figures.get(measure)
            cells.append("–" if figure is None else f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]")
        rows[_measure(measure)] = cells
    st.markdown(f"**{t('recommendation.measured.figures')}**", anchors=False)
    st.dataframe(rows, hide_index=True, height="content")


def _beyond(found: Quality) -> None:
    kinds = [name for name in LISTS if f"{name}: {BEYOND[0]}" in found.beyond]
    rows = [
        f"| {t('recommendation.measured.' + measure.replace(' ', '_').replace('@10', ''))} | "
        + " | ".join(f"{found.beyond[f'{name}: {measure}']:.3f}" for name in kinds)
        + " |"
        for measure in BEYOND
        if f"{kinds[0]}: {measure}" in found.beyond
    ]
    head = "| | " + " | ".join(_name(name) for name in kinds) + " |\n| --- |" + " ---: |" * len(kinds)
    st.markdown(f"**{t('recommendation.measured.beyond')}**\n\n{head}\n" + "\n".join(rows), anchors=False)


def _tenths(tenths: Mapping[str, Sequence[float]]) -> None:
    import altair as alt

    place, share, kind = (t(f"recommendation.measured.{name}") for name in ("tenth", "share", "list"))
    values = [
        {"tenth": number, "share": round(value, 4), "list": _name(name)}
        for name, row in tenths.items()
        for number, value in enumerate(row, 1)
    ]
    colors = alt.Scale(domain=[_name(name) for name in tenths], range=["#9aa5b1", "#b8892b"])
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            x=alt.X("tenth:O", title=place, axis=alt.Axis(labelAngle=0)),
            xOffset="list:N",
            y=alt.Y("share:Q", title=share, axis=alt.Axis(format="%")),
            color=alt.Color("list:N", scale=colors, legend=alt.Legend(title=None, orient="top")),
            tooltip=[
                alt.Tooltip("tenth:O", title=place),
                alt.Tooltip("list:N", title=kind),
                alt.Tooltip("share:Q", title=share, format=".1%"),
            ],
        )
    )
    st.markdown(f"**{t('recommendation.measured.whose')}**", anchors=False)
    st.altair_chart(chart.properties(height=200))


def _name(name: str) -> str:
    return t(f"recommendation.method.{name.replace(', ', '_').replace(' ', '_')}")


def _measure(measure: str) -> str:
    name, _, group = measure.partition(", ")
    return f"{name.upper()}, {t('recommendation.measured.' + group.replace(' ', '_'))}" if group else name.upper()
