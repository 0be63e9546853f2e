"""What an adapter over the embedded vectors learns from a shop's own pairs: ``python -m benchmarks.training_adapter``.

AFQMC: customers' questions, and whether another one means the same. Two parts of the training pairs are made into search
tasks as the test is (the distinct second sentences are searched, the first ones with a partner ask); the recipe
``embedding-adapter`` learns from the other pairs that share no sentence with them. Beside it stands the model without an
adapter. ``--elsewhere`` asks what such an adapter does to tasks of another kind: CMRC trial and 200 of SciFact's training
claims. ``--test`` learns from all training pairs and judges on the published ``dev``, once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.training import run
from core.evaluation import scoreboard
from core.evaluation.corpus import MODES, Corpus
from core.evaluation.datasets import Dataset
from core.evaluation.gate import compare
from core.evaluation.judges import retrieval_task
from core.evaluation.loaders import load_beir, load_pairs, load_squad
from core.evaluation.results import Evaluation
from core.evaluation.scoreboard import Wanted
from core.evaluation.tasks import judged, report
from core.runtime import Runtime, open_runtime
from core.training.store import Version

BASE = "symmetric:embedded:e5"  # both sides are questions
PASSAGES = "embedded:e5"
HELD = ((0, 4316), (10_000, 14_316))  # lines of the training file: as many as the test has
MEASURES = ("ndcg@10", "success@1", "recall@100")
NAME = "AFQMC with an adapter learned on its train pairs"
COMMAND = "python -m benchmarks.training_adapter --test --publish docs/measured"
Row = tuple[str, str, str]  # two sentences; "1" where they mean the same


def lines(path: Path) -> list[Row]:
    rows = (line.split("\t")[:3] for line in path.read_text("utf-8").splitlines() if line.strip())
    return [(first, second, label) for first, second, label in rows]


def task(rows: Iterable[Row], path: Path) -> Dataset:
    """``rows`` as a search task, by the loader that reads the test."""
    path.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    return load_pairs(path, name="AFQMC")


def learnable(rows: Sequence[Row], held: Sequence[Dataset], path: Path) -> Path:
    """Pairs that mean the same, with those named as different, of rows that share no sentence with ``held``."""
    kept = {text for data in held for text in (*(d.text for d in data.documents), *(r.input for r in data.records))}
    free = [row for row in rows if not {row[0], row[1]} & kept]
    wrong: dict[str, list[str]] = {}
    for first, second, label in free:
        if label == "0":
            wrong.setdefault(first, []).append(second)
    pairs = [(a, b) for a, b, label in free if label == "1" and a != b]
    told = ({"anchor": a, "positive": b, "negatives": wrong.get(a, [])} for a, b in pairs)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told), "utf-8")
    return path


def trained(runtime: Runtime, pairs: Path, name: str, base: str, settings: dict[str, str]) -> Version:
    made = run(runtime, "embedding-adapter", name, (pairs, None, None), base, settings)
    sys.stdout.write(f"{made.served_as}: {json.dumps(made.run.rows)} {json.dumps(made.facts())}\n")
    return made


async def searched(runtime: Runtime, data: Dataset, model: str, mode: str) -> Evaluation:
    corpus = await Corpus.open(data, runtime, mode, embedding=model)  # type: ignore[arg-type]
    try:
        outputs = {record.id: await corpus.search(record.input) for record in data.records}
    finally:
        corpus.close()
    return judged(retrieval_task(data, MEASURES), outputs, name=mode, config={"embedding": model})


def beside(runtime: Runtime, data: Dataset, plain: str, model: str, modes: Sequence[str] = MODES) -> list[Evaluation]:
    """Every mode with the adapter, and its difference from the mode without."""
    found = []
    for mode in modes:
        ours = asyncio.run(searched(runtime, data, model, mode))
        found.append(ours)
        figures = ", ".join(f"{n} {f.value:.4f} [{f.low:.3f}, {f.high:.3f}]" for n, f in ours.figures.items())
        sys.stdout.write(f"{data.name}/{data.split} {len(ours.ids)} queries, {mode}: {figures}\n")
        if mode == "keyword":
            continue
        before = asyncio.run(searched(runtime, data, plain, mode))
        for row in compare(report("", [ours]), report("", [before]), measures=MEASURES).rows:
            if row.difference is not None:
                sys.stdout.write(f"    {row.measure} {before.value(row.measure):.4f} without: {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}], p {row.p:.4f}\n")  # fmt: skip
        sys.stdout.flush()
    return found


def elsewhere(data: Path) -> list[Dataset]:
    """Tasks of another kind: passages that answer, and abstracts that bear on a claim."""
    claims = load_beir(data / "scifact", split="train")
    wanted = {id_ for record in claims.records[:200] for id_ in record.relevant}
    others = [document for document in claims.documents if document.id not in wanted][:1000]
    documents = [document for document in claims.documents if document.id in wanted] + others
    part = replace(claims, records=claims.records[:200], documents=tuple(documents), checksum="")
    return [load_squad(data / "cmrc2018" / "cmrc2018_trial.json"), part]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_adapter", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of public data")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--elsewhere", action="store_true", help="what it does to tasks of another kind instead")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    given = parser.parse_args()
    settings = dict(item.split("=", 1) for item in given.set)
    folder = given.data / "zh-pairs" / "AFQMC"
    rows, dev = lines(folder / "train.txt"), load_pairs(folder / "dev.txt")
    with open_runtime() as runtime:
        into = runtime.settings.home / "measured"
        into.mkdir(parents=True, exist_ok=True)
        parts = [task(rows[start:end], into / f"train-{start}.txt") for start, end in HELD]
        held = [dev] if given.test else [dev, *parts]
        name = "afqmc" if given.test else "afqmc-held"
        pairs = learnable(rows, held, into / f"{name}.jsonl")
        if given.elsewhere:
            version = trained(runtime, pairs, f"{name}-passages", PASSAGES, settings)
            for data in elsewhere(given.data):
                beside(runtime, data, PASSAGES, version.served_as, ("vector", "hybrid"))
            return 0
        version = trained(runtime, pairs, name, BASE, settings)
        for data in [dev] if given.test else parts:
            found = beside(runtime, data, BASE, version.served_as)
        if given.test and given.publish:
            wanted = [Wanted(measure, f"{NAME}: {measure}, hybrid") for measure in MEASURES]
            told = scoreboard.published("retrieval", report(NAME, found, COMMAND), found[-1], wanted)
            scoreboard.save(given.publish, "retrieval-AFQMC-adapter", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
