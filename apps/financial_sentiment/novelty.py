"""How new the news is: the share of an item's word pairs that no item of the same subject had in the weeks before it.

A burst in which everybody repeats one story has little novelty, one about something that happened has much. Only what was
seen before an item counts, so no figure looks ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apps.financial_sentiment.items import Mood
from apps.financial_sentiment.series import BASELINE_DAYS, DAY
from apps.financial_sentiment.sketches import pieces
from core.types import Caller
from core.workspace import Workspace

MOST = 2_000  # of a subject's items the newest so many are read
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Said:
    """The title of an item and when it was seen."""

    item_id: int
    seen_at: float
    title: str


def novelty(said: Iterable[Said], *, days: float = BASELINE_DAYS) -> dict[int, float]:
    """By item, 0 (all was said before) to 1 (nothing was); of items seen at one moment the one with the lower id is first.

    >>> told = [Said(1, 0.0, "Acme opens a plant"), Said(2, 9.0, "Acme opens a shop"), Said(3, 9.0, "Acme opens a plant")]
    >>> {id_: round(share, 2) for id_, share in novelty(told).items()}
    {1: 1.0, 2: 0.33, 3: 0.0}
    """
    last: dict[str, float] = {}  # when a pair was last seen
    found: dict[int, float] = {}
    for one in sorted(said, key=lambda s: (s.seen_at, s.item_id)):
        own = pieces(one.title)
        old = sum(last.get(piece, float("-inf")) > one.seen_at - days * DAY for piece in own)
        found[one.item_id] = 1 - old / len(own) if own else 0.0
        last.update(dict.fromkeys(own, one.seen_at))
    return found


def of_moods(workspace: Workspace, caller: Caller, moods: Sequence[Mood]) -> dict[int, float]:
    """The novelty of the items of ``moods``, which are of one subject, by their titles."""
    newest = sorted({m.item_id: m.seen_at for m in moods}.items(), key=lambda one: (-one[1], -one[0]))[:MOST]
    said: list[Said] = []
    with workspace.read() as db:
        for start in range(0, len(newest), _AT_ONCE):
            ids = [id_ for id_, _ in newest[start : start + _AT_ONCE]]
            rows = db.execute(
                f"SELECT id, seen_at, title FROM news_items WHERE tenant = ? AND id IN ({', '.join('?' * len(ids))})",
                (caller.tenant, *ids),
            )
            said += [Said(*row) for row in rows]
    return novelty(said)
