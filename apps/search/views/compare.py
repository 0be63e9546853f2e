"""The retrieval tester: two settings side by side, on one query and on judged queries, and the usual setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import streamlit as st

from apps.search.query import HELPS, KINDS, MODES, PLACES, Query
from apps.search.tester import Changed, Compared, Side
from apps.search.views.cards import file_name, ranks, titled
from apps.search.views.state import keep, service, usual
from apps.ui import look, session, states
from apps.ui.inert import inert
from apps.ui.session import caller, language, t
from core.evaluation.datasets import Dataset
from core.evaluation.gate import GateRow
from core.evaluation.judged import SUFFIXES
from core.i18n import LANGUAGES, message
from core.retrieval.records import Progress

SIDES = ("A", "B")
SOURCES = ("sample", "judgments", "file", "folder")
SHOWN = 15  # queries that changed most
_FIELDS = ("mode", "help", "places", "languages", "kinds", "rerank", "diversity", "half_life_days", "title", "heading")
_QUERY, _SOURCE, _FOLDER = "compare_q", "compare_source", "compare_folder"
KEPT = (_QUERY, _SOURCE, _FOLDER, *(f"compare_{side}_{name}" for side in SIDES for name in _FIELDS))


def draw() -> None:
    keep(KEPT)
    st.caption(t("search.compare.about"))
    first, second = (_setting(side, column) for side, column in zip(SIDES, st.columns(2, gap="medium"), strict=True))
    one_query(first, second)
    judged_queries(first, second)
    usual_setting()


# --- settings -------------------------------------------------------------------------------------


def _setting(side: str, column: st.delta_generator.DeltaGenerator) -> Query:
    """The controls of one side; A begins as the setting in use, B as words alone beside it."""
    state = st.session_state
    begin = usual()
    for field in fields(Query):
        if field.name in _FIELDS and f"compare_{side}_{field.name}" not in state:
            value = getattr(begin, field.name)
            value = (
                ("keyword" if begin.mode != "keyword" else "hybrid") if (side, field.name) == ("B", "mode") else value
            )
            state[f"compare_{side}_{field.name}"] = list(value) if isinstance(value, tuple) else value

    def key(name: str) -> str:
        return f"compare_{side}_{name}"

    with column, st.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"### :primary[{side}]", anchors=False, width="content")
            st.segmented_control(
                t("search.mode"), MODES, required=True, key=key("mode"), label_visibility="collapsed",
                format_func=_names("modes", MODES),
            )  # fmt: skip
        st.pills(t("search.help"), HELPS, selection_mode="multi", key=key("help"), format_func=_names("helps", HELPS))
        with st.expander(t("search.compare.more"), type="compact"):
            st.pills(
                t("search.in"), PLACES, selection_mode="multi", key=key("places"), format_func=_names("place", PLACES)
            )
            st.pills(
                t("search.languages"),
                LANGUAGES,
                selection_mode="multi",
                key=key("languages"),
                format_func=_names("language", LANGUAGES),
            )
            st.pills(
                t("search.kinds"),
                list(KINDS),
                selection_mode="multi",
                key=key("kinds"),
                format_func=_names("kind", tuple(KINDS)),
            )
            if session.runtime().settings.model("rerank"):
                st.toggle(t("search.compare.rerank"), key=key("rerank"))
            st.slider(
                t("search.compare.diversity"),
                0.0,
                1.0,
                step=0.1,
                key=key("diversity"),
                help=t("search.compare.diversity_help"),
            )
            st.slider(t("search.compare.title"), 0.0, 2.0, step=0.1, key=key("title"))
            st.slider(t("search.compare.heading"), 0.0, 2.0, step=0.1, key=key("heading"))
            st.number_input(
                t("search.compare.half_life"),
                0.0,
                10_000.0,
                step=30.0,
                key=key("half_life_days"),
                help=t("search.compare.half_life_help"),
            )
    values = {name: state.get(key(name)) for name in _FIELDS}
    return Query.of_data({"text": "", **{name: value for name, value in values.items() if value is not None}})


def _names(group: str, codes: Sequence[str]):  # type: ignore[no-untyped-def]  # a bound method of a dict
    return {code: t(f"search.{group}.{code}") for code in codes}.__getitem__


# --- one query ------------------------------------------------------------------------------------


@st.fragment
def one_query(first: Query, second: Query) -> None:
    st.markdown(f"### {t('search.compare.one')}", anchors=False)
    st.text_input(
        t("search.query"), key=_QUERY, type="search", placeholder=t("search.compare.one_hint"), live=True,
        label_visibility="collapsed",
    )  # fmt: skip
    text = (st.session_state.get(_QUERY) or "").strip()
    if not any(c.isalnum() for c in text):
        return
    from dataclasses import replace

    with states.guarded():
        sides = service().tester.side_by_side(replace(first, text=text), replace(second, text=text), caller())
        alike = sum(side.rank == side.other_rank for side in sides[0])
        only = sum(side.other_rank is None for side in sides[0])
        st.caption(t("search.compare.alike", alike=alike, only=only, shown=len(sides[0])))
        for name, column, hits in zip(SIDES, st.columns(2, gap="medium"), sides, strict=True):
            with column:
                st.markdown(
                    "\n\n".join([f"**{name}**", *map(_line, hits)]) if hits else t("search.nothing"), anchors=False
                )


def _line(side: Side) -> str:
    """A hit as two lines: rank, how it stands on the other side, place; then where from and why."""
    if side.other_rank is None:
        mark = f":orange-badge[{t('search.compare.only_here')}]"
    elif side.other_rank == side.rank:
        mark = ":gray-badge[=]"
    else:
        better = side.rank < side.other_rank
        mark = f":{'green' if better else 'red'}-badge[{'▲' if better else '▼'} {abs(side.other_rank - side.rank)}]"
    return (
        f":small[:gray[{side.rank}]] {mark} **{inert(titled(side.hit))}**  \n"
        f":small[:gray[{inert(file_name(side.hit))} · {ranks(side.hit, language())}]]"
    )


# --- judged queries -------------------------------------------------------------------------------


def judged_queries(first: Query, second: Query) -> None:
    st.markdown(f"### {t('search.compare.judged')}", anchors=False)
    st.session_state.setdefault(_SOURCE, SOURCES[0])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            t("search.compare.source"), SOURCES, key=_SOURCE, required=True, label_visibility="collapsed",
            format_func=_names("compare.sources", SOURCES),
        )  # fmt: skip
    with states.guarded():
        data = _data(st.session_state[_SOURCE])
        if data is None:
            return
        if isinstance(data, Dataset):
            count = sum(any(gain > 0 for gain in record.relevant.values()) for record in data.records)
            st.caption(t("search.compare.questions", count=count))
        with st.container(horizontal=True):
            st.button(
                t("search.compare.measure"), key="compare_measure", icon=":material/science:", type="primary",
                on_click=_measure, args=(first, second, data),
            )  # fmt: skip
            if session.allowed("admin"):
                for name, query in zip(SIDES, (first, second), strict=True):
                    st.button(
                        t("search.compare.use", side=name), key=f"compare_use_{name}", icon=":material/gavel:",
                        help=t("search.compare.use_help"), on_click=_use, args=(query, data, False),
                    )  # fmt: skip
        _under_way("measure")
        _under_way("default", data)


def _data(source: str) -> Dataset | Path | None:
    """What was chosen to measure on; ``None`` while nothing is."""
    if source == "judgments":
        data = service().tester.judged("judgments", caller())
        if not data.records:
            states.empty(
                t("search.compare.no_judgments"), icon=":material/thumb_up:", hint=t("search.compare.no_judgments_hint")
            )
            return None
        _judgments(data)
        return data
    if source == "file":
        file = st.file_uploader(
            t("search.compare.file"),
            type=[s.lstrip(".") for s in SUFFIXES],
            key="compare_file",
            help=t("search.compare.file_help"),
        )
        return service().tester.of_file(file.name, file.getvalue(), caller()) if file else None
    if source == "folder":
        if not session.may_read_folders():
            st.caption(t("search.folder_not_allowed"))
            return None
        typed = st.text_input(
            t("search.compare.folder"), key=_FOLDER, placeholder="~/scifact", help=t("search.compare.folder_help")
        )
        return service().folders.allowed(typed, caller()) if typed.strip() else None
    return service().tester.judged("sample", caller())


def _judgments(data: Dataset) -> None:
    with st.expander(
        t("search.compare.judgments", count=sum(len(r.relevant) for r in data.records)),
        icon=":material/table:",
        type="compact",
    ):
        names = service().names(caller())
        st.dataframe(
            [
                {
                    t("search.compare.question"): record.input,
                    t("search.compare.document"): names.get(document, document),
                    t("search.compare.answers"): gain > 0,
                }
                for record in data.records
                for document, gain in record.relevant.items()
            ],
            hide_index=True,
        )
        st.download_button(
            t("search.compare.export"), lambda: service().tester.export(caller()), "judgments.zip", "application/zip",
            key="compare_export", icon=":material/download:", on_click="ignore", help=t("search.compare.export_help"),
        )  # fmt: skip


def _key(kind: str) -> str:
    who = caller()
    return f"{kind}/{who.tenant}/{who.user}"


def _measure(first: Query, second: Query, data: Dataset | Path) -> None:
    who, desk = caller(), service()
    desk.background.start(_key("measure"), lambda told: desk.tester.compare(first, second, data, who, told))


def _use(query: Query, data: Dataset | Path, force: bool) -> None:
    who, desk = caller(), service()
    st.session_state["compare_wanted"] = query
    desk.background.start(
        _key("default"), lambda told: desk.tester.set_default(query, data, who, force=force, told=told)
    )


def _under_way(kind: str, data: Dataset | Path | None = None) -> None:
    work = service().background.state(_key(kind))
    if work is None:
        return
    if work.under_way:
        st.fragment(_progress, run_every=0.5)(kind)
    elif work.error is not None:
        states.failed(work.error)
        wanted = st.session_state.get("compare_wanted")
        if (
            kind == "default"
            and wanted is not None
            and data is not None
            and work.error.reason in ("setting_worse", "setting_unmeasured")
        ):
            st.button(
                t("search.compare.force"),
                key="compare_force",
                icon=":material/warning:",
                on_click=_use,
                args=(wanted, data, True),
            )
    elif kind == "default":
        st.success(t("search.compare.changed"), icon=":material/check_circle:")
        if isinstance(work.result, Compared):
            measured(work.result, (t("search.compare.before"), t("search.compare.after")))
    else:
        measured(work.result, SIDES)


def _progress(kind: str) -> None:
    work = service().background.state(_key(kind))
    if work is None or not work.under_way:
        st.rerun()
        return
    step: Progress = work.progress
    share = step.done / step.total if step.total else 0.0
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(
            min(share, 1.0),
            text=t("search.compare.progress", name=inert(step.name), done=step.done, total=step.total),
            width="stretch",
        )
        st.button(
            t("search.compare.stop"),
            key=f"compare_stop_{kind}",
            type="tertiary",
            icon=":material/stop_circle:",
            on_click=_forget,
            args=(kind,),
        )


def _forget(kind: str) -> None:
    service().background.forget(_key(kind))


def measured(found: Compared, names: Sequence[str]) -> None:
    """Both figures of each measure, what lies between them, and the queries that changed most.

    No tables: the narrow page of a phone would cut them.
    """
    for column, row in zip(st.columns(len(found.rows), gap="small"), found.rows, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.markdown(_figure(row, names), anchors=False)
    st.caption(t("search.compare.figures", count=len(found.first.ids), data=inert(found.first.data)))
    if found.changed:
        label = t("search.compare.most", count=min(SHOWN, len(found.changed)), changed=len(found.changed))
        with st.expander(label, icon=":material/swap_vert:", type="compact", expanded=True):
            st.markdown("  \n".join(map(_change, found.changed[:SHOWN])), anchors=False)


def _figure(row: GateRow, names: Sequence[str]) -> str:
    color = {"better": "green", "worse": "red"}.get(row.verdict, "gray")
    interval = f"{row.difference or 0.0:+.3f} [{row.low or 0.0:+.3f}, {row.high or 0.0:+.3f}]"
    return (
        f"**{row.measure}**  \n"
        f":gray[{names[0]}] {_number(row.baseline)} → :gray[{names[1]}] **{_number(row.current)}**  \n"
        f":{color}-badge[{t(f'search.compare.verdicts.{row.verdict}', name=names[1])}]  \n"
        f":small[:gray[{t('search.compare.difference')} {inert(interval)} · p {_probability(row.p)}]]"
    )


def _change(row: Changed) -> str:
    """A query with its nDCG@10 and the rank of the first document that answers it, before and now."""
    color = "green" if row.after > row.before else "red"
    ranks = f"{row.rank_before or '> 10'} → {row.rank_after or '> 10'}"
    return (
        f":{color}[{row.before:.2f} → {row.after:.2f}] {inert(row.question)} "
        f":small[:gray[{t('search.compare.first_rank')} {inert(ranks)}]]"
    )


def _probability(value: float | None) -> str:
    return inert("< 0.001") if value is not None and value < 0.001 else _number(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# --- the usual setting ----------------------------------------------------------------------------


def usual_setting() -> None:
    """What is in use, and who changed it when."""
    changes = service().defaults.changes(caller(), 5)
    with st.expander(t("search.compare.usual"), icon=":material/history:", type="compact"):
        st.markdown(described(usual()), anchors=False)
        for change in changes:
            forced = f" :orange-badge[{t('search.compare.forced')}]" if change.forced else ""
            st.caption(f"{look.moment(change.at)} · {inert(change.by)} · {described(change.query)}{forced}")


def described(query: Query) -> str:
    """A setting in words."""
    parts = [t(f"search.modes.{query.mode}")]
    parts += [t(f"search.helps.{kind}") for kind in query.help] or [message("search.compare.no_help", language())]
    named = (
        ("diversity", query.diversity),
        ("title", query.title),
        ("heading", query.heading),
        ("half_life", query.half_life_days),
    )
    parts += [f"{t(f'search.compare.{name}')} {value:g}" for name, value in named if value]
    return " · ".join(map(inert, parts))
