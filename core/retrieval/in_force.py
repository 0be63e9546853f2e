"""Documents that say of themselves that they no longer hold are not quoted beside those that do.

A handbook keeps last year's edition, and it answers a question in the same words as this year's. Whoever asks what
holds wants the one in force; whoever asks what held then, or names a date, may want the other, and is given both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from core.retrieval import evidence
from core.retrieval.filters import iso
from core.types import Hit, Passage

_OVER = r"(?<!未)(?<!不)(?:已经?|现已)?(?:废止|废除|作废|失效|过期|停用)|(?<!not )(?<!not yet )\b(?:superseded|deprecated|obsolete|expired|abolished|repealed|withdrawn|no longer (?:in force|valid))\b"  # fmt: skip
# A remark on the title, not its subject: "Returns 2024 (superseded)", but not "How to void an invoice".
_REMARK = re.compile(
    rf"[（(\[【][^（(\[【]*(?:{_OVER})[^（(\[【]*[）)\]】]|[-–—:：·,，]\s*(?:{_OVER})\s*$|^\s*(?:{_OVER})\s*[-–—:：·]",
    re.IGNORECASE,
)
_STATUS = re.compile(rf"\s*(?:{_OVER})\s*", re.IGNORECASE)
_STATUS_KEYS = ("status", "state", "状态")
_END_KEYS = ("valid_until", "valid_to", "expires", "有效期至", "失效日期")
_PAST = re.compile(
    r"当时|那时|以前|从前|过去|原来|原先|旧版|旧的|老版|上一?版|废止|作废|失效|去年|前年|(?:19|20)\d\d|\d\s*月|[一二三四五六七八九十]月"
    r"|\b(?:then|previous(?:ly)?|former(?:ly)?|old(?:er)?|earlier|used to|last year|superseded|obsolete|deprecated|expired"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b",
    re.IGNORECASE,
)  # fmt: skip


def is_over(passage: Passage, today: date | None = None) -> bool:
    """Whether the passage's document says, in its title or metadata, that it is no longer in force.

    Metadata: ``status`` (superseded, 已废止 and the like), or ``valid_until`` with a day before ``today``.
    """
    if _REMARK.search(passage.title):
        return True
    given = passage.metadata
    if any(isinstance(given.get(key), str) and _STATUS.fullmatch(given[key]) for key in _STATUS_KEYS):
        return True
    ends = (str(given[key])[:10] for key in _END_KEYS if key in given)
    now = iso(today or date.today())[:10]
    return any(re.fullmatch(r"\d{4}-\d{2}-\d{2}", end) and end < now for end in ends)


def asks_of_the_past(question: str) -> bool:
    """Whether ``question`` may be about what held at another time.

    >>> asks_of_the_past("今年一月份买的水壶几天可退"), asks_of_the_past("How long may I return it?")
    (True, False)
    """
    return bool(_PAST.search(question))


def kept(
    ranked: Sequence[evidence.Scored], hits: Sequence[Hit], question: str, margin: float
) -> tuple[Sequence[evidence.Scored], tuple[Hit, ...]]:
    """Units and passages without those no longer in force, unless ``question`` may ask for them or no other answers.

    Args:
        margin: what in force scores less than the best by more than this (log-odds) is no answer.
    """
    held = [scored for scored in ranked if not is_over(scored.unit.passage)]
    if not held or held[0].score < ranked[0].score - margin or asks_of_the_past(question):
        return ranked, tuple(hits)
    return held, tuple(hit for hit in hits if not is_over(hit.passage))
