"""Results as files: a table for a spreadsheet, a list for a document, data for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from apps.spreadsheet import harmless
from core.retrieval.beside import Beside
from core.retrieval.query_help import Change
from core.retrieval.records import Found
from core.retrieval.tool import hit_data
from core.types import Hit


def as_csv(hits: Sequence[Hit]) -> str:
    """One row a hit, with a byte order mark, so that spreadsheets read Chinese; no cell can act as a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("rank", "score", "title", "heading", "source", "page", "text"))
    for rank, hit in enumerate(hits, 1):
        p = hit.passage
        cells = (p.title, p.heading or "", p.source, "" if p.page is None else p.page, p.text)
        writer.writerow((rank, f"{hit.score:.4f}", *map(harmless, cells)))
    return "\ufeff" + out.getvalue()


def as_data(
    typed: str, changes: Sequence[Change], also: Sequence[str], found: Found, beside: Beside | None
) -> dict[str, Any]:
    """What was found as plain data: what the page saves as JSON and ``touchstone search --json`` prints."""
    return {
        "query": found.query,
        "typed": typed,
        "changes": [asdict(change) for change in changes],
        "also": list(also),
        "hits": [hit_data(hit) for hit in found.hits],
        "other_language": {"language": beside.language, "hits": [hit_data(hit) for hit in beside.hits]}
        if beside
        else None,
        "passages": found.passages,
        "notices": list(found.notices),
    }


def as_markdown(query: str, hits: Sequence[Hit]) -> str:
    """A numbered list of titles, sources and texts; text of documents stands in code fences, so it stays text."""
    lines = [f"# {' '.join(query.split())}", ""]
    for rank, hit in enumerate(hits, 1):
        p = hit.passage
        fence = "`" * max(3, 1 + max((len(run) for run in p.text.split() if set(run) == {"`"}), default=0))
        place = f"{p.title} › {p.heading}" if p.heading else p.title
        where = f"{p.source}" + (f", {p.page}" if p.page is not None else "")
        lines += [f"{rank}. {' '.join(place.split())} ({where})", "", fence, p.text, fence, ""]
    return "\n".join(lines)
