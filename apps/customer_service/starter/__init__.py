"""A shop of your own for Touchstone's customer service: its tools, its policy, its documents."""

from __future__ import annotations

from pathlib import Path

from apps.customer_service.starter.tools import TOOLS
from core.i18n import add_catalogue

__all__ = ["INTENTS", "POLICY", "TOOLS"]

HERE = Path(__file__).parent
POLICY = HERE / "policy.yaml"
TRAINED = HERE / "model"
INTENTS = TRAINED if TRAINED.is_dir() else None  # made by train.py; without it the intents that come with Touchstone

add_catalogue(HERE / "locales")
