"""The merchant's view: what lists show, what rules keep out, what is pushed, how the methods weigh."""

from __future__ import annotations

import streamlit as st

from apps.recommendation.service import MOST_BOOST
from apps.recommendation.views.state import label, service
from apps.ui import look
from apps.ui.inert import inert
from apps.ui.session import language, t

PEOPLE = 50  # whose lists are made to see what is shown
OFFERED = 500  # items whose titles may be chosen beside the tags; more would make the page slow
NAME, AMOUNT = "recommend_boost_name", "recommend_boost_amount"


def draw() -> None:
    spoken = language()
    _boosts(spoken)
    with st.spinner(t("recommendation.shop.counting")):
        shown = service().shown(PEOPLE)
    with st.container(horizontal=True, gap="large"):
        st.metric(
            t("recommendation.shop.coverage"), f"{shown.coverage:.0%}", help=t("recommendation.shop.coverage_help")
        )
        st.metric(
            t("recommendation.shop.well_known"),
            f"{shown.well_known:.0%}",
            help=t("recommendation.shop.well_known_help"),
        )
        st.metric(
            t("recommendation.shop.promoted"), f"{shown.promoted:.0%}", help=t("recommendation.shop.promoted_help")
        )
    st.caption(t("recommendation.shop.of", people=look.count(shown.people)))
    rows = [f"| {t('recommendation.shop.item')} | {t('recommendation.shop.lists')} |", "| --- | ---: |"]
    rows += [f"| {inert(item.title(spoken))} | {look.count(count)} |" for item, count in shown.most]
    methods = [f"| {t('recommendation.shop.method')} | {t('recommendation.shop.weight')} |", "| --- | ---: |"]
    methods += [
        f"| {t(f'recommendation.method.{name}')} | {weight:.2f} |"
        for name, weight in sorted(shown.weights.items(), key=lambda pair: -pair[1])
    ]
    with st.container(horizontal=True, gap="large"):
        st.markdown(f"**{t('recommendation.shop.most')}**\n\n" + "\n".join(rows), width="content")
        st.markdown(f"**{t('recommendation.shop.methods')}**\n\n" + "\n".join(methods), width="content")
    kept = [t(f"recommendation.left_out.{rule}", count=count) for rule, count in shown.left_out.items() if count]
    st.markdown(f"**{t('recommendation.shop.rules')}** " + (" · ".join(kept) or "–"))
    if error := service().refit_error:
        st.caption(t("recommendation.shop.refit_failed", error=inert(str(error))))


def _boosts(spoken: str) -> None:
    """What is pushed now, each with a way to end it, and a field for more."""
    st.markdown(f"### {t('recommendation.shop.boosts')}\n\n{t('recommendation.shop.boosts_about')}", anchors=False)
    items = service().items()
    named = {tag: label("tag", tag, spoken) for tag in sorted({tag for item in items for tag in item.tags})}
    named |= {item.id: item.title(spoken) for item in items[:OFFERED]}
    for name, amount in service().boosts().items():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{inert(named.get(name, name))}** {amount:+.1f}", width="content")
            st.button(
                t("recommendation.shop.end"),
                key=f"boost_{name}",
                icon=":material/close:",
                type="tertiary",
                on_click=service().boost,
                args=(name, 0.0),
            )
    with (
        st.form("recommend_boost", border=False),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
    ):
        st.selectbox(
            t("recommendation.shop.name"),
            list(named),
            index=None,
            placeholder=t("recommendation.shop.choose"),
            key=NAME,
            format_func=named.__getitem__,
        )
        st.number_input(t("recommendation.shop.amount"), -MOST_BOOST, MOST_BOOST, 1.0, 0.5, key=AMOUNT, width=140)
        st.form_submit_button(t("recommendation.shop.push"), icon=":material/campaign:", on_click=_push)


def _push() -> None:
    if name := st.session_state.get(NAME):
        service().boost(name, st.session_state[AMOUNT])
