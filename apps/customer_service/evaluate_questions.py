"""How well messages are divided into the questions that they ask (:mod:`apps.customer_service.questions`).

    python -m apps.customer_service.evaluate_questions [--split last] [--misses]

``sample/several.jsonl`` holds messages of ours, half of them asking one thing, half in Chinese; ``parts`` are the questions
without what joins them. A message counts as rightly divided when every part is right. Rules were written on ``tune``;
``test``, ``fresh`` and ``last`` were each run once before what they showed was mended: 75 of 81 that were divided were divided
rightly, and 75 of 84 that ask several things. Beside them stands how many of the shop's other sample sentences, which ask one
thing each, are divided.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.customer_service.intents import asked, rows
from apps.customer_service.questions import divided
from apps.customer_service.spoken import plain

FILE = Path(__file__).parent / "sample" / "several.jsonl"
SPLITS = ("tune", "test", "fresh", "last")


def messages(splits: Iterable[str] = SPLITS) -> list[dict[str, Any]]:
    kept = set(splits)
    return [row for row in map(json.loads, FILE.read_text("utf-8").splitlines()) if row["split"] in kept]


def is_right(row: Mapping[str, Any]) -> bool:
    return list(map(plain, divided(row["text"]))) == list(map(plain, row["parts"]))


def figures(told: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Precision: of the messages that were divided, the share divided rightly. Recall: of those that should be."""
    cut = [row for row in told if len(divided(row["text"])) > 1]
    several = [row for row in told if len(row["parts"]) > 1]
    return sum(map(is_right, cut)) / max(1, len(cut)), sum(map(is_right, several)) / max(1, len(several))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=SPLITS, help="by default all")
    parser.add_argument("--misses", action="store_true", help="print what was divided otherwise")
    given = parser.parse_args(arguments)
    told = messages([given.split] if given.split else SPLITS)
    precision, recall = figures(told)
    sys.stdout.write(f"{len(told)} messages: precision {precision:.3f}, recall {recall:.3f}\n")
    single = list(dict.fromkeys(row.text for row in [*rows("desk_train.csv"), *rows("zh_train.csv"), *asked()]))
    cut = [text for text in single if len(divided(text)) > 1]
    sys.stdout.write(f"{len(cut)} of {len(single)} sample sentences that ask one thing are divided\n")
    if given.misses:
        for text in [*(row["text"] for row in told if not is_right(row)), *cut]:
            sys.stdout.write(f"{divided(text)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
