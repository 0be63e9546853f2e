"""The side preview: a document at a passage, as a reader wants it: section, page of a PDF, row of a table."""

from __future__ import annotations

import streamlit as st

from apps.search import preview
from apps.search.preview import Table, Text
from apps.search.views import place
from apps.search.views.cards import dated, titled
from apps.search.views.state import service
from apps.ui import states
from apps.ui.inert import inert
from apps.ui.session import caller, language, t
from core.types import Hit

MOST = 60_000  # characters of a document that is shown as a whole
_WHOLE, _PAGE = "search_whole", "search_preview_page"


def open_at(hit: Hit) -> None:
    """Open the preview beside the page."""
    st.session_state.pop(_WHOLE, None)
    st.session_state[_PAGE] = hit.passage.page
    st.dialog(inert(titled(hit)), width="medium", position="right")(_preview)(hit)


def _preview(hit: Hit) -> None:
    with states.guarded():
        passage, desk, who = hit.passage, service(), caller()
        text = desk.text(passage.document_id, who)
        passages = desk.folders.passages(passage.document_id, who)
        facts = [inert(place.source(passage.source))]
        if day := dated(hit, desk.dates([passage.document_id]), language()):
            facts.append(inert(day))
        facts.append(t("search.passage_of", number=passage.position + 1, count=len(passages)))
        st.caption(" · ".join(facts))
        marked = hit.sentence or (passage.start, passage.end)
        page, whole = st.session_state.get(_PAGE) or passage.page, bool(st.session_state.get(_WHOLE))
        found = preview.shown(text, passages, passage, marked, page=page, whole=whole)
        if len(text) <= MOST and (whole or found.partial):
            st.toggle(t("search.whole"), key=_WHOLE)
        if found.pages and found.pages > 1:
            _pages(found.page or 1, found.pages)
        lines = [":gray[…]"] if found.before else []
        lines += map(drawn, found.parts)
        lines += [":gray[…]"] if found.after else []
        st.markdown("\n\n".join(lines), anchors=False)


def _pages(page: int, pages: int) -> None:
    st.session_state[_PAGE] = page
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for name, icon, to in (
            ("page_before", ":material/chevron_left:", page - 1),
            ("page_after", ":material/chevron_right:", page + 1),
        ):
            st.button(
                t(f"search.{name}"), key=f"search_{name}", icon=icon, type="tertiary", disabled=not 1 <= to <= pages,
                on_click=_turn, args=(to,),
            )  # fmt: skip
        st.caption(t("search.page_of", page=page, pages=pages))


def _turn(page: int) -> None:
    st.session_state[_PAGE] = page


def drawn(part: Text | Table) -> str:
    """A part as Markdown in which nothing of the document acts."""
    return _table(part) if isinstance(part, Table) else _text(part)


def _text(part: Text) -> str:
    if part.level:
        return f"**{inert(part.text.lstrip('# '))}**"
    start, end = part.marked or (0, 0)
    lines, at = [], 0
    for line in part.text.splitlines(keepends=True):
        a, b = max(start - at, 0), min(end - at, len(line))
        lines.append(_spaced(line[:a]) + _lit(line[a:b]) + inert(line[b:]) if a < b else inert(line))
        at += len(line)
    return "  \n".join(filter(None, lines))


def _spaced(text: str) -> str:
    return inert(text) + (" " if text[-1:].isspace() else "")


def _lit(text: str) -> str:
    return f":primary-background[{inert(text)}]{' ' if text[-1:].isspace() else ''}" if text.strip() else ""


def _table(part: Table) -> str:
    head = [inert(name) or " " for name in part.header]
    rows = [
        [f":primary-background[{inert(cell)}]" if cell and place in part.marked else inert(cell) for cell in cells]
        for place, cells in enumerate(part.rows)
    ]
    rule = ["--:" if _numbers(part, column) else ":--" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _numbers(part: Table, column: int) -> bool:
    cells = [row[column] for row in part.rows if row[column]]
    return bool(cells) and all(cell.replace(",", "").replace(".", "").strip("-+%").isdigit() for cell in cells)
