"""The data of the catalogue: what is there and what is missing, and files of one's own in its place."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from apps.recommendation.data import SUFFIXES, Findings
from apps.recommendation.health import Health
from apps.recommendation.service import Recommender
from apps.recommendation.views.state import CATALOGUE, label, service
from apps.ui import look, session
from apps.ui.inert import inert
from apps.ui.session import language, t
from core.errors import TouchstoneError

OWN = "own"
LACKS = ("untold", "untagged", "undated", "out_of_stock", "untaken", "rare", "newcomers", "repeated")
COUNTED = ("duplicates", "incomplete", "unknown_items", "future")


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
    _own()


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


def _own() -> None:
    """Two files in the place of the catalogue ``own``."""
    st.markdown(f"### {t('recommendation.data.own')}\n\n{t('recommendation.data.own_about')}", anchors=False)
    types = [suffix.removeprefix(".") for suffix in SUFFIXES]
    items = st.file_uploader(t("recommendation.data.items_file"), type=types, key="recommend_items_file")
    events = st.file_uploader(t("recommendation.data.events_file"), type=types, key="recommend_events_file")
    if st.button(
        t("recommendation.data.import"), key="recommend_import", icon=":material/upload:", disabled=items is None
    ):
        with tempfile.TemporaryDirectory() as folder, st.spinner(t("recommendation.preparing")):
            paths = []
            for number, file in enumerate((items, events)):
                if file is not None:
                    path = Path(folder) / f"{number}{Path(file.name).suffix.lower()}"
                    path.write_bytes(file.getvalue())
                    paths.append(path)
            own = Recommender(session.runtime(), catalogue=OWN, tenant=session.caller().tenant)
            try:
                found = own.import_files(paths[0], paths[1] if len(paths) > 1 else None)
            except TouchstoneError as error:
                st.error(inert(error.text(language())), icon=":material/error:")
                return
        st.session_state["recommend_report"] = [
            _told(name, f) for name, f in zip(("items", "events"), found, strict=True) if f
        ]
        st.session_state["recommend_next"] = OWN
        st.rerun()
    for line in st.session_state.get("recommend_report", ()):
        st.success(line)


def _told(name: str, found: Findings) -> str:
    parts = [t(f"recommendation.report.{name}", kept=found.kept, rows=found.rows)]
    parts += [t(f"recommendation.report.{c}", count=n) for c in COUNTED if (n := getattr(found, c))]
    parts += [t("recommendation.report.examples", examples=inert("; ".join(found.examples)))] if found.examples else []
    return " ".join(parts)


def open_imported() -> None:
    """After an import, the new catalogue; called before its widget is drawn."""
    if name := st.session_state.pop("recommend_next", None):
        st.session_state[CATALOGUE] = name
