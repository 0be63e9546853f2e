"""One company: mood and volume over sixty days, and the items with the sentence that says so marked."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.series import Day
from apps.financial_sentiment.service import Reported
from apps.financial_sentiment.views.state import (
    at,
    color_of,
    color_of_label,
    company_id,
    desk,
    open_company,
    shades,
    signed,
    when,
)
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

SHOWN = 12
_MORE = "sentiment_more"


def draw() -> None:
    moment, caller, language = at(), session.caller(), session.language()
    standings = {s.company.id: s for s in desk().companies(caller, at=moment, days=60)}
    if not standings:
        states.empty(t("financial_sentiment.nothing"), hint=t("financial_sentiment.nothing_hint"))
        return
    ids = list(standings)
    chosen = company_id()
    index = ids.index(chosen) if chosen in ids else 0
    picked = st.selectbox(
        t("financial_sentiment.company"),
        ids,
        index=index,
        format_func=lambda id_: standings[id_].company.name(language),
        key=f"sentiment_pick_{chosen}",
        width=320,
        on_change=lambda: open_company(st.session_state[f"sentiment_pick_{chosen}"]),
    )
    standing = standings[picked]
    codes = " · ".join(standing.company.codes)
    mood = f":{color_of(standing.index.mood)}[**{signed(standing.index.mood)}**]"
    st.markdown(
        f"### {inert(standing.company.name(language))}  {mood} "
        f":small[:gray[± {standing.index.deviation:.2f} · {inert(codes)}]]",
        anchors=False,
    )
    days = desk().timeline(picked, caller, at=moment)
    _charts(days)
    shown = st.session_state.get(_MORE, SHOWN)
    reported = desk().reported(picked, caller, at=moment, limit=shown + 1)
    st.markdown(f"#### {t('financial_sentiment.why')}", anchors=False)
    for item in reported[:shown]:
        _item(item)
    if len(reported) > shown:
        st.button(t("financial_sentiment.more"), key="sentiment_more_button", on_click=_more)


def _more() -> None:
    st.session_state[_MORE] = st.session_state.get(_MORE, SHOWN) + 2 * SHOWN


def _charts(days: list[Day]) -> None:
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
    st.markdown(f"**{t('financial_sentiment.volume_title')}**", anchors=False)
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


def _item(reported: Reported) -> None:
    item, mood = reported.item, reported.mood
    with st.container(border=True, gap="xsmall"):
        badges = [
            f":{color_of_label(mood.label)}-badge[{t(f'financial_sentiment.label.{mood.label}')} {mood.probability:.0%}]"
        ]
        badges += [
            f":orange-badge[{t(f'financial_sentiment.event.{kind}')}]"
            for kind in dict.fromkeys(e[0] for e in mood.events)
        ]
        st.markdown(" ".join(badges))
        st.markdown(marked(reported))
        facts = [inert(item.source), when(item.published_at)]
        if item.dated != "source":
            facts.append(t(f"financial_sentiment.dated.{item.dated}"))
        if reported.copies:
            facts.append(
                t(
                    "financial_sentiment.copies",
                    count=len(reported.copies),
                    sources=inert(", ".join(dict.fromkeys(c.source for c in reported.copies))),
                )
            )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":small[:gray[{' · '.join(facts)}]]", width="stretch")
            with st.popover(t("financial_sentiment.correct"), icon=":material/edit:", type="tertiary"):
                st.pills(
                    t("financial_sentiment.correct_to"),
                    LABELS,
                    default=mood.label,
                    format_func={label: t(f"financial_sentiment.label.{label}") for label in LABELS}.__getitem__,
                    key=f"sentiment_label_{item.id}_{mood.company}",
                    on_change=_relabel,
                    args=(item.id, mood.company),
                )


def _relabel(item_id: int, company: str) -> None:
    chosen = st.session_state.get(f"sentiment_label_{item_id}_{company}")
    if not chosen:
        return
    try:
        desk().relabel(item_id, company, chosen, session.caller())
    except TouchstoneError as error:
        states.failed(error)
    else:
        st.toast(t("financial_sentiment.corrected"), icon=":material/check_circle:")


def marked(reported: Reported) -> str:
    """The body with the evidence set apart and its pointing words colored; long text around it left out."""
    body, (start, end) = reported.item.body, reported.mood.evidence
    before, after = body[:start], body[end:]
    pieces, place = [], start
    for a, b, sign in reported.mood.marks:
        if not start <= a < b <= end or a < place:
            continue
        pieces += [inert_piece(body[place:a]), f":{color_of(float(sign))}[**{inert(body[a:b])}**]"]
        place = b
    pieces.append(inert_piece(body[place:end]))
    left = f":gray[{inert(before[-160:])}] " if before.strip() else ""
    right = f" :gray[{inert(after[:160])}{' …' if len(after) > 160 else ''}]" if after.strip() else ""
    return f"{left}{''.join(pieces)}{right}"


def inert_piece(text: str) -> str:
    """Like ``inert``, with the spaces at both ends kept."""
    bare = inert(text)
    if not bare:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{bare}{' ' if text[-1].isspace() else ''}"
