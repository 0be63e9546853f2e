"""Curated answers: proposals from the desk, what there is and how often it was given, and one to write or change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import streamlit as st

from apps.customer_service.curated import QUESTION_LIMIT, TEXT_LIMIT, Entry
from apps.customer_service.spoken import language_of
from apps.customer_service.views.state import outcome, service
from apps.spreadsheet import decoded
from apps.ui import look, session, states
from apps.ui.inert import inert, inert_lines
from apps.ui.session import language, t
from core.errors import TouchstoneError
from core.i18n import LANGUAGES
from core.types import Language

NEW = 0
SHOWN = 10  # proposals at once
_SAID = "answers_said"
_FIELDS = ("answers_questions", "answers_text", "answers_language", "answers_on")


def draw() -> None:
    curated, caller = service().curated, session.caller()
    outcome(_SAID)
    st.caption(t("customer_service.manager.answers_help"))
    proposed, entries = curated.all(caller, "proposed"), curated.all(caller)
    left, right = st.columns([3, 2], gap="large")
    with right:
        _form([*entries, *proposed])
    with left:
        if proposed:
            _proposals(proposed)
        _list(entries)
        _files(entries)


def begin(questions: Sequence[str]) -> None:
    """Go to this part with a new answer to ``questions`` begun; for a button's callback."""
    st.session_state["manager_part"] = st.query_params["view"] = "answers"
    st.session_state["answers_which"] = NEW
    _fill("\n".join(questions), "", language_of(questions[0], language()), True)


def _proposals(proposed: list[Entry]) -> None:
    st.markdown(f"**{t('customer_service.manager.proposals', count=len(proposed))}**", anchors=False)
    for entry in proposed[:SHOWN]:
        with st.container(border=True, gap="xsmall", key=f"proposal_{entry.id}"):
            about = f"{session.LANGUAGE_NAMES[entry.language]} · {inert(entry.changed_by)} · {look.moment(entry.changed_at)}"
            st.markdown(
                f"**{inert(entry.questions[0])}**  \n{inert_lines(entry.text)}  \n:small[:gray[{about}]]", anchors=False
            )
            with st.container(horizontal=True, gap="small"):
                st.button(
                    t("customer_service.manager.edit_proposal"), key=f"proposal_edit_{entry.id}", icon=":material/edit:",
                    on_click=_open, args=(entry,),
                )  # fmt: skip
                st.button(
                    t("customer_service.manager.dismiss"), key=f"proposal_drop_{entry.id}", type="tertiary",
                    icon=":material/close:", on_click=_delete, args=(entry.id,),
                )  # fmt: skip


def _list(entries: list[Entry]) -> None:
    st.markdown(f"**{t('customer_service.manager.curated', count=len(entries))}**", anchors=False)
    if not entries:
        states.empty(
            t("customer_service.manager.no_answers"), icon=":material/edit_note:",
            hint=t("customer_service.manager.no_answers_hint"),
        )  # fmt: skip
        return
    head = " | ".join(t(f"customer_service.manager.column.{name}") for name in ("question", "hits", "last"))
    rows = []
    for entry in entries:
        more = f" :small[:gray[+{len(entry.questions) - 1}]]" if len(entry.questions) > 1 else ""
        off = f" :gray-badge[{t('customer_service.manager.switched_off')}]" if entry.state == "off" else ""
        last = look.moment(entry.hit_at) if entry.hit_at else "–"
        rows.append(f"| {_cell(entry.questions[0])}{more}{off} | {entry.hits} | {last} |")
    st.markdown(f"| {head} |\n| --- | ---: | --- |\n" + "\n".join(rows), anchors=False)


