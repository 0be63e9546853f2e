"""The documents a person uploads: with progress, a reason for each that was refused, and a way to remove them."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.knowledge import UPLOAD_LIMIT_MB
from apps.customer_service.views.state import service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import caller, t
from core.errors import TouchstoneError
from core.retrieval.load import SUFFIXES

_SAMPLE, _ROUND = "support_sample", "support_upload_round"


def sample_on() -> bool:
    """Whether answers may come from the sample shop."""
    return st.session_state.get(_SAMPLE, True)


def draw() -> None:
    """The button that opens the documents; nothing else is looked up until it is pressed."""
    if st.button(
        t("customer_service.documents"), key="support_documents", icon=":material/folder_open:", width="stretch"
    ):
        dialog()


def dialog() -> None:
    @st.dialog(t("customer_service.documents"), width="medium", icon=":material/folder_open:")
    def opened() -> None:
        st.toggle(t("customer_service.sample"), value=True, key=_SAMPLE, persist_state="session")
        _uploader()
        _listed()

    opened()


def _uploader() -> None:
    number = st.session_state.setdefault(_ROUND, 0)
    files = st.file_uploader(
        t("customer_service.upload"),
        type=[suffix.lstrip(".") for suffix in SUFFIXES],
        accept_multiple_files=True,
        key=f"support_upload_{number}",
        max_upload_size=UPLOAD_LIMIT_MB,
        help=t("customer_service.upload_help", limit_mb=UPLOAD_LIMIT_MB),
    )
    if not files:
        _last_report()
        return
    report: list[tuple[str, TouchstoneError | None]] = []
    bar = st.progress(0.0)
    for done, file in enumerate(files):
        bar.progress(done / len(files), text=t("customer_service.reading", name=inert(file.name)))
        try:
            result = service().upload(file.name, file.getvalue(), caller())
            report.append((file.name, result.error))
        except TouchstoneError as error:
            report.append((file.name, error))
    st.session_state["support_upload_report"] = report
    st.session_state[_ROUND] = number + 1  # an empty uploader for the next files
    st.rerun(scope="fragment")


def _last_report() -> None:
    """What became of the files uploaded last."""
    for name, error in st.session_state.get("support_upload_report", ()):
        if error is None:
            st.success(t("customer_service.uploaded", name=inert(name)), icon=":material/check_circle:")
        else:
            states.failed(error)


@st.fragment(run_every=2.0)
def _listed() -> None:
    """The caller's documents, each with a way to remove it, and how far their vectors are."""
    found = service().documents(caller())
    if not found:
        st.caption(t("customer_service.no_documents"))
    for document in found:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(
                f"**{inert(document.title)}**  \n:small[:gray[{inert(document.source)} · "
                f"{t('customer_service.passages', count=document.passages)}]]",
                width="stretch",
            )
            st.button(
                t("customer_service.remove"),
                key=f"remove_{document.id}",
                icon=":material/delete:",
                type="tertiary",
                on_click=_remove,
                args=(document.id,),
            )
    if step := service().embedding(caller()):
        share = step.done / step.total if step.total else 0.0
        st.progress(share, text=t("customer_service.embedding", done=step.done, total=step.total))


def _remove(document_id: str) -> None:
    st.session_state.pop("support_upload_report", None)
    try:
        service().remove(document_id, caller())
    except TouchstoneError as error:
        st.session_state["support_upload_report"] = [("", error)]
