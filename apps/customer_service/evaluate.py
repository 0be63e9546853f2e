"""How good search and answers are on the sample shop's questions.

    python -m apps.customer_service.evaluate [--split test] [--json] [--misses] [--fit]

Search: is the document with the answer among the first 1, 3, 10? By words, by meaning, fused, and in the order
the answerer gives. Answers are the quoted ones, without a model that writes: does the text hold every string
that a right answer holds, how many answerable questions are refused, how many unanswerable ones? Settings are
chosen on the split ``tune``; ``test`` is for reporting.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.evaluation import results, scoreboard
from core.evaluation.results import Evaluation, Measure
from core.evaluation.tasks import report
from core.retrieval import vectors
from core.retrieval.answerer import CANDIDATES, Answerer, Weighed
from core.retrieval.index import Index
from core.retrieval.library import Library
from core.runtime import Runtime
from core.settings import load_settings, override
from core.types import Answer, Hit

SAMPLE = Path(__file__).parent / "sample"
VECTORS = SAMPLE / "vectors.npz"
DEPTHS = (1, 3, 10)
ANSWERS = ("answer_right", "false_refusals", "refused_near", "refused_far")


@dataclass(frozen=True, slots=True)
class Case:
    """A question of ``questions.jsonl``; see the sample's README for the fields."""

    id: str
    language: str
    question: str
    answerable: bool
    documents: frozenset[str]
    expect: tuple[str, ...]
    trap: str
    split: str

    @property
    def kind(self) -> str:
        """``answerable``, ``near`` (the shop's topics, but stated nowhere) or ``far``."""
        return "answerable" if self.answerable else self.trap.removeprefix("unanswerable-")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: ranked documents by way of searching, and the answer."""

    case: Case
    documents: Mapping[str, Sequence[str]]
    answer: Answer
    weighed: Weighed

    @property
    def right(self) -> bool:
        return self.answer.mode != "refused" and all(text in _said(self.answer) for text in self.case.expect)

    @property
    def cited_right(self) -> bool:
        """Every expected string, each quoted from a document that answers the question."""
        quotes = [c.quote for c in self.answer.citations if _relative(c.source) in self.case.documents]
        text = "\n".join([*quotes, *(s.text for s in self.answer.sentences)]) if quotes else ""
        return self.right and all(expected in text for expected in self.case.expect)


def cases(path: Path = SAMPLE / "questions.jsonl") -> list[Case]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [
        Case(
            row["id"], row["lang"], row["question"], row["answerable"], frozenset({row["document"], *row["also"]}),
            tuple(row["expect"]), row["trap"], row["split"],
        )
        for row in rows
    ]  # fmt: skip


async def indexed(library: Library) -> Index:
    """The sample shop's collection, both languages in one, with the vectors that come with it."""
    index = library.collection("sample")
    await index.sync([SAMPLE / "zh", SAMPLE / "en"], embed=False)
    if VECTORS.is_file():
        memory = index.meaning()
        with library.workspace.write() as db:
            vectors.import_file(db, VECTORS, memory.model.name if memory else "")
    await index.embed_pending()
    return index


async def run_case(index: Index, case: Case) -> Outcome:
    found = await index.find(case.question, CANDIDATES * 4)
    answerer = Answerer(index)
    weighed = await answerer.weigh(case.question, replace(found, hits=found.hits[:CANDIDATES]))
    legs = {
        "keyword": sorted((h for h in found.hits if h.keyword_rank), key=lambda h: h.keyword_rank or 0),
        "vector": sorted((h for h in found.hits if h.vector_rank), key=lambda h: h.vector_rank or 0),
        "fused": list(found.hits),
        "weighed": list(weighed.hits),
    }
    answer = await library_answer(answerer, case.question)
    return Outcome(case, {name: _documents(hits) for name, hits in legs.items()}, answer, weighed)


