"""The test box: what would you do with this message, and why? Nothing is kept or done."""

from __future__ import annotations

import streamlit as st

from apps.customer_service.meant import CANDIDATES
from apps.customer_service.policy import in_language
from apps.customer_service.tryout import Tryout
from apps.customer_service.views.state import service
from apps.ui import chat, session, sources, states
from apps.ui.inert import inert, inert_lines
from apps.ui.session import language, t
from core.providers.sync import run
from core.types import Answer

LIKELIEST = 5
ICONS = {
    "small_talk": ":material/waving_hand:",
    "answer": ":material/menu_book:",
    "tool": ":material/build:",
    "clarify": ":material/help:",
    "offer": ":material/help:",
    "hand_off": ":material/support_agent:",
    "say": ":material/chat:",
}


def draw() -> None:
    st.caption(t("customer_service.manager.try_help"))
    text = st.text_input(
        t("customer_service.manager.message"), key="try_message", placeholder=t("customer_service.manager.message"),
        label_visibility="collapsed", max_chars=4000,
    ).strip()  # fmt: skip
    if not text:
        states.empty(t("customer_service.manager.try_empty"), icon=":material/science:")
        return
    with states.loading():
        found, answer = run(service().control.try_out(session.caller(), text, language()))
    left, right = st.columns(2, gap="large")
    with left:
        _decision(found)
        _slots(found)
        if answer:
            _answer(answer)
    with right:
        _heard(found)


def _decision(found: Tryout) -> None:
    policy = service().assistant.policy
    title = inert(in_language(found.rule.title, language())) if found.rule else ""
    what = t(f"customer_service.manager.what.{found.what}", title=title or "–")
    why = t(
        f"customer_service.manager.why.{found.why}", probability=f"{found.heard.probability:.2f}",
        sure=f"{policy.sure:.2f}", likely=f"{policy.likely:.2f}",
    )  # fmt: skip
    with st.container(border=True, gap="xsmall", key="try_decision"):
        st.markdown(f"{ICONS[found.what]} **{what}**  \n{why}", anchors=False)
        if found.rule:
            tool = f" → {inert(found.rule.tool)}()" if found.rule.tool else ""
            st.caption(_pair("rule", f"{inert(found.rule.name)}{tool}"))
        if found.reply:
            st.markdown(f"> {inert_lines(found.reply)}", anchors=False)


def _slots(found: Tryout) -> None:
    if found.what != "tool":
        return
    lines = []
    for slot in found.slots:
        if slot.value is not None:
            by = f" :blue-badge[{t('customer_service.manager.by_model')}]" if slot.by_model else ""
            state = f":green-badge[{inert(str(slot.value))}]{by}"
        elif slot.optional:
            state = f":gray-badge[{t('customer_service.manager.optional')}]"
        else:
            said = t("customer_service.manager.from_list") if slot.looked_up else inert(slot.asks)
            state = f":orange-badge[{t('customer_service.manager.missing')}] :small[{said}]"
        lines.append(f"- {inert(slot.argument)} {state}")
    yes, no = t("customer_service.manager.needed"), t("customer_service.manager.not_needed")
    proof = f"{yes} ({inert(found.identity)})" if found.identity else no
    lines.append(f"- {_pair('identity', proof)}")
    confirm = f"{yes}  \n  :small[:gray[{inert(found.confirm)}]]" if found.confirm else no
    lines.append(f"- {_pair('confirmation', confirm)}")
    st.markdown(f"**{t('customer_service.manager.needs')}**\n\n" + "\n".join(lines), anchors=False)


def _answer(answer: Answer) -> None:
    badges = {"refused": t("customer_service.refused"), "curated": t("customer_service.mode.curated")}
    badge = f":gray-badge[{badges[answer.mode]}]\n\n" if answer.mode in badges else ""
    st.markdown(f"**{t('customer_service.manager.answer')}**\n\n{badge}{chat.answer_markdown(answer)}", anchors=False)
    if answer.confidence is not None:
        st.caption(t("customer_service.manager.confidence", value=f"{answer.confidence:.2f}"))
    if cited := sources.numbered(answer):
        with st.expander(t("customer_service.sources", count=len(cited)), icon=":material/menu_book:", type="compact"):
            st.markdown("\n\n".join(sources.describe(citation) for citation in cited), anchors=False)


def _heard(found: Tryout) -> None:
    heard, policy = found.heard, service().assistant.policy
    values = ", ".join(f"{name} = {value}" for name, value in found.values.items())
    rows = [
        _pair("language", session.LANGUAGE_NAMES[found.language]),
        _pair("entities", inert(values) or "–"),
        _pair("mood", str(heard.anger)),
        _pair("command", heard.command or "–"),
    ]
    if found.parts:
        rows.append(_pair("several", " · ".join(inert(part) for part in found.parts)))
    if heard.intent:
        rows.append(_pair("scope", t(f"customer_service.manager.{'inside' if heard.in_scope else 'outside'}")))
    for guesses in heard.meant.values():
        told = ", ".join(f"{guess['value']} ({guess['share']:.2f})" for guess in guesses[:CANDIDATES])
        rows.append(_pair("by_meaning", inert(told) or "–"))
    if not found.small_talk:
        asked = ("asked" if found.model else "asked_none") if found.in_doubt else "not_asked"
        rows.append(_pair("chat_model", t(f"customer_service.manager.model.{asked}", model=inert(found.model))))
    lines = "\n".join(f"- {row}" for row in rows)
    st.markdown(f"**{t('customer_service.manager.understood')}**\n\n{lines}", anchors=False)
    if not heard.probabilities:
        st.caption(t("customer_service.manager.no_intent"))
        return
    likeliest = sorted(heard.probabilities.items(), key=lambda item: -item[1])[:LIKELIEST]
    st.markdown(f"**{t('customer_service.manager.probabilities')}**", anchors=False)
    for name, share in likeliest:
        rule = policy.intents.get(name)
        title = inert(in_language(rule.title, language())) if rule else inert(name)
        st.progress(min(1.0, share), text=f"{title} :gray[{share:.2f}]")


def _pair(name: str, value: str) -> str:
    return t("customer_service.manager.pair", name=t(f"customer_service.manager.{name}"), value=value)
