"""Sectors and portfolios: how each stands, its course and members; portfolios are changed here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from apps.financial_sentiment import groups
from apps.financial_sentiment.companies import Dictionary
from apps.financial_sentiment.digest import group_name
from apps.financial_sentiment.groups import Group
from apps.financial_sentiment.standings import GroupStanding
from apps.financial_sentiment.views import charts
from apps.financial_sentiment.views.state import at, color_of, desk, group_id, open_company, open_group, signed
from apps.spreadsheet import decoded
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

_TAKEN = "sentiment_portfolios_taken"


def draw() -> None:
    standings = desk().group_standings(session.caller(), at=at())
    if not standings:
        states.empty(t("financial_sentiment.nothing"), hint=t("financial_sentiment.nothing_hint"))
    else:
        _table(standings)
        chosen = next((s for s in standings if s.group.id == group_id()), standings[0])
        _one(chosen)
    _portfolios()


def _name(group: Group) -> str:
    return group_name(group.id, session.language())


def _table(standings: list[GroupStanding]) -> None:
    rows = {
        t("financial_sentiment.group"): [_name(s.group) for s in standings],
        t("financial_sentiment.kind"): [t(f"financial_sentiment.kinds.{s.group.kind}") for s in standings],
        t("financial_sentiment.mood"): [round(s.index.mood, 2) for s in standings],
        t("financial_sentiment.change"): [round(s.change, 2) for s in standings],
        t("financial_sentiment.dispersion"): [round(s.index.dispersion, 2) for s in standings],
        t("financial_sentiment.items"): [s.items for s in standings],
        t("financial_sentiment.course"): [[round(d.index.mood, 3) for d in s.last] for s in standings],
    }
    names = list(rows)
    config: dict[str, Any] = {
        names[0]: st.column_config.TextColumn(pinned=True, width="medium"),
        names[2]: st.column_config.NumberColumn(format="%+.2f", help=t("financial_sentiment.group_help")),
        names[3]: st.column_config.NumberColumn(format="%+.2f", help=t("financial_sentiment.change_help")),
        names[4]: st.column_config.NumberColumn(format="%.2f", help=t("financial_sentiment.dispersion_help")),
        names[5]: st.column_config.NumberColumn(help=t("financial_sentiment.items_help")),
        names[6]: st.column_config.LineChartColumn(y_min=-1, y_max=1),
    }
    ids = [s.group.id for s in standings]
    st.dataframe(
        rows, column_config=config, hide_index=True, key="sentiment_groups", on_select=lambda: _picked(ids),
        selection_mode="single-row", height="content",
    )  # fmt: skip
    st.caption(t("financial_sentiment.pick_group"))


def _picked(ids: list[str]) -> None:
    if chosen := st.session_state["sentiment_groups"].selection.rows:
        open_group(ids[chosen[0]])


def _one(standing: GroupStanding) -> None:
    language = session.language()
    mood = f":{color_of(standing.index.mood)}[**{signed(standing.index.mood)}**]"
    days = desk().group_timeline(standing.group.id, session.caller(), at=at())
    told = " · ".join([f"± {standing.index.deviation:.2f}", *charts.spread(days)])
    st.markdown(f"### {inert(_name(standing.group))}  {mood} :small[:gray[{told}]]", anchors=False)
    charts.course(days, volume_title="mentions_title")
    st.markdown(f"**{t('financial_sentiment.members', count=len(standing.members))}**", anchors=False)
    shown = [m for m in standing.members if m.items] or list(standing.members)
    ids = [m.company.id for m in shown]
    st.dataframe(
        {
            t("financial_sentiment.company"): [m.company.name(language) for m in shown],
            t("financial_sentiment.share"): [100 * m.share for m in shown],
            t("financial_sentiment.mood"): [round(m.index.mood, 2) for m in shown],
            t("financial_sentiment.part"): [round(m.part, 3) for m in shown],
            t("financial_sentiment.items"): [m.items for m in shown],
        },
        column_config={
            t("financial_sentiment.share"): st.column_config.NumberColumn(format="%.1f %%"),
            t("financial_sentiment.mood"): st.column_config.NumberColumn(format="%+.2f"),
            t("financial_sentiment.part"): st.column_config.NumberColumn(
                format="%+.3f", help=t("financial_sentiment.part_help")
            ),
        },
        hide_index=True,
        key="sentiment_members",
        on_select=lambda: _member(ids),
        selection_mode="single-row",
        height="content",
    )
    if quiet := len(standing.members) - len(shown):
        st.caption(t("financial_sentiment.members_quiet", count=quiet))


def _member(ids: list[str]) -> None:
    if chosen := st.session_state["sentiment_members"].selection.rows:
        open_company(ids[chosen[0]])


# --- portfolios -------------------------------------------------------------------------------


def _portfolios() -> None:
    st.markdown(f"#### {t('financial_sentiment.portfolios')}", anchors=False)
    dictionary = desk().dictionary(session.caller())
    known = [g for g in desk().groups(session.caller()) if g.kind == "portfolio"]
    left, right = st.columns([3, 2], gap="large")
    with left:
        _edit({g.name: g for g in known}, dictionary)
    with right:
        _files(known)


def _edit(known: dict[str, Group], dictionary: Dictionary) -> None:
    import pandas

    new = t("financial_sentiment.portfolio_new")
    picked = st.selectbox(t("financial_sentiment.portfolio"), [*known, new], key="sentiment_portfolio")
    group = known.get(picked)
    name = picked if group else st.text_input(t("financial_sentiment.portfolio_name"), key="sentiment_portfolio_name")
    labels = {id_: f"{c.name(session.language())} · {id_}" for id_, c in dictionary.companies.items()}
    ids = {label: id_ for id_, label in labels.items()}
    company, weight = t("financial_sentiment.company"), t("financial_sentiment.weight")
    weights = group.weights if group else {}
    rows = {
        company: pandas.Series([labels[id_] for id_ in weights], dtype=object),  # without rows it would be of numbers
        weight: pandas.Series(weights.values(), dtype=float),
    }
    edited = st.data_editor(
        pandas.DataFrame(rows),
        column_config={
            company: st.column_config.SelectboxColumn(options=sorted(ids), required=True, width="large"),
            weight: st.column_config.NumberColumn(min_value=0.0, default=1.0, required=True),
        },
        num_rows="dynamic",
        hide_index=True,
        key=f"sentiment_members_{picked}",
    )
    with st.container(horizontal=True):
        if st.button(t("financial_sentiment.save"), icon=":material/save:", key="sentiment_portfolio_save"):
            _save(name, [ids.get(label, str(label)) for label in edited[company]], list(edited[weight]))
        if group:
            st.button(
                t("financial_sentiment.delete"), icon=":material/delete:", type="tertiary", key="sentiment_portfolio_delete",
                on_click=_delete, args=(picked,),
            )  # fmt: skip


def _save(name: str, companies: list[str], weights: list[float]) -> None:
    whole: dict[str, float] = {}
    for company, weight in zip(companies, weights, strict=True):
        whole[company] = whole.get(company, 0.0) + float(weight)
    try:
        made = desk().save_portfolio(name, whole, session.caller())
    except TouchstoneError as error:
        states.failed(error)
    else:
        _look_at(made.id)


def _look_at(id_: str) -> None:
    """Look at a group from within a run, where callbacks' ways are closed."""
    st.query_params["group"] = id_
    st.session_state["sentiment_group"] = id_
    st.rerun()


