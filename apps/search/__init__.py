"""Search over anyone's documents: results at once, answers with evidence, reasons on request."""

from __future__ import annotations

from apps.search.service import Search

__all__ = ["Search"]
