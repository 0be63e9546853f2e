"""Are mislabeled examples found? ``python -m benchmarks.label_errors FILE --name NAME``.

A known share of the labels is exchanged, and what :mod:`core.training.label_errors` lists is compared with what was: the
share of the list that was exchanged (precision), and the share of the exchanged that is listed (recall). Beside it, as
many rows whose own label is least probable, and confident learning (Northcutt et al. 2021: the rows whose other label is
likelier and as probable as it is for its own rows on average). ``any`` exchanges for any label, ``near`` for one of the three
whose rows lie nearest on average, which is how people err. Rows that were wrong before count as right, so that precision is a lower bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__
from core.evaluation.labeled import load_labeled
from core.evaluation.results import device
from core.runtime import open_runtime
from core.training.fit import UNKNOWN, cross_fitted
from core.training.label_errors import TIMES, doubtful
from core.types import Example

NEAR = 3
METHODS = ("listed", "least probable, as many", "confident learning")


class Kept:
    """An embedding model that is asked for each text once."""

    def __init__(self, embedding: Any) -> None:
        self.name = embedding.name
        self._embedding, self._vectors = embedding, dict[str, Any]()

    async def embed(self, texts: Sequence[str], *, kind: str) -> list[Any]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors.update(zip(new, await self._embedding.embed(new, kind=kind), strict=True))
        return [self._vectors[text] for text in texts]


def exchanged(
    examples: Sequence[Example], vectors: np.ndarray, share: float, kind: str, seed: int
) -> tuple[list[Example], np.ndarray]:
    """``examples`` with some labels exchanged, and which; ``vectors`` say which labels are near."""
    labels = sorted({example.label for example in examples})
    y = np.array([labels.index(example.label) for example in examples])
    centered = vectors - vectors.mean(axis=0)
    means = np.stack([centered[y == label].mean(axis=0) for label in range(len(labels))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    order = np.argsort(-(means @ means.T) + 9 * np.eye(len(labels)), axis=1)[:, :-1]
    draw = np.random.default_rng(seed)
    bad = np.zeros(len(y), bool)
    bad[draw.permutation(len(y))[: round(share * len(y))]] = True
    given = list(examples)
    for row in np.flatnonzero(bad):
        choice = order[y[row]][:NEAR] if kind == "near" else order[y[row]]
        given[row] = replace(given[row], label=labels[draw.choice(choice)])
    return given, bad


def lists(shares: np.ndarray, y: np.ndarray) -> dict[str, list[int]]:
    """The rows that each method lists."""
    rows = np.arange(len(y))
    own = shares[rows, y]
    listed = [row for row, _ in doubtful(shares, y)]
    usual = np.array([shares[y == label, label].mean() for label in range(shares.shape[1])])
    others = np.where(shares >= usual, shares, -1.0)
    others[rows, y] = -1.0
    found = (listed, np.argsort(own, kind="stable")[: len(listed)], np.flatnonzero(others.max(axis=1) > own))
    return {name: list(map(int, some)) for name, some in zip(METHODS, found, strict=True)}


async def measured(embedding: Any, examples: Sequence[Example], share: float, kind: str, seeds: int) -> dict[str, Any]:
    """Means over ``seeds``: rows listed, precision and recall of each method, and how often the other label is the right one."""
    vectors = np.asarray(await embedding.embed([e.text for e in examples], kind="query"), np.float32)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    named = []
    for seed in range(seeds):
        given, bad = exchanged(examples, vectors, share, kind, seed)
        labels, shares = await cross_fitted(given, embedding, seed=seed)
        y = np.array([labels.index(example.label) for example in given])
        for name, rows in lists(shares, y).items():
            right = float(bad[rows].sum())
            found[name].append((len(rows), right / max(len(rows), 1), right / bad.sum()))
        named += [labels[other] == examples[row].label for row, other in doubtful(shares, y) if bad[row]]
    means = {name: np.mean(rows, axis=0).round(4).tolist() for name, rows in found.items()}
    return {"methods": means, "exchanged": int(bad.sum()), "right_label": float(np.mean(named))}


def _row(given: argparse.Namespace, checksum: str, records: int, share: float, kind: str, found: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
    """A figure for the scoreboard: F1, with precision and recall in the note."""
    scores = {name: 2 * p * r / max(p + r, 1e-9) for name, (_, p, r) in found["methods"].items()}
    both = ", ".join(f"{name} {p:.3f} and {r:.3f}" for name, (_, p, r) in found["methods"].items())
    return {
        "app": "training",
        "name": f"{given.name}, {share:.0%} of the labels exchanged for {kind}: what is listed, F1",
        "value": round(scores[METHODS[0]], 4),
        "interval": None,
        "baselines": {name: round(scores[name], 4) for name in METHODS[1:]},
        "command": f"python -m benchmarks.label_errors {given.file.name} --part {given.part} --name {given.name} --seeds {given.seeds}",
        "data": f"{given.name}/{given.part}",
        "checksum": checksum[:8],
        "date": date.today().isoformat(),
        "version": __version__,
        "device": device(),
        "higher_is_better": True,
        "records": records,
        "note": f"precision and recall: {both}; {found['exchanged']} exchanged, {found['methods'][METHODS[0]][0]:.0f} listed (another label {TIMES}"
        f" times as probable), means of {given.seeds} draws; of the exchanged ones on the list {found['right_label']:.0%} with the label they had",
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_errors", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--part", default="train", choices=("train", "validation"))
    parser.add_argument("--share", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--kind", nargs="+", default=["any", "near"], choices=("any", "near"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--publish", type=Path)
    given = parser.parse_args()
    data = load_labeled([given.file], given.part)
    examples = [Example(r.input, str(r.label)) for r in data.records if r.label != UNKNOWN]
    rows = []
    with open_runtime() as runtime:
        embedding = Kept(runtime.embedding("embedded:e5"))
        for share in given.share:
            for kind in given.kind:
                began = time.process_time()
                found = asyncio.run(measured(embedding, examples, share, kind, given.seeds))
                sys.stdout.write(
                    f"{given.name} {share} {kind} {json.dumps(found)} {time.process_time() - began:.0f} s\n"
                )
                sys.stdout.flush()
                rows.append(_row(given, data.checksum, len(examples), share, kind, found))
    if given.publish:
        path = given.publish / f"label-errors-{given.name}.json"
        before = json.loads(path.read_text("utf-8")) if path.is_file() else []  # other shares, measured apart
        rows = [row for row in before if row["name"] not in {row["name"] for row in rows}] + rows
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
