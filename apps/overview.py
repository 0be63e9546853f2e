"""What a workspace holds, in numbers: the facts of the home page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from core.types import Caller
from core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts of one tenant; conversations are the caller's own. Tokens are ``None`` when no call told them."""

    documents: int
    passages: int
    conversations: int
    calls_today: int
    input_tokens_today: int | None
    output_tokens_today: int | None


_DOCUMENTS = "SELECT count(*) FROM documents WHERE tenant = ?"
_PASSAGES = "SELECT count(*) FROM passages JOIN collections ON collections.id = passages.collection_id WHERE tenant = ?"
_CONVERSATIONS = "SELECT count(*) FROM conversations WHERE tenant = ? AND user = ?"
_CALLS = "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM calls WHERE at >= ? AND tenant = ?"


def overview(workspace: Workspace, caller: Caller, now: float | None = None) -> Overview:
    """Count what ``caller`` may see; "today" begins at midnight in this machine's time zone."""
    moment = datetime.fromtimestamp(time.time() if now is None else now)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    with workspace.read() as db:
        calls, tokens_in, tokens_out = db.execute(_CALLS, (midnight, caller.tenant)).fetchone()
        return Overview(
            documents=db.execute(_DOCUMENTS, (caller.tenant,)).fetchone()[0],
            passages=db.execute(_PASSAGES, (caller.tenant,)).fetchone()[0],
            conversations=db.execute(_CONVERSATIONS, (caller.tenant, caller.user)).fetchone()[0],
            calls_today=calls,
            input_tokens_today=tokens_in,
            output_tokens_today=tokens_out,
        )
