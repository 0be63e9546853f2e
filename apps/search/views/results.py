"""Results as cards: what was found, where it stands, why, and what is like it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import streamlit as st

from apps.search.query import Query
from apps.search.service import PAGE
from apps.search.views import reader
from apps.search.views.state import service
from apps.ui import sources, states
from apps.ui.inert import inert
from apps.ui.session import caller, language, t
from core.retrieval.arrange import with_sentence
from core.retrieval.beside import Beside
from core.retrieval.explain import Explanation, PassageReason
from core.retrieval.records import Found
from core.types import Hit

BEFORE, AFTER = 90, 160  # characters of a passage around the sentence that answers best


def draw(found: Found, query: Query, typed: str) -> None:
    """The page of results that the address names; thumbs are for what was ``typed``."""
    judged = service().judgments.own(typed, caller())
    pages = max(1, math.ceil(len(found.hits) / PAGE))
    page = min(max(1, st.session_state.get("page") or 1), pages)
    first = (page - 1) * PAGE
    shown = found.hits[first : first + PAGE]
    dates = service().dates([hit.passage.document_id for hit in shown])
    for rank, hit in enumerate(shown, first + 1):
        card(rank, with_sentence(hit, found.weights), query, typed, judged.get(hit.passage.document_id), dates)
    if pages > 1:
        with st.container(horizontal_alignment="center"):
            st.pagination(pages, key="page", bind="query-params")


def card(rank: int, hit: Hit, query: Query, typed: str, judged: float | None, dates: Mapping[str, float]) -> None:
    with st.container(gap="xsmall", key=f"card_{rank}"):
        st.markdown(described(rank, hit, dates), anchors=False)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if st.button(t("search.open"), key=f"open_{rank}", icon=":material/article:", type="tertiary"):
                reader.open_at(hit, titled(hit))
            if st.button(t("search.why"), key=f"why_{rank}", icon=":material/help:", type="tertiary"):
                st.dialog(t("search.why_title"), width="large")(reasons)(query, hit.passage.id)
            if st.button(t("search.similar"), key=f"similar_{rank}", icon=":material/join:", type="tertiary"):
                st.dialog(t("search.similar_title"), width="large")(similar)(hit, query)
            key = f"thumb_{hashlib.sha256(f'{typed} {hit.passage.id}'.encode()).hexdigest()[:16]}"
            st.feedback(
                "thumbs",
                key=key,
                default=None if judged is None else int(judged > 0),
                on_change=_judged,
                args=(key, typed, hit.passage.document_id),
            )


def beside(also: Beside) -> None:
    """What the other language has: its titles at once, the passages a click away."""
    titles = " · ".join(inert(hit.passage.title) for hit in also.hits)
    label = t("search.beside", language=t(f"search.language.{also.language}"), titles=titles)
    with st.expander(label, icon=":material/translate:", type="compact"):
        dates = service().dates([hit.passage.document_id for hit in also.hits])
        for number, hit in enumerate(also.hits, 1):
            with st.container(gap="xsmall", key=f"beside_{number}"):
                st.markdown(described(number, hit, dates), anchors=False)
                if st.button(t("search.open"), key=f"beside_open_{number}", icon=":material/article:", type="tertiary"):
                    reader.open_at(hit, titled(hit))


def _judged(key: str, typed: str, document_id: str) -> None:
    thumb = st.session_state.get(key)
    service().judgments.judge(typed, document_id, None if thumb is None else float(thumb), caller())


def described(rank: int, hit: Hit, dates: Mapping[str, float]) -> str:
    """A card as Markdown: place, snippet with the best sentence marked, facts; ``dates`` as of the service."""
    passage = hit.passage
    facts = [inert(passage.source.rsplit("/", 1)[-1])]
    if passage.page is not None:
        facts.append(t("ui.sources.page", page=passage.page))
    facts += [t(f"search.language.{passage.language}")] if passage.language else []
    facts.append(reader.dated(hit, dates))
    facts.append(t("ui.sources.score", score=f"{hit.score:.2f}"))
    facts.append(reasons_short(hit))
    lines = [
        f":small[:gray[{rank}]] **{titled(hit)}**  \n{snippet(hit)}",
        f":small[:gray[{' · '.join(filter(None, facts))}]]",
    ]
    if hit.similar:
        names = ", ".join(inert(other.passage.source.rsplit("/", 1)[-1]) for other in hit.similar[:3])
        lines.append(
            f":small[:gray[:material/content_copy: {t('search.folded', count=len(hit.similar), names=names)}]]"
        )
    return "  \n".join(lines)


def titled(hit: Hit) -> str:
    """Title and heading of a hit, as text that does nothing."""
    parts = [hit.passage.title, hit.passage.heading]
    return " › ".join(inert(part) for part in parts if part)


def reasons_short(hit: Hit) -> str:
    """Its ranks in both legs."""
    return " · ".join(filter(None, (_leg("keyword", hit.keyword_rank), _leg("vector", hit.vector_rank))))


def _leg(name: str, rank: int | None) -> str:
    return t(f"search.rank.{name}", rank=rank) if rank is not None else ""


def snippet(hit: Hit) -> str:
    """The sentence that answers best, marked in its surroundings; else the beginning of the passage."""
    passage = hit.passage
    if hit.sentence is None:
        return inert(sources.without_marks(passage.text[: BEFORE + AFTER]))
    start, end = (place - passage.start for place in hit.sentence)
    before, after = passage.text[max(0, start - BEFORE) : start], passage.text[end : end + AFTER]
    best = passage.text[start:end].strip()
    return sources.marked(before, best if best.startswith("|") else sources.without_marks(best), after)


# --- what a click opens ---------------------------------------------------------------------------


def similar(hit: Hit, query: Query) -> None:
    with states.guarded():
        found = service().similar(hit, query, caller())
        if not found.hits:
            st.caption(t("search.nothing_similar"))
        dates = service().dates([other.passage.document_id for other in found.hits[:5]])
        for rank, other in enumerate(found.hits[:5], 1):
            st.markdown(described(rank, other, dates), anchors=False)


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
        f"| {inert(term.term)} | {term.idf:.2f} | {term.passages:,} | {term.in_text or '–'} | {term.in_context or '–'} |"
        for term in sorted(reason.terms, key=lambda term: -term.idf)[:12]
        if term.passages or term.term.isascii()  # a pair across two Chinese words stands nowhere and tells nothing
    ]
    return head + "\n".join(rows)


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
