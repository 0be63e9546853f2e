"""Mood and volume over time, as charts and as a table; a click on a day or a bar says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from apps.financial_sentiment.prices import Price
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.series import DAY, Day
from apps.financial_sentiment.views.state import shades
from apps.ui.session import t

GOLD, SLATE, ORANGE = "#b8892b", "#5b7a99", "#c9742f"
_PICK = "picked"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: ``kind`` is what the legend calls it, ``told`` the tip."""

    at: float
    kind: str
    told: str


def label(day: Day) -> str:
    """What a day is called: the date on which it ends."""
    return _date(day.at)


def course(
    days: Sequence[Day],
    *,
    volume_title: str = "volume_title",
    prices: Sequence[Price] = (),
    marks: Sequence[Mark] = (),
    picked: str | None = None,
    on_pick: Callable[[str], None] | None = None,
) -> None:
    """
    Args:
        marks: drawn on the line of the mood, at the end of the day in which they came.
        picked: the day to point out.
        on_pick: called with a day that was clicked.
    """
    st.markdown(f"**{t('financial_sentiment.mood_title')}**", anchors=False)
    _show(_mood(days, prices, marks, picked, clickable=on_pick is not None), "sentiment_chart_mood", on_pick)
    st.markdown(f"**{t(f'financial_sentiment.{volume_title}')}**", anchors=False)
    _show(_volume(days, picked, clickable=on_pick is not None), "sentiment_chart_volume", on_pick)
    if on_pick:
        st.caption(t("financial_sentiment.pick_day"))
    _table(days, {p.day: p.close for p in prices}, marks)


def _mood(
    days: Sequence[Day], prices: Sequence[Price], marks: Sequence[Mark], picked: str | None, *, clickable: bool
) -> Any:
    import altair as alt

    mood, day = t("financial_sentiment.mood"), t("financial_sentiment.day")
    by_day = _by_day(days, marks)
    kinds = list(dict.fromkeys(m.kind for m in marks))
    rows = [
        {"day": label(d), "mood": round(d.index.mood, 3), "low": round(max(-1.0, d.index.mood - d.index.deviation), 3),
         "high": round(min(1.0, d.index.mood + d.index.deviation), 3)}
        for d in days
    ]  # fmt: skip
    scale = alt.Scale(domain=[-1, 1])
    y = alt.Y("mood:Q", scale=scale, title=mood)
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("day:T", axis=_axis()))
    tip = [alt.Tooltip("day:T", title=day, format="%Y-%m-%d"), alt.Tooltip("mood:Q", title=mood, format="+.2f")]
    layers = [
        alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(opacity=0.4, strokeDash=[4, 4]).encode(y="y:Q"),
        base.mark_area(opacity=0.18, color=GOLD).encode(y=alt.Y("low:Q", scale=scale, title=mood), y2="high:Q"),
        base.mark_line(color=GOLD, strokeWidth=2).encode(y=y, tooltip=tip),
        *_pointed_out(days, picked),
    ]
    marked = [_marked(days, kind, number, kinds, by_day) for number, kind in enumerate(kinds)]
    if clickable:
        layers.append(  # wide and unseen, so that a click near the line is one on its day; the marks above have tips of their own
            base.mark_bar(opacity=0.001, width=12)
            .encode(y=alt.value(0), y2=alt.value("height"), tooltip=tip)
            .add_params(_selection())
        )
    shown = alt.layer(*layers, *marked)
    if prices:
        shown = alt.layer(shown, _price(prices)).resolve_scale(y="independent")
    return shown.properties(height=210)


def _marked(
    days: Sequence[Day], kind: str, number: int, kinds: Sequence[str], by_day: Mapping[str, Sequence[Mark]]
) -> Any:
    """The marks of one kind on the line, those of the next above them."""
    import altair as alt

    rows = [
        {"day": label(d), "mood": round(d.index.mood, 3), "kind": kind, "told": " · ".join(dict.fromkeys(texts))}
        for d in days
        if (texts := [m.told for m in by_day.get(label(d), ()) if m.kind == kind])
    ]
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_point(filled=True, size=75, opacity=1, color=ORANGE, yOffset=-13 * number)
        .encode(
            x="day:T",
            y=alt.Y("mood:Q", scale=alt.Scale(domain=[-1, 1]), title=t("financial_sentiment.mood")),
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=["triangle-up", "diamond"][: len(kinds)]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("day:T", title=t("financial_sentiment.day"), format="%Y-%m-%d"),
                alt.Tooltip("told:N", title=kind),
            ],
        )
    )


