"""Does a cross-encoder trained on SciFact's training claims order what hybrid search finds? ``python -m benchmarks.training_rerank``.

The claims of the training split are divided by themselves: most to learn from, some to choose the best moment
(validation), some to choose how the two orders are put together (tune). Passages that hybrid search ranks high and that
are of another document are the negatives. ``--test`` judges on the published test claims, once.

A run that was stopped goes on when the command is given again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import minilm, run
from core.contracts import Reranker
from core.evaluation.corpus import Corpus
from core.evaluation.datasets import Dataset
from core.evaluation.gate import compare
from core.evaluation.judges import retrieval_task
from core.evaluation.loaders import load_beir
from core.evaluation.tasks import judged, report
from core.providers.registry import open_model
from core.retrieval.rerank import FIRST
from core.runtime import Runtime, open_runtime
from core.training.reranking import PLAIN
from core.training.serving import reranker_of
from core.training.store import Version

SHARES = {"validation": 0.1, "tune": 0.25}  # of the training claims; the rest is learned from
DEEP = 50  # passages among which positives and negatives are looked for
NEGATIVES = 12
SETTINGS = {"max_tokens": "160", "epochs": "2", "batch_size": "4", "negatives": "3"}
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # of the cross-encoder's z-score beside the search's
MEASURES = ("ndcg@10", "mrr@10", "recall@10", "success@1")


def divided(data: Dataset) -> dict[str, Dataset]:
    """The training claims in three parts, by a hash of the claim."""
    parts: dict[str, list[Any]] = {"train": [], **{name: [] for name in SHARES}}
    for record in data.records:
        point, limit, part = int(hashlib.sha256(record.input.encode()).hexdigest()[:8], 16) / 2**32, 0.0, "train"
        for name, share in SHARES.items():
            if limit <= point < limit + share:
                part = name
            limit += share
        parts[part].append(record)
    return {name: replace(data, split=name, records=tuple(rows), checksum="") for name, rows in parts.items()}


async def write(corpus: Corpus, part: Dataset, path: Path) -> Path:
    """Each claim with the best passage of every document that bears on it, and what the search put beside them."""
    if path.exists():
        return path
    lines = []
    for record in part.records:
        found = await corpus.passages(record.input, DEEP)
        right = {id_ for id_, gain in record.relevant.items() if gain > 0}
        wrong = [text for id_, text in found if id_ not in right][:NEGATIVES]
        best = {id_: text for id_, text in reversed(found) if id_ in right}
        lines += [{"anchor": record.input, "positive": text, "negatives": wrong} for text in best.values()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


async def candidates(corpus: Corpus, part: Dataset) -> dict[str, list[tuple[str, str]]]:
    return {record.id: await corpus.passages(record.input, DEEP) for record in part.records}


async def scored(model: Reranker, part: Dataset, found: Mapping[str, Sequence[tuple[str, str]]], kept: Path) -> dict[str, Any]:  # fmt: skip
    """The model's scores of each claim's first passages; ``kept`` has those of a run that was stopped."""
    scores = {row["id"]: row["scores"] for row in map(json.loads, kept.read_text().splitlines())} if kept.exists() else {}  # fmt: skip
    with kept.open("a") as file:
        for record in part.records:
            if record.id not in scores:
                made = await model.rerank(record.input, [text for _, text in found[record.id][:FIRST]])
                scores[record.id] = [round(float(score), 6) for score in made]
                file.write(json.dumps({"id": record.id, "scores": scores[record.id]}) + "\n")
                file.flush()
    return scores


def ordered(found: Sequence[tuple[str, str]], scores: Any, weight: float | None) -> list[str]:
    """Documents by the model's order of the first passages, or where ``weight`` is given by the sum of the search's
    reciprocal rank order and the model's, both as z-scores."""
    first = np.asarray(scores, np.float64)
    if weight is not None:
        place = -np.log1p(np.arange(len(first)))
        first = _z(place) + weight * _z(first)
    order = [*np.argsort(-first, kind="stable"), *range(len(first), len(found))]
    return list(dict.fromkeys(found[at][0] for at in order))


def _z(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-9)


