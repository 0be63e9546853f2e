"""The alert rules: each can be changed, with what it would have said in the past and when; quiet hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import streamlit as st

from apps.financial_sentiment.alerts import LONGEST_CHANGE_D, LONGEST_COOLDOWN_H, SCOPES, WHENS, Alert, Rule
from apps.financial_sentiment.delivery import Delivery
from apps.financial_sentiment.digest import RULES, alert_text, group_name, rule_name, subject_name
from apps.financial_sentiment.events import kinds
from apps.financial_sentiment.market import MARKETS
from apps.financial_sentiment.notices import Quiet
from apps.financial_sentiment.series import DAY
from apps.financial_sentiment.views import charts
from apps.financial_sentiment.views.state import at, desk, when
from apps.ui import session, states
from apps.ui.inert import inert
from apps.ui.session import t
from core.errors import TouchstoneError

PREVIEW_DAYS = 60
SHOWN = 8
ZONES = ("Asia/Shanghai", "Asia/Hong_Kong", "Asia/Tokyo", "Europe/London", "Europe/Berlin", "America/New_York", "UTC")
_ALWAYS = ""  # no exchange
_NEW = "\u0000new"  # no id of a rule


def draw() -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(f"#### {t('financial_sentiment.rules')}", anchors=False)
        rule = _edited()
        _save(rule)
        _quiet()
    with right:
        _preview(rule)


def _edited() -> Rule:
    """The chosen rule as the fields have it."""
    known = {rule.id: rule for rule in desk().rules(session.caller())}
    titles = {id_: _title(rule) for id_, rule in known.items()} | {_NEW: t("financial_sentiment.rule_new")}
    picked = st.selectbox(
        t("financial_sentiment.rule"), list(titles), key="sentiment_rule", format_func=titles.__getitem__
    )
    rule = known.get(picked) or Rule("", "burst")

    def key(name: str) -> str:
        return f"sentiment_rule_{name}_{picked}"

    if picked == _NEW:
        rule = replace(rule, id=st.text_input(t("financial_sentiment.rule_id"), key=key("id")).strip())
    one, two = st.columns(2)
    rule = replace(
        rule,
        when=one.selectbox(
            t("financial_sentiment.rule_when"), WHENS, WHENS.index(rule.when), key=key("when"),
            format_func={w: t(f"financial_sentiment.whens.{w}") for w in WHENS}.__getitem__,
        ),
        scope=two.selectbox(
            t("financial_sentiment.rule_scope"), SCOPES, SCOPES.index(rule.scope), key=key("scope"),
            format_func={s: t(f"financial_sentiment.scopes.{s}") for s in SCOPES}.__getitem__,
        ),
    )  # fmt: skip
    one, two = st.columns(2)  # again, so that a narrow screen keeps the order
    if rule.when == "burst":
        rule = replace(
            rule,
            least=int(one.number_input(t("financial_sentiment.rule_least"), 1, None, rule.least, key=key("least"))),
            p_below=float(two.number_input(
                t("financial_sentiment.rule_p"), 1e-12, 0.999, min(rule.p_below, 0.999), 0.001, format="%g", key=key("p"),
                help=t("financial_sentiment.rule_p_help"),
            )),
        )  # fmt: skip
    elif rule.when == "event":
        rule = replace(rule, kinds=tuple(st.multiselect(
            t("financial_sentiment.events"), kinds(), rule.kinds, key=key("kinds"),
            format_func={k: t(f"financial_sentiment.event.{k}") for k in kinds()}.__getitem__,
        )))  # fmt: skip
    else:
        rule = replace(
            rule,
            level=float(one.slider(
                t(f"financial_sentiment.{'rule_change' if rule.when == 'change' else 'rule_level'}"), -1.0, 1.0,
                rule.level or (-0.3 if rule.when == "change" else 0.0), 0.05, key=key(f"level{rule.when == 'change' or ''}"),
            )),
            weight=float(two.number_input(
                t("financial_sentiment.rule_weight"), 0.0, None, rule.weight, 0.5, format="%g", key=key("weight"),
                help=t("financial_sentiment.rule_weight_help"),
            )),
        )  # fmt: skip
    if rule.when == "change":
        days = st.number_input(
            t("financial_sentiment.rule_days"),
            0.5,
            float(LONGEST_CHANGE_D),
            rule.days,
            0.5,
            format="%g",
            key=key("days"),
        )
        rule = replace(rule, days=float(days))
    cooldown = st.number_input(
        t("financial_sentiment.rule_cooldown"),
        0.0,
        float(LONGEST_COOLDOWN_H),
        rule.cooldown_h,
        1.0,
        format="%g",
        key=key("cool"),
    )
    return replace(rule, cooldown_h=float(cooldown), only=_only(rule, key("only")))


def _only(rule: Rule, key: str) -> tuple[str, ...]:
    """What the rule is for: groups, and for a rule of companies these too; nothing chosen means all."""
    language = session.language()
    names = {g.id: group_name(g.id, language) for g in desk().groups(session.caller())}
    if rule.scope == "company":
        companies = desk().dictionary(session.caller()).companies
        names |= {id_: company.name(language) for id_, company in companies.items()}
    return tuple(st.multiselect(
        t("financial_sentiment.rule_only"), list(names), [id_ for id_ in rule.only if id_ in names], key=key,
        format_func=names.__getitem__, placeholder=t("financial_sentiment.rule_all"),
    ))  # fmt: skip


def _title(rule: Rule) -> str:
    parts = [rule_name(rule.id, session.language()), t(f"financial_sentiment.scopes.{rule.scope}")]
    if RULES.get(rule.id) != rule.when:  # else its name says it
        parts.insert(1, t(f"financial_sentiment.whens.{rule.when}"))
    return " · ".join(parts)


def _save(rule: Rule) -> None:
    caller = session.caller()
    known = desk().rules(caller)
    ids = [r.id for r in known]
    with st.container(horizontal=True):
        if st.button(t("financial_sentiment.save"), icon=":material/save:", key="sentiment_rule_save"):
            listed = [rule if r.id == rule.id else r for r in known] if rule.id in ids else [*known, rule]
            try:
                desk().save_rules(listed, caller)
            except TouchstoneError as error:
                states.failed(error)
            else:
                st.toast(t("financial_sentiment.rule_saved"), icon=":material/check_circle:")
                if rule.id not in ids:
                    st.rerun()
        if rule.id in ids:
            st.button(
                t("financial_sentiment.delete"), icon=":material/delete:", type="tertiary", key="sentiment_rule_delete",
                on_click=lambda: desk().save_rules([r for r in known if r.id != rule.id], caller),
            )  # fmt: skip
        st.button(
            t("financial_sentiment.rules_shipped"), icon=":material/restart_alt:", type="tertiary",
            key="sentiment_rules_shipped", on_click=_shipped,
        )  # fmt: skip


def _shipped() -> None:
    desk().save_rules(None, session.caller())
    for key in [k for k in st.session_state if str(k).startswith("sentiment_rule_")]:
        del st.session_state[key]


def _preview(rule: Rule) -> None:
    st.markdown(f"#### {t('financial_sentiment.preview')}", anchors=False)
    if not rule.id:
        rule = replace(rule, id="new")
    try:
        tried, now = desk().preview(rule, session.caller(), at=at(), days=PREVIEW_DAYS)
    except TouchstoneError as error:
        states.failed(error)
        return
    known = any(r.id == rule.id for r in desk().rules(session.caller()))
    key = "preview_count" if known else "preview_new"
    st.markdown(f"**{t(f'financial_sentiment.{key}', count=len(tried), now=len(now), days=PREVIEW_DAYS)}**")
    if tried:
        _when_fired(tried)
    dictionary, language = desk().dictionary(session.caller()), session.language()
    same = {_key(alert) for alert in now}
    for alert in tried[:SHOWN]:
        mark = "" if _key(alert) in same or not known else f" :violet-badge[{t('financial_sentiment.preview_more')}]"
        name = inert(subject_name(alert, dictionary, language))
        st.markdown(
            f"- {name}{mark}  \n  :small[:gray[{when(alert.at)} · {inert(alert_text(alert, language))}]]", anchors=False
        )
    if len(tried) > SHOWN:
        st.caption(t("financial_sentiment.preview_rest", count=len(tried) - SHOWN))


def _when_fired(tried: list[Alert]) -> None:
    """How often in each of the days that were looked at."""
    begin = at() - PREVIEW_DAYS * DAY
    counts = [0] * PREVIEW_DAYS
    for alert in tried:
        counts[min(PREVIEW_DAYS - 1, int((alert.at - begin) // DAY))] += 1
    days = [when(begin + (n + 1) * DAY)[:10] for n in range(PREVIEW_DAYS)]
    charts.per_day(list(zip(days, counts, strict=True)), t("financial_sentiment.preview_alerts"))


def _key(alert: Alert) -> tuple[str, float]:
    return alert.subject, alert.at


def _quiet() -> None:
    st.markdown(f"#### {t('financial_sentiment.quiet_hours')}", anchors=False)
    caller = session.caller()
    try:
        kept = Delivery(desk()).quiet(caller)
    except TouchstoneError as error:  # an exchange was chosen where its calendar was installed
        states.failed(error)
        st.button(
            t("financial_sentiment.rules_shipped"), key="sentiment_quiet_off", icon=":material/restart_alt:",
            type="tertiary", on_click=Delivery(desk()).save_quiet, args=(None, caller),
        )  # fmt: skip
        return
    shown = kept or Quiet()
    on = st.toggle(
        t("financial_sentiment.quiet_on"),
        bool(kept and kept.begin),
        key="sentiment_quiet",
        help=t("financial_sentiment.quiet_help"),
    )
    hours = ("", "")
    zone = shown.zone
    if on:
        one, two = st.columns(2)
        usual = Quiet()
        begin, end = (
            column.time_input(
                t(f"financial_sentiment.quiet_{name}"),
                time.fromisoformat(said or default),
                key=f"sentiment_quiet_{key}",
            )
            for column, name, said, default, key in (
                (one, "begin", shown.begin, usual.begin, "a"),
                (two, "end", shown.end, usual.end, "b"),
            )
        )
        hours = f"{begin:%H:%M}", f"{end:%H:%M}"
        zones = list(dict.fromkeys([shown.zone, *ZONES]))
        zone = st.selectbox(t("financial_sentiment.quiet_zone"), zones, key="sentiment_quiet_zone")
    exchanges = list(dict.fromkeys([_ALWAYS, *MARKETS, *([shown.market] if shown.market else [])]))
    titles = {code: _exchange(code) for code in exchanges}
    exchange = st.selectbox(
        t("financial_sentiment.market"), exchanges, exchanges.index(shown.market), key="sentiment_quiet_market",
        format_func=titles.__getitem__, help=t("financial_sentiment.market_help"),
    )  # fmt: skip
    try:
        wanted = Quiet(*hours, zone, exchange) if on or exchange else None
        if wanted != kept:
            Delivery(desk()).save_quiet(wanted, caller)
    except TouchstoneError as error:
        states.failed(error)
        return
    _, held = Delivery(desk()).notices(caller, at=at())
    if held:
        st.caption(t("financial_sentiment.quiet_held", count=len(held)))


def _exchange(code: str) -> str:
    if code == _ALWAYS:
        return t("financial_sentiment.market_none")
    return t(f"financial_sentiment.markets.{code}") if code in MARKETS else code
