"""Tasks by kind: what a system has to output, and how that is judged.

kind        output of the system                                    figures
retrieval   list of document ids, best first                        nDCG, MRR, recall, MAP, success
labels      a label, or {"label": …, "confidence": …}               accuracy, F1, calibration
intents     {"label": …, "in_scope": …, "confidence": …}            accuracy, out-of-scope recall and precision
spans       a text, or {"text": …, "confidence": …}                 exact match, F1
answers     {"answered": …, "quotes": […], "confidence": …}         coverage, evidence, refusals, AURC
written     the same with "text", the answer in its own words       the same, and whether the words hold the answer
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from core.evaluation import ranking, spans
from core.evaluation.datasets import Dataset, Record
from core.evaluation.results import Cell, Measure
from core.evaluation.selective import risk_coverage
from core.evaluation.tasks import Task
from core.i18n import detect_language
from core.types import Answer


def retrieval_task(data: Dataset, measures: Sequence[str] = ranking.DEFAULT_MEASURES) -> Task:
    """Rank the data's documents for each query. Queries without a relevant document are left out.

    A document with the id of the query itself is taken out of the list before it is judged, as BEIR does:
    in sets where queries are documents, finding oneself is no merit.
    """
    for name in measures:
        ranking.parse_measure(name)
    asked = tuple(r for r in data.records if any(gain > 0 for gain in r.relevant.values()))
    if len(asked) < len(data.records):
        data = replace(data, records=asked, checksum="")

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        lists = [[d for d in output or [] if d != record.id] for record, output in zip(records, outputs, strict=True)]
        values = ranking.measure(lists, [record.relevant for record in records], measures)
        return {name: column.tolist() for name, column in values.items()}

    return Task("retrieval", data, judge, tuple(Measure(name) for name in measures))


def label_task(data: Dataset) -> Task:
    """Give each record its label. A failure is a wrong label."""

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        given = [output if isinstance(output, dict) else {"label": output} for output in outputs]
        expected = [record.label for record in records]
        predicted = [_text(g.get("label")) for g in given]
        return {
            "expected": expected,
            "predicted": predicted,
            "accuracy": [float(e == p) for e, p in zip(expected, predicted, strict=True)],
            "confidence": [g.get("confidence") for g in given],
            "loss": [float(e != p) for e, p in zip(expected, predicted, strict=True)],
        }

    pair, calibration = ("expected", "predicted"), ("confidence", "accuracy")
    return Task(
        "labels",
        data,
        judge,
        (
            Measure("accuracy"),
            Measure("macro_f1", pair, "macro_f1"),
            Measure("weighted_f1", pair, "weighted_f1"),
            Measure("ece", calibration, "ece", higher_is_better=False, gated=False),
            Measure("aurc", ("confidence", "loss"), "aurc", higher_is_better=False),
        ),
    )


OUT_OF_SCOPE = "oos"


def intent_task(data: Dataset) -> Task:
    """Give each record its label, or say that it is out of scope (label ``oos``).

    A system returns ``{"label": …, "in_scope": …, "confidence": …}``. In-scope accuracy counts a record when its
    label is right *and* it was accepted; recall and precision are those of ``oos``. Accuracy counts what is given: ``oos``
    for what was not accepted. In a set where everything has a label nothing can rightly be refused, and accuracy is that of
    the label, as it is published for such sets; what refusing would cost there is the distance to in-scope accuracy.

    Source: Larson et al., "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", EMNLP 2019.
    """

    refusable = any(record.label == OUT_OF_SCOPE for record in data.records)

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        columns: dict[str, list[Cell]] = {name: [] for name in _INTENT_COLUMNS}
        for record, output in zip(records, outputs, strict=True):
            for name, cell in _judge_intent(record, output or {"label": "", "in_scope": True}, refusable).items():
                columns[name].append(cell)
        return columns

    measures = [
        Measure("accuracy"),
        Measure("in_scope_accuracy"),
        Measure("macro_f1", ("expected", "given"), "macro_f1"),
    ]
    if refusable:
        measures += [Measure("oos_recall"), Measure("oos_precision")]
    measures.append(Measure("ece", ("confidence", "right"), "ece", higher_is_better=False, gated=False))
    return Task("intents", data, judge, tuple(measures))


_INTENT_COLUMNS = (
    "expected", "given", "accuracy", "in_scope_accuracy", "oos_recall", "oos_precision", "confidence", "right",
)  # fmt: skip


def _judge_intent(record: Record, output: Mapping[str, Any], refusable: bool) -> dict[str, Cell]:
    label, accepted = str(output["label"]), bool(output["in_scope"])
    given = label if accepted or not refusable else OUT_OF_SCOPE
    right = float(given == record.label)
    cells: dict[str, Cell] = dict.fromkeys(_INTENT_COLUMNS)
    cells |= {"expected": record.label, "given": given, "accuracy": right}
    if record.label == OUT_OF_SCOPE:
        cells["oos_recall"] = right
    else:
        # Calibration is that of the label's probability, which says nothing of texts that have no label.
        cells |= {"in_scope_accuracy": float(accepted and label == record.label), "right": float(label == record.label)}
        cells["confidence"] = output.get("confidence")
    if given == OUT_OF_SCOPE:
        cells["oos_precision"] = right
    return cells


def span_task(data: Dataset) -> Task:
    """Answer with a piece of text; by CMRC's definition for Chinese questions, by SQuAD's for others.

    A record without answers is answered rightly by an empty text; a failure is never right.
    """

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        exact, overlap, confidence = [], [], []
        for record, output in zip(records, outputs, strict=True):
            given = output if isinstance(output, dict) else {"text": output}
            text, language = given.get("text"), detect_language(record.input)
            exact.append(0.0 if text is None else spans.exact_match(text, record.answers, language))
            overlap.append(0.0 if text is None else spans.f1(text, record.answers, language))
            confidence.append(given.get("confidence"))
        return {
            "exact_match": exact,
            "f1": overlap,
            "confidence": confidence,
            "loss": [1.0 - value for value in exact],
        }

    measures = (
        Measure("exact_match"),
        Measure("f1"),
        Measure("aurc", ("confidence", "loss"), "aurc", higher_is_better=False),
    )
    return Task("spans", data, judge, measures)


COVERAGE, FALSE_REFUSALS = 0.6, 0.1  # the points of the curves that reports name


def answer_task(data: Dataset, unanswerable: Sequence[Dataset] = (), *, written: bool = False) -> Task:
    """Answer from documents with quotes, or decline. Questions of ``unanswerable`` data have no answer there.

    Of ``written`` answers it is also asked whether their own words hold a right answer. A system that cites nothing has
    ``None`` for ``quotes`` and is judged by its words alone.

    Rows whose question is blank (CMRC 2018 trial has two) ask nothing and are left out: to refuse such a row is no
    merit, and that the system calls it empty is no failure.

    An answerable question counts as supported when a quoted sentence holds one of its answers, whether or not
    the system chose to answer; so the risk-coverage curve can be drawn from its confidences. ``quotes`` should
    therefore hold the best evidence found, also when the system declines.
    """
    others = [
        replace(record, id=f"{other.name}:{record.id}", answers=(), relevant={})
        for other in unanswerable
        for record in other.records
    ]
    asked = tuple(record for record in (*data.records, *others) if record.input.strip())
    together = data if asked == data.records else replace(data, records=asked, checksum="")

    def judge(records: Sequence[Record], outputs: Sequence[Any]) -> Mapping[str, Sequence[Cell]]:
        columns: dict[str, list[Cell]] = {name: [] for name in _ANSWER_COLUMNS}
        for record, output in zip(records, outputs, strict=True):
            for name, cell in _judge_answer(record, output).items():
                columns[name].append(cell)
        return columns

    held, point, refused = ("confidence", "loss"), f"@{COVERAGE}", f"@{FALSE_REFUSALS}"
    measures = [
        Measure("answered"),
        *((Measure("said"), Measure("said_when_answered", gated=False)) if written else ()),
        Measure("supported"),
        Measure("supported_when_answered", gated=False),
        Measure(f"unsupported_at_{COVERAGE:.0%}", held, f"risk_at_coverage{point}", higher_is_better=False),
        Measure("aurc", held, "aurc", higher_is_better=False),
        Measure("ece", ("confidence", "right"), "ece", higher_is_better=False, gated=False),
    ]
    if any(not record.answers for record in asked):
        measures += [
            Measure("refused"),
            Measure(f"refused_at_{FALSE_REFUSALS:.0%}", ("answerable", "confidence"), f"refusals_at{refused}"),
            Measure("refusal_auroc", ("answerable", "confidence"), "auroc"),
        ]
    return Task("written" if written else "answers", together, judge, tuple(measures))


_ANSWER_COLUMNS = (
    "answerable",
    "answered",
    "said",
    "said_when_answered",
    "supported",
    "supported_when_answered",
    "refused",
    "confidence",
    "loss",
    "right",
)


def _judge_answer(record: Record, output: dict[str, Any] | None) -> dict[str, Cell]:
    answerable = bool(record.answers)
    cells: dict[str, Cell] = dict.fromkeys(_ANSWER_COLUMNS)
    cells["answerable"] = float(answerable)
    # A failure is neither an answer nor a refusal: it is unsupported at no confidence, and refuses nothing. An answer of
    # which nothing was weighed has no place in an order by confidence: risks, curves and thresholds leave it out.
    answered = bool(output and output["answered"])
    confidence: Cell = output["confidence"] if output else 0.0
    if answerable:
        cells["answered"] = float(answered)
        if output is None or "text" in output:
            said = spans.holds([output["text"]], record.answers) if output and answered else 0.0
            cells |= {"said": said, "said_when_answered": said if answered else None}
        if output and output["quotes"] is None:
            return cells
        held = spans.quotes if record.metadata.get("whole_sentences") else spans.holds
        supported = held(output["quotes"], record.answers) if output else 0.0
        cells |= {"supported": supported, "confidence": confidence, "loss": 1 - supported, "right": supported}
        if answered:
            cells["supported_when_answered"] = supported
    else:
        cells["refused"] = float(output is not None and not answered)
        cells["confidence"] = confidence if output else None
        cells["right"] = 0.0 if output else None
    return cells


def answer_output(answer: Answer, max_quotes: int = 2) -> dict[str, Any]:
    """What :func:`answer_task` judges, of an answer of an app: its words and its first ``max_quotes`` cited sentences."""
    cited = [Quote(c.document_id, c.start, c.end, c.quote) for c in answer.citations[:max_quotes]]
    return {
        "answered": answer.mode != "refused",
        "quotes": joined(cited),
        "confidence": answer.confidence,
        "text": _MARKS.sub("", answer.text),
    }


_MARKS = re.compile(r"\[\d+\]")  # of citations


class Quote(NamedTuple):
    """``text`` stands in ``document`` from ``start`` to ``end``."""

    document: str
    start: int
    end: int
    text: str


def joined(quotes: Sequence[Quote]) -> list[str]:
    """The texts of quotes; of two that follow each other in a document, one text.

    >>> joined([Quote("d", 5, 9, "Two."), Quote("d", 0, 4, "One."), Quote("e", 9, 13, "Six.")])
    ['One. Two.', 'Six.']
    """
    rows: list[Quote] = []
    for quote in sorted(quotes):
        last = rows[-1] if rows else None
        if last and last.document == quote.document and last.end <= quote.start <= last.end + _GAP:
            gap = " " * (quote.start - last.end)
            rows[-1] = Quote(last.document, last.start, quote.end, f"{last.text}{gap}{quote.text}")
        else:
            rows.append(quote)
    return [row.text for row in rows]


_GAP = 2  # characters of white space between two sentences that follow each other


def curve(columns: Mapping[str, Sequence[Cell]]) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and risk of an evaluation that has the columns confidence and loss."""
    pairs = [
        (c, x) for c, x in zip(columns["confidence"], columns["loss"], strict=True) if c is not None and x is not None
    ]
    found = risk_coverage(np.array([float(c) for c, _ in pairs]), np.array([float(x) for _, x in pairs]))
    return found.coverage, found.risk


def _text(label: Any) -> str:
    return "" if label is None else str(label)
