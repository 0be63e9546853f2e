"""The sample: news of sixty days about companies that do not exist, written for this project.

``news.txt`` has a line per item: how many days before the last, the hour, the source, and the text, with ``//`` between
title and body.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

from apps.financial_sentiment.items import NewsItem
from apps.financial_sentiment.prices import Price

FILE = Path(__file__).parent / "news.txt"
DAY = 86_400.0
PRICE_DAYS = 75
JUMPS = {  # of invented prices: how many days before the last, and by how much
    "x-changqiao": {15: -0.05, 13: -0.09, 12: -0.16, 11: -0.08},
    "x-tessaly": {2: -0.04, 1: -0.11},
    "x-tianshu": {4: 0.06, 3: 0.09},
    "x-lumivia": {9: 0.04, 8: 0.12},
    "x-veldra": {20: -0.13, 19: 0.03},
    "x-hengchuan": {25: -0.08, 23: -0.04, 3: 0.05},
    "x-northcape": {33: -0.06, 1: 0.04},
    "x-orrin": {37: 0.05},
    "x-qinghe": {6: -0.12, 4: 0.03, 1: -0.04},
    "x-lanxin": {26: -0.09, 25: -0.03, 5: 0.04},
    "x-solvane": {35: 0.29, 34: 0.02},
    "x-yunling": {46: -0.05, 38: -0.06, 6: 0.07},
}


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


def sample_prices(now: float) -> list[Price]:
    """Closing prices of the sample's companies on the working days before ``now``: a drawn walk with the jumps above."""
    found = []
    for company, jumps in JUMPS.items():
        walk = random.Random(company)
        close = walk.uniform(8, 60)
        for back in range(PRICE_DAYS, 0, -1):
            day = datetime.fromtimestamp(now - back * DAY, UTC)
            close *= 1 + walk.gauss(0, 0.011) + jumps.get(back, 0.0)
            if day.weekday() < 5:
                found.append(Price(company, f"{day:%Y-%m-%d}", round(close, 2)))
    return found