async def library_answer(answerer: Answerer, question: str) -> Answer:
    from core.retrieval.answer import AnswerDone

    async for event in answerer.ask(question):
        if isinstance(event, AnswerDone):
            return event.answer
    raise AssertionError("an answer's stream ends in AnswerDone")


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one set of questions, as shares from 0 to 1."""
    answerable = [o for o in outcomes if o.case.answerable]
    found: dict[str, Any] = {"questions": len(outcomes), "answerable": len(answerable)}
    for leg in ("keyword", "vector", "fused", "weighed"):
        for depth in DEPTHS:
            hit = (not o.case.documents.isdisjoint(o.documents[leg][:depth]) for o in answerable)
            found[f"{leg}_hit@{depth}"] = _mean(hit)
    found["answer_right"] = _mean(o.right for o in answerable)
    found["answer_right_and_cited"] = _mean(o.cited_right for o in answerable)
    found["false_refusals"] = _mean(o.answer.mode == "refused" for o in answerable)
    for kind in ("near", "far"):
        found[f"refused_{kind}"] = _mean(o.answer.mode == "refused" for o in outcomes if o.case.kind == kind)
    return found


def evaluation(outcomes: Sequence[Outcome], split: str) -> Evaluation:
    """The same figures with intervals."""
    names = ["keyword_hit@3", "vector_hit@3", "fused_hit@3", *ANSWERS]
    columns: dict[str, list[float | None]] = {name: [] for name in names}
    for outcome in outcomes:
        one = figures([outcome])
        for name in names:
            columns[name].append(None if one[name] is None else float(one[name]))
    measures = tuple(Measure(name, higher_is_better=name != "false_refusals") for name in names)
    return Evaluation(
        task="customer service",
        system="extractive",
        data="sample shop",
        split=split,
        checksum=hashlib.sha256((SAMPLE / "questions.jsonl").read_bytes()).hexdigest(),
        ids=tuple(outcome.case.id for outcome in outcomes),
        columns=columns,
        measures=measures,
        figures=results.figures(measures, columns),
    )


def publish(outcomes: Sequence[Outcome], split: str, folder: Path) -> Path:
    """Write how well documents are found; what is answered, :mod:`apps.customer_service.evaluate_answers` publishes."""
    made = evaluation(outcomes, split)
    legs = {leg: made.figures[f"{leg}_hit@3"].value for leg in ("keyword", "vector")}
    wanted = [scoreboard.Wanted("fused_hit@3", "sample shop: the right document among the first 3", legs)]
    told = report("sample shop", [made], f"python -m apps.customer_service.evaluate --split {split}")
    return scoreboard.save(
        folder, f"customer-service-sample-{split}", scoreboard.published(made.task, told, made, wanted)
    )


def fit(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Weights for :mod:`core.retrieval.evidence`, fitted on these questions."""
    import numpy as np

    from core.retrieval import calibrate, evidence

    answerable = [o for o in outcomes if o.case.answerable]
    rows, labels, groups = [], [], []
    for group, outcome in enumerate(answerable):
        for scored in outcome.weighed.ranked:
            text = f"{scored.unit.text}\n{scored.unit.shown}"
            right = _relative(scored.unit.passage.source) in outcome.case.documents
            labels.append(right and any(expected in text for expected in outcome.case.expect))
            rows.append([scored.features[name] for name in evidence.WEIGHTS])
            groups.append(group)
    y = np.array(labels, dtype=float)
    unit_weights, _ = calibrate.logistic(np.array(rows), y, weights=calibrate.balanced(y))
    names = [name for name in evidence.CONFIDENCE if name != "bias"]
    judged = [(o.case.answerable, 1.0 if o.case.answerable else 2.0, o.weighed.evidence.features) for o in outcomes]
    # The same questions with the documents that answer them taken away are refusals worth learning, too; some of
    # them are answered elsewhere, so they count less.
    judged += [(False, 0.5, features) for o in answerable if (features := _without_answer(o)) is not None]
    x = np.array([[features[name] for name in names] for _, _, features in judged])
    labels_, weights_ = np.array([float(a) for a, _, _ in judged]), np.array([w for _, w, _ in judged])
    confidence, bias = calibrate.logistic(x, labels_, weights=weights_)
    return {
        "WEIGHTS": dict(zip(evidence.WEIGHTS, map(float, unit_weights), strict=True)),
        "CONFIDENCE": {"bias": bias, **dict(zip(names, map(float, confidence), strict=True))},
    }


