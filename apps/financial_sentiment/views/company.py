"""One company: mood and volume over sixty days beside its price, risk events and alerts on the line, and the items with
the sentence that says so marked; a click on a day shows the items of that day."""

from __future__ import annotations

import streamlit as st

from apps.financial_sentiment import prices
from apps.financial_sentiment.digest import alert_text
from apps.financial_sentiment.items import Stored
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.second import Second, SecondOpinions
from apps.financial_sentiment.series import DAY, Day
from apps.financial_sentiment.service import Reported
from apps.financial_sentiment.views import charts
from apps.financial_sentiment.views.state import (
    at,
    color_of,
    color_of_label,
    company_id,
    desk,
    open_company,
    pick_day,
    picked_day,
    signed,
    when,
)
from apps.spreadsheet import decoded
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

SHOWN = 12
DAYS = 60
_MORE = "sentiment_more"


def draw() -> None:
    moment, caller, language = at(), session.caller(), session.language()
    standings = {s.company.id: s for s in desk().companies(caller, at=moment, days=DAYS)}
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
    days = desk().timeline(picked, caller, at=moment, days=DAYS)
    told = " · ".join([f"± {standing.index.deviation:.2f}", *charts.spread(days), *map(inert, standing.company.codes)])
    mood = f":{color_of(standing.index.mood)}[**{signed(standing.index.mood)}**]"
    st.markdown(
        f"### {inert(standing.company.name(language))}  {mood} :small[:gray[{told}]]",
        anchors=False,
    )
    day = next((d for d in days if charts.label(d) == picked_day()), None)
    charts.course(
        days,
        prices=desk().prices.of(caller, picked, moment, since=days[0].at),
        marks=_marks(picked, moment),
        picked=picked_day(),
        on_pick=pick_day,
    )
    _prices(picked)
    shown = st.session_state.get(_MORE, SHOWN)
    reported = _reported(picked, day, moment, shown + 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        title = t("financial_sentiment.why_day", day=charts.label(day)) if day else t("financial_sentiment.why")
        st.markdown(f"#### {title}", anchors=False, width="stretch")
        if day:
            st.button(
                t("financial_sentiment.all_days"), key="sentiment_all_days", type="tertiary", icon=":material/close:",
                on_click=pick_day, args=(None,),
            )  # fmt: skip
    if day and not reported:
        states.empty(t("financial_sentiment.why_none"))
    seconds = SecondOpinions(desk()).of([r.item.id for r in reported], caller, at=moment)
    for item in reported[:shown]:
        _item(item, seconds.get((item.item.id, picked)), moment)
    if len(reported) > shown:
        st.button(t("financial_sentiment.more"), key="sentiment_more_button", on_click=_more)


def _reported(company: str, day: Day | None, moment: float, most: int) -> list[Reported]:
    """The items to show, newest first: those of a day, or all."""
    if day is None:
        return desk().reported(company, session.caller(), at=moment, limit=most)
    begin = day.at - DAY
    found = desk().reported(company, session.caller(), at=moment, since=begin, limit=10_000)
    return [r for r in found if begin < r.mood.moment <= day.at][:most]


def _marks(company: str, moment: float) -> list[charts.Mark]:
    """Risk events of bad news, and what the rules said."""
    caller, language, begin = session.caller(), session.language(), moment - DAYS * DAY
    event, alert = t("financial_sentiment.mark_event"), t("financial_sentiment.mark_alert")
    moods = desk().items.moods(caller, moment, company=company, since=begin)
    found = [
        charts.Mark(m.moment, event, t(f"financial_sentiment.event.{kind}"))
        for m in moods
        if m.label == "negative"
        for kind, _, _ in m.events
    ]
    alerts = desk().alerts(caller, at=moment, since=begin, company=company)
    return found + [charts.Mark(a.at, alert, alert_text(a, language)) for a in alerts]


def _prices(company: str) -> None:
    """Closing prices from a file of the user's, for this company or for several."""
    known = desk().prices.of(session.caller(), company, at())
    with st.expander(t("financial_sentiment.prices", count=len(known)), icon=":material/show_chart:", type="compact"):
        file = st.file_uploader(
            t("financial_sentiment.prices_put"), type=["csv"], key="sentiment_prices",
            help=t("financial_sentiment.prices_help"),
        )  # fmt: skip
        if file is not None:
            with states.guarded():
                _price_file(decoded(file.getvalue(), file.name), file.name, company)
        if known:
            st.button(
                t("financial_sentiment.prices_delete"), key="sentiment_prices_delete", type="tertiary",
                icon=":material/delete:", on_click=desk().prices.delete, args=(session.caller(), company),
            )  # fmt: skip


def _price_file(text: str, name: str, company: str) -> None:
    """Which column holds what, as its name says or as the user says; then it is kept."""
    names = prices.columns(text)
    guess = prices.guessed(names)
    one, two, three = st.columns(3)
    alone = t("financial_sentiment.prices_alone")
    day, close, who = (
        column.selectbox(
            t(f"financial_sentiment.{what}"), options, options.index(said) if said in options else 0,
            key=f"sentiment_prices_{what}_{name}",
        )
        for column, what, options, said in (
            (one, "day", names, guess.day),
            (two, "close", names, guess.close),
            (three, "company", [alone, *names], guess.company),
        )
    )  # fmt: skip
    if not st.button(t("financial_sentiment.save"), key="sentiment_prices_save", icon=":material/save:"):
        return
    given = prices.PriceColumns(day or "", close or "", "" if who == alone else who)
    count, refused = desk().add_prices(text, name, session.caller(), columns=given, company=company)
    for row in refused[:5]:
        states.failed(row.error, next_step=inert(row.where))
    if len(refused) > 5:
        st.caption(t("financial_sentiment.refused_more", count=len(refused) - 5))
    if count:
        st.toast(t("financial_sentiment.prices_taken", count=count), icon=":material/check_circle:")
    if not refused:
        st.rerun()


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
        st.markdown(f"{' '.join(badges)} :small[:gray[{' · '.join(facts)}]]")
        st.markdown(marked(reported))
        with st.container(horizontal=True, horizontal_alignment="right"):
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