def _price(prices: Sequence[Price]) -> Any:
    import altair as alt

    close = t("financial_sentiment.close")
    rows = [{"day": p.day, "close": p.close} for p in prices]
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_line(color=SLATE, strokeWidth=1.5, strokeDash=[5, 2], interpolate="monotone")
        .encode(
            x=alt.X("day:T", axis=_axis()),
            y=alt.Y("close:Q", scale=alt.Scale(zero=False), title=close, axis=alt.Axis(grid=False, titleColor=SLATE)),
            tooltip=[
                alt.Tooltip("day:T", title=t("financial_sentiment.day"), format="%Y-%m-%d"),
                alt.Tooltip("close:Q", title=close, format=",.2f"),
            ],
        )
    )


def _volume(days: Sequence[Day], picked: str | None, *, clickable: bool) -> Any:
    import altair as alt

    good, bad = shades()
    count = t("financial_sentiment.items")
    names = {name: t(f"financial_sentiment.label.{name}") for name in LABELS}
    rows = [{"day": label(d), "label": names[name], "count": getattr(d, name)} for d in days for name in LABELS]
    bars = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(size=5)
        .encode(
            x=alt.X("day:T", axis=_axis()),
            y=alt.Y("count:Q", title=count, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=[names[x] for x in LABELS], range=[bad, "#9aa5b1", good]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("day:T", title=t("financial_sentiment.day"), format="%Y-%m-%d"),
                alt.Tooltip("label:N", title=t("financial_sentiment.mood")),
                alt.Tooltip("count:Q", title=count),
            ],
        )
    )
    if clickable:
        bars = bars.add_params(_selection())
    return alt.layer(*_pointed_out(days, picked), bars).properties(height=180)


def _pointed_out(days: Sequence[Day], picked: str | None) -> list[Any]:
    import altair as alt

    rows = [{"day": label(d)} for d in days if label(d) == picked]
    return [alt.Chart(alt.Data(values=rows)).mark_rule(color=GOLD, strokeWidth=9, opacity=0.3).encode(x="day:T")] * (
        1 if rows else 0
    )


def _axis() -> Any:
    import altair as alt

    return alt.Axis(format="%m-%d", title=None, labelAngle=0, tickCount=6)


def _selection() -> Any:
    import altair as alt

    return alt.selection_point(name=_PICK, fields=["day"], on="click", clear="dblclick")


def _show(chart: Any, key: str, on_pick: Callable[[str], None] | None) -> None:
    if on_pick is None:
        st.altair_chart(chart)
        return

    def clicked() -> None:
        if day := picked_day(st.session_state[key].selection):
            on_pick(day)

    st.altair_chart(chart, key=key, on_select=clicked, selection_mode=_PICK)


def picked_day(selection: Mapping[str, Any]) -> str | None:
    """The day of a click as a chart tells it: a date, or milliseconds since the epoch."""
    rows = selection.get(_PICK) or []
    if not rows or "day" not in rows[0]:
        return None
    said = rows[0]["day"]
    return _date(said / 1000) if isinstance(said, int | float) else str(said)[:10]


def _by_day(days: Sequence[Day], marks: Sequence[Mark]) -> dict[str, list[Mark]]:
    found: dict[str, list[Mark]] = {}
    for day in days:
        if inside := [m for m in marks if day.at - DAY < m.at <= day.at]:
            found[label(day)] = inside
    return found


def _table(days: Sequence[Day], closes: Mapping[str, float], marks: Sequence[Mark]) -> None:
    by_day = _by_day(days, marks)
    columns: dict[str, list[Any]] = {
        t("financial_sentiment.day"): [label(d) for d in reversed(days)],
        t("financial_sentiment.mood"): [round(d.index.mood, 2) for d in reversed(days)],
        **{t(f"financial_sentiment.label.{name}"): [getattr(d, name) for d in reversed(days)] for name in LABELS},
    }
    if closes:
        columns[t("financial_sentiment.close")] = [closes.get(label(d)) for d in reversed(days)]
    if marks:
        columns[t("financial_sentiment.marks")] = [
            " · ".join(dict.fromkeys(m.told for m in by_day.get(label(d), ()))) for d in reversed(days)
        ]
    with st.expander(t("financial_sentiment.table"), icon=":material/table:", type="compact"):
        st.dataframe(columns, hide_index=True)


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