def _delete(name: str) -> None:
    desk().delete_portfolio(name, session.caller())


def _files(known: list[Group]) -> None:
    st.download_button(
        t("financial_sentiment.portfolios_get", count=len(known)), groups.written(known).encode("utf-8-sig"),
        "portfolios.csv", icon=":material/download:", key="sentiment_portfolios", disabled=not known,
    )  # fmt: skip
    file = st.file_uploader(
        t("financial_sentiment.portfolios_put"), type=["csv"], key="sentiment_portfolios_file",
        help=t("financial_sentiment.portfolios_help"),
    )  # fmt: skip
    if file is None:
        return
    taken = st.session_state.get(_TAKEN)
    if taken is None or taken[0] != file.file_id:
        try:
            text = decoded(file.getvalue(), file.name)
            made, refused = desk().add_portfolios(text, file.name, session.caller())
        except TouchstoneError as error:
            states.failed(error)
            return
        st.session_state[_TAKEN] = (file.file_id, len(made), refused)
        if made:
            _look_at(made[0].id)
    _, count, refused = st.session_state[_TAKEN]
    if count:
        st.success(t("financial_sentiment.portfolios_taken", count=count), icon=":material/check_circle:")
    for row in refused[:5]:
        states.failed(row.error, next_step=inert(row.where))
    if len(refused) > 5:
        st.caption(t("financial_sentiment.refused_more", count=len(refused) - 5))
