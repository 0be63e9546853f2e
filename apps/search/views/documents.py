"""What is searched and who finds it: folders in step with the collection, one's own uploads, and what lies in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import streamlit as st

from apps.search.folders import Folder
from apps.search.views.state import keep, service
from apps.ui import look, session, states, uploads
from apps.ui.inert import inert, inert_lines
from apps.ui.session import caller, language, t
from core.backup import backup
from core.errors import NotFound
from core.providers.sync import run
from core.retrieval.journal import Run
from core.retrieval.records import DocumentInfo, Progress, SyncReport

PAGE = 20  # documents on a page
MARKS = {
    "added": "green",
    "updated": "blue",
    "unchanged": "gray",
    "removed": "orange",
    "failed": "red",
    "skipped": "gray",
}
_TAB, _PATH, _NAME = "documents_tab", "documents_path", "documents_name"
TABS = ("folders", "uploads")


def draw() -> None:
    keep((_TAB, _PATH, _NAME))
    st.session_state.setdefault(_TAB, TABS[0])
    names = {tab: t(f"search.documents.tab.{tab}") for tab in TABS}
    st.segmented_control(
        t("search.documents.tab.label"),
        TABS,
        required=True,
        key=_TAB,
        format_func=names.__getitem__,
        label_visibility="collapsed",
    )
    if st.session_state[_TAB] == "uploads":
        st.caption(f":material/lock: {t('search.documents.who.mine')}")
        uploads.draw(service(), "search", "search")
        _listed(service().documents(caller()), removable=False, key="mine")
        return
    st.caption(f":material/group: {t('search.documents.who.shared', tenant=inert(caller().tenant))}")
    with states.guarded():
        _folders()
        _journal()
        _listed(service().folders.documents(caller()), removable=session.allowed("admin"), key="shared")
        _backup()


# --- folders --------------------------------------------------------------------------------------


def _key() -> str:
    return f"folders/{caller().tenant}"


def _folders() -> None:
    if session.may_read_folders():
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                t("search.documents.path"), key=_PATH, placeholder="~/handbook", width="stretch",
                help=t("search.documents.path_help", roots=", ".join(map(str, service().folders.roots())) or t("search.documents.any")),
            )  # fmt: skip
            st.button(
                t("search.documents.sync"), key="documents_sync", icon=":material/sync:", type="primary",
                on_click=_add,
            )  # fmt: skip
    else:
        st.caption(t("search.folder_not_allowed"))
    for number, folder in enumerate(service().folders.all(caller())):
        _folder(number, folder)
    _under_way()


def _folder(number: int, folder: Folder) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        facts = t("search.documents.folder", count=folder.documents, by=folder.by, at=look.moment(folder.at))
        st.markdown(
            f":material/folder: **{inert(look.place(folder.path))}**  \n:small[:gray[{inert(facts)}]]",
            width="stretch",
            anchors=False,
        )
        if session.may_read_folders():
            for name, icon, action, arguments in (
                ("again", ":material/sync:", _sync, (str(folder.path), False)),
                ("reindex", ":material/restart_alt:", _sync, (str(folder.path), True)),
                ("forget", ":material/delete:", _forget, (str(folder.path),)),
            ):
                st.button(
                    t(f"search.documents.{name}"), key=f"folder_{name}_{number}", icon=icon, type="tertiary",
                    help=t(f"search.documents.{name}_help"), on_click=action, args=arguments,
                )  # fmt: skip


def _add() -> None:
    if path := (st.session_state.get(_PATH) or "").strip():
        _sync(path, False)


def _sync(path: str, verify: bool) -> None:
    if not session.may_read_folders():
        return
    who, folders = caller(), service().folders
    service().background.start(_key(), lambda told: folders.sync(path, who, told, verify=verify))


def _forget(path: str) -> None:
    with suppress(NotFound):  # taken off in another window
        run(service().folders.forget(path, caller()))


def _under_way() -> None:
    work = service().background.state(_key())
    if work is None:
        return
    if work.under_way:
        st.fragment(_progress, run_every=0.5)()
    elif work.error is not None:
        states.failed(work.error)
    elif isinstance(work.result, SyncReport):
        counts = {name: work.result.count(name) for name in MARKS}  # type: ignore[arg-type]  # the statuses
        st.success(
            t("search.documents.done", seconds=look.seconds(work.result.seconds), **counts),
            icon=":material/check_circle:",
        )


def _progress() -> None:
    work = service().background.state(_key())
    if work is None or not work.under_way:
        st.rerun()
        return
    step: Progress = work.progress
    share = min(1.0, step.done / step.total) if step.total else 0.0
    with st.container(horizontal=True, vertical_alignment="center"):
        text = t(f"search.documents.stage.{step.stage}", done=step.done, total=step.total, name=inert(step.name))
        st.progress(share, text=text, width="stretch")
        st.button(
            t("search.compare.stop"),
            key="documents_stop",
            type="tertiary",
            icon=":material/stop_circle:",
            on_click=service().background.forget,
            args=(_key(),),
        )


def _journal() -> None:
    """What the last sync did to each file, and why."""
    runs = service().folders.journal(caller())
    if not runs:
        return
    last: Run = runs[0]
    counted = Counter(entry.status for entry in last.entries)
    told = " · ".join(f"{t(f'search.documents.status.{name}')} {counted[name]}" for name in MARKS if counted[name])  # type: ignore[index]
    label = t("search.documents.journal", at=look.moment(last.started_at), counts=told or "–")
    with st.expander(label, icon=":material/receipt_long:", type="compact", expanded=bool(counted["failed"])):
        rows = [entry for entry in last.entries if entry.status != "unchanged"]
        rows += [entry for entry in last.entries if entry.status == "unchanged"]
        st.dataframe(
            [
                {
                    t("search.documents.file"): look.place(Path(entry.source)),
                    t("search.documents.result"): t(f"search.documents.status.{entry.status}"),
                    t("search.documents.passages"): entry.passages,
                    t("search.documents.reason"): entry.text(language()),
                }
                for entry in rows[:1000]
            ],
            hide_index=True,
            column_config={
                t("search.documents.file"): st.column_config.TextColumn(width="medium"),
                t("search.documents.result"): st.column_config.TextColumn(width=90),
                t("search.documents.passages"): st.column_config.NumberColumn(width=90),
                t("search.documents.reason"): st.column_config.TextColumn(width="large"),
            },
        )


# --- documents ------------------------------------------------------------------------------------


def _listed(documents: Sequence[DocumentInfo], *, removable: bool, key: str) -> None:
    """The documents by name, a page at a time; each opens its passages."""
    if not documents:
        if key == "shared":
            states.empty(
                t("search.documents.none"), icon=":material/folder_open:", hint=t("search.documents.none_hint")
            )
        return
    named = (
        st.text_input(
            t("search.documents.find"),
            key=f"{_NAME}_{key}",
            placeholder=t("search.documents.find"),
            label_visibility="collapsed",
        )
        .strip()
        .lower()
    )
    found = [d for d in documents if named in f"{d.title}\n{d.source}".lower()]
    pages = max(1, -(-len(found) // PAGE))
    st.caption(t("search.documents.count", count=len(found), passages=sum(d.passages for d in found)))
    first = (min(st.session_state.get(f"documents_page_{key}") or 1, pages) - 1) * PAGE
    for document in found[first : first + PAGE]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            facts = f"{look.place(Path(document.source))} · {t('ui.uploads.passages', count=document.passages)} · {look.moment(document.updated_at)}"
            st.markdown(f"**{inert(document.title)}**  \n:small[:gray[{inert(facts)}]]", width="stretch", anchors=False)
            if st.button(
                t("search.documents.view"), key=f"passages_{document.id}", icon=":material/segment:", type="tertiary"
            ):
                st.dialog(inert(document.title), width="large")(passages)(document.id)
            if removable:
                st.button(
                    t("ui.uploads.remove"),
                    key=f"remove_{document.id}",
                    icon=":material/delete:",
                    type="tertiary",
                    on_click=_remove,
                    args=(document.id,),
                )
    if pages > 1:
        st.pagination(pages, key=f"documents_page_{key}")


def passages(document_id: str) -> None:
    """A document as it is searched: passage by passage, with heading, page and length."""
    with states.guarded():
        found = service().folders.passages(document_id, caller())
        st.caption(t("search.documents.split", count=len(found)))
        with st.container(height=520, border=False):
            for passage in found:
                facts = [f"{passage.position + 1}", *([inert(passage.heading)] if passage.heading else [])]
                facts += [t("ui.sources.page", page=passage.page)] if passage.page is not None else []
                facts += [t("search.documents.characters", count=len(passage.text))]
                st.markdown(f":small[:gray[{' · '.join(facts)}]]  \n{inert_lines(passage.text)}", anchors=False)


def _remove(document_id: str) -> None:
    with suppress(NotFound):
        run(service().folders.remove(document_id, caller()))


def _backup() -> None:
    """The whole workspace as one file, for an administrator. It stays on this machine: it holds every tenant's."""
    if not session.allowed("admin"):
        return
    if st.button(
        t("search.documents.backup"),
        key="documents_backup",
        icon=":material/archive:",
        help=t("search.documents.backup_help"),
    ):
        with states.guarded(), states.loading():
            written = backup(session.runtime().workspace)
            st.success(
                t("search.documents.backed_up", path=inert(look.place(written.path))), icon=":material/check_circle:"
            )
