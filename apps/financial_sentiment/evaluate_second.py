"""How good a second opinion is, and what its agreement with the head is worth, Chinese and English apart.

    python -m apps.financial_sentiment.evaluate_second --data FOLDER [--model NAME] [--rows 100] [--json]

The rows are of the test part of SEntFiN (``FOLDER/sentfin``; those with the lowest hash) and of this project's Chinese
test set. The head is ``words`` as it ships.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from apps.financial_sentiment import analysis, public, zh_rows
from apps.financial_sentiment.public import LABELS, Row
from apps.financial_sentiment.second import agreement, decide
from apps.financial_sentiment.train import labeled
from core.contracts import DecisionModel
from core.providers.sync import run
from core.runtime import open_runtime


def measure(rows: Sequence[Row], language: str, model: DecisionModel) -> dict[str, Any]:
    """Right answers of the head, of ``model``, of both where they agree, and of each where they do not."""
    head = analysis.shipped("words")
    first = [j.label for j in head.judge([row.masked for row in rows], labeled(rows).vectors)]
    said = [run(decide(model, row.text, row.entity, language)) for row in rows]
    second = [str(decision.answer) for decision in said]
    truth = [row.label for row in rows]
    same = [a == b for a, b in zip(first, second, strict=True)]

    def right(labels: Sequence[str], where: Sequence[bool]) -> float | None:
        counted = [a == b for a, b, taken in zip(labels, truth, where, strict=True) if taken]
        return sum(counted) / len(counted) if counted else None

    everywhere, apart = [True] * len(rows), [not agreed for agreed in same]
    return {
        "rows": len(rows),
        "checksum": public.checksum(rows),
        "majority": max(truth.count(label) for label in LABELS) / len(rows),
        "head": right(first, everywhere),
        "second": right(second, everywhere),
        "second_says": {label: second.count(label) for label in LABELS},
        "agreement": asdict(agreement(language, list(zip(first, second, strict=True)))),
        "where_they_agree": right(first, same),
        "head_where_they_differ": right(first, apart),
        "second_where_they_differ": right(second, apart),
    }


def sample(rows: Sequence[Row], count: int) -> list[Row]:
    """``count`` rows that follow from the texts alone."""
    return sorted(rows, key=lambda row: public.share(f"second {row.id} {row.text}"))[:count]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", help="a chat model; by default that of the settings")
    parser.add_argument("--rows", type=int, default=100, help="of each language")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with open_runtime() as runtime:
        model = runtime.decision(given.model)
        found = {
            "en": measure(sample(public.sentfin(given.data / "sentfin").test, given.rows), "en", model),
            "zh": measure(sample(zh_rows.test_rows(), given.rows), "zh", model),
        }
        told = {"model": model.name, **found}
    if given.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    sys.stdout.write(f"{told['model']}\n")
    for language, figures in found.items():
        sys.stdout.write(f"{language}\n" + "".join(f"  {name}: {value}\n" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
