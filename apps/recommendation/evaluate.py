"""How good recommendations are: full ranking, every method beside the fused one; see :mod:`.protocol`.

    python -m apps.recommendation.evaluate --data FOLDER [--split validation] [--core 5] [--json]
    python -m apps.recommendation.evaluate --data FOLDER --candidates FILE     # rerank given lists

``FOLDER`` holds interactions and items in a layout that ``touchstone recommend import`` reads (MovieLens' ratings
and movies, RecBole's ``.inter`` and ``.item``). Methods and weights see only what lies before the items held out.
``touchstone evaluate recommend`` does the same for any files.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from apps.recommendation import fusion
from apps.recommendation.data import Item
from apps.recommendation.diversity import DEFAULT as DIVERSITY
from apps.recommendation.diversity import Likeness, arranged
from apps.recommendation.exposure import standing
from apps.recommendation.fusion import Fused, leveled
from apps.recommendation.generators import History, centered
from apps.recommendation.log import SEED, Array
from apps.recommendation.protocol import SPLITS, TOP, Data, gains, load, ranks
from apps.recommendation.segments import Segments
from core.evaluation import results, scoreboard
from core.evaluation.results import Evaluation, Measure
from core.evaluation.significance import paired_bootstrap
from core.evaluation.tasks import report

MEASURES = (Measure("hr@10"), Measure("ndcg@10"))
FEW_EVENTS, RARE = 10, 10  # events of a person, and of an item, below which they are measured apart too
CLICKS = 3  # titles that a new person has chosen
HIDDEN = 0.1  # of the items, in the measurement of new items
FUSED, DIVERSE, NEW_PERSON, NEW_ITEM = "fused", "fused, diverse", "fused, 3 clicks", "fused, new items"


@dataclass
class Outcome:
    """What came of the cases: ranks by method, and the lists that were shown."""

    ranks: dict[str, list[float]]
    lists: dict[str, list[Array]]


def run(data: Data, fused: Fused, vectors: Array | None) -> Outcome:
    """Every method on every case."""
    outcome = Outcome({}, {FUSED: [], DIVERSE: []})
    likeness = likeness_of(data, vectors)
    places = standing(fused) if likeness else None
    segments = Segments(data.train, [item.tags for item in data.items]) if any(i.tags for i in data.items) else None
    for case in data.cases:
        history = History.of(case.seen, case.at)
        features = fused.features(history)
        scores = dict(zip((g.name for g in fused.generators), features.values, strict=True))
        scores[FUSED] = fused.scores(history, features)
        if segments is not None:
            scores[segments.name] = segments.scores(history)
        if case.candidates is None:
            scores[NEW_PERSON] = fused.scores(History.of(case.seen[-CLICKS:], case.at))
        found = ranks(case, scores)
        if case.candidates is None:
            allowed = np.setdiff1d(np.arange(len(data.items)), np.setdiff1d(case.seen, case.target))
            plain = allowed[np.argsort(-scores[FUSED][allowed], kind="stable")[:TOP]]
            outcome.lists[FUSED].append(plain)
            if likeness:
                diverse = arranged(
                    leveled(scores[FUSED]), allowed, likeness, count=TOP, diversity=DIVERSITY, standing=places
                )
                outcome.lists[DIVERSE].append(diverse)
                place = np.flatnonzero(diverse == case.target)
                found[DIVERSE] = float(place[0]) if len(place) else float(TOP)
        for name, rank in found.items():
            outcome.ranks.setdefault(name, []).append(rank)
    return outcome


def likeness_of(data: Data, vectors: Array | None) -> Likeness:
    return Likeness.of(centered(vectors) if vectors is not None else None, (item.tags for item in data.items))


def new_items(data: Data, vectors: Array) -> dict[str, list[float]]:
    """Ranks of items of which nobody's events are known, only the text: a tenth of the items is hidden."""
    hidden = np.random.default_rng(SEED).random(len(data.items)) < HIDDEN
    fused = fusion.fit(data.train.kept(~hidden[data.train.item]), vectors=vectors, numbers=years(data.items))
    found: dict[str, list[float]] = {NEW_ITEM: [], "popularity": [], "text": []}
    for case in data.cases:
        if not hidden[case.target]:
            continue
        seen = case.seen[~hidden[case.seen]]
        history = History.of(seen, case.at)
        scores = {name: fused.generator(name).scores(history) for name in ("popularity", "text")}
        scores[NEW_ITEM] = fused.scores(history)
        for name, rank in ranks(replace(case, seen=seen), scores).items():
            found[name].append(rank)
    return found