def _without_answer(outcome: Outcome) -> Mapping[str, float] | None:
    from core.retrieval import evidence

    left = [s for s in outcome.weighed.ranked if _relative(s.unit.passage.source) not in outcome.case.documents]
    if not left:
        return None
    ask = evidence.Ask(outcome.case.question, outcome.weighed.found.weights)
    return evidence.judge(ask, left, outcome.weighed.found.passages).features


def table(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as text: one column per set of questions."""
    names = list(next(iter(sets.values())))
    lines = [f"{'':26}" + "".join(f"{title:>12}" for title in sets)]
    for name in names:
        cells = (f"{value:>12.3f}" if isinstance(value := s[name], float) else f"{value!s:>12}" for s in sets.values())
        lines.append(f"{name:26}" + "".join(cells))
    return "\n".join(lines)


def _said(answer: Answer) -> str:
    """What an answer shows: its text and the exact quotes behind it."""
    return "\n".join([answer.text, *(citation.quote for citation in answer.citations)])


def _documents(hits: Iterable[Hit]) -> list[str]:
    return list(dict.fromkeys(_relative(hit.passage.source) for hit in hits))


def _relative(source: str) -> str:
    return "/".join(Path(source).parts[-2:])


def _mean(values: Iterable[bool]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


async def evaluate(library: Library, split: str) -> list[Outcome]:
    index = await indexed(library)
    return [await run_case(index, case) for case in cases() if split in ("all", case.split)]


def outcomes_in(home: Path, split: str) -> list[Outcome]:
    """Evaluate in the workspace ``home``."""
    with Runtime(override(load_settings(), home=str(home))) as runtime:
        library = Library.of(runtime)
        try:
            return asyncio.run(evaluate(library, split))
        finally:
            library.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("test", "tune", "all"), default="test")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--misses", action="store_true", help="also list what went wrong")
    parser.add_argument(
        "--fit", action="store_true", help="fit the answerer's weights on the split tune and print them"
    )
    parser.add_argument("--home", type=Path, help="a workspace to keep; by default a temporary one")
    given = parser.parse_args(arguments)
    split = "tune" if given.fit else given.split
    with tempfile.TemporaryDirectory() as folder:
        outcomes = outcomes_in(given.home or Path(folder), split)
    sets = {"all": figures(outcomes)}
    for language in ("zh", "en"):
        sets[language] = figures([o for o in outcomes if o.case.language == language])
    if given.fit:
        fitted = fit(outcomes)
        sys.stdout.write(json.dumps(fitted, indent=2) + "\n")
    if given.publish:
        sys.stdout.write(f"{publish(outcomes, split, given.publish)}\n")
    if given.json:
        sys.stdout.write(json.dumps({"split": split, **sets}, indent=2) + "\n")
        return 0
    sys.stdout.write(f"split: {split}\n{table(sets)}\n")
    if given.misses:
        for outcome in outcomes:
            case, answer = outcome.case, outcome.answer
            wrong = not outcome.right if case.answerable else answer.mode != "refused"
            if wrong:
                sys.stdout.write(
                    f"\n{case.id} [{case.kind}, {case.trap}] {case.question}\n  expected {list(case.expect)} in"
                    f" {sorted(d for d in case.documents if d)}\n  {answer.mode} {answer.confidence}: {answer.text}\n"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
