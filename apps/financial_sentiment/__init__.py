"""Financial sentiment: how companies stand in the news, with the sentence that says so, Chinese and English."""

from __future__ import annotations

from apps.financial_sentiment.items import NewsItem
from apps.financial_sentiment.service import Desk

__all__ = ["Desk", "NewsItem"]
