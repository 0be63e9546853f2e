"""The model: which head judges, how it did on a test set and on what people
corrected, what is worth a look, a head of one's own."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from apps.financial_sentiment import own, review
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.review import Bin, Checked, Waiting
from apps.financial_sentiment.views import charts
from apps.financial_sentiment.views.state import at, color_of_label, desk, open_company, when
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

_MADE, _MEASURED = "sentiment_trained", "sentiment_measured"
_SHOWN = 6


def draw() -> None:
    moment, caller = at(), session.caller()
    listed = review.checked(desk(), caller, at=moment)
    left, right = st.columns(2, gap="large")
    with left:
        _in_use()
        _measured()
        _figures(listed)
        _apart([c for c in listed if not c.right])
    with right:
        _queue(review.waiting(desk(), caller, at=moment))


def _in_use() -> None:
    about = desk().head().about
    st.markdown(f"#### {t('financial_sentiment.model.title')}", anchors=False)
    rows = sum(about.get("data", about.get("labels", {})).values())
    st.markdown(
        t("financial_sentiment.model.in_use", version=inert(str(about.get("version", "–"))), rows=f"{rows:,}"),
    )
    if held := about.get("held_out"):
        st.caption(
            t("financial_sentiment.model.held_out", rows=held["rows"], accuracy=f"{held['accuracy']:.0%}",
              before=f"{held['in_use_before']:.0%}")
        )  # fmt: skip
    else:
        st.caption(t("financial_sentiment.model.card"))
    if session.allowed("admin"):
        _train()


def _train() -> None:
    """From the corrections or a file of labels to a head, and back: for all who use this workspace, so an administrator's."""
    count, current = len(desk().labels(session.caller())), own.current(desk().heads)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            t("financial_sentiment.model.train", count=count), key="sentiment_train", icon=":material/model_training:",
            disabled=count < own.LEAST, on_click=_learn,
            help=t("financial_sentiment.model.train_help", least=own.LEAST),
        )  # fmt: skip
        if current:
            st.button(
                t("financial_sentiment.model.shipped"), key="sentiment_shipped", icon=":material/undo:", type="tertiary",
                on_click=_back,
            )  # fmt: skip
    with st.expander(t("financial_sentiment.model.file"), icon=":material/upload_file:", type="compact"):
        file = st.file_uploader(
            t("financial_sentiment.model.file"), type=["csv"], key="sentiment_labels_file", label_visibility="collapsed"
        )
        st.caption(t("financial_sentiment.model.file_help", least=own.LEAST))
        if file is not None and st.button(
            t("financial_sentiment.model.train_file", name=inert(file.name)), key="sentiment_train_file",
            icon=":material/model_training:",
        ):  # fmt: skip
            with states.loading():
                _trained(file.getvalue())
    if told := st.session_state.get(_MADE):
        st.info(told, icon=":material/model_training:")


def _learn() -> None:
    """Train on the corrections."""
    rows = desk().labels(session.caller())
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(("text", "entity", "label"))
    writer.writerows(rows)
    _trained(written.getvalue().encode())


