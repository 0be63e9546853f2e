"""Typed Python functions as tools: schema from the signature, permissions, argument checks, a journal, exactly-once."""

from __future__ import annotations

from core.tools.calls import Tools, ToolTurn
from core.tools.definition import Idempotency, ToolDefinition, tool
from core.tools.journal import Journal, JournalEntry, ToolResult
from core.tools.schema import Cents, Length, Matching, Within

__all__ = [
    "Cents",
    "Idempotency",
    "Journal",
    "JournalEntry",
    "Length",
    "Matching",
    "ToolDefinition",
    "ToolResult",
    "ToolTurn",
    "Tools",
    "Within",
    "tool",
]
