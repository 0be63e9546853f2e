"""One company: mood and volume over sixty days, and the items with the sentence that says so marked."""

from __future__ import annotations

import streamlit as st

from apps.financial_sentiment.items import Stored
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.second import Second, SecondOpinions
from apps.financial_sentiment.service import Reported
from apps.financial_sentiment.views import charts
from apps.financial_sentiment.views.state import (
    at,
    color_of,
    color_of_label,
    company_id,
    desk,
    open_company,
    signed,
    when,
)
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

SHOWN = 12
_MORE = "sentiment_more"


def draw() -> None:
    moment, caller, language = at(), session.caller(), session.language()
    standings = {s.company.id: s for s in desk().companies(caller, at=moment, days=60)}
    if not standings:
        states.empty(t("financial_sentiment.nothing"), hint=t("financial_sentiment.nothing_hint"))
        return
    ids = list(standings)
    chosen = company_id()
    index = ids.index(chosen) if chosen in ids else 0
    picked = st.selectbox(
        t("financial_sentiment.company"),
        ids,
        index=index,
        format_func=lambda id_: standings[id_].company.name(language),
        key=f"sentiment_pick_{chosen}",
        width=320,
        on_change=lambda: open_company(st.session_state[f"sentiment_pick_{chosen}"]),
    )
    standing = standings[picked]
    codes = " · ".join(standing.company.codes)
    mood = f":{color_of(standing.index.mood)}[**{signed(standing.index.mood)}**]"
    st.markdown(
        f"### {inert(standing.company.name(language))}  {mood} "
        f":small[:gray[± {standing.index.deviation:.2f} · {inert(codes)}]]",
        anchors=False,
    )
    charts.course(desk().timeline(picked, caller, at=moment))
    shown = st.session_state.get(_MORE, SHOWN)
    reported = desk().reported(picked, caller, at=moment, limit=shown + 1)
    st.markdown(f"#### {t('financial_sentiment.why')}", anchors=False)
    seconds = SecondOpinions(desk()).of([r.item.id for r in reported], caller, at=moment)
    for item in reported[:shown]:
        _item(item, seconds.get((item.item.id, picked)), moment)
    if len(reported) > shown:
        st.button(t("financial_sentiment.more"), key="sentiment_more_button", on_click=_more)


def _more() -> None:
    st.session_state[_MORE] = st.session_state.get(_MORE, SHOWN) + 2 * SHOWN


def _item(reported: Reported, second: Second | None, moment: float) -> None:
    item, mood = reported.item, reported.mood
    versions = [v for v in desk().items.history(session.caller(), item.id) if v.seen_at <= moment]
    with st.container(border=True, gap="xsmall"):
        badges = [
            f":{color_of_label(mood.label)}-badge[{t(f'financial_sentiment.label.{mood.label}')} {mood.probability:.0%}]"
        ]
        badges += [
            f":orange-badge[{t(f'financial_sentiment.event.{kind}')}]"
            for kind in dict.fromkeys(e[0] for e in mood.events)
        ]
        if second:
            badges.append(_second_badge(second))
        st.markdown(" ".join(badges))
        st.markdown(marked(reported))
        facts = [inert(item.source), when(item.published_at)]
        if item.dated != "source":
            facts.append(t(f"financial_sentiment.dated.{item.dated}"))
        if reported.copies:
            facts.append(
                t(
                    "financial_sentiment.copies",
                    count=len(reported.copies),
                    sources=inert(", ".join(dict.fromkeys(c.source for c in reported.copies))),
                )
            )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":small[:gray[{' · '.join(facts)}]]", width="stretch")
            if len(versions) > 1 or reported.copies:
                _history(reported, versions)
            if not second:
                st.button(
                    t("financial_sentiment.second.ask"),
                    key=f"sentiment_second_{item.id}_{mood.company}",
                    icon=":material/balance:",
                    type="tertiary",
                    help=t("financial_sentiment.second.help"),
                    on_click=_ask,
                    args=(reported,),
                )
            with st.popover(t("financial_sentiment.correct"), icon=":material/edit:", type="tertiary"):
                st.pills(
                    t("financial_sentiment.correct_to"),
                    LABELS,
                    default=mood.label,
                    format_func={label: t(f"financial_sentiment.label.{label}") for label in LABELS}.__getitem__,
                    key=f"sentiment_label_{item.id}_{mood.company}",
                    on_change=_relabel,
                    args=(item.id, mood.company),
                )


def _second_badge(second: Second) -> str:
    text = t(
        f"financial_sentiment.second.{'agrees' if second.agrees else 'differs'}",
        label=t(f"financial_sentiment.label.{second.label}"), share=f"{second.probability:.0%}", model=inert(second.model),
    )  # fmt: skip
    return f":{'gray' if second.agrees else 'violet'}-badge[:material/balance: {text}]"


def _ask(reported: Reported) -> None:
    with states.guarded():
        SecondOpinions(desk()).ask([reported], session.caller())


def _history(reported: Reported, versions: list[Stored]) -> None:
    """Every version with what changed hands, and the copies, each with the time it was seen."""
    with st.popover(
        t("financial_sentiment.history", count=len(versions) + len(reported.copies)), icon=":material/history:",
        type="tertiary",
    ):  # fmt: skip
        for number, version in enumerate(versions, 1):
            mark = t("financial_sentiment.version", number=number)
            st.markdown(
                f"**{mark}** :small[:gray[{when(version.seen_at)}]]  \n{inert(version.title)}"
                + (f"  \n:small[{inert(version.text[:200])}]" if version.text else "")
            )
        for copy in reported.copies:
            st.markdown(
                f"**{t('financial_sentiment.copy')}** :small[:gray[{when(copy.seen_at)} · {inert(copy.source)}]]  \n"
                f"{inert(copy.title)}"
            )


def _relabel(item_id: int, company: str) -> None:
    chosen = st.session_state.get(f"sentiment_label_{item_id}_{company}")
    if not chosen:
        return
    try:
        desk().relabel(item_id, company, chosen, session.caller())
    except TouchstoneError as error:
        states.failed(error)
    else:
        st.toast(t("financial_sentiment.corrected"), icon=":material/check_circle:")


def marked(reported: Reported) -> str:
    """The body with the evidence set apart and its pointing words colored; long text around it left out."""
    body, (start, end) = reported.item.body, reported.mood.evidence
    before, after = body[:start], body[end:]
    pieces, place = [], start
    for a, b, sign in reported.mood.marks:
        if not start <= a < b <= end or a < place:
            continue
        pieces += [inert_piece(body[place:a]), f":{color_of(float(sign))}[**{inert(body[a:b])}**]"]
        place = b
    pieces.append(inert_piece(body[place:end]))
    left = f":gray[{inert(before[-160:])}] " if before.strip() else ""
    right = f" :gray[{inert(after[:160])}{' …' if len(after) > 160 else ''}]" if after.strip() else ""
    return f"{left}{''.join(pieces)}{right}"


def inert_piece(text: str) -> str:
    """Like ``inert``, with the spaces at both ends kept."""
    bare = inert(text)
    if not bare:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{bare}{' ' if text[-1].isspace() else ''}"
