"""Upload documents that only the person who looks finds: progress, a reason for each that was refused, a way to remove them."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import streamlit as st

from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import caller, t
from apps.uploads import LIMIT_MB
from core.errors import NotFound, TouchstoneError
from core.retrieval.load import SUFFIXES
from core.retrieval.records import DocumentInfo, FileResult, Progress
from core.types import Caller


class Service(Protocol):
    """What an app's service offers for it."""

    def upload(self, name: str, data: bytes, caller: Caller) -> FileResult: ...
    def documents(self, caller: Caller) -> list[DocumentInfo]: ...
    def remove(self, document_id: str, caller: Caller) -> None: ...
    def embedding(self, caller: Caller) -> Progress | None: ...


def draw(service: Service, texts: str, key: str) -> None:
    """The uploader and the list.

    Args:
        texts: where the texts are in the catalogue, such as ``search``.
        key: begins the keys of the widgets.
    """
    _uploader(service, texts, key)
    _listed(service, texts, key)


def _uploader(service: Service, texts: str, key: str) -> None:
    files = st.file_uploader(
        t(f"{texts}.upload"),
        type=[suffix.lstrip(".") for suffix in SUFFIXES],
        accept_multiple_files=True,
        key=f"{key}_upload",
        max_upload_size=LIMIT_MB,
        help=t("ui.uploads.help", limit_mb=LIMIT_MB),
    )
    read: dict[str, TouchstoneError | None] = st.session_state.setdefault(f"{key}_read", {})
    new = [file for file in files if file.file_id not in read]
    bar = st.progress(0.0) if new else None
    for done, file in enumerate(new):
        if bar:
            bar.progress(done / len(new), text=t("ui.uploads.reading", name=inert(file.name)))
        try:
            read[file.file_id] = service.upload(file.name, file.getvalue(), caller()).error
        except TouchstoneError as error:
            read[file.file_id] = error
    if bar:
        bar.empty()
    for file in files:
        if wrong := read[file.file_id]:
            states.failed(wrong)
        else:
            st.success(t(f"{texts}.uploaded", name=inert(file.name)), icon=":material/check_circle:")


@st.fragment(run_every=2.0)
def _listed(service: Service, texts: str, key: str) -> None:
    """The documents, each with a way to remove it, and how far their vectors are."""
    found = service.documents(caller())
    if not found:
        st.caption(t("ui.uploads.none"))
    for document in found:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            passages = t("ui.uploads.passages", count=document.passages)
            st.markdown(
                f"**{inert(document.title)}**  \n:small[:gray[{inert(document.source)} · {passages}]]", width="stretch"
            )
            st.button(
                t("ui.uploads.remove"),
                key=f"{key}_remove_{document.id}",
                icon=":material/delete:",
                type="tertiary",
                on_click=_remove,
                args=(service, document.id),
            )
    if step := service.embedding(caller()):
        share = step.done / step.total if step.total else 0.0
        st.progress(share, text=t("ui.uploads.embedding", done=step.done, total=step.total))


def _remove(service: Service, document_id: str) -> None:
    with suppress(NotFound):  # removed in another window
        service.remove(document_id, caller())
