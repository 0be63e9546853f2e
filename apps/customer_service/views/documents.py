"""The documents a person uploads: with progress, a reason for each that was refused, and a way to remove them."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from apps.customer_service.knowledge import UPLOAD_LIMIT_MB
from apps.customer_service.views.state import service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import caller, t
from core.errors import NotFound, TouchstoneError
from core.retrieval.load import SUFFIXES

_SAMPLE, _READ = "support_sample", "support_read"


def sample_on() -> bool:
    """Whether answers may come from the sample shop."""
    return st.session_state.get(_SAMPLE, True)


def draw() -> None:
    """The button that opens the documents; nothing else is looked up until it is pressed."""
    title = t("customer_service.documents")
    if st.button(title, key="support_documents", icon=":material/folder_open:", width="stretch"):
        st.dialog(title, width="medium", icon=":material/folder_open:")(panel)()


def panel() -> None:
    """What the dialog shows: the sample shop's switch, the uploader, the documents."""
    st.toggle(t("customer_service.sample"), value=True, key=_SAMPLE, persist_state="session")
    _uploader()
    _listed()


def _uploader() -> None:
    files = st.file_uploader(
        t("customer_service.upload"),
        type=[suffix.lstrip(".") for suffix in SUFFIXES],
        accept_multiple_files=True,
        key="support_upload",
        max_upload_size=UPLOAD_LIMIT_MB,
        help=t("customer_service.upload_help", limit_mb=UPLOAD_LIMIT_MB),
    )
    read: dict[str, TouchstoneError | None] = st.session_state.setdefault(_READ, {})
    new = [file for file in files if file.file_id not in read]
    bar = st.progress(0.0) if new else None
    for done, file in enumerate(new):
        if bar:
            bar.progress(done / len(new), text=t("customer_service.reading", name=inert(file.name)))
        try:
            read[file.file_id] = service().upload(file.name, file.getvalue(), caller()).error
        except TouchstoneError as error:
            read[file.file_id] = error
    if bar:
        bar.empty()
    for file in files:
        if wrong := read[file.file_id]:
            states.failed(wrong)
        else:
            st.success(t("customer_service.uploaded", name=inert(file.name)), icon=":material/check_circle:")


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
    with suppress(NotFound):  # removed in another window
        service().remove(document_id, caller())
