"""Mood and volume over time, as charts and as a table; a click on a day or a bar says which.

Charts are Vega-Lite as it is written: altair checks each against its schema, which takes 0.1 s of CPU a chart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from apps.financial_sentiment.prices import Price
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.review import Bin
from apps.financial_sentiment.series import DAY, Day
from apps.financial_sentiment.views.state import shades
from apps.ui.session import t

GOLD, SLATE, ORANGE = "#b8892b", "#5b7a99", "#c9742f"
AXIS = {"format": "%m-%d", "title": None, "labelAngle": 0, "tickCount": 6}
LEGEND = {"title": None, "orient": "top"}
_PICK, _CLICKED = "picked", "days"  # of a selection, and of the layer that is clicked
SELECTION = {
    "name": _PICK, "views": [_CLICKED], "select": {"type": "point", "fields": ["day"], "on": "click", "clear": "dblclick"},
}  # fmt: skip
Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: ``kind`` is what the legend calls it, ``told`` the tip."""

    at: float
    kind: str
    told: str


def label(day: Day) -> str:
    """What a day is called: the date on which it ends."""
    return _date(day.at)


def spread(days: Sequence[Day]) -> list[str]:
    """How far apart the moods are now, and how new the news of the last week was, in words; not what is not known."""
    told = [t("financial_sentiment.dispersion_now", value=f"{days[-1].index.dispersion:.2f}")]
    if new := [(d.novelty, d.count) for d in days[-7:] if d.novelty is not None]:
        share = sum(value * count for value, count in new) / sum(count for _, count in new)
        told.append(t("financial_sentiment.novelty_now", value=f"{share:.0%}"))
    return told


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
) -> Spec:
    mood, day = t("financial_sentiment.mood"), t("financial_sentiment.day")
    by_day = _by_day(days, marks)
    kinds = list(dict.fromkeys(m.kind for m in marks))
    rows = [
        {"day": label(d), "mood": round(d.index.mood, 3), "low": round(max(-1.0, d.index.mood - d.index.deviation), 3),
         "high": round(min(1.0, d.index.mood + d.index.deviation), 3)}
        for d in days
    ]  # fmt: skip
    data, x = {"values": rows}, {"field": "day", "type": "temporal", "axis": AXIS}
    tip = [_tip("day", day), _tip("mood", mood, "+.2f")]

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "scale": {"domain": [-1, 1]}, "title": mood}

    layers: list[Spec] = [
        {"data": {"values": [{"y": 0}]}, "mark": {"type": "rule", "opacity": 0.4, "strokeDash": [4, 4]},
         "encoding": {"y": {"field": "y", "type": "quantitative"}}},
        {"data": data, "mark": {"type": "area", "opacity": 0.18, "color": GOLD},
         "encoding": {"x": x, "y": y("low"), "y2": {"field": "high"}}},
        {"data": data, "mark": {"type": "line", "color": GOLD, "strokeWidth": 2},
         "encoding": {"x": x, "y": y("mood"), "tooltip": tip}},
        *_pointed_out(days, picked),
    ]  # fmt: skip
    if (
        clickable
    ):  # wide and unseen, so that a click near the line is one on its day; the marks above have tips of their own
        layers.append({
            "name": _CLICKED, "data": data, "mark": {"type": "bar", "opacity": 0.001, "width": 12},
            "encoding": {"x": x, "y": {"value": 0}, "y2": {"value": "height"}, "tooltip": tip},
        })  # fmt: skip
    layers += [_marked(days, kind, number, kinds, by_day, y("mood")) for number, kind in enumerate(kinds)]
    chart: Spec = {"height": 210, "layer": layers}
    if prices:
        chart = {
            "height": 210, "layer": [{"layer": layers}, _price(prices)], "resolve": {"scale": {"y": "independent"}},
        }  # fmt: skip
    return {**chart, "params": [SELECTION]} if clickable else chart


def _marked(
    days: Sequence[Day], kind: str, number: int, kinds: Sequence[str], by_day: Mapping[str, Sequence[Mark]], y: Spec
) -> Spec:
    """The marks of one kind on the line, those of the next above them."""
    rows = [
        {"day": label(d), "mood": round(d.index.mood, 3), "kind": kind, "told": " · ".join(dict.fromkeys(texts))}
        for d in days
        if (texts := [m.told for m in by_day.get(label(d), ()) if m.kind == kind])
    ]
    shapes = {"domain": kinds, "range": ["triangle-up", "diamond"][: len(kinds)]}
    return {
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "size": 75, "opacity": 1, "color": ORANGE, "yOffset": -13 * number},
        "encoding": {
            "x": {"field": "day", "type": "temporal"},
            "y": y,
            "shape": {"field": "kind", "type": "nominal", "scale": shapes, "legend": LEGEND},
            "tooltip": [_tip("day", t("financial_sentiment.day")), {"field": "told", "type": "nominal", "title": kind}],
        },
    }


def _price(prices: Sequence[Price]) -> Spec:
    close = t("financial_sentiment.close")
    return {
        "data": {"values": [{"day": p.day, "close": p.close} for p in prices]},
        "mark": {"type": "line", "color": SLATE, "strokeWidth": 1.5, "strokeDash": [5, 2], "interpolate": "monotone"},
        "encoding": {
            "x": {"field": "day", "type": "temporal", "axis": AXIS},
            "y": {"field": "close", "type": "quantitative", "scale": {"zero": False}, "title": close,
                  "axis": {"grid": False, "titleColor": SLATE}},
            "tooltip": [_tip("day", t("financial_sentiment.day")), _tip("close", close, ",.2f")],
        },
    }  # fmt: skip


