"""Results as cards: what was found, where it stands, why, and what is like it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import streamlit as st

from apps.search.query import Query
from apps.search.service import PAGE
from apps.search.views import reader
from apps.search.views.state import service
from apps.ui import sources, states
from apps.ui.inert import JOINER, inert
from apps.ui.session import caller, language, t
from core.retrieval.arrange import with_sentence
from core.retrieval.beside import Beside
from core.retrieval.explain import Explanation, PassageReason
from core.retrieval.records import Found
from core.types import Hit

# Between texts and buttons. What follows a text at once is sent and drawn with it, and the text would wait for eighty
# elements; a key that comes meanwhile saves drawing them.
READ_S = 0.04
BEFORE, AFTER = 90, 160  # characters of a passage around the sentence that answers best
MENU = {  # what a card offers besides the document and the reasons, with the gain of what judges it
    "similar": (":material/join:", None),
    "good": (":material/thumb_up:", 1.0),
    "poor": (":material/thumb_down:", 0.0),
    "unjudged": (":material/undo:", None),
}
SAID = {0.0: "poor", 1.0: "good"}


def places() -> list[st.delta_generator.DeltaGenerator]:
    """Where the cards of a page will stand: drawn while nothing is found yet, they cost no time between key and text."""
    return [st.container(gap="xsmall", key=f"card_{number}") for number in range(1, PAGE + 1)]


def texts(cards: Sequence[st.delta_generator.DeltaGenerator], found: Found, typed: str) -> list[tuple[Hit, str | None]]:
    """Draw what is read of the page of results that the address names, into ``cards``.

    Returns:
        The hits on the page, each with what was said of it as a result of what was ``typed``.
    """
    judged = service().judgments.own(typed, caller())
    pages = page_count(found)
    page = min(max(1, st.session_state.get("page") or 1), pages)
    first = (page - 1) * PAGE
    shown = [with_sentence(hit, found.weights) for hit in found.hits[first : first + PAGE]]
    dates = service().dates([hit.passage.document_id for hit in shown])
    said = [SAID.get(judged.get(hit.passage.document_id, math.nan)) for hit in shown]
    for number, (card, hit, verdict) in enumerate(zip(cards, shown, said, strict=False), 1):
        card.markdown(described(first + number, hit, dates, verdict), anchors=False)
    return list(zip(shown, said, strict=True))


def buttons(
    cards: Sequence[st.delta_generator.DeltaGenerator],
    shown: Sequence[tuple[Hit, str | None]],
    query: Query,
    typed: str,
) -> None:
    """Draw what can be clicked below the texts of ``cards``, once they had time to reach the screen.

    Judgments are of what was ``typed``.
    """
    time.sleep(READ_S)
    for number, (card, (hit, verdict)) in enumerate(zip(cards, shown, strict=False), 1):
        with card, st.container(horizontal=True, vertical_alignment="center", gap="small"):
            actions(number, hit, query, typed, verdict)


def page_count(found: Found) -> int:
    return max(1, math.ceil(len(found.hits) / PAGE))


def paging(found: Found) -> None:
    """The way to the other pages of results, where there are any."""
    if (pages := page_count(found)) > 1:
        if st.session_state.get("page", 1) > pages:
            st.session_state["page"] = pages
        with st.container(horizontal_alignment="center"):
            st.pagination(pages, key="page", bind="query-params")


def actions(number: int, hit: Hit, query: Query, typed: str, verdict: str | None) -> None:
    """What can be done with a hit. Their keys are of the place: whatever stands there, the browser draws them once."""
    if st.button(t("search.open"), key=f"open_{number}", icon=":material/article:", type="tertiary"):
        reader.open_at(hit, titled(hit))
    left_out = {verdict or "unjudged"}
    names = {
        choice: f"{icon} {t(f'search.menu.{choice}')}" for choice, (icon, _) in MENU.items() if choice not in left_out
    }
    key = f"more_{number}"
    if st.button(t("search.why"), key=f"why_{number}", icon=":material/help:", type="tertiary"):
        st.dialog(t("search.why_title"), width="large")(reasons)(query, hit.passage.id)
    chosen = st.menu_button(
        t("search.more"), list(names), key=key, type="tertiary", format_func=names.__getitem__,
        on_click=_judged, args=(key, typed, hit.passage.document_id),
    )  # fmt: skip
    if chosen == "similar":
        st.dialog(t("search.similar_title"), width="large")(similar)(hit, query)


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
    choice = st.session_state.get(key)
    if choice in ("good", "poor", "unjudged"):
        service().judgments.judge(typed, document_id, MENU[choice][1], caller())


def described(rank: int, hit: Hit, dates: Mapping[str, float], verdict: str | None = None) -> str:
    """A card as Markdown: place, snippet with the best sentence marked, facts; ``dates`` as of the service.

    It is drawn eight times at each key press, so it has few colors and sizes: they are what takes the browser longest.
    """
    passage = hit.passage
    facts = [inert(passage.source.rsplit("/", 1)[-1])]
    if passage.page is not None:
        facts.append(t("ui.sources.page", page=passage.page))
    facts += [t(f"search.language.{passage.language}")] if passage.language else []
    facts.append(reader.dated(hit, dates))
    facts.append(t("ui.sources.score", score=f"{hit.score:.2f}"))
    facts.append(reasons_short(hit))
    if verdict:
        facts.append(f"{MENU[verdict][0]} {t(f'search.judged.{verdict}')}")
    lines = [
        f"{rank} **{titled(hit)}**  \n{snippet(hit)}",
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
        return sources.beginning(passage.text, BEFORE + AFTER)
    start, end = (place - passage.start for place in hit.sentence)
    before, after = passage.text[max(0, start - BEFORE) : start], passage.text[end : end + AFTER]
    best = passage.text[start:end].strip()
    best = best if best.startswith("|") else sources.without_marks(best)
    return sources.marked(before, best, after, dim=False)


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
