"""Query help on the sample company, query by query: no clean query is touched, no slip is worse off."""

from __future__ import annotations

from dataclasses import replace

from apps.search.evaluate import ranked, rows
from apps.search.query import Query
from apps.search.service import Search
from core.settings import Settings

FIRST = 5


def test_no_clean_query_is_touched_and_no_slip_is_lost(settings: Settings) -> None:
    """By words alone; ``python -m apps.search.evaluate`` measures both legs (docs/decisions/0021)."""
    desk = Search.open(settings.with_values(TOUCHSTONE_CHAT="scripted:demo", TOUCHSTONE_EMBEDDING="scripted:none"))
    try:
        desk.prepare()
        usual = Query("", mode="keyword", places=("sample",))
        clean = [replace(usual, text=row["query"]) for row in rows("slips.yaml", "clean", "all")]
        assert len(clean) == 200
        meant = [desk.understood(query) for query in clean]
        assert not [m.query.text for m, query in zip(meant, clean, strict=True) if m.query != query or m.changes]

        gained = 0
        for row in rows("slips.yaml", "slips", "tune"):
            typed = replace(usual, text=row["query"])
            helped = desk.understood(typed)
            if not helped.changes:
                continue
            without = set(ranked(desk, replace(typed, help=()))[:FIRST]) & set(row["wanted"])
            found = set(ranked(desk, helped.query)[:FIRST]) & set(row["wanted"])
            assert found or not without, (
                f"{row['id']}: {row['query']} became {helped.query.text} and lost what it found"
            )
            gained += bool(found) and not without
        assert gained >= 10
    finally:
        desk.close()
