"""The documents a person uploads to search in."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from apps.search.service import UPLOAD_LIMIT_MB
from apps.search.views.state import service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import caller, t
from core.errors import NotFound, TouchstoneError
from core.retrieval.load import SUFFIXES

_READ = "search_read"


def panel() -> None:
    """What the dialog shows: the uploader and the documents."""
    files = st.file_uploader(
        t("search.upload"),
        type=[suffix.lstrip(".") for suffix in SUFFIXES],
        accept_multiple_files=True,
        key="search_upload",
        max_upload_size=UPLOAD_LIMIT_MB,
    )
    read: dict[str, TouchstoneError | None] = st.session_state.setdefault(_READ, {})
    for file in [file for file in files if file.file_id not in read]:
        with states.loading(t("search.reading", name=inert(file.name))):
            try:
                read[file.file_id] = service().upload(file.name, file.getvalue(), caller()).error
            except TouchstoneError as error:
                read[file.file_id] = error
    for file in files:
        if wrong := read[file.file_id]:
            states.failed(wrong)
        else:
            st.success(t("search.uploaded", name=inert(file.name)), icon=":material/check_circle:")
    _listed()


@st.fragment(run_every=2.0)
def _listed() -> None:
    found = service().documents(caller())
    if not found:
        st.caption(t("search.no_documents"))
    for document in found:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            passages = t("search.passages", count=document.passages)
            st.markdown(f"**{inert(document.title)}**  \n:small[:gray[{passages}]]", width="stretch")
            st.button(
                t("search.remove"),
                key=f"search_remove_{document.id}",
                icon=":material/delete:",
                type="tertiary",
                on_click=_remove,
                args=(document.id,),
            )
    if step := service().embedding(caller()):
        share = step.done / step.total if step.total else 0.0
        st.progress(share, text=t("search.embedding", done=step.done, total=step.total))


def _remove(document_id: str) -> None:
    with suppress(NotFound):  # removed in another window
        service().remove(document_id, caller())
