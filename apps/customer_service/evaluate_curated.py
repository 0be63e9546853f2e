"""Curated answers on messages that ask the same in other words, and on near ones that another answer belongs to.

    python -m apps.customer_service.evaluate_curated [--split test|tune] [--publish FOLDER]

The 36 questions of ``sample/curated.jsonl``, half of them Chinese, are ours and were written before anything was
measured; each has three messages that ask the same and three near ones, which share its words on purpose. The even rows
chose :data:`apps.customer_service.curated.LEAST`, the odd ones judge. All questions of a split are curated at once, each
once as it stands and once with two more ways to ask, of which the judged message is none.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.customer_service.curated import Curated
from apps.customer_service.evaluate import SAMPLE, table
from core.evaluation import results, scoreboard
from core.evaluation.results import Evaluation, Measure
from core.evaluation.tasks import report
from core.runtime import Runtime
from core.settings import load_settings, override
from core.types import LOCAL, Language

FILE = SAMPLE / "curated.jsonl"
MEASURES = (
    Measure("found"),
    Measure("found_more_ways"),
    Measure("wrong", higher_is_better=False),
    Measure("near", higher_is_better=False),
    Measure("near_more_ways", higher_is_better=False),
)
SHOWN = {
    "found": "asked in other words and answered, one way to ask",
    "found_more_ways": "asked in other words and answered, three ways to ask",
    "near_more_ways": "near questions answered wrongly, three ways to ask",
}
SPLITS = ("tune", "test")


@dataclass(frozen=True, slots=True)
class Said:
    """A message and the question it asks; ``None`` for a near one. ``got`` is what it got, with more ways to ask too."""

    language: Language
    text: str
    asks: str | None
    got: str | None
    got_more: str | None


def rows(split: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
    return found[SPLITS.index(split) :: 2]


def said(split: str) -> list[Said]:
    """What the messages of a split get, in a workspace of their own."""
    wanted = rows(split)
    with tempfile.TemporaryDirectory() as folder, Runtime(override(load_settings(), home=folder)) as runtime:
        curated = Curated(runtime)
        ids = {row["question"]: _kept(curated, row, ()) for row in wanted}
        alone = [
            [asyncio.run(_got(curated, ids, row, text)) for text in (*row["same"], *row["near"])] for row in wanted
        ]
        found = []
        for row, got in zip(wanted, alone, strict=True):
            for text, one in zip((*row["same"], *row["near"]), got, strict=True):
                ways = [way for way in row["same"] if way != text][:2]
                _kept(curated, row, ways, ids[row["question"]])
                more = asyncio.run(_got(curated, ids, row, text))
                asks = row["question"] if text in row["same"] else None
                found.append(Said(row["language"], text, asks, one, more))
            _kept(curated, row, (), ids[row["question"]])
    return found


def _kept(curated: Curated, row: dict[str, Any], ways: Sequence[str], answer_id: int | None = None) -> int:
    asked = (row["question"], *ways)
    return curated.save(LOCAL, questions=asked, text=row["question"], language=row["language"], answer_id=answer_id)


async def _got(curated: Curated, ids: dict[str, int], row: dict[str, Any], text: str) -> str | None:
    entry = await curated.find(LOCAL, text, row["language"])
    return next(question for question, number in ids.items() if number == entry.id) if entry else None


def figures(found: Sequence[Said]) -> dict[str, Any]:
    same, near = [s for s in found if s.asks], [s for s in found if not s.asks]
    return {
        "messages": len(found),
        "found": _mean([s.got == s.asks for s in same]),
        "found_more_ways": _mean([s.got_more == s.asks for s in same]),
        "wrong": _mean([s.got_more not in (None, s.asks) for s in same]),
        "near": _mean([s.got is not None for s in near]),
        "near_more_ways": _mean([s.got_more is not None for s in near]),
    }


def _mean(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def evaluation(found: Sequence[Said], split: str) -> Evaluation:
    """The figures with intervals over messages, row by row."""
    columns: dict[str, list[float | None]] = {measure.name: [] for measure in MEASURES}
    for message in found:
        one = figures([message])
        for name, column in columns.items():
            column.append(one[name])
    return Evaluation(
        task="curated answers", system="touchstone", data="curated answers", split=split,
        checksum=hashlib.sha256(FILE.read_bytes()).hexdigest(), ids=tuple(message.text for message in found),
        columns=columns, measures=MEASURES, figures=results.figures(MEASURES, columns),
    )  # fmt: skip


def publish(found: Sequence[Said], split: str, folder: Path) -> Path:
    """Write the figures for the scoreboard."""
    evaluated = evaluation(found, split)
    told = report("curated answers", [evaluated], f"python -m apps.customer_service.evaluate_curated --split {split}")
    wanted = [scoreboard.Wanted(name, f"curated answers: {words}") for name, words in SHOWN.items()]
    entry = scoreboard.published(evaluated.task, told, evaluated, wanted)
    return scoreboard.save(folder, f"customer-service-curated-{split}", entry)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    given = parser.parse_args(arguments)
    found = said(given.split)
    sets = {"all": figures(found)}
    sets |= {lang: figures([s for s in found if s.language == lang]) for lang in ("zh", "en")}
    sys.stdout.write(f"split: {given.split}\n{table(sets)}\n")
    if given.publish:
        sys.stdout.write(f"{publish(found, given.split, given.publish)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