def _volume(days: Sequence[Day], picked: str | None, *, clickable: bool) -> Spec:
    good, bad = shades()
    count = t("financial_sentiment.items")
    names = {name: t(f"financial_sentiment.label.{name}") for name in LABELS}
    rows = [{"day": label(d), "label": names[name], "count": getattr(d, name)} for d in days for name in LABELS]
    colors = {"domain": [names[x] for x in LABELS], "range": [bad, "#9aa5b1", good]}
    bars: Spec = {
        "name": _CLICKED,
        "data": {"values": rows},
        "mark": {"type": "bar", "size": 5},
        "encoding": {
            "x": {"field": "day", "type": "temporal", "axis": AXIS},
            "y": {"field": "count", "type": "quantitative", "title": count, "axis": {"tickMinStep": 1}},
            "color": {"field": "label", "type": "nominal", "scale": colors, "legend": LEGEND},
            "tooltip": [
                _tip("day", t("financial_sentiment.day")),
                {"field": "label", "type": "nominal", "title": t("financial_sentiment.mood")},
                _tip("count", count, "d"),
            ],
        },
    }
    chart: Spec = {"height": 180, "layer": [*_pointed_out(days, picked), bars]}
    return {**chart, "params": [SELECTION]} if clickable else chart


def per_day(rows: Sequence[tuple[str, int]], title: str, *, height: int = 110) -> None:
    """Draw a count for each day."""
    st.vega_lite_chart({
        "height": height,
        "data": {"values": [{"day": day, "count": count} for day, count in rows]},
        "mark": {"type": "bar", "color": GOLD},
        "encoding": {
            "x": {"field": "day", "type": "temporal", "axis": AXIS},
            "y": {"field": "count", "type": "quantitative", "title": title, "axis": {"tickMinStep": 1}},
            "tooltip": [_tip("day", t("financial_sentiment.day")), _tip("count", title, "d")],
        },
    })  # fmt: skip


def calibration(found: Sequence[Bin]) -> None:
    """Draw how often a head was right against how sure it was; a well calibrated one lies on the dashed line."""
    names = {"sure": "model.sure", "right": "model.was_right"}
    titles = {field: t(f"financial_sentiment.{name}") for field, name in names.items()}
    x, y = (
        {"field": field, "type": "quantitative", "scale": {"domain": [0.3, 1]}, "title": titles[field],
         "axis": {"format": "%"}}
        for field in names
    )  # fmt: skip
    rows = [{"sure": round(b.probability, 3), "right": round(b.right, 3), "count": b.count} for b in found]
    tips = [_tip(field, title, ".0%") for field, title in titles.items()]
    tips.append(_tip("count", t("financial_sentiment.items"), "d"))
    size = {"field": "count", "type": "quantitative", "legend": None, "scale": {"range": [30, 300], "zero": True}}
    st.vega_lite_chart({
        "height": 230,
        "layer": [
            {"data": {"values": [{"sure": 0.3, "right": 0.3}, {"sure": 1, "right": 1}]},
             "mark": {"type": "line", "strokeDash": [4, 4], "opacity": 0.5, "color": "#9aa5b1"},
             "encoding": {"x": x, "y": y}},
            {"data": {"values": rows}, "mark": {"type": "line", "color": GOLD}, "encoding": {"x": x, "y": y}},
            {"data": {"values": rows}, "mark": {"type": "point", "filled": True, "color": GOLD, "opacity": 1},
             "encoding": {"x": x, "y": y, "size": size, "tooltip": tips}},
        ],
    })  # fmt: skip


def _pointed_out(days: Sequence[Day], picked: str | None) -> list[Spec]:
    return [
        {"data": {"values": [{"day": label(d)}]}, "mark": {"type": "rule", "color": GOLD, "strokeWidth": 9, "opacity": 0.3},
         "encoding": {"x": {"field": "day", "type": "temporal"}}}
        for d in days
        if label(d) == picked
    ]  # fmt: skip


def _tip(field: str, title: str, form: str = "%Y-%m-%d") -> Spec:
    return {"field": field, "type": "temporal" if field == "day" else "quantitative", "title": title, "format": form}


def _show(chart: Spec, key: str, on_pick: Callable[[str], None] | None) -> None:
    if on_pick is None:
        st.vega_lite_chart(chart)
        return

    def clicked() -> None:
        if day := picked_day(st.session_state[key].selection):
            on_pick(day)

    st.vega_lite_chart(chart, key=key, on_select=clicked, selection_mode=_PICK)


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
        t("financial_sentiment.dispersion"): [round(d.index.dispersion, 2) for d in reversed(days)],
        **{t(f"financial_sentiment.label.{name}"): [getattr(d, name) for d in reversed(days)] for name in LABELS},
        t("financial_sentiment.novelty"): [
            None if d.novelty is None else round(100 * d.novelty) for d in reversed(days)
        ],
    }
    if closes:
        columns[t("financial_sentiment.close")] = [closes.get(label(d)) for d in reversed(days)]
    if marks:
        columns[t("financial_sentiment.marks")] = [
            " · ".join(dict.fromkeys(m.told for m in by_day.get(label(d), ()))) for d in reversed(days)
        ]
    with st.expander(t("financial_sentiment.table"), icon=":material/table:", type="compact"):
        st.dataframe(
            columns,
            column_config={
                t("financial_sentiment.dispersion"): st.column_config.NumberColumn(
                    help=t("financial_sentiment.dispersion_help")
                ),
                t("financial_sentiment.novelty"): st.column_config.NumberColumn(
                    format="%d %%", help=t("financial_sentiment.novelty_help")
                ),
            },
            hide_index=True,
        )


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
