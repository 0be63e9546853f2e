"""A card of the shelf: what it is, why it is there, and what the person thinks of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import streamlit as st

from apps.recommendation.data import Item
from apps.recommendation.lists import FEEDBACK, Pick
from apps.recommendation.reasons import Reason
from apps.recommendation.views.state import ITEM, label, person, service
from apps.ui.inert import inert
from apps.ui.session import language, t
from core.i18n import message

OPEN, ANSWER = "open", "answer_"  # begins the key of a card's answers
ANSWERS = {
    "like": ":material/thumb_up:",
    "own": ":material/check:",
    "not_interested": ":material/visibility_off:",
    "less": ":material/trending_down:",
    OPEN: ":material/read_more:",
}
ICONS = {
    "history": ":material/history:",
    "title": ":material/format_quote:",
    "quote": ":material/search:",
    "said": ":material/chat:",
    "popular": ":material/group:",
    "new": ":material/fiber_new:",
    "explored": ":material/explore:",
    "boosted": ":material/campaign:",
}
TAGS = 3
_SENTENCE = re.compile(r"[^。！？.!?]*[。！？.!?]?")


def draw(pick: Pick, place: int, language: str) -> None:
    """The card of ``pick``; ``place`` is its rank, from 1."""
    with st.container(border=True, height="stretch", gap="small"):
        parts = [f"**{place}. {inert(pick.item.title(language))}**  \n:small[:gray[{facets(pick.item, language)}]]"]
        if about := pick.item.about(language):
            parts.append(f":small[{inert(about)}]")
        if pick.words:
            parts.append(f":small[{inert(pick.words)}]")
        parts.append("  \n".join(f":small[:primary[{ICONS[r.kind]}] {said(r, language)}]" for r in pick.reasons))
        st.markdown("\n\n".join(parts), anchors=False)  # one element: a page costs by their number
        answers(pick.item.id, language)


def answers(item: str, language: str, *kinds: str) -> None:
    """What the person may say of an item, and a way to look at it closely; all of it, or ``kinds`` only.

    One element for all of them: a button each was half of what a run of the page costs.
    """
    st.pills(
        message("recommendation.feedback.label", language),
        kinds or list(ANSWERS),
        key=f"{ANSWER}{item}",
        format_func=_answers(language).__getitem__,
        label_visibility="collapsed",
        on_change=_answered,
        args=(item,),
    )


@cache
def _answers(language: str) -> Mapping[str, str]:
    words = {kind: message(f"recommendation.short.{kind}", language) for kind in FEEDBACK}
    return {kind: f"{icon} {words.get(kind, '')}".strip() for kind, icon in ANSWERS.items()}


def _answered(item: str) -> None:
    kind = st.session_state.pop(f"{ANSWER}{item}", None)
    if kind == OPEN:
        st.session_state[ITEM] = item
    elif kind:
        tell(item, kind)


def tell(item: str, kind: str) -> None:
    service().tell(person(), item, kind)
    st.toast(t(f"recommendation.told.{kind}", title=inert(service().item(item).title(language()))))


def facets(item: Item, language: str) -> str:
    """Kind, year and tags on one line."""
    parts = [label("kind", item.kind, language)] if item.kind else []
    parts += [str(item.year)] if item.year else []
    parts += [label("tag", tag, language) for tag in item.tags[:TAGS]]
    if item.age:
        parts.append(message("recommendation.from_age", language, age=item.age))
    return inert(" · ".join(parts))


def said(reason: Reason, language: str) -> str:
    """A reason in words, with the words of others kept harmless."""
    key = f"recommendation.reason.{reason.kind}"
    if reason.kind in ("history", "title"):
        return message(key, language, title=inert(service().item(reason.item).title(language)))
    if reason.kind == "quote":
        return message(key, language, wish=label("concept", reason.concept, language), quote=quoted(reason))
    return message(key, language, count=reason.count, name=inert(reason.text))


def quoted(reason: Reason) -> str:
    """The sentence in which the word stands, with the word marked."""
    begin, end = 0, len(reason.text)
    for match in _SENTENCE.finditer(reason.text):
        if match.start() <= reason.start < match.end():
            begin, end = match.span()
    before, word, after = (
        reason.text[begin : reason.start].lstrip(),
        reason.text[reason.start : reason.end],
        reason.text[reason.end : max(end, reason.end)],
    )
    return f"{_inert(before)}**{inert(word)}**{_inert(after)}"


def _inert(text: str) -> str:
    """Like ``inert``, with the space at either end kept."""
    left, right = text[:1].isspace(), text[-1:].isspace()
    return f"{' ' if left else ''}{inert(text)}{' ' if right and text.strip() else ''}"
