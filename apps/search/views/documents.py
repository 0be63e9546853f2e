"""The documents a person uploads to search in."""

from __future__ import annotations

from apps.search.views.state import service
from apps.ui import uploads


def panel() -> None:
    """What the dialog shows."""
    uploads.draw(service(), "search", "search")
