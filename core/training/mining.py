"""Hard negatives: passages that a search puts high for a query and that are not what was asked for.

A model that ranks learns little from passages that no search would bring. What the search in use ranks beside the right
passage is what it has to tell apart. Source: Xiong et al. 2021, https://arxiv.org/abs/2007.00808.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.data import fold

Searched = Callable[[str], Awaitable[Sequence[str]]]  # a query to passages, the best first
COUNT = 8


async def mined(
    records: Sequence[Record],
    search: Searched,
    *,
    count: int = COUNT,
    skip: int = 0,
    told: Callable[[int, int], None] | None = None,
) -> list[Mapping[str, Any]]:
    """Rows of the kind ``pairs`` with their negatives, asked for once a query.

    Args:
        skip: places at the top that are left out: in a corpus where few right passages are known, the first ones
            may well be right, too.

    A passage that holds a right one of the query, or lies in it, is no negative.
    """
    right: dict[str, list[str]] = {}
    for record in records:
        right.setdefault(record.input, []).extend(fold(answer) for answer in record.answers)
    wrong: dict[str, list[str]] = {}
    for done, (query, answers) in enumerate(right.items(), 1):
        passages = (await search(query))[skip:]
        folded = {text: fold(text) for text in dict.fromkeys(passages)}
        wrong[query] = [
            text for text, same in folded.items() if not any(same in answer or answer in same for answer in answers)
        ][:count]
        if told:
            told(done, len(right))
    return [
        {"anchor": record.input, "positive": record.answers[0], "negatives": wrong[record.input]} for record in records
    ]
