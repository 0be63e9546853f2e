"""Results: their cards, the way through their pages, why they were found, and what is like them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from apps.search.query import Query
from apps.search.views import card_list, reader
from apps.search.views.card_list import Action
from apps.search.views.cards import Card, card, page_count
from apps.search.views.instant import named
from apps.search.views.state import asker, line, service
from apps.ui import states
from apps.ui.inert import JOINER, inert
from apps.ui.session import caller, language, t
from core.retrieval.arrange import with_sentence
from core.retrieval.beside import Beside
from core.retrieval.explain import Explanation, PassageReason
from core.retrieval.records import Found
from core.types import Hit

GAINS = {"good": 1.0, "poor": 0.0, "unjudged": None}  # of what judges a result


def draw(query: Query, typed: str, found: Found | None = None, took_s: float = 0.0) -> None:
    """The page of results that the address names, with what can be done with each.

    Args:
        typed: what ``query`` was typed as; judgments are of it.
        found: ``None`` where nothing was searched.
        took_s: seconds that finding took.
    """
    told = asker().told(typed, found, took_s, st.session_state.get("page") or 1)
    clicked = card_list.draw({**told, "ask": line()}, _judged)
    if clicked and found and (hit := named(clicked[1], found)):
        opened(clicked[0], with_sentence(hit, found.weights), query)


def _judged(action: Action, passage_id: str) -> None:
    """Keep a judgment before the run that draws it. The cards may be newer than the last run."""
    who = asker()
    if action in GAINS and (hit := named(passage_id, who.drawn[1])):
        service().judgments.judge(who.drawn[0], hit.passage.document_id, GAINS[action], who.caller)


def opened(action: Action, hit: Hit, query: Query) -> None:
    """What a click on a card opens."""
    if action == "open":
        reader.open_at(hit)
    elif action == "why":
        st.dialog(t("search.why_title"), width="large")(reasons)(query, hit.passage.id)
    elif action == "similar":
        st.dialog(t("search.similar_title"), width="large")(similar)(hit, query)


def paging(found: Found) -> None:
    """The way to the other pages of results, where there are any."""
    if (pages := page_count(found)) > 1:
        if st.session_state.get("page", 1) > pages:
            st.session_state["page"] = pages
        with st.container(horizontal_alignment="center"):
            st.pagination(pages, key="page", bind="query-params")


def beside(also: Beside) -> None:
    """What the other language has: its titles at once, the passages a click away."""
    titles = " · ".join(inert(hit.passage.title) for hit in also.hits)
    label = t("search.beside", language=t(f"search.language.{also.language}"), titles=titles)
    with st.expander(label, icon=":material/translate:", type="compact"):
        dates = service().dates([hit.passage.document_id for hit in also.hits])
        for number, hit in enumerate(also.hits, 1):
            with st.container(gap="xsmall", key=f"beside_{number}"):
                st.markdown(described(card(number, hit, dates, language())), anchors=False)
                if st.button(t("search.open"), key=f"beside_open_{number}", icon=":material/article:", type="tertiary"):
                    reader.open_at(hit)


def described(told: Card) -> str:
    """A card as Markdown in which nothing of the document acts."""
    before, marked, after = (inert(told[part]) for part in ("before", "marked", "after"))
    lines = [
        f"{told['rank']} **{inert(told['title'])}**",
        " ".join(filter(None, (before, marked and f":primary-background[{marked}]", after))),
        f":small[:gray[{inert(' · '.join(told['facts']))}]]",
    ]
    if told["folded"]:
        lines.append(f":small[:gray[:material/content_copy: {inert(told['folded'])}]]")
    return "  \n".join(lines)


# --- what a click opens ---------------------------------------------------------------------------


def similar(hit: Hit, query: Query) -> None:
    with states.guarded():
        found = service().similar(hit, query, caller())
        if not found.hits:
            st.caption(t("search.nothing_similar"))
        dates = service().dates([other.passage.document_id for other in found.hits[:5]])
        for rank, other in enumerate(found.hits[:5], 1):
            st.markdown(described(card(rank, other, dates, language())), anchors=False)


def reasons(query: Query, about: str) -> None:
    """Why a passage or a document was found, or was not."""
    with states.guarded():
        explanation(service().explain(query, about, caller()))


def explanation(told: Explanation) -> None:
    st.markdown(f"**{inert(told.text(language()))}**")
    for reason in told.passages[:2]:
        st.markdown(_numbers(reason), anchors=False)
        if reason.terms:
            st.markdown(_terms(reason), anchors=False)
        if reason.pending:
            st.caption(t("search.pending"))


def _numbers(reason: PassageReason) -> str:
    rows = [
        (t("search.reason.keyword"), _number(reason.keyword_rank), _number(reason.keyword_score)),
        (t("search.reason.vector"), _number(reason.vector_rank), _number(reason.cosine)),
        (t("search.reason.fused"), _number(reason.fused_rank), _number(reason.fused_score)),
    ]
    head = f"| | {t('search.reason.rank')} | {t('search.reason.score')} |\n|:--|--:|--:|\n"
    return head + "\n".join(f"| {name} | {rank} | {score} |" for name, rank, score in rows)


def _terms(reason: PassageReason) -> str:
    columns = ("term", "idf", "in_passages", "in_text", "in_title")
    head = "| " + " | ".join(t(f"search.reason.{name}") for name in columns) + " |\n|:--|--:|--:|--:|--:|\n"
    rows: Sequence[str] = [
        f"| {inert(_unbroken(term.term))} | {term.idf:.2f} | {term.passages:,} | {term.in_text or '–'} | {term.in_context or '–'} |"
        for term in sorted(reason.terms, key=lambda term: -term.idf)[:12]
        if term.passages or term.term.isascii()  # a pair across two Chinese words stands nowhere and tells nothing
    ]
    return head + "\n".join(rows)


def _unbroken(term: str) -> str:
    """A Chinese term that stays on one line in the narrow column of a phone."""
    return term if term.isascii() else JOINER.join(term)


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
