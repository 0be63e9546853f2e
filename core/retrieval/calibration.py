"""From which confidence on a collection's questions are answered, measured on the collection itself.

The answerer's confidence is fitted on public and sample questions. How often it is below a threshold for
questions that a given collection answers, and above it for questions that it does not, depends on the
collection; so both are measured there and kept in the workspace, with the generation they were measured at:

- on a user's own questions with their answers (``asked``), or
- without any, on questions made from the collection's own sentences (``made``): half of a sentence asks for
  the whole.

Each question is asked twice: as it is, and with every passage that answers it left out.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from core.errors import InputError
from core.retrieval import finding, fuse, tokens
from core.retrieval.calibrate import logistic
from core.retrieval.index import Index
from core.retrieval.records import Found
from core.retrieval.units import units
from core.types import Passage

if TYPE_CHECKING:
    import numpy as np

Basis = Literal["asked", "made"]
FALSE_REFUSALS = 0.1  # share of answerable questions that may be refused
MOST_MADE = 150
FEWEST = 20  # questions; with fewer a share says nothing
FEWEST_FOR_CURVE = 50  # questions of a user before the confidence itself is fitted anew
_OWN, _FOREIGN = 4, 1.0  # runs of the sentence in a question made from it, and runs of others for each of them
_CANDIDATES = 60  # passages found for a question before some are left out
_PIECE = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
Told = Callable[[int, int], None]


class Question(NamedTuple):
    """A question and the texts of which a right quote holds one."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """``threshold`` is of the confidence as reported; the shares are of the questions it was measured on."""

    basis: Basis
    model: str
    generation: int
    questions: int
    threshold: float
    false_refusals: float
    false_answers: float
    wrong_answers: float
    slope: float = 1.0
    intercept: float = 0.0
    calibration_error: float = 0.0
    calibrated_at: float = 0.0

    def confidence(self, judged: float) -> float:
        """The confidence to report for what the answerer's own model says."""
        if (self.slope, self.intercept) == (1.0, 0.0):
            return judged
        return _sigmoid(self.slope * _logit(judged) + self.intercept)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def calibrate(
    index: Index,
    questions: Sequence[Question] = (),
    *,
    false_refusals: float = FALSE_REFUSALS,
    seed: int = 0,
    told: Told | None = None,
) -> Calibration:
    """Measure the collection and keep what was found; without ``questions`` they are made from its sentences.

    Raises:
        InputError: nothing is indexed, or too few questions: ``few_questions`` names how many there must be.
    """
    from core.retrieval.answerer import CANDIDATES, Answerer

    basis: Basis = "asked" if questions else "made"
    generation = index.info().generation
    if not generation:
        raise InputError(reason="nothing_indexed", collection=index.name, allowed="–")
    asked = list(questions) or made_questions(_passages(index), seed=seed)
    if len(asked) < FEWEST:
        raise InputError(reason="few_questions", found=len(asked), least=FEWEST)
    answerer = Answerer(index)
    rows: list[tuple[float, float, bool]] = []  # confidence, right, whether it can be answered
    for done, question in enumerate(asked, 1):
        found = await index.find(question.text, _CANDIDATES)
        for answerable in (True, False):
            kept = found if answerable else _left_out(found, question.answers)
            weighed = await answerer.weigh(question.text, replace(kept, hits=kept.hits[:CANDIDATES]))
            quoted = [s.unit.text for s in weighed.ranked[:2]]
            right = answerable and any(_holds(text, question.answers) for text in quoted)
            rows.append((weighed.evidence.confidence, float(right), answerable))
        if told:
            told(done, len(asked))
    memory = index.meaning()
    made = measured(rows, false_refusals=false_refusals, refit=basis == "asked")
    kept_as = replace(
        made, basis=basis, model=memory.model.name if memory else "", generation=generation, calibrated_at=time.time()
    )
    _store(index, kept_as)
    return kept_as


def measured(
    rows: Sequence[tuple[float, float, bool]], *, false_refusals: float = FALSE_REFUSALS, refit: bool = False
) -> Calibration:
    """What a threshold does on ``rows`` of (confidence, right or not, whether the question can be answered).

    The threshold is the highest that refuses at most ``false_refusals`` of those that can be answered.
    """
    import numpy as np

    confidence, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    answerable = np.array([row[2] for row in rows], dtype=bool)
    slope, intercept = 1.0, 0.0
    if refit and answerable.sum() >= FEWEST_FOR_CURVE and 0 < right.sum() < len(right):
        odds = np.array([[_logit(value)] for value in confidence])
        coefficients, intercept = logistic(odds, right)
        slope = float(coefficients[0])
        if slope <= 0:  # the confidence says nothing here: keep it as it is
            slope, intercept = 1.0, 0.0
        else:
            confidence = np.array([_sigmoid(slope * odd + intercept) for odd in odds[:, 0]])
    ordered = np.sort(confidence[answerable])
    threshold = float(ordered[min(int(false_refusals * len(ordered) + 1e-9), len(ordered) - 1)])
    answered = confidence >= threshold
    return Calibration(
        basis="made",
        model="",
        generation=0,
        questions=int(answerable.sum()),
        threshold=round(threshold, 4),
        false_refusals=_share(~answered[answerable]),
        false_answers=_share(answered[~answerable]),
        wrong_answers=_share(right[answerable & answered] == 0),
        slope=slope,
        intercept=intercept,
        calibration_error=calibration_error(confidence, right),
    )


