"""Recommendation: from what people did and what they say they like, in Chinese and English, with true reasons."""

from __future__ import annotations

from apps.recommendation.catalogue import Filters
from apps.recommendation.service import Recommender

__all__ = ["Filters", "Recommender"]