def show(part: Dataset, outputs: Mapping[str, Mapping[str, list[str]]], plain: str) -> None:
    """Every order beside the search's own."""
    task = retrieval_task(part, MEASURES)
    made = {name: judged(task, dict(found), name="one") for name, found in outputs.items()}
    for name, evaluation in made.items():
        figures = ", ".join(f"{n} {f.value:.4f} ({f.low:.3f}–{f.high:.3f})" for n, f in evaluation.figures.items())
        sys.stdout.write(f"{part.split} {len(evaluation.ids)} claims, {name}: {figures}\n")
        if name == plain:
            continue
        for row in compare(report("", [evaluation]), report("", [made[plain]]), measures=["ndcg@10", "success@1"]).rows:
            if row.difference is not None:
                sys.stdout.write(f"    {row.measure}: {row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f}), p {row.p:.4f}: {row.verdict}\n")  # fmt: skip


async def compared(
    runtime: Runtime, corpus: Corpus, part: Dataset, version: Version, into: Path, weight: float | None = None
) -> float:
    """Show every order on ``part``; with ``weight`` that sum alone. The weight with the highest nDCG@10 comes back."""
    found = await candidates(corpus, part)
    model = reranker_of(version, runtime.settings)
    try:
        ours = await scored(model, part, found, into / f"{version.run.name}-{version.run.version}-{part.split}.jsonl")
    finally:
        await model.aclose()
    words = await scored(open_model("rerank", PLAIN, runtime.settings), part, found, into / f"words-{part.split}.jsonl")
    sums = {
        at: {id_: ordered(found[id_], ours[id_], at) for id_ in found}
        for at in (WEIGHTS if weight is None else (weight,))
    }
    outputs = {"hybrid": {id_: list(dict.fromkeys(d for d, _ in hits)) for id_, hits in found.items()}}
    outputs["hybrid, then the cross-encoder"] = {id_: ordered(found[id_], ours[id_], None) for id_ in found}
    outputs |= {f"hybrid + {at:g} x cross-encoder": orders for at, orders in sums.items()}
    outputs[f"hybrid, then {PLAIN}"] = {id_: ordered(found[id_], words[id_], None) for id_ in found}
    show(part, outputs, "hybrid")
    task = retrieval_task(part, MEASURES)
    return max(sums, key=lambda at: judged(task, dict(sums[at]), name="one").value("ndcg@10"))


async def opened(given: argparse.Namespace, runtime: Runtime) -> tuple[Corpus, dict[str, Dataset]]:
    data = load_beir(given.data / "scifact", split="train")
    return await Corpus.open(data, runtime, "hybrid"), divided(data)


async def written(corpus: Corpus, parts: Mapping[str, Dataset], into: Path) -> list[Path]:
    into.mkdir(parents=True, exist_ok=True)
    return [await write(corpus, parts[name], into / f"scifact-{name}.jsonl") for name in ("train", "validation", "tune")]  # fmt: skip


def measured(given: argparse.Namespace, runtime: Runtime) -> None:
    corpus, parts = asyncio.run(opened(given, runtime))
    into = runtime.settings.home / "measured"
    try:
        files = asyncio.run(written(corpus, parts, into))
        settings = SETTINGS | dict(item.split("=", 1) for item in given.set)
        version = run(runtime, "cross-encoder", f"scifact-{given.name}", files, given.base or minilm(), settings)
        sys.stdout.write(f"{version.served_as} {json.dumps(version.facts())}\n")
        tune = replace(parts["tune"], records=parts["tune"].records[:: given.every], checksum="")
        weight = asyncio.run(compared(runtime, corpus, tune, version, into))
        if given.test:
            test = load_beir(given.data / "scifact", split="test")
            asyncio.run(compared(runtime, corpus, test, version, into, weight))
    finally:
        corpus.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_rerank", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of public data")
    parser.add_argument("--name", default="minilm", help="of the run")
    parser.add_argument("--base", default="", help="an encoder; by default all-MiniLM-L6-v2 of its package")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--every", type=int, default=1, help="only so many of the claims that the weight is chosen on")
    parser.add_argument("--test", action="store_true")
    with open_runtime() as runtime:
        measured(parser.parse_args(), runtime)
    return 0


if __name__ == "__main__":
    sys.exit(main())