def stored(index: Index) -> Calibration | None:
    """The calibration of a collection with the embedding model in use; ``None`` when there is none."""
    with index.workspace.read() as db:
        rows = db.execute("SELECT * FROM calibrations WHERE collection_id = ?", (index.id(),)).fetchall()
    if not rows:
        return None
    memory = index.meaning()
    model = memory.model.name if memory else ""
    names = Calibration.__slots__
    return next((Calibration(**{name: row[name] for name in names}) for row in rows if row["model"] == model), None)


def in_force(searched: object) -> Calibration | None:
    """What the answerer goes by: of several collections, the calibration with the highest threshold."""
    indexes = [one for one in getattr(searched, "indexes", (searched,)) if isinstance(one, Index)]
    found = [made for index in indexes if (made := stored(index)) is not None]
    return max(found, key=lambda made: made.threshold, default=None)


def forget(index: Index) -> bool:
    """Go back to the default threshold; whether there was anything to forget."""
    with index.workspace.write() as db:
        return db.execute("DELETE FROM calibrations WHERE collection_id = ?", (index.id(),)).rowcount > 0


def made_questions(passages: Sequence[Passage], *, most: int = MOST_MADE, seed: int = 0) -> list[Question]:
    """Questions out of sentences: title, a few runs of a sentence, and runs of other sentences.

    A question shares some words with the sentence that answers it; its other words stand anywhere. The shares are
    those at which made questions of CMRC 2018 trial are as hard as its real ones.
    """
    draw = random.Random(seed)
    spoken = [
        [unit for unit in units(passage) if len(tokens.content_terms(unit.shown)) >= 6]
        for passage in draw.sample(list(passages), len(passages))
    ]
    chosen = [draw.choice(candidates) for candidates in spoken if candidates][:most]
    found = []
    for place, unit in enumerate(chosen):
        others = [other for other in (chosen[place - 1], chosen[place - 2]) if other.passage != unit.passage]
        said = _runs(unit.shown, _OWN, draw)
        foreign = _runs("\n".join(other.shown for other in others), round(_FOREIGN * len(said)), draw)
        title = "" if unit.passage.title in unit.shown else f"{unit.passage.title} "
        found.append(Question(f"{title}{' '.join([*said, *foreign])}", (unit.text,)))
    return found


def _runs(text: str, most: int, draw: random.Random) -> list[str]:
    """Up to ``most`` short runs of ``text`` in their order: three characters of Han, or a word."""
    pieces = list(_PIECE.finditer(text))
    size = 3 if sum(len(piece[0]) == 1 for piece in pieces) > len(pieces) / 2 else 1
    runs = [pieces[at : at + size] for at in range(0, len(pieces), size)]
    runs = [run for run in runs if tokens.content_terms(text[run[0].start() : run[-1].end()])]
    kept = sorted(draw.sample(range(len(runs)), min(most, len(runs))))
    return [text[runs[at][0].start() : runs[at][-1].end()] for at in kept]


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over ``bins`` equal ranges of confidence.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    if not len(confidence):
        return 0.0
    place = (confidence * bins).astype(int).clip(0, bins - 1)
    gaps = [abs((confidence - right)[place == b].sum()) for b in range(bins)]
    return round(float(sum(gaps) / len(confidence)), 4)


def _passages(index: Index) -> list[Passage]:
    with index.workspace.read() as db:
        rows = db.execute(
            "SELECT p.*, d.title, d.source, d.metadata AS document_metadata"
            " FROM passages p JOIN documents d ON d.id = p.document_id WHERE p.collection_id = ? ORDER BY p.id LIMIT 20000",
            (index.id(),),
        ).fetchall()
    return [finding.passage_of(row) for row in rows]


def _left_out(found: Found, answers: Sequence[str]) -> Found:
    """``found`` as if the passages that hold an answer were not there."""
    hits = {hit.passage.id: hit for hit in found.hits if not _holds(hit.passage.text, answers)}
    fused = fuse.mix(
        {id_: hit.keyword_score for id_, hit in hits.items() if hit.keyword_score is not None},
        {id_: hit.vector_score for id_, hit in hits.items() if hit.vector_score is not None},
        fuse.keyword_weight([len(hit.passage.text) for hit in hits.values()]),
    )
    ranked = tuple(replace(hits[id_], score=fused[id_]) for id_ in fuse.ranked(fused))
    return replace(found, hits=ranked)


def _holds(text: str, answers: Sequence[str]) -> bool:
    plain = "".join(text.lower().split())
    return any("".join(answer.lower().split()) in plain for answer in answers)


def _store(index: Index, made: Calibration) -> None:
    names = Calibration.__slots__
    values = made.as_dict()
    with index.workspace.write() as db:
        db.execute(
            f"INSERT OR REPLACE INTO calibrations (collection_id, {', '.join(names)}) VALUES (?{', ?' * len(names)})",
            (index.id(), *(values[name] for name in names)),
        )


def _share(values: np.ndarray) -> float:
    return round(float(values.mean()), 4) if len(values) else 0.0


def _logit(probability: float) -> float:
    probability = min(max(float(probability), 1e-6), 1 - 1e-6)
    return math.log(probability / (1 - probability))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