def beyond(lists: Sequence[Array], likeness: Likeness, counts: Array) -> dict[str, float]:
    """Coverage, diversity and popularity of top-10 lists.

    ``coverage@10``: share of the items that stand in any list. ``popularity@10``: mean share of the items that are
    taken less often than a listed one. ``novelty@10``: mean of -log2 of the share of all events that a listed item
    has. ``diversity by …@10``: mean distance within a list, by centered texts
    (1 - cosine) and by tags (1 - Jaccard), with the same for ten items drawn at random: few lists can be more diverse.
    """
    rarity = -np.log2((counts + 1) / (counts + 1).sum())
    position = np.argsort(np.argsort(counts, kind="stable")) / max(1, len(counts) - 1)
    found = {
        "coverage@10": len(np.unique(np.concatenate(lists))) / len(counts),
        "popularity@10": float(np.mean([position[chosen].mean() for chosen in lists])),
        "novelty@10": float(np.mean([rarity[chosen].mean() for chosen in lists])),
    }
    rng = np.random.default_rng(SEED)
    drawn = [rng.choice(len(counts), min(TOP, len(counts)), replace=False) for _ in lists]
    for name, one in (("text", replace(likeness, tags=None)), ("tags", replace(likeness, vectors=None))):
        if one:
            found[f"diversity by {name}@10"] = _apart(lists, one)
            found[f"diversity by {name}@10 at random"] = _apart(drawn, one)
    return found


def _apart(lists: Sequence[Array], likeness: Likeness) -> float:
    inner = []
    for chosen in lists:
        if len(chosen) > 1:
            alike = likeness.among(chosen).matrix()
            inner.append(1 - float(alike[~np.eye(len(chosen), dtype=bool)].mean()))
    return float(np.mean(inner))


def evaluation(data: Data, system: str, rank: Sequence[float], split: str, config: Mapping[str, Any]) -> Evaluation:
    """Figures of a method; people with few events and targets that are rare also by themselves, where there are any."""
    columns: dict[str, list[float | None]] = dict(gains(np.array(rank)))  # type: ignore[arg-type]
    counts = data.train.counts()
    apart = {
        "people with few events": [len(case.seen) < FEW_EVENTS for case in data.cases],
        "rare items": [counts[case.target] < RARE for case in data.cases],
    }
    measures: tuple[Measure, ...] = MEASURES
    for group, members in apart.items():
        if any(members) and not all(members):
            name = f"ndcg@10, {group}"
            columns[name] = [v if inside else None for v, inside in zip(columns["ndcg@10"], members, strict=True)]
            measures = (*measures, Measure(name, gated=False))
    return Evaluation(
        task="recommendation",
        system=system,
        data=data.name,
        split=split,
        checksum=data.checksum,
        ids=tuple(case.user for case in data.cases),
        columns=columns,
        measures=measures,
        figures=results.figures(measures, columns),
        config=dict(config),
    )


def measured(
    data: Data, vectors: Array | None, split: str, progress: Callable[[str], None] = lambda _: None
) -> tuple[dict[str, Evaluation], dict[str, float]]:
    """Fit, rank, and judge: figures by method, and those beyond accuracy (:func:`beyond`) by kind of list."""
    fused = fusion.fit(data.train, vectors=vectors, numbers=years(data.items), progress=progress)
    outcome = run(data, fused, vectors)
    config = {"weights": {k: round(v, 4) for k, v in fused.weights.items()}, "text": vectors is not None}
    made = {name: evaluation(data, name, rank, split, config) for name, rank in outcome.ranks.items()}
    extra: dict[str, float] = {}
    for name, lists in outcome.lists.items():
        if lists:
            found = beyond(lists, likeness_of(data, vectors), data.train.counts())
            extra.update({f"{name}: {measure}": value for measure, value in found.items()})
    return made, extra


def years(items: Sequence[Item]) -> Array:
    """Shape: ``(items,)``, NaN where unknown."""
    return np.array([np.nan if item.year is None else item.year for item in items], dtype=float)


