"""The dictionary of companies: changed in a table, or as a file that is taken, changed and given back."""

from __future__ import annotations

import streamlit as st

from apps.financial_sentiment import companies
from apps.financial_sentiment.companies import Company
from apps.financial_sentiment.views.state import desk
from apps.spreadsheet import decoded
from apps.ui import session, states
from apps.ui.session import t
from core.errors import TouchstoneError

_TAKEN, _EDITOR = "sentiment_companies_taken", "sentiment_companies_editor"
SHOWN = 300  # rows of the table; more are changed as a file


def draw() -> None:
    st.markdown(f"#### {t('financial_sentiment.dictionary')}", anchors=False)
    known = list(desk().dictionary(session.caller()).companies.values())
    st.download_button(
        t("financial_sentiment.dictionary_get", count=len(known)), companies.written(known).encode("utf-8-sig"),
        "companies.csv", icon=":material/download:", key="sentiment_dictionary",
    )  # fmt: skip
    with st.expander(t("financial_sentiment.dictionary_edit"), icon=":material/edit:", type="compact"):
        _table(known)
    _file()


def _table(known: list[Company]) -> None:
    """The tenant's own and the sample's first, then the others; a row of a known id replaces it."""
    import pandas

    shipped = companies.shipped().companies
    listed = sorted(known, key=lambda c: (c.id in shipped and c == shipped[c.id], c.id))[:SHOWN]
    edited = st.data_editor(
        pandas.DataFrame([companies.as_row(c) for c in listed], columns=companies.COLUMNS, dtype=str),
        num_rows="add", hide_index=True, height=320, key=_EDITOR,
    )  # fmt: skip
    st.caption(t("financial_sentiment.dictionary_help"))
    if not st.button(t("financial_sentiment.save"), key="sentiment_companies_save", icon=":material/save:"):
        return
    before = {c.id: c for c in known}
    with states.guarded():
        rows = companies.parse(edited.fillna("").to_csv(index=False), t("financial_sentiment.dictionary"))
        changed = [c for c in rows if before.get(c.id) != c]
        if changed:
            _take(changed)


def _file() -> None:
    file = st.file_uploader(
        t("financial_sentiment.dictionary_put"), type=["csv"], key="sentiment_companies",
        help=t("financial_sentiment.dictionary_help"),
    )  # fmt: skip
    if file is None or st.session_state.get(_TAKEN) == file.file_id:
        return
    try:
        _take(companies.parse(decoded(file.getvalue(), file.name), file.name))
    except TouchstoneError as error:
        states.failed(error)
    else:
        st.session_state[_TAKEN] = file.file_id


def _take(given: list[Company]) -> None:
    with states.loading():
        desk().add_companies(given, session.caller())
    st.success(t("financial_sentiment.dictionary_taken", count=len(given)), icon=":material/check_circle:")
