"""What became of the messages of a period, as figures and charts, and the questions the documents do not answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import streamlit as st

from apps.customer_service.manager import Day, Overview, period
from apps.customer_service.policy import in_language
from apps.customer_service.turns import Outcome
from apps.customer_service.views import answers
from apps.customer_service.views.state import service
from apps.ui import look, session, states
from apps.ui.inert import inert
from apps.ui.session import language, t

DAYS = (7, 30, 90)
SHOWN = 6  # intents with a color of their own
GAPS = 25
PREFILLED = 10  # questions of a gap that an answer is begun with
OUTCOMES: dict[Outcome, str] = {
    "answered": "#b8892b",
    "done": "#4d8f6c",
    "said": "#9aa5b1",
    "small_talk": "#cfd5db",
    "refused": "#c8553d",
    "handed_over": "#5b7db1",
    "failed": "#8c2f39",
    "stopped": "#6b7280",
}
INTENTS = ("#b8892b", "#5b7db1", "#4d8f6c", "#c8553d", "#8a6fb0", "#3f8f9b", "#9aa5b1")


def draw() -> None:
    since, until = _period()
    found = service().manager.overview(session.caller(), since=since, until=until)
    if not found.turns:
        states.empty(
            t("customer_service.manager.nothing"),
            icon=":material/monitoring:",
            hint=t("customer_service.manager.nothing_hint"),
        )
        return
    _numbers(found)
    left, right = st.columns(2, gap="large")
    with left:
        _chart(found.days, "volume", {name: _outcome(name) for name in OUTCOMES}, list(OUTCOMES.values()), "outcomes")
        _shares("causes", {t(f"customer_service.desk.cause.{name}"): n for name, n in found.causes.items()})
    with right:
        names = list(found.intents)[:SHOWN]
        _chart(found.days, "intents", {name: _title(name) for name in names}, list(INTENTS), "intents")
        _shares("languages", {session.LANGUAGE_NAMES[name]: n for name, n in found.languages.items()})
    _table(found)


def _period() -> tuple[float, float]:
    chosen = st.segmented_control(
        t("customer_service.manager.period"),
        DAYS,
        default=DAYS[0],
        format_func={days: t("customer_service.manager.days", count=days) for days in DAYS}.__getitem__,
        required=True,
        key="manager_days",
        label_visibility="collapsed",
    )
    return period(chosen or DAYS[0], time.time())


def _numbers(found: Overview) -> None:
    first, above = found.first_s or (None, None)
    shown = [
        ("conversations", look.count(found.conversations), t("customer_service.manager.of", turns=look.count(found.turns), customers=look.count(found.customers))),
        ("resolved", _percent(found.resolved), t("customer_service.manager.left", share=_percent(found.left))),
        ("handed_over", _percent(found.handed_over), t("customer_service.manager.waiting", count=found.waiting)),
        ("missed", _percent(found.missed), t("customer_service.manager.thumbs", up=found.thumbs[0], down=found.thumbs[1])),
        ("first", look.seconds(first), t("customer_service.manager.above", time=look.seconds(above))),
        ("person", _minutes(found.person_s), t("customer_service.manager.person_help")),
    ]  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        for name, value, below in shown:
            with st.container(border=True, gap="xxsmall", width=170, key=f"manager_{name}"):
                st.metric(
                    t(f"customer_service.manager.number.{name}"),
                    value,
                    help=t(f"customer_service.manager.help.{name}"),
                )
                st.caption(below)


def _chart(days: Sequence[Day], title: str, names: Mapping[str, str], colors: list[str], field: str) -> None:
    import altair as alt

    day, count, kind = (t(f"customer_service.manager.{name}") for name in ("day", "messages", title))
    rows = [
        {"day": f"{one.day}", "kind": label, "count": getattr(one, field).get(name, 0)}
        for one in days
        for name, label in names.items()
    ]
    used = [label for label in names.values() if any(row["kind"] == label and row["count"] for row in rows)]
    color = {label: colors[i] for i, label in enumerate(names.values())}
    chart = (
        alt.Chart(alt.Data(values=[row for row in rows if row["kind"] in used]))
        .mark_bar()
        .encode(
            x=alt.X("day:O", title=None, axis=alt.Axis(labelAngle=0, labelExpr="slice(datum.label, 5)", labelOverlap=True)),
            y=alt.Y("count:Q", title=count, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=used, range=[color[label] for label in used]),
                legend=alt.Legend(title=None, orient="top", columns=3, labelLimit=140),
            ),
            tooltip=[alt.Tooltip("day:O", title=day), alt.Tooltip("kind:N", title=kind), alt.Tooltip("count:Q", title=count)],
        )
    )  # fmt: skip
    st.markdown(f"**{t(f'customer_service.manager.{title}')}**", anchors=False)
    if used:
        st.altair_chart(chart.properties(height=230))
    else:
        st.caption(t("customer_service.manager.none"))


def _shares(title: str, counts: Mapping[str, int]) -> None:
    st.markdown(f"**{t(f'customer_service.manager.{title}')}**", anchors=False)
    if not counts:
        st.caption(t("customer_service.manager.none"))
        return
    whole = sum(counts.values())
    rows = "\n".join(f"| {label} | {look.count(n)} | {n / whole:.0%} |" for label, n in counts.items())
    st.markdown(f"| | {t('customer_service.manager.count')} | % |\n| --- | ---: | ---: |\n{rows}", anchors=False)


def _table(found: Overview) -> None:
    with st.expander(t("customer_service.manager.table"), icon=":material/table:", type="compact"):
        used = [name for name in OUTCOMES if any(day.outcomes.get(name) for day in found.days)]
        st.dataframe(
            {
                t("customer_service.manager.day"): [f"{day.day}" for day in found.days],
                **{_outcome(name): [day.outcomes.get(name, 0) for day in found.days] for name in used},
                **{_title(name): [day.intents.get(name, 0) for day in found.days] for name in found.intents},
            },
            hide_index=True,
        )


def draw_gaps() -> None:
    since, until = _period()
    with states.loading():
        found = service().manager.gaps(session.caller(), since=since, until=until)
    if not found:
        states.empty(
            t("customer_service.manager.no_gaps"), icon=":material/done_all:", hint=t("customer_service.manager.no_gaps_hint")
        )  # fmt: skip
        return
    st.caption(t("customer_service.manager.gaps_help"))
    for number, gap in enumerate(found[:GAPS], 1):
        marks = [t("customer_service.manager.asked", count=gap.asked)]
        if gap.people:
            marks.insert(0, t("customer_service.manager.people", count=gap.people))
        if gap.person_s:
            marks.append(t("customer_service.manager.spent", time=_minutes(gap.person_s)))
        if gap.disliked:
            marks.append(t("customer_service.manager.disliked", count=gap.disliked))
        marks.append(look.moment(gap.newest))
        with st.container(border=True, gap="xxsmall", key=f"gap_{number}"):
            st.markdown(f"**{number}.** {inert(gap.question)}  \n:small[:gray[{' · '.join(marks)}]]", anchors=False)
            if others := gap.questions[1:]:
                with st.expander(t("customer_service.manager.others", count=len(others)), type="compact"):
                    st.markdown("\n".join(f"- {inert(text)}" for text in others[:20]), anchors=False)
            st.button(
                t("customer_service.manager.write_answer"), key=f"gap_answer_{number}", type="tertiary",
                icon=":material/edit_note:", on_click=answers.begin, args=(list(gap.questions[:PREFILLED]),),
            )  # fmt: skip
    if len(found) > GAPS:
        st.caption(t("customer_service.manager.more_gaps", count=len(found) - GAPS))


def _outcome(name: Outcome) -> str:
    return t(f"customer_service.manager.outcome.{name}")


def _title(intent: str) -> str:
    """An intent as the policy calls it; one that it no longer has, by its name."""
    rule = service().assistant.policy.intents.get(intent)
    return in_language(rule.title, language()) if rule else intent


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _minutes(value: float | None) -> str:
    if value is None:
        return "–"
    return look.seconds(value) if value < 60 else t("customer_service.desk.minutes", count=round(value / 60))
