"""Files of one's own in the place of the catalogue ``own``: a folder of this machine, or two uploads.

What their columns say is recognized and can be corrected. Reading, embedding and fitting go on in the background; the
catalogue before serves meanwhile.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.background import Background
from apps.recommendation import tables
from apps.recommendation.data import EVENT_COLUMNS, ITEM_COLUMNS, Findings
from apps.recommendation.folders import Recognized, look
from apps.recommendation.service import Recommender
from apps.recommendation.views import state
from apps.roots import inside, roots
from apps.ui import look as looks
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.retrieval.records import Progress

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

OWN = "own"
WAYS = ("folder", "upload")
SHOWN = {"items": ("id", "title", "about", "tags", "kind", "year"), "events": ("user", "item", "value", "at")}
KNOWN = {"items": ITEM_COLUMNS, "events": EVENT_COLUMNS}
COUNTED = ("duplicates", "incomplete", "unknown_items", "future")
PATH, WAY = "recommend_folder", "recommend_way"


@st.cache_resource(show_spinner=False)
def background() -> Background:
    """Imports of this process."""
    return Background()


def draw() -> None:
    st.markdown(f"### {t('recommendation.data.own')}\n\n{t('recommendation.data.own_about')}", anchors=False)
    if (work := background().state(_key())) and work.under_way:
        st.fragment(_progress, run_every=0.5)()
        return
    if work is not None and work.error is not None:
        states.failed(work.error)
    elif work is not None:
        for name, of_file in zip(("items", "events"), work.result, strict=True):
            if of_file:
                st.success(_told(name, of_file), icon=":material/check_circle:")
    way = "upload"
    if session.may_read_folders():
        names = {name: t(f"recommendation.data.way.{name}") for name in WAYS}
        way = st.segmented_control(
            t("recommendation.data.way.label"), WAYS, required=True, default=WAYS[0], key=WAY,
            format_func=names.__getitem__, label_visibility="collapsed",
        )  # fmt: skip
    with states.guarded():
        _folder() if way == "folder" else _uploads()


def _folder() -> None:
    allowed = ", ".join(map(str, roots(session.runtime().settings)))
    path = st.text_input(
        t("recommendation.data.folder"), key=PATH, placeholder="~/ml-latest-small",
        help=t("recommendation.data.folder_help", roots=allowed or t("recommendation.data.any")),
    )  # fmt: skip
    if not (path or "").strip():
        _button(None)
        return
    found = look(inside(path, session.runtime().settings, needed_for="recommend import"))
    files = {"items": found.items, "events": found.interactions}
    heads = {name: tables.heads(file) for name, file in files.items() if file is not None}
    columns = _columns({name: file.name for name, file in files.items() if file}, heads)
    if _button(True):
        _begin(lambda own, told: own.bring(_with(found, columns), told))


def _uploads() -> None:
    types = [suffix.removeprefix(".") for suffix in tables.SUFFIXES]
    sent = {
        name: st.file_uploader(t(f"recommendation.data.{name}_file"), type=types, key=f"recommend_{name}_file")
        for name in SHOWN
    }
    given = {name: file for name, file in sent.items() if file is not None}
    columns = _columns({name: file.name for name, file in given.items()}, {n: _head(f) for n, f in given.items()})
    if _button("items" in given):
        content = {name: (Path(file.name).suffix.lower(), file.getvalue()) for name, file in given.items()}

        def work(own: Recommender, told: Callable[[Progress], None]) -> Any:
            with tempfile.TemporaryDirectory() as folder:
                paths = {name: Path(folder) / f"{name}{suffix}" for name, (suffix, _) in content.items()}
                for name, path in paths.items():
                    path.write_bytes(content[name][1])
                return own.bring(_with(Recognized(paths["items"], paths.get("events")), columns), told)

        _begin(work)


def _head(file: UploadedFile) -> list[str]:
    """The columns of an upload; read once, for a run of the page must not read the file again."""
    kept = st.session_state.setdefault("recommend_heads", {})
    if file.file_id not in kept:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"head{Path(file.name).suffix.lower()}"
            path.write_bytes(file.getvalue())
            kept[file.file_id] = tables.heads(path)
    return kept[file.file_id]


def _columns(names: Mapping[str, str], heads: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """What each column of the files is, as recognized; anything else can be chosen."""
    chosen: dict[str, dict[str, str]] = {}
    for kind, there in heads.items():
        guess = tables.recognized(there, KNOWN[kind])
        told = " · ".join(f"{_column(ours)} ← {inert(theirs)}" for ours, theirs in guess.items())
        st.markdown(f":material/table: **{inert(names[kind])}**  \n:small[:gray[{told}]]", anchors=False)
        chosen[kind] = {ours: theirs for ours, theirs in guess.items() if ours not in SHOWN[kind]}
        with (
            st.expander(t("recommendation.data.columns"), expanded=not _needed(kind, guess), type="compact"),
            st.grid(3, min_column_width=200),
        ):
            for ours in SHOWN[kind]:
                theirs = st.selectbox(
                    _column(ours), there, key=f"recommend_column_{kind}_{ours}_{names[kind]}",
                    index=there.index(guess[ours]) if ours in guess else None, placeholder=t("recommendation.data.column.none"),
                )  # fmt: skip
                if theirs:
                    chosen[kind][ours] = theirs
    return chosen


def _column(ours: str) -> str:
    name, _, spoken = ours.partition("_")
    return t(f"recommendation.data.column.{name}") + (f" ({spoken})" if spoken else "")


def _needed(kind: str, guess: Mapping[str, str]) -> bool:
    """Whether all that a file must have was recognized."""
    if kind == "events":
        return {"user", "item"} <= set(guess)
    return "id" in guess and any(name.startswith("title") for name in guess)


def _with(files: Recognized, columns: Mapping[str, Mapping[str, str]]) -> Recognized:
    return replace(files, item_columns=columns["items"], event_columns=columns.get("events", {}))


def _button(ready: bool | None) -> bool:
    return st.button(
        t("recommendation.data.import"), key="recommend_import", icon=":material/download:", type="primary", disabled=not ready
    )  # fmt: skip


def _key() -> str:
    return f"recommend/{session.caller().tenant}"


def _begin(bring: Callable[[Recommender, Callable[[Progress], None]], Any]) -> None:
    own = Recommender(session.runtime(), catalogue=OWN, tenant=session.caller().tenant)

    async def work(told: Callable[[Progress], None]) -> Any:
        found = await asyncio.to_thread(bring, own, told)
        state.take(own)
        return found

    background().start(_key(), work)
    st.rerun()


def _progress() -> None:
    work = background().state(_key())
    if work is None or not work.under_way:
        if work is not None and work.result is not None:
            st.session_state["recommend_next"] = OWN
        st.rerun()
        return
    step = work.progress
    text = t(f"recommendation.data.stage.{step.stage}", done=looks.count(step.done), total=looks.count(step.total))
    st.progress(min(1.0, step.done / step.total) if step.total else 0.0, text=text)
    st.caption(t("recommendation.data.meanwhile"))


def _told(name: str, found: Findings) -> str:
    parts = [t(f"recommendation.report.{name}", kept=found.kept, rows=found.rows)]
    parts += [t(f"recommendation.report.{c}", count=n) for c in COUNTED if (n := getattr(found, c))]
    parts += [t("recommendation.report.examples", examples=inert("; ".join(found.examples)))] if found.examples else []
    return " ".join(parts)


def open_imported() -> None:
    """After an import, the new catalogue; called before its widget is drawn."""
    if name := st.session_state.pop("recommend_next", None):
        st.session_state[state.CATALOGUE] = name
