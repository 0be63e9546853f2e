"""Whether a refusal names documents that are of use, and none where none is.

    python -m apps.refusals [--split tune] [--misses] [--json]

``refusals.yaml`` holds questions that the two samples, the shop and the company, do not answer. Half of them are about
something that a document treats; the other half share no more than a word with any. Some are answered all the same,
on weak evidence; of these, too, it is told what a refusal would name. Settings are chosen on the split ``tune``;
``test`` is for reporting.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from apps import samples
from core.retrieval.answerer import CANDIDATES, Answerer
from core.retrieval.draft import REFUSE_BELOW
from core.retrieval.evidence import Ask
from core.retrieval.library import Library
from core.retrieval.nearest import nearest
from core.runtime import Runtime
from core.settings import load_settings, override

QUESTIONS = Path(__file__).parent / "refusals.yaml"


@dataclass(frozen=True, slots=True)
class Case:
    """``near`` are the documents of ``sample`` one of which is of use; without any, none had better be named."""

    sample: str
    split: str
    question: str
    near: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    case: Case
    refused: bool
    named: tuple[str, ...]  # documents, nearest first

    @property
    def of_use(self) -> bool:
        return not self.case.near.isdisjoint(self.named)


def cases(path: Path = QUESTIONS) -> list[Case]:
    rows = yaml.safe_load(path.read_text("utf-8"))["questions"]
    return [Case(row["sample"], row["split"], row["question"], frozenset(row["near"])) for row in rows]


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Shares from 0 to 1. ``first_of_use`` is over the questions that a document is near and that name any."""
    near = [o for o in outcomes if o.case.near]
    far = [o for o in outcomes if not o.case.near]
    return {
        "questions": len(outcomes),
        "refused_near": _share([o.refused for o in near]),
        "refused_far": _share([o.refused for o in far]),
        "named_where_of_use": _share([o.of_use for o in near]),
        "first_of_use": _share([o.named[0] in o.case.near for o in near if o.named]),
        "silent_where_not": _share([not o.named for o in far]),
    }


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else float("nan")


async def asked(library: Library, runtime: Runtime, wanted: Sequence[Case]) -> list[Outcome]:
    found = []
    for sample in dict.fromkeys(case.sample for case in wanted):
        folder = Path(__file__).parent / sample / "sample"
        index = library.collection(f"sample-{sample}".replace("_", "-"))
        await asyncio.to_thread(samples.load, index, folder, runtime)
        await index.embed_pending()
        for case in (one for one in wanted if one.sample == sample):
            weighed = await Answerer(index).weigh(case.question, await index.find(case.question, CANDIDATES))
            near = nearest(Ask(case.question, weighed.found.weights), weighed.ranked, weighed.found.passages)
            named = tuple(Path(scored.unit.passage.source).relative_to(folder).as_posix() for scored in near)
            found.append(Outcome(case, weighed.evidence.confidence < REFUSE_BELOW, named))
    return found


def outcomes_in(home: Path, wanted: Sequence[Case]) -> list[Outcome]:
    """Ask in the workspace ``home``."""
    with Runtime(override(load_settings(), home=str(home))) as runtime:
        library = Library.of(runtime)
        try:
            return asyncio.run(asked(library, runtime, wanted))
        finally:
            library.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("test", "tune"), default="test")
    parser.add_argument("--misses", action="store_true", help="also list what went wrong")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = outcomes_in(Path(folder), [case for case in cases() if case.split == given.split])
    made = figures(outcomes)
    if given.json:
        sys.stdout.write(json.dumps({"split": given.split, **made}, indent=2) + "\n")
        return 0
    for name, value in made.items():
        sys.stdout.write(f"{name:20}{value:.3f}\n" if isinstance(value, float) else f"{name:20}{value}\n")
    if given.misses:
        for o in outcomes:
            if o.of_use != bool(o.case.near) or bool(o.named) != bool(o.case.near):
                sys.stdout.write(f"\n{o.case.question}\n  {'refused' if o.refused else 'answered'} {o.named}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
