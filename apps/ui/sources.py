"""The sources of an answer: numbered citations with the exact quote, marked in its surroundings.

A page redraws its whole conversation on every run, so the panel of one answer is two elements whatever it cites.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import streamlit as st

from apps.ui.inert import inert, plain
from apps.ui.session import t
from core.types import Answer, Citation

_TABLE_RULE = re.compile(r"(\|[ \t]*:?-+:?[ \t]*)+\||-{3,}")
_LINE_MARK = re.compile(r"(?m)^[ \t]*(#{1,6}|[-*>])[ \t]+|[*`]{1,3}")
_CUT_WORD_AT_START = re.compile(r"^[A-Za-z0-9'’-]{1,20} ")
_CUT_WORD_AT_END = re.compile(r" [A-Za-z0-9'’-]{1,20}$")
Surroundings = Callable[[Citation], tuple[str, str]]
"""The document's text just before and just after a citation's quote."""


def panel(citations: Sequence[Citation], *, surroundings: Surroundings | None = None, opened: bool = False) -> None:
    """Draw the sources, closed unless ``opened``.

    ``surroundings`` is called once for each citation; keep its result where it is costly.
    """
    if not citations:
        return
    label = t("ui.sources.title", count=len(citations))
    with st.expander(label, expanded=opened, icon=":material/menu_book:", type="compact"):
        st.markdown("\n\n".join(describe(citation, surroundings) for citation in citations), anchors=False)


def describe(citation: Citation, surroundings: Surroundings | None = None) -> str:
    """One citation as Markdown: number, title, place and score, then the quote marked in its excerpt."""
    place = [inert(citation.title)]
    if citation.heading:
        place.append(inert(citation.heading))
    facts = []
    if citation.page is not None:
        facts.append(t("ui.sources.page", page=citation.page))
    if citation.score is not None:
        facts.append(t("ui.sources.score", score=f"{citation.score:.2f}"))
    head = f":primary-badge[{citation.number}] **{' › '.join(place)}**"
    if facts:
        head += f" :small[:gray[{' · '.join(facts)}]]"
    before, after = surroundings(citation) if surroundings else ("", "")
    return f"{head}  \n{marked(before, citation.quote, after)}"


def marked(before: str, quote: str, after: str) -> str:
    """An excerpt with ``quote`` marked in it, as one line of Markdown; what surrounds it is gray."""
    left, best, right = map(inert, excerpt(before, quote, after))
    left, right = left and f":gray[{left}]", right and f":gray[{right}]"
    return " ".join(filter(None, (left, f":primary-background[{best}]", right)))


def excerpt(before: str, quote: str, after: str) -> tuple[str, str, str]:
    """What stands before a quote, the quote, and what stands after it, each on one line; only the quote is exact.

    The quote of a table's rows is shown as their cells.
    """
    left = plain(_CUT_WORD_AT_START.sub("", without_marks(before)))
    right = plain(_CUT_WORD_AT_END.sub("", without_marks(after)))
    if quote.startswith("|") and quote.endswith("|"):
        rows = (line.strip().strip("|").split("|") for line in quote.splitlines())
        quote = " / ".join(" · ".join(cell.strip() for cell in row) for row in rows)
    return left and f"… {left}", plain(quote), right and f"{right} …"


def beginning(text: str, most: int) -> str:
    """Up to ``most`` characters from the start of a document's text, on one line that ends with a whole word."""
    if len(text) <= most:
        return plain(without_marks(text))
    return f"{plain(_CUT_WORD_AT_END.sub('', without_marks(text[:most])))} …"


def without_marks(text: str) -> str:
    """Text of a document to read: heading signs, table rules and cell borders of Markdown left out."""
    text = _TABLE_RULE.sub(" ", text)
    return " ".join(_LINE_MARK.sub("", text).replace("|", " ").split())


def marks(numbers: Sequence[int]) -> str:
    """The marks after a cited sentence: ``[1][2]``."""
    return "".join(f":small[:primary[\\[{number}\\]]]" for number in numbers)


def numbered(answer: Answer) -> Sequence[Citation]:
    """The citations an answer's sentences use, by number; all of them when no sentence names any."""
    used = {number for sentence in answer.sentences for number in sentence.citations}
    return sorted((c for c in answer.citations if not used or c.number in used), key=lambda c: c.number)
