"""Mood and volume over time, as charts and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.series import Day
from apps.financial_sentiment.views.state import shades
from apps.ui.session import t


def course(days: Sequence[Day], *, volume_title: str = "volume_title") -> None:
    import altair as alt

    good, bad = shades()
    dates = [f"{datetime.fromtimestamp(d.at, UTC):%Y-%m-%d}" for d in days]
    mood, day, count = (t(f"financial_sentiment.{name}") for name in ("mood", "day", "items"))
    lines = [
        {"day": date, "mood": round(d.index.mood, 3), "low": round(max(-1.0, d.index.mood - d.index.deviation), 3),
         "high": round(min(1.0, d.index.mood + d.index.deviation), 3)}
        for date, d in zip(dates, days, strict=True)
    ]  # fmt: skip
    names = {label: t(f"financial_sentiment.label.{label}") for label in LABELS}
    bars = [
        {"day": date, "label": names[label], "count": getattr(d, label)}
        for date, d in zip(dates, days, strict=True)
        for label in LABELS
    ]
    axis = alt.Axis(format="%m-%d", title=None, labelAngle=0, tickCount=6)
    base = alt.Chart(alt.Data(values=lines)).encode(x=alt.X("day:T", axis=axis))
    scale = alt.Scale(domain=[-1, 1])
    band = base.mark_area(opacity=0.18, color="#b8892b").encode(y=alt.Y("low:Q", scale=scale, title=mood), y2="high:Q")
    line = base.mark_line(color="#b8892b", strokeWidth=2).encode(
        y=alt.Y("mood:Q", scale=scale, title=mood),
        tooltip=[alt.Tooltip("day:T", title=day, format="%Y-%m-%d"), alt.Tooltip("mood:Q", title=mood, format="+.2f")],
    )
    zero = alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(opacity=0.4, strokeDash=[4, 4]).encode(y="y:Q")
    volume = (
        alt.Chart(alt.Data(values=bars))
        .mark_bar()
        .encode(
            x=alt.X("day:T", axis=axis),
            y=alt.Y("count:Q", title=count, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=[names[x] for x in LABELS], range=[bad, "#9aa5b1", good]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("day:T", title=day, format="%Y-%m-%d"),
                alt.Tooltip("label:N", title=mood),
                alt.Tooltip("count:Q", title=count),
            ],
        )
    )
    st.markdown(f"**{t('financial_sentiment.mood_title')}**", anchors=False)
    st.altair_chart((zero + band + line).properties(height=190))
    st.markdown(f"**{t(f'financial_sentiment.{volume_title}')}**", anchors=False)
    st.altair_chart(volume.properties(height=180))
    with st.expander(t("financial_sentiment.table"), icon=":material/table:", type="compact"):
        st.dataframe(
            {
                day: dates[::-1],
                mood: [round(d.index.mood, 2) for d in reversed(days)],
                **{names[label]: [getattr(d, label) for d in reversed(days)] for label in LABELS},
            },
            hide_index=True,
        )
