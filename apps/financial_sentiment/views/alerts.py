"""What the rules said in the last thirty days, with reason and evidence, seen to or muted; the day's brief; the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import streamlit as st

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.brief import Brief, brief
from apps.financial_sentiment.digest import alert_text, group_name, page, pdf, plain, rule_name, subject_name
from apps.financial_sentiment.digest import markdown as as_markdown
from apps.financial_sentiment.inbox import Inbox
from apps.financial_sentiment.items import Stored
from apps.financial_sentiment.journal import STATES, Entry, State
from apps.financial_sentiment.service import Reported, Standing
from apps.financial_sentiment.views.state import at, desk, live, open_company, open_group, when
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError
from core.i18n import message

SHOWN = 10
ICONS = {
    "burst": "bolt", "mood_below": "trending_down", "mood_above": "trending_up", "change": "swap_vert", "event": "warning",
}  # fmt: skip
MUTES = ((1, False), (7, False), (7, True), (30, True))  # days, and whether of all rules
_SHOW, _MUTE, _MORE = "sentiment_inbox", "sentiment_mute_", "sentiment_inbox_more"
_LOGGED = 100


def draw() -> None:
    moment, caller = at(), session.caller()
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(f"#### {t('financial_sentiment.brief')}", anchors=False)
        _brief(brief(desk(), caller, at=moment, group=_group()))
        _mutes(moment)
        _log(Inbox(desk()).log(caller, at=moment, limit=_LOGGED))
    with right:
        _inbox(Inbox(desk()).listed(caller, at=moment))


def _group() -> str:
    """The id of the group that the brief is of, nothing for all companies."""
    language = session.language()
    names = {"": t("financial_sentiment.brief_all")}
    names |= {group.id: group_name(group.id, language) for group in desk().groups(session.caller())}
    picked = st.selectbox(
        t("financial_sentiment.brief_of"), list(names), format_func=names.__getitem__, key="sentiment_brief_group"
    )
    return str(picked or "")


def _brief(made: Brief) -> None:
    for standing, reported in made.standings:
        st.markdown(markdown(standing, reported, session.language()), anchors=False)
    if made.standings:
        _exports(made)
    else:
        st.caption(t("financial_sentiment.quiet"))


def _exports(made: Brief) -> None:
    language, dictionary = session.language(), desk().dictionary(session.caller())
    names = {a.subject: subject_name(a, dictionary, language) for a in made.alerts}
    licences = desk().choices.licences(session.caller())
    day = when(made.at)[:10]
    with st.container(horizontal=True):
        st.download_button(
            "PDF", partial(pdf, made, names, language, licences=licences), f"brief-{day}.pdf", "application/pdf",
            key="sentiment_brief_pdf", icon=":material/download:", help=t("financial_sentiment.brief_pdf"), on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "HTML", page(made, names, language, licences=licences), f"brief-{day}.html", "text/html", key="sentiment_brief_html",
            icon=":material/download:", help=t("financial_sentiment.brief_html"), on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Markdown", as_markdown(made, names, language, licences=licences), f"brief-{day}.md", "text/markdown",
            key="sentiment_brief_markdown", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            t("financial_sentiment.brief_text"), plain(made, names, language, licences=licences), f"brief-{day}.txt",
            key="sentiment_brief_text", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


# --- the inbox --------------------------------------------------------------------------------


def _inbox(listed: Sequence[tuple[Alert, State]]) -> None:
    st.markdown(f"#### {t('financial_sentiment.alerts_title', count=len(listed))}", anchors=False)
    if not listed:
        states.empty(t("financial_sentiment.no_alerts"))
        return
    counts = {state: sum(state == found for _, found in listed) for state in STATES}
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            t("financial_sentiment.inbox.show"), STATES, default="open", required=True, key=_SHOW,
            format_func={s: f"{t(f'financial_sentiment.inbox.{s}')} {counts[s]}" for s in STATES}.__getitem__,
            label_visibility="collapsed",
        )  # fmt: skip
        st.space("stretch")
        wanted = [alert for alert, state in listed if state == (chosen or "open")]
        if chosen == "open" and wanted and live():
            st.button(
                t("financial_sentiment.inbox.all"), key="sentiment_ack_all", type="tertiary", icon=":material/done_all:",
                on_click=_acknowledge, args=(wanted,),
            )  # fmt: skip
    if not live():
        st.caption(t("financial_sentiment.inbox.past"))
    if not wanted:
        st.caption(t(f"financial_sentiment.inbox.none_{chosen}"))
    dictionary, language = desk().dictionary(session.caller()), session.language()
    shown = wanted[: st.session_state.get(_MORE, SHOWN)]
    items = desk().items.get(session.caller(), [id_ for a in shown for id_ in a.evidence[:1]])
    for number, alert in enumerate(shown):
        _alert(number, alert, chosen or "open", subject_name(alert, dictionary, language), items)
    if len(wanted) > len(shown):
        st.button(t("financial_sentiment.more"), key="sentiment_inbox_more_button", on_click=_more)


def _more() -> None:
    st.session_state[_MORE] = st.session_state.get(_MORE, SHOWN) + 2 * SHOWN


def _alert(number: int, alert: Alert, state: State, name: str, items: Mapping[int, Stored]) -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            f":material/{ICONS[alert.when]}: **{inert(name)}** · {inert(alert_text(alert, session.language()))}"
        )
        quote = inert(items[alert.evidence[0]].title) if alert.evidence and alert.evidence[0] in items else ""
        rule = t("financial_sentiment.by_rule", name=inert(rule_name(alert.rule, session.language())))
        st.markdown(f":small[{quote}]  \n:small[:gray[{when(alert.at)} · {rule}]]".removeprefix(":small[]  \n"))
        with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
            if live():
                _handle(number, alert, state)
            st.button(
                t("financial_sentiment.look"), key=f"sentiment_alert_{number}", type="tertiary",
                icon=":material/arrow_forward:", on_click=open_group if alert.scope == "group" else open_company,
                args=(alert.subject,),
            )  # fmt: skip


def _handle(number: int, alert: Alert, state: State) -> None:
    if state != "muted":
        done = state == "acknowledged"
        st.button(
            t(f"financial_sentiment.inbox.{'reopen' if done else 'acknowledge'}"), key=f"sentiment_ack_{number}",
            type="tertiary", icon=f":material/{'undo' if done else 'check'}:",
            on_click=_reopen if done else _acknowledge, args=([alert],),
        )  # fmt: skip
    key = f"{_MUTE}{number}"
    names = dict(enumerate(_mute_name(*mute) for mute in MUTES))
    st.menu_button(
        t("financial_sentiment.inbox.mute"), list(names), key=key, type="tertiary",
        icon=":material/notifications_off:", format_func=names.__getitem__, on_click=_mute, args=(key, alert),
    )  # fmt: skip


def _mute_name(days: int, every: bool) -> str:
    return t(f"financial_sentiment.inbox.{'mute_all' if every else 'mute_rule'}", count=days)


def _acknowledge(alerts: list[Alert]) -> None:
    Inbox(desk()).acknowledge(alerts, session.caller())


def _reopen(alerts: list[Alert]) -> None:
    Inbox(desk()).reopen(alerts, session.caller())


def _mute(key: str, alert: Alert) -> None:
    number = st.session_state.get(key)
    if number is None:
        return
    days, every = MUTES[number]
    try:
        Inbox(desk()).mute(alert, session.caller(), days=days, all_rules=every)
    except TouchstoneError as error:
        states.failed(error)
    else:
        st.toast(t("financial_sentiment.inbox.muted_toast"), icon=":material/notifications_off:")


def _mutes(moment: float) -> None:
    inbox = Inbox(desk())
    found = inbox.mutes(session.caller(), at=moment)
    if not found:
        return
    st.markdown(f"**{t('financial_sentiment.inbox.mutes')}**", anchors=False)
    for number, mute in enumerate(found):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            rule = (
                inert(rule_name(mute.rule, session.language()))
                if mute.rule
                else t("financial_sentiment.inbox.every_rule")
            )
            until = t("financial_sentiment.inbox.until", when=when(mute.end))
            st.markdown(f"{inert(_subject(mute.subject))} · {rule} :small[:gray[{until}]]", width="stretch")
            if live():
                st.button(
                    t("financial_sentiment.inbox.unmute"), key=f"sentiment_unmute_{number}", type="tertiary",
                    icon=":material/notifications:", on_click=inbox.unmute, args=(mute, session.caller()),
                )  # fmt: skip


def _log(entries: Sequence[Entry]) -> None:
    if not entries:
        return
    with st.expander(t("financial_sentiment.log.title", count=len(entries)), icon=":material/history:", type="compact"):
        columns: dict[str, list[Any]] = {
            t("financial_sentiment.log.at"): [when(e.at) for e in entries],
            t("financial_sentiment.log.user"): [e.user for e in entries],
            t("financial_sentiment.log.action"): [t(f"financial_sentiment.log.{e.action}") for e in entries],
            t("financial_sentiment.log.about"): [
                " · ".join(
                    part
                    for part in (
                        _subject(e.subject),
                        rule_name(e.rule, session.language()),
                        e.alert_at and when(e.alert_at),
                    )
                    if part
                )
                for e in entries
            ],
            t("financial_sentiment.log.note"): [
                " · ".join(
                    part
                    for part in (e.note, e.until and t("financial_sentiment.inbox.until", when=when(e.until)))
                    if part
                )
                for e in entries
            ],
        }
        st.dataframe(columns, hide_index=True, height="content" if len(entries) < 12 else 400)


def _subject(said: str) -> str:
    """What ``scope:id`` is called."""
    scope, _, id_ = said.partition(":")
    if not said:
        return ""
    return subject_name(
        Alert("", "event", id_, 0.0, scope=scope), desk().dictionary(session.caller()), session.language()
    )


def markdown(standing: Standing, reported: Sequence[Reported], language: str) -> str:
    """A company's part of the brief as Markdown in which nothing of the news acts."""
    head = message(
        "financial_sentiment.brief_head", language, name=f"**{inert(standing.company.name(language))}**",
        mood=f"{standing.index.mood:+.2f}", change=f"{standing.change:+.2f}", count=standing.last[-1].count,
    )  # fmt: skip
    lines = [head]
    for r in reported:
        source = f"{r.item.source}, {datetime.fromtimestamp(r.item.published_at, UTC):%m-%d %H:%M}"
        label = message(f"financial_sentiment.label.{r.mood.label}", language)
        lines.append(f"- {inert(r.evidence)} :small[:gray[({label}; {inert(source)})]]")
    return "\n".join(lines)
