"""Trains the heads that come with the app, from SEntFiN (MIT) and the Chinese rows of this project.

    python -m apps.financial_sentiment.train --data FOLDER [--only words] [--vectors FOLDER]

``FOLDER`` holds ``SEntFiN.csv``. Its test part is never read into training (see
:func:`apps.financial_sentiment.public.sentfin`); the recipes were chosen on its validation part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from apps.financial_sentiment import analysis, public, zh_rows
from apps.financial_sentiment.head import Head
from apps.financial_sentiment.public import Row
from apps.financial_sentiment.training import Labeled, Nearness, Recipe, fit
from core.providers.sync import run

RELEASES = {"words": "4", "full": "3"}
WORDS = Recipe(weights=(1.0, 0.7, 0.5, 0.5, 1.0, 0.0))
FULL = Recipe()
STACKED = replace(WORDS, c=0.15, folds=5, near=Nearness())
SHIPPED = ("words", "full")
RECIPES = {"words": WORDS, "full": FULL, "stacked": STACKED}
# of the 24,000 n-grams that are commonest in all rows 1,792 were Chinese, though one text in ten is
HAN_TERMS = (12_000, 12_000, 6_000, 6_000)
SHIPPED_RECIPES = {
    "words": replace(WORDS, han_terms=HAN_TERMS),
    "full": replace(FULL, han_terms=HAN_TERMS, weights=(1.0, 0.7, 0.5, 0.5, 1.0, 1.0)),
}


def train(name: str, data: Path, *, vectors: Path | None = None) -> Head:
    """The head ``words`` or ``full``."""
    split = public.sentfin(data)
    chinese = zh_rows.rows()
    more = [*zh_rows.forum_rows(), *zh_rows.lender_rows(), *zh_rows.later_rows()]
    rows = [*split.train, *split.validation, *chinese, *more]
    recipe = SHIPPED_RECIPES[name]
    embedding = ""
    found = None
    if name == "full":
        from apps.financial_sentiment.vectors import embedded
        from core.runtime import open_runtime

        with open_runtime() as runtime:
            embedding = runtime.settings.model("embedding")
            found = run(embedded([row.masked.spoken for row in rows], runtime.embedding(), kept=vectors))
    about = {
        "version": f"{name}-{RELEASES[name]}",
        "data": {
            "SEntFiN train and validation (MIT, Sinha, Kedas, Kumar, Malo 2021)": len(split.train)
            + len(split.validation),
            "Chinese rows of this project": len(chinese),
            "Chinese posts and notices of this project": len(more),
        },
        "recipe": asdict(recipe),
        "test_checksum": public.checksum(split.test),
    }
    return fit(labeled(rows, found), embedding=embedding, recipe=recipe, about=about)


def on_rows(
    kind: str, rows: Sequence[Row], vectors: Any = None, *, embedding: str = "", about: dict[str, Any] | None = None
) -> Head:
    """A head of the recipe ``kind`` trained on ``rows``; ``stacked`` also asks the shipped head.

    Args:
        vectors: of the rows' ``spoken`` texts by the model ``embedding``; ``words`` needs none.
    """
    before = analysis.fitting(embedding) if kind == "stacked" else None
    return fit(labeled(rows, vectors), embedding=embedding, recipe=RECIPES[kind], before=before, about=about)


def labeled(rows: Sequence[Row], vectors: object | None = None) -> Labeled:
    """Rows to learn from; without ``vectors`` they have none."""
    import numpy as np

    found = np.empty((len(rows), 0), np.float32) if vectors is None else np.asarray(vectors)
    return Labeled(
        [row.masked for row in rows], [row.label for row in rows], [row.group for row in rows], found,
        [row.usual for row in rows],
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of SEntFiN.csv")
    parser.add_argument("--only", choices=SHIPPED, help="only this head")
    parser.add_argument("--vectors", type=Path, help="a folder that keeps embeddings between runs")
    parser.add_argument("--into", type=Path, default=analysis.MODEL)
    given = parser.parse_args(arguments)
    for name in [given.only] if given.only else SHIPPED:
        head = train(name, given.data, vectors=given.vectors)
        head.save(given.into / name)
        size = sum(file.stat().st_size for file in (given.into / name).iterdir())
        sys.stdout.write(f"{given.into / name}: {size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