def _trained(labels: bytes) -> None:
    """Train on a CSV of labels, and say what came of it."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "labels.csv"
            path.write_bytes(labels)
            made = desk().train(path, session.caller())
        desk().judge(session.caller())
    except TouchstoneError as error:
        st.session_state[_MADE] = error.text(session.language())
        return
    st.session_state[_MADE] = t(
        f"financial_sentiment.model.{'promoted' if made.promoted else 'kept'}", rows=made.held_out,
        accuracy=f"{made.accuracy:.0%}", before=f"{made.current_accuracy:.0%}", p=f"{made.against.p:.3f}",
    )  # fmt: skip


def _back() -> None:
    with states.guarded():
        own.use(desk().heads, None)
        desk().judge(session.caller())
        st.session_state.pop(_MADE, None)


def _measured() -> None:
    """The head in use on the frozen test set: figures, and how sure it was against how often it was right."""
    version = str(desk().head().about.get("version", ""))
    kept = st.session_state.get(_MEASURED)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"#### {t('financial_sentiment.model.measured')}", anchors=False, width="stretch")
        pressed = st.button(
            t("financial_sentiment.model.measure"), key="sentiment_measure", type="tertiary", icon=":material/speed:",
            help=t("financial_sentiment.model.measure_help"),
        )  # fmt: skip
    if pressed:
        with states.loading():
            kept = st.session_state[_MEASURED] = (version, *review.measured(desk()))
    if not kept or kept[0] != version:
        st.caption(t("financial_sentiment.model.measure_help"))
        return
    made, found = kept[1], kept[2]
    with st.grid(2, min_column_width=140):
        for name in ("accuracy", "macro_f1", "ece", "accuracy_at_80"):
            figure = made.figures[name]
            st.metric(t(f"financial_sentiment.model.{name}"), f"{figure.value:.3f}", border=True,
                      help=f"{figure.low:.3f} – {figure.high:.3f}, n = {figure.records}")  # fmt: skip
    _curve(found)


def _curve(found: Sequence[Bin]) -> None:
    st.markdown(f"**{t('financial_sentiment.model.curve')}**", anchors=False)
    charts.calibration(found)


def _figures(listed: Sequence[Checked]) -> None:
    st.markdown(f"#### {t('financial_sentiment.model.checked')}", anchors=False)
    if not listed:
        states.empty(t("financial_sentiment.model.unchecked"), hint=t("financial_sentiment.model.unchecked_hint"))
        return
    right = sum(c.right for c in listed)
    st.markdown(
        t("financial_sentiment.model.right", right=right, count=len(listed), share=f"{right / len(listed):.0%}")
    )
    found = review.bins((c.mood.probability, c.right) for c in listed)
    ends = dict(zip(review.BINS, [*review.BINS[1:], 1.0], strict=True))
    st.dataframe(
        {
            t("financial_sentiment.model.sure"): [f"{b.low:.0%} – {ends[b.low]:.0%}" for b in found],
            t("financial_sentiment.items"): [b.count for b in found],
            t("financial_sentiment.model.mean"): [round(b.probability, 2) for b in found],
            t("financial_sentiment.model.was_right"): [round(b.right, 2) for b in found],
        },
        column_config={
            t("financial_sentiment.model.mean"): st.column_config.NumberColumn(format="percent"),
            t("financial_sentiment.model.was_right"): st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1
            ),
        },
        hide_index=True,
        height="content",
    )
    if len(found) > 1:
        _curve(found)
    st.caption(t("financial_sentiment.model.no_sample"))


def _apart(listed: Sequence[Checked]) -> None:
    """Where people said otherwise, the newest first."""
    if not listed:
        return
    st.markdown(f"#### {t('financial_sentiment.model.apart', count=len(listed))}", anchors=False)
    for c in listed[::-1][:_SHOWN]:
        said, person = (t(f"financial_sentiment.label.{label}") for label in (c.mood.label, c.label))
        st.button(
            f"{said} {c.mood.probability:.0%} → {person} · {inert(c.item.title)}",
            key=f"sentiment_checked_{c.item.id}_{c.mood.company}", type="tertiary", on_click=open_company,
            args=(c.mood.company,),
        )  # fmt: skip


def _queue(listed: Sequence[Waiting]) -> None:
    st.markdown(f"#### {t('financial_sentiment.model.queue')}", anchors=False)
    st.caption(t("financial_sentiment.model.queue_help"))
    if not listed:
        states.empty(t("financial_sentiment.model.queue_empty"))
        return
    known, language = desk().dictionary(session.caller()).companies, session.language()
    for w in listed:
        name = known[w.mood.company].name(language) if w.mood.company in known else w.mood.company
        with st.container(border=True, gap="xsmall"):
            label = t(f"financial_sentiment.label.{w.mood.label}")
            st.markdown(
                f"**{inert(name)}** :{color_of_label(w.mood.label)}-badge[{label} {w.mood.probability:.0%}]"
                f"  \n{inert(w.item.body[slice(*w.mood.evidence)])}  \n"
                f":small[:gray[{inert(w.item.source)} · {when(w.item.published_at)}]]"
            )
            key = f"sentiment_queue_{w.item.id}_{w.mood.company}"
            st.pills(
                t("financial_sentiment.correct_to"), LABELS, key=key, on_change=_said, args=(key, w),
                format_func={label: t(f"financial_sentiment.label.{label}") for label in LABELS}.__getitem__,
                label_visibility="collapsed",
            )  # fmt: skip


def _said(key: str, w: Waiting) -> None:
    chosen = st.session_state.get(key)
    if not chosen:
        return
    try:
        desk().relabel(w.item.id, w.mood.company, chosen, session.caller())
    except TouchstoneError as error:
        states.failed(error)
    else:
        st.toast(t("financial_sentiment.corrected"), icon=":material/check_circle:")
