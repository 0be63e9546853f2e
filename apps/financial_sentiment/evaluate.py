"""How good the sentiment heads are on public data, beside TF-IDF, a lexicon and the most frequent label.

    python -m apps.financial_sentiment.evaluate --data FOLDER [--set NAME …] [--split test] [--vectors FOLDER] [--json]

``FOLDER`` holds ``sentfin``, ``twitter_financial_news``, ``fiqa_sa`` and ``fincuge_zh`` as their authors publish them. On
SEntFiN and on ``zh``, the frozen Chinese set of this project (it needs no folder), the heads that come with the app are
tested as they are. For the other sets a head of the same recipe is trained on the set's own train part; it is not kept.
"as shipped" is the head ``words`` of the app, "as shipped, full" its head ``full``; neither saw such texts. Choices were
made on the split ``validation``; ``test`` is for reporting.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.financial_sentiment import analysis, lexicon, public, zh_rows
from apps.financial_sentiment.head import Head
from apps.financial_sentiment.public import LABELS, Row, Split
from apps.financial_sentiment.train import RECIPES, SHIPPED, labeled, on_rows
from core.errors import InputError
from core.evaluation import results, scoreboard
from core.evaluation.results import Evaluation, Measure
from core.evaluation.tasks import report
from core.training.baseline import fit_tfidf_svm
from core.types import Example

if TYPE_CHECKING:
    import numpy as np

APP = "financial sentiment"
MEASURES = (
    Measure("accuracy"),
    Measure("weighted_f1", ("expected", "predicted"), "weighted_f1"),
    Measure("macro_f1", ("expected", "predicted"), "macro_f1"),
    Measure("ece", ("confidence", "accuracy"), "ece", higher_is_better=False),
    Measure("accuracy_at_80", ("confidence", "accuracy"), "accuracy_at_coverage@0.8"),
)


@dataclass(frozen=True, slots=True)
class Set:
    """A public set: where it is below the folder, how it is read, the measure that it is known by."""

    title: str
    folder: str
    read: Callable[[Path], Split]
    main: str
    shipped: bool = False
    heads: tuple[str, ...] = ("words", "full", "stacked")  # the last is the one that is published
    labels: tuple[str, ...] = LABELS  # without them, systems that know only those of sentiment are left out


def _own_chinese(_: Path) -> Split:
    return Split(tuple(zh_rows.rows()), (), tuple(zh_rows.test_rows()))


SETS = {
    "sentfin": Set("SEntFiN, per entity", "sentfin", public.sentfin, "accuracy", shipped=True, heads=SHIPPED),
    "twitter": Set("Twitter financial news", "twitter_financial_news", public.twitter, "weighted_f1"),
    "finfe": Set("FinFE, texts not in train", "fincuge_zh", public.finfe, "accuracy"),
    "finfe-as-published": Set(
        "FinFE as published, half of it also in train", "fincuge_zh", partial(public.finfe, as_published=True), "accuracy"
    ),
    "fiqa": Set("FiQA-SA", "fiqa_sa", public.fiqa, "weighted_f1"),
    "finnsp": Set(
        "FinNSP, is there negative news", "fincuge_zh", public.finnsp, "accuracy", heads=("words",),
        labels=("negative", "neutral"),
    ),
    "finese": Set("FinESE, type of risk event", "fincuge_zh", public.finese, "accuracy", heads=("words",), labels=()),
    "zh": Set(
        "Chinese test set of this project, per entity", "", _own_chinese, "accuracy", shipped=True, heads=SHIPPED
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Output:
    """What a system says of a row; a system without probabilities has no ``confidence``."""

    label: str
    confidence: float | None = None


def measure(name: str, data: Path, split: str, *, heads: Sequence[str], vectors: Path | None) -> list[Evaluation]:
    """The heads of one set and the baselines, on ``split``.

    Raises:
        InputError: (``no_rows``) the set has no such part.
    """
    chosen = SETS[name]
    parts = chosen.read(data / chosen.folder)
    rows = parts.test if split == "test" else parts.validation
    if not rows:
        raise InputError(reason="no_rows", name=f"{name} ({split})")
    learned = parts.train if split == "validation" else (*parts.train, *parts.validation)
    outputs = {"majority": majority(learned, rows)}
    if chosen.labels:
        outputs["lexicon"] = _among(chosen.labels, lexicon_says(rows))
    outputs["tfidf+svm"] = tfidf(learned, rows)
    if chosen.labels and not chosen.shipped:
        for kind in (kind for kind in SHIPPED if kind in heads):
            name = "as shipped" if kind == "words" else f"as shipped, {kind}"
            outputs[name] = _among(chosen.labels, _head(kind, learned, rows, shipped=True, vectors=vectors))
    for kind in (kind for kind in chosen.heads if kind in heads):
        outputs[kind] = _head(kind, learned, rows, shipped=chosen.shipped and split == "test", vectors=vectors)
    return [evaluation(chosen.title, system, rows, found, split) for system, found in outputs.items()]


def evaluation(title: str, system: str, rows: Sequence[Row], outputs: Sequence[Output], split: str) -> Evaluation:
    right = [float(o.label == row.label) for o, row in zip(outputs, rows, strict=True)]
    columns: dict[str, list[float | str | None]] = {
        "accuracy": list(right),
        "expected": [row.label for row in rows],
        "predicted": [o.label for o in outputs],
        "confidence": [o.confidence for o in outputs],
    }
    measures = [m for m in MEASURES if "confidence" not in m.columns or outputs[0].confidence is not None]
    if any(row.conflicting for row in rows):
        columns["conflicting"] = [value if row.conflicting else None for value, row in zip(right, rows, strict=True)]
        measures.append(Measure("conflicting"))
    return Evaluation(
        task=APP, system=system, data=title, split=split, checksum=public.checksum(rows),
        ids=tuple(row.id for row in rows), columns=columns, measures=tuple(measures),
        figures=results.figures(tuple(measures), columns),
    )  # fmt: skip


def majority(learned: Sequence[Row], rows: Sequence[Row]) -> list[Output]:
    labels = [row.label for row in learned]
    return [Output(max(sorted(set(labels)), key=labels.count))] * len(rows)


def _among(labels: Sequence[str], outputs: Sequence[Output]) -> list[Output]:
    """What a system that knows three labels says where only ``labels`` count: positive news is not negative, so neutral."""
    if set(labels) == set(LABELS):
        return list(outputs)
    return [Output(o.label if o.label in labels else "neutral") for o in outputs]


def lexicon_says(rows: Sequence[Row]) -> list[Output]:
    def said(row: Row) -> str:
        score = lexicon.score(row.masked.clause)
        return "positive" if score > 0 else "negative" if score < 0 else "neutral"

    return [Output(said(row)) for row in rows]


def tfidf(learned: Sequence[Row], rows: Sequence[Row]) -> list[Output]:
    """On the text with the target hidden, as the published baseline has it."""
    model = fit_tfidf_svm([Example(row.masked.whole, row.label) for row in learned])
    return [Output(label) for label, _ in model.predict([row.masked.whole for row in rows])]


def _head(
    kind: str, learned: Sequence[Row], rows: Sequence[Row], *, shipped: bool, vectors: Path | None
) -> list[Output]:
    with_vectors = kind != "words"
    if shipped:
        head: Head = analysis.shipped(kind)
    else:
        name = _embedding_name() if with_vectors else ""
        known = _vectors(learned, vectors) if with_vectors else None
        head = on_rows(kind, learned, known, embedding=name)
    found = _vectors(rows, vectors) if with_vectors else labeled(rows).vectors
    return [Output(j.label, j.probability) for j in head.judge([row.masked for row in rows], found)]


def _embedding_name() -> str:
    from core.settings import load_settings

    return str(load_settings().model("embedding"))


def _vectors(rows: Sequence[Row], kept: Path | None) -> np.ndarray:
    from apps.financial_sentiment.vectors import embedded
    from core.providers.sync import run
    from core.runtime import open_runtime

    def told(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done}/{total} texts embedded")

    with open_runtime() as runtime:
        return run(embedded([row.masked.spoken for row in rows], runtime.embedding(), kept=kept, progress=told))


def publish(name: str, made: Sequence[Evaluation], split: str, folder: Path) -> Path:
    """Write the figures of the best head for the scoreboard, the other systems beside them."""
    chosen, best = SETS[name], made[-1]
    wanted = [scoreboard.Wanted(chosen.main, f"{chosen.title}: {chosen.main.replace('_', ' ')}")]
    if "conflicting" in best.figures:
        wanted.append(scoreboard.Wanted("conflicting", f"{chosen.title}: headlines whose entities differ, accuracy"))
    wanted.append(scoreboard.Wanted("ece", f"{chosen.title}: calibration error"))
    told = report(chosen.title, list(made), f"python -m apps.financial_sentiment.evaluate --set {name} --data FOLDER")
    return scoreboard.save(folder, f"financial-sentiment-{name}-{split}", scoreboard.published(APP, told, best, wanted))


def table(made: Sequence[Evaluation]) -> str:
    """The figures as text, a line for each system."""
    names = list(made[-1].figures)
    lines = [f"{made[0].data} ({made[0].split}, {len(made[0].ids):,})"]
    lines.append(f"{'':12}" + "".join(f"{name:>26}" for name in names))
    for one in made:
        cells = (
            f"{f.value:.4f} [{f.low:.3f}, {f.high:.3f}]" if (f := one.figures.get(name)) else "–" for name in names
        )
        lines.append(f"{one.system:12}" + "".join(f"{cell:>26}" for cell in cells))
    lines += [against(made[-1], other) for other in made if other.system == "tfidf+svm"]
    return "\n".join(lines)


def against(head: Evaluation, other: Evaluation) -> str:
    """Whether a head is right more often than another system, row by row."""
    import numpy as np

    from core.evaluation.significance import paired_bootstrap

    first, second = (np.array(e.columns["accuracy"], dtype=float) for e in (head, other))
    found = paired_bootstrap(first, second)
    return (
        f"{head.system} - {other.system}, accuracy: {found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}],"
        f" p = {found.p:.4f}"
    )


def data(made: Sequence[Evaluation]) -> dict[str, Any]:
    def one(e: Evaluation) -> Mapping[str, Any]:
        return {name: {"value": f.value, "low": f.low, "high": f.high} for name, f in e.figures.items()}

    return {"split": made[0].split, "rows": len(made[0].ids), "checksum": made[0].checksum,
            "systems": {e.system: one(e) for e in made}}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(), metavar="FOLDER")
    parser.add_argument("--set", nargs="+", choices=list(SETS), help="by default all that have the split")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--heads", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--vectors", type=Path, metavar="FOLDER", help="keeps embeddings between runs")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = {}
    for name in given.set or [n for n in SETS if given.split == "test" or n != "zh"]:
        made = measure(name, given.data, given.split, heads=given.heads, vectors=given.vectors)
        found[name] = data(made)
        if not given.json:
            sys.stdout.write(table(made) + "\n\n")
            sys.stdout.flush()
        if given.publish:
            sys.stderr.write(f"{publish(name, made, given.split, given.publish)}\n")
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
