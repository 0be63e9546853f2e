"""Which units an answer quotes: the best, others nearly as good, rows of a table as one, and what contradicts them.

What the question's language says is not said again in the other one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from core.i18n import detect_language
from core.retrieval import conflict, evidence, tokens
from core.retrieval.units import Unit, units
from core.types import Language

QUOTES = 3  # sentences of an extractive answer
NEAR = 12  # units in which a contradiction of the first is looked for
MARGIN = evidence.NEARLY  # a further quote may score this much less than the first
TIED, MOST_ROWS = 1.0, 6  # rows of a table that the question tells apart by no more than this are quoted as one
POINTS_BACK = re.compile(r"(?:it|they|this|that|these|those|he|she|such|then|however|but|otherwise|in that case)\b|其[中他]?|它|该|这|那|此|但|不过|否则|同时|另外|超过的|逾期", re.IGNORECASE)  # fmt: skip


def chosen_quotes(
    ranked: Sequence[evidence.Scored], quoted: set[tuple[str, int, int]], language: Language
) -> list[tuple[evidence.Scored, Unit]]:
    """Up to three units to quote: the best, and others nearly as good that say something more."""
    chosen: list[tuple[evidence.Scored, Unit]] = []
    seen: list[set[str]] = []
    ranked = rows_together(ranked)
    for scored in ranked:
        if len(chosen) == QUOTES or scored.score < ranked[0].score - MARGIN:
            break
        unit = understandable(scored.unit)
        if chosen and unit.passage.language != language and _answers_already(chosen[0][0], scored, language):
            continue
        if chosen and scored.features["figure"] < chosen[0][0].features["figure"]:
            continue  # a price was asked for and given: what gives none is about something else
        terms = set(tokens.content_terms(unit.shown))
        if (unit.passage.id, unit.start, unit.end) in quoted or any(_same(terms, other) for other in seen):
            continue
        chosen.append((scored, unit))
        seen.append(terms)
    if chosen and (other := _against(chosen[0][1], ranked)) and all(other.unit is not unit for _, unit in chosen):
        chosen = [*chosen[: QUOTES - 1], (other, other.unit)]
    return chosen


def _answers_already(first: evidence.Scored, other: evidence.Scored, language: Language) -> bool:
    """Whether ``first`` is in ``language`` and leaves no product or kind of value that was asked for to ``other``."""
    same = first.unit.passage.language == language
    return same and all(other.features[name] <= first.features[name] for name in ("code", "kind"))


def rows_together(ranked: Sequence[evidence.Scored]) -> list[evidence.Scored]:
    """``ranked`` with neighboring rows of a table as one unit where the question does not tell them apart.

    "What is the limit for hotels?" is answered by all the limits. Scores are log-odds against the other units, so that
    of rows together is the logarithm of their summed odds.
    """
    rows = {(s.unit.passage.id, s.unit.position): s for s in ranked if s.unit.kind == "row"}
    taken: set[tuple[str, int]] = set()
    found: list[evidence.Scored] = []
    for scored in ranked:
        id_, at = scored.unit.passage.id, scored.unit.position
        if scored.unit.kind != "row":
            found.append(scored)
            continue
        if (id_, at) in taken:
            continue
        group = [scored]
        for step in (-1, 1):
            place = at + step
            while (id_, place) not in taken and (row := rows.get((id_, place))) and _tied(row, scored):
                group.append(row)
                place += step
        group = group if len(group) <= MOST_ROWS else [scored]
        taken |= {(id_, row.unit.position) for row in group}
        found.append(_as_one(group))
    return sorted(found, key=lambda s: -s.score)  # stable: of equals the better comes first


def _tied(row: evidence.Scored, best: evidence.Scored) -> bool:
    return row.unit.lead == best.unit.lead and row.score >= best.score - TIED


def _as_one(group: Sequence[evidence.Scored]) -> evidence.Scored:
    if len(group) == 1:
        return group[0]
    best, units_ = group[0], sorted((row.unit for row in group), key=lambda unit: unit.position)
    passage, start, end = best.unit.passage, units_[0].start, units_[-1].end
    gap = "" if passage.language == "zh" else " "
    unit = replace(
        units_[0],
        end=end,
        text=passage.text[start - passage.start : end - passage.start],
        shown=gap.join(ended(unit.shown) for unit in units_),
    )
    return replace(best, unit=unit, score=best.score + math.log(sum(math.exp(r.score - best.score) for r in group)))


def _against(unit: Unit, ranked: Sequence[evidence.Scored]) -> evidence.Scored | None:
    """The first of the next best units that contradicts ``unit``; it is quoted whatever its score."""
    near = ranked[1:NEAR]
    return next((s for s in near if conflict.between([unit, s.unit]) is not None), None)


def understandable(unit: Unit) -> Unit:
    """``unit`` with the sentence before it when it points back to that one: "It must be unused." """
    if unit.kind != "sentence" or not unit.position or not POINTS_BACK.match(unit.text):
        return unit
    before = units(unit.passage)[unit.position - 1]
    if before.kind != "sentence":
        return unit
    text = unit.passage.text[before.start - unit.passage.start : unit.end - unit.passage.start]
    gap = "" if unit.passage.language == "zh" else " "
    return replace(unit, start=before.start, text=text, shown=f"{before.shown}{gap}{unit.shown}")


def ended(text: str) -> str:
    """``text`` with a full stop, which rows and list items lack."""
    if text[-1:] in '。！？.!?…:：;；”"':
        return text
    return f"{text}。" if detect_language(text) == "zh" else f"{text}."


def _same(terms: set[str], other: set[str]) -> bool:
    return bool(terms) and len(terms & other) >= 0.8 * min(len(terms), len(other)) and len(terms) <= 1.3 * len(other)
