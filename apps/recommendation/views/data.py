"""The data of the catalogue: what is there and what is missing."""

from __future__ import annotations

import streamlit as st

from apps.recommendation.health import Health
from apps.recommendation.views import files
from apps.recommendation.views.state import label, service
from apps.ui import look
from apps.ui.inert import inert
from apps.ui.session import language, t

LACKS = ("untold", "untagged", "undated", "out_of_stock", "untaken", "rare", "newcomers", "repeated")


def draw() -> None:
    spoken, found = language(), service().health()
    with st.container(horizontal=True, gap="large"):
        for name in ("items", "people", "events"):
            st.metric(t(f"recommendation.data.{name}"), look.count(getattr(found, name)))
        st.metric(
            t("recommendation.data.top_share"), f"{found.top_share:.0%}", help=t("recommendation.data.top_share_help")
        )
    st.markdown("\n".join(f"- {line}" for line in _lines(found)))
    if len(found.kinds) > 1:
        head = f"| {t('recommendation.data.kind')} | {t('recommendation.data.items')} | {t('recommendation.data.events')} |"
        rows = [
            f"| {inert(label('kind', kind, spoken))} | {look.count(items)} | {look.count(events)} |"
            for kind, (items, events) in found.kinds.items()
        ]
        st.markdown("\n".join([head, "| --- | ---: | ---: |", *rows]))
    files.draw()


def _lines(found: Health) -> list[str]:
    lines = []
    if found.first is not None and found.last is not None:
        days = (look.moment(at).split(" ")[0] for at in (found.first, found.last))
        lines.append(t("recommendation.data.dates", first=next(days), last=next(days)))
    else:
        lines.append(t("recommendation.data.no_dates"))
    lines.append(t("recommendation.data.rated" if found.rated else "recommendation.data.unrated"))
    lines.append(t("recommendation.data.reads" if found.reads_text else "recommendation.data.no_text"))
    told = [(name, getattr(found, name)) for name in LACKS]
    lines += [t(f"recommendation.data.{name}", count=look.count(count)) for name, count in told if count]
    return lines
