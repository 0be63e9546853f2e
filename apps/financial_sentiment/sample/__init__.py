"""The sample: news of sixty days about companies that do not exist, written for this project.

``news.txt`` has a line per item: how many days before the last, the hour, the source, and the text, with ``//`` between
title and body.
"""

from __future__ import annotations

from pathlib import Path

from apps.financial_sentiment.items import NewsItem

FILE = Path(__file__).parent / "news.txt"
DAY = 86_400.0


def sample_items(now: float) -> list[NewsItem]:
    """The items, dated so that the newest was published shortly before ``now``."""
    found = []
    for number, line in enumerate(FILE.read_text("utf-8").splitlines()):
        if not line.strip() or line.startswith("#"):
            continue
        days, hour, source, text = line.split("|", 3)
        title, _, body = text.partition("//")
        # the last day of the file ends at ``now``, whatever the hour is
        at = now - int(days) * DAY - (24 - float(hour)) * 3600
        found.append(
            NewsItem(title.strip(), body.strip(), source, f"sample-{number}", published_at=at - 240, seen_at=at)
        )
    return found