def publish(made: Mapping[str, Evaluation], folder: Path, command: str, extra: Mapping[str, float]) -> Path:
    """Write the figures of the fused method, beside the others, for the scoreboard."""
    best = made[FUSED]
    told = report(best.data, [made[name] for name in made if name not in (NEW_PERSON, DIVERSE)], command)
    what = f"{best.data}: " + ("rerank of 20 candidates, " if "rerank" in best.split else "full ranking, ")
    wanted = [scoreboard.Wanted(m.name, what + m.name) for m in MEASURES]
    figures = scoreboard.published("recommendation", told, best, wanted)
    notes = [f"{name} {value:.3f}" for name, value in extra.items()]
    for name in (NEW_PERSON, DIVERSE):
        if name in made:
            alone = scoreboard.Wanted("ndcg@10", f"{what}ndcg@10, {name.partition(', ')[2]}")
            told_of = report(best.data, [made[n] for n in (name, "popularity")], command)
            row = scoreboard.published("recommendation", told_of, made[name], [alone])
            figures += [replace(f, note="; ".join(notes)) if name == DIVERSE else f for f in row]
    return scoreboard.save(folder, f"recommendation-{best.data}-{best.split}", figures)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--core", type=int, default=5, help="drop people and items with fewer events; 0 keeps all")
    parser.add_argument("--candidates", type=Path, metavar="FILE", help="lists to rerank: user, tab, item ids")
    parser.add_argument("--users", type=int, help="look only at so many people, drawn with a fixed seed")
    parser.add_argument("--no-text", action="store_true", help="leave item texts out, so that nothing is embedded")
    parser.add_argument("--new-items", action="store_true", help="also hide a tenth of the items but for their text")
    parser.add_argument("--home", type=Path, help="a workspace to keep vectors in; by default a temporary one")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    data = load(given.data, split=given.split, least=given.core, candidates=given.candidates, users=given.users)
    with tempfile.TemporaryDirectory() as folder:
        vectors = None if given.no_text else embedded(data.items, given.home or Path(folder))
    split = given.split + ("-rerank" if given.candidates else "")
    made, extra = measured(data, vectors, split, (lambda _: None) if given.json else _note)
    against = {
        name: paired_bootstrap(np.array(made[FUSED].columns["ndcg@10"]), np.array(made[name].columns["ndcg@10"]))
        for name in made
        if name != FUSED
    }
    hidden = new_items(data, vectors) if given.new_items and vectors is not None else {}
    cold = {name: results.figures(MEASURES, gains(np.array(rank))) for name, rank in hidden.items()}
    if given.publish:
        command = " ".join(["python -m apps.recommendation.evaluate", *spoken(arguments)])
        sys.stdout.write(f"{publish(made, given.publish, command, extra)}\n")
    if given.json:
        sys.stdout.write(json.dumps(_as_json(data, made, against, extra, cold), indent=2) + "\n")
    else:
        sys.stdout.write(_as_text(data, made, against, extra, cold))
    return 0


def embedded(items: Sequence[Item], home: Path) -> Array:
    """Vectors of the items' texts by the embedding model that is set. Shape: ``(items, dim)``."""
    from core.providers.sync import run as wait
    from core.retrieval.meaning import Meaning
    from core.runtime import Runtime
    from core.settings import load_settings, override

    with Runtime(override(load_settings(), home=str(home))) as runtime:
        return wait(Meaning(runtime.workspace, runtime.embedding()).vectors([item.text() for item in items]))


def spoken(arguments: Sequence[str] | None) -> list[str]:
    """The arguments without those that only this machine knows."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    kept, skip = [], False
    for word in given:
        if skip:
            skip = False
        elif word in ("--home", "--publish"):
            skip = True
        else:
            kept.append(Path(word).name if "/" in word else word)
    return kept


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _as_json(
    data: Data, made: Mapping[str, Evaluation], against: Mapping[str, Any], extra: Mapping[str, float], cold: Any
) -> dict[str, Any]:
    def spans(figures: Mapping[str, Any]) -> dict[str, list[float]]:
        return {n: [f.value, f.low, f.high] for n, f in figures.items()}

    return {
        "data": data.name,
        "checksum": data.checksum,
        "cases": len(data.cases),
        "weights": made[FUSED].config["weights"],
        "methods": {name: spans(found.figures) for name, found in made.items()},
        "fused_minus": {n: [c.difference, c.low, c.high] for n, c in against.items()},
        "beyond": dict(extra),
        "new_items": {name: spans(figures) for name, figures in cold.items()},
    }


def _as_text(
    data: Data, made: Mapping[str, Evaluation], against: Mapping[str, Any], extra: Mapping[str, float], cold: Any
) -> str:
    lines = [f"{data.name}: {len(data.cases)} people, {len(data.items)} items, {len(data.train)} events before"]
    lines.append(f"{'':18}{'HR@10':>24}{'NDCG@10':>24}   fused minus it (NDCG@10)")
    for name, found in made.items():
        figures = (found.figures[measure.name] for measure in MEASURES)
        spans = "".join(f"{f.value:>10.4f} [{f.low:.3f}, {f.high:.3f}]" for f in figures)
        beside = f"   {c.difference:+.4f} [{c.low:+.4f}, {c.high:+.4f}]" if (c := against.get(name)) else ""
        lines.append(f"{name:18}{spans}{beside}")
    for name, figure in list(made[FUSED].figures.items())[len(MEASURES) :]:
        lines.append(f"fused: {name:34}{figure.value:.4f} [{figure.low:.3f}, {figure.high:.3f}] of {figure.records}")
    lines += [f"{name:46}{value:.4f}" for name, value in extra.items()]
    for name, of_hidden in cold.items():
        spans = "".join(f"{f.value:>10.4f} [{f.low:.3f}, {f.high:.3f}]" for f in of_hidden.values())
        lines.append(f"hidden items, {name:18}{spans}")
    lines.append("weights " + json.dumps(made[FUSED].config["weights"]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