def _cell(text: str) -> str:
    return inert(_short(text, 80))


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _form(entries: list[Entry]) -> None:
    known = {entry.id: entry for entry in entries}
    if st.session_state.get("answers_which", NEW) not in (NEW, *known):
        _clear()
    labels = {NEW: t("customer_service.manager.new_answer")}
    labels |= {number: _short(entry.questions[0], 60) for number, entry in known.items()}
    which = st.selectbox(
        t("customer_service.manager.which"), list(labels), key="answers_which", label_visibility="collapsed",
        format_func=labels.__getitem__, on_change=_chosen,
    )  # fmt: skip
    st.text_area(
        t("customer_service.manager.asked_so"), key="answers_questions", height=110, max_chars=50 * QUESTION_LIMIT,
        help=t("customer_service.manager.asked_so_help"),
    )  # fmt: skip
    st.text_area(t("customer_service.manager.answer_text"), key="answers_text", height=150, max_chars=TEXT_LIMIT)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.session_state.setdefault("answers_language", language())
        st.segmented_control(
            t("customer_service.manager.language"), LANGUAGES, key="answers_language", required=True,
            format_func=session.LANGUAGE_NAMES.__getitem__, label_visibility="collapsed",
        )  # fmt: skip
        st.session_state.setdefault("answers_on", True)
        st.toggle(t("customer_service.manager.switched_on"), key="answers_on")
    with st.container(horizontal=True):
        st.button(
            t("customer_service.manager.save_answer"), key="answers_save", type="primary", icon=":material/check:",
            on_click=_save, args=(which,),
        )  # fmt: skip
        if which != NEW:
            st.button(
                t("customer_service.manager.delete_answer"), key="answers_delete", type="tertiary",
                icon=":material/delete:", on_click=_delete, args=(which,),
            )  # fmt: skip


def _files(entries: list[Entry]) -> None:
    with st.expander(t("customer_service.manager.as_table"), icon=":material/table:", type="compact"):
        if entries:
            st.download_button(
                t("customer_service.manager.download"), service().curated.as_csv(session.caller()),
                "answers.csv", "text/csv", key="answers_download", icon=":material/download:",
            )  # fmt: skip
        table = st.file_uploader(t("customer_service.manager.upload_answers"), type="csv", key="answers_upload")
        if table is not None and st.session_state.get("answers_read") != table.file_id:
            st.session_state["answers_read"] = table.file_id
            name, data = table.name, table.getvalue()
            _do(lambda: service().curated.read(session.caller(), decoded(data, name)), "imported")
            st.rerun()


# --- what buttons do ------------------------------------------------------------------------------


def _chosen() -> None:
    which = st.session_state["answers_which"]
    entry = next((e for e in service().curated.all(session.caller(), "live", "off", "proposed") if e.id == which), None)
    _open(entry) if entry else _clear()


def _open(entry: Entry) -> None:
    st.session_state["answers_which"] = entry.id
    _fill("\n".join(entry.questions), entry.text, entry.language, entry.state != "off")


def _clear() -> None:
    st.session_state["answers_which"] = NEW
    _fill("", "", language(), True)


def _fill(*values: object) -> None:
    st.session_state.update(zip(_FIELDS, values, strict=True))


def _save(which: int) -> None:
    asked, text, spoken, on = (st.session_state.get(name) for name in _FIELDS)
    saved = _do(
        lambda: service().curated.save(
            session.caller(), questions=str(asked or "").splitlines(), text=str(text or ""), language=cast(Language, spoken),
            answer_id=which or None, on=bool(on),
        ),
        "answer_saved",
    )  # fmt: skip
    if saved:
        _clear()


def _delete(answer_id: int) -> None:
    _do(lambda: service().curated.delete(session.caller(), answer_id), "answer_gone")
    if st.session_state.get("answers_which") == answer_id:
        _clear()


def _do(call: Callable[[], object], said: str) -> bool:
    """Whether ``call`` went well; what is to be said is kept for the next run."""
    try:
        count = call()
    except TouchstoneError as error:
        st.session_state[_SAID] = error
        return False
    st.session_state[_SAID] = t(f"customer_service.manager.{said}", count=count)
    return True
