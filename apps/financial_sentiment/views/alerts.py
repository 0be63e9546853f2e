"""What the rules said in the last thirty days, with reason and evidence; the day's brief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import streamlit as st

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.digest import alert_text, page, plain, subject_name
from apps.financial_sentiment.items import Stored
from apps.financial_sentiment.service import Digest, Reported, Standing
from apps.financial_sentiment.views.state import at, desk, open_company, open_group, when
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.i18n import message

SHOWN = 30


def draw() -> None:
    moment, caller, language = at(), session.caller(), session.language()
    found = desk().alerts(caller, at=moment)
    brief, history = st.columns([2, 3], gap="large")
    with brief:
        digest = desk().digest(caller, at=moment)
        st.markdown(f"#### {t('financial_sentiment.brief')}", anchors=False)
        for standing, reported in digest.standings:
            st.markdown(markdown(standing, reported, language), anchors=False)
        if digest.standings:
            _exports(digest)
        else:
            st.caption(t("financial_sentiment.quiet"))
    with history:
        st.markdown(f"#### {t('financial_sentiment.alerts_title', count=len(found))}", anchors=False)
        if not found:
            states.empty(t("financial_sentiment.no_alerts"))
        dictionary = desk().dictionary(caller)
        items = desk().items.get(caller, [id_ for a in found[:SHOWN] for id_ in a.evidence[:1]])
        for number, alert in enumerate(found[:SHOWN]):
            _alert(number, alert, subject_name(alert, dictionary, language), items)


def _exports(digest: Digest) -> None:
    language, dictionary = session.language(), desk().dictionary(session.caller())
    names = {a.subject: subject_name(a, dictionary, language) for a in digest.alerts}
    day = when(digest.at)[:10]
    with st.container(horizontal=True):
        st.download_button(
            "HTML", page(digest, names, language), f"brief-{day}.html", "text/html", key="sentiment_brief_html",
            icon=":material/download:", help=t("financial_sentiment.brief_html"), on_click="ignore",
        )  # fmt: skip
        st.download_button(
            t("financial_sentiment.brief_text"), plain(digest, names, language), f"brief-{day}.txt",
            key="sentiment_brief_text", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def _alert(number: int, alert: Alert, name: str, items: Mapping[int, Stored]) -> None:
    icon = {"burst": "bolt", "mood_below": "trending_down", "mood_above": "trending_up", "event": "warning"}[alert.when]
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f":material/{icon}: **{inert(name)}** · {inert(alert_text(alert, session.language()))}", width="stretch"
            )
            st.button(
                t("financial_sentiment.look"),
                key=f"sentiment_alert_{number}",
                type="tertiary",
                icon=":material/arrow_forward:",
                on_click=open_group if alert.scope == "group" else open_company,
                args=(alert.subject,),
            )
        quote = inert(items[alert.evidence[0]].title) if alert.evidence and alert.evidence[0] in items else ""
        st.markdown(f":small[:gray[{when(alert.at)} · {quote}]]")


def markdown(standing: Standing, reported: Sequence[Reported], language: str) -> str:
    """A company's part of the brief as Markdown in which nothing of the news acts."""
    head = message(
        "financial_sentiment.brief_head", language, name=f"**{inert(standing.company.name(language))}**",
        mood=f"{standing.index.mood:+.2f}", change=f"{standing.change:+.2f}", count=standing.last[-1].count,
    )  # fmt: skip
    lines = [head]
    for r in reported:
        source = f"{r.item.source}, {datetime.fromtimestamp(r.item.published_at, UTC):%m-%d %H:%M}"
        label = message(f"financial_sentiment.label.{r.mood.label}", language)
        lines.append(f"- {inert(r.evidence)} :small[:gray[({label}; {inert(source)})]]")
    return "\n".join(lines)
