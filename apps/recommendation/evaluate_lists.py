"""What people are shown: lists from one sentence of somebody new, whether reasons hold, how long a list takes.

    python -m apps.recommendation.evaluate_lists --data FOLDER [--split validation] [--json]

The whole service makes the lists, from the same split as :mod:`apps.recommendation.evaluate`.

**One sentence.** Of each person only a sentence is known, made by a fixed pattern from what they did before the item
that came next: the title of their last item, or the two tags most frequent among their last ten items, or both; in
English and in Chinese, with titles as the catalogue has them. All items are ranked by what the service makes of the
sentence; what they had is taken off afterwards, as it is for every method that it is compared with.

**Reasons.** Lists of people with their whole history. A reason is real when the event that it cites is one of theirs
(or the count that it tells is the true one); it bears weight when the item falls in the ranking without that event.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.recommendation import preferences
from apps.recommendation.catalogue import EVERYTHING
from apps.recommendation.data import Event, Item
from apps.recommendation.evaluate import MEASURES, evaluation, spoken
from apps.recommendation.generators import History
from apps.recommendation.log import SEED, Array
from apps.recommendation.protocol import SPLITS, TOP, Case, Data, load, ranks
from apps.recommendation.scoring import Scored, scored
from apps.recommendation.service import Recommender
from core.evaluation import scoreboard
from core.evaluation.results import Evaluation, Measure, figures
from core.evaluation.tasks import report
from core.runtime import Runtime
from core.settings import load_settings, override

RECENT = 10  # items whose tags somebody would name
POPULARITY = ("popularity", "recent")
REAL, FALLS = Measure("real reasons"), Measure("rank falls without it")
SENTENCES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Something like “{title}”",
        "title and tags": "I loved “{title}”, show me something {tags}",
        "tags": "I would like something {tags}",
    },
    "zh": {
        "title": "像《{title}》这样的",
        "title and tags": "很喜欢《{title}》，想看点{tags}的",
        "tags": "想看点{tags}的",
    },
}
# What MovieLens' genres are called in Chinese; other tags are said as they are.
GENRES = {
    "Action": "动作", "Adventure": "冒险", "Animation": "动画", "Children": "儿童", "Comedy": "喜剧", "Crime": "犯罪",
    "Documentary": "纪录片", "Drama": "剧情", "Fantasy": "奇幻", "Film-Noir": "黑色电影", "Horror": "恐怖", "IMAX": "IMAX",
    "Musical": "歌舞", "Mystery": "悬疑", "Romance": "爱情", "Sci-Fi": "科幻", "Thriller": "惊悚", "War": "战争",
    "Western": "西部",
}  # fmt: skip


def sentence(case: Case, items: Sequence[Item], language: str, pattern: str) -> str:
    """What a person with the history of ``case`` would say.

    >>> films = [Item("1", {"": "Matrix, The (1999)"}, tags=("Action", "Sci-Fi"))]
    >>> sentence(Case("u", np.array([0]), 0, 0.0), films, "zh", "title and tags")
    '很喜欢《The Matrix》，想看点动作、科幻的'
    """
    counts = Counter(tag for number in case.seen[-RECENT:].tolist() for tag in items[number].tags)
    tags = [tag for tag, _ in counts.most_common(2)]
    named = "、".join(GENRES.get(tag, tag) for tag in tags) if language == "zh" else " and ".join(tags).lower()
    title = preferences.spoken_title(items[int(case.seen[-1])].title(language))
    return SENTENCES[language][pattern].format(title=title, tags=named)


def rank_of(asked: Scored, case: Case) -> float:
    """How many unseen items stand before the target, a tie counting half; all when it may not be shown."""
    worth = asked.scores + asked.added
    shown = np.isin(asked.allowed, case.seen, invert=True) | (asked.allowed == case.target)
    if case.target not in asked.allowed:
        return float(shown.sum())
    ranked, target = worth[asked.allowed[shown]], worth[case.target]
    return float((ranked > target).sum() + ((ranked == target).sum() - 1) / 2)


def from_sentences(service: Recommender, data: Data) -> dict[str, list[float]]:
    """Ranks by language and pattern, and those of popularity on the same people."""
    found: dict[str, list[float]] = {}
    catalogue = service.catalogue()
    for case in data.cases:
        for language, patterns in SENTENCES.items():
            for pattern in patterns:
                says = sentence(case, data.items, language, pattern)
                read = preferences.understood(says, catalogue.titles)
                asked = scored(
                    service.runtime, catalogue, (), likes=(), says=says, read=read, ignored=frozenset(), filters=EVERYTHING,
                    boosts={}, now=case.at,
                )  # fmt: skip
                found.setdefault(f"one sentence, {pattern}, {language}", []).append(rank_of(asked, case))
        nothing = History.of([], case.at)
        popular = {name: catalogue.fused.generator(name).scores(nothing) for name in POPULARITY}
        for name, rank in ranks(case, popular).items():
            found.setdefault(name, []).append(rank)
    return found


@dataclass(frozen=True, slots=True)
class Reasons:
    """Of each pick whether its first reason is real, and whether the rank falls without it (``None``: no event cited)."""

    ids: tuple[str, ...]
    real: tuple[float, ...]
    falls: tuple[float | None, ...]
    kinds: Mapping[str, int]
    waits_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]  # of the whole process, the same lists; a busy machine does not lengthen it


def reasons(service: Recommender, data: Data, people: int) -> Reasons:
    """Lists of ``people`` drawn with a fixed seed, at the slider's default; each reason checked by taking it away."""
    drawn = np.random.default_rng(SEED).permutation(len(data.cases))[:people]
    found = service.catalogue()
    ids: list[str] = []
    real: list[float] = []
    falls: list[float | None] = []
    kinds: Counter[str] = Counter()
    waits, cpu = [], []
    for case in (data.cases[i] for i in drawn.tolist()):
        began, used = time.perf_counter(), time.process_time()
        shelf = service.recommend(case.user, n=TOP, now=case.at)
        waits.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        history = History.of(case.seen, case.at)
        mine = {data.items[number].id for number in case.seen.tolist()}
        before = found.fused.scores(history)
        for pick in shelf.picks:
            reason, number = pick.reasons[0], found.number[pick.item.id]
            ids.append(f"{case.user}:{pick.item.id}")
            kinds[reason.kind] += 1
            if reason.item:
                real.append(float(reason.item in mine))
                after = found.fused.scores(history.without(found.number[reason.item]))
                falls.append(float(_place(after, number, case) > _place(before, number, case)))
            else:
                real.append(float(reason.count == service.taken(pick.item.id)))
                falls.append(None)
    return Reasons(tuple(ids), tuple(real), tuple(falls), dict(kinds), tuple(waits), tuple(cpu))


def _place(scores: Array, number: int, case: Case) -> int:
    ranked = np.delete(scores, np.setdiff1d(case.seen, number))
    return int((ranked > scores[number]).sum())


def opened(data: Data, runtime: Runtime) -> Recommender:
    """The service over the training part of ``data``, fitted."""
    service = Recommender(runtime, catalogue="measured")
    log = data.train
    rows = zip(log.user.tolist(), log.item.tolist(), log.at.tolist(), log.value.tolist(), strict=True)
    events = [Event(log.users[user], log.items[item], at, value) for user, item, at, value in rows]
    service.store.replace(data.items, events)
    service.fit()
    return service


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--core", type=int, default=5, help="drop people and items with fewer events; 0 keeps all")
    parser.add_argument("--people", type=int, default=200, help="whose reasons are checked")
    parser.add_argument("--home", type=Path, help="a workspace to keep vectors in; by default a temporary one")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    data = load(given.data, split=given.split, least=given.core)
    with tempfile.TemporaryDirectory() as folder:
        settings = override(load_settings(), home=str(given.home or folder))
        with Runtime(settings) as runtime:
            service = opened(data, runtime)
            found = from_sentences(service, data)
            checked = reasons(service, data, given.people)
    made = {name: evaluation(data, name, rank, given.split, {}) for name, rank in found.items()}
    why = _as_evaluation(data, checked, given.split)
    if given.publish:
        command = " ".join(["python -m apps.recommendation.evaluate_lists", *spoken(arguments)])
        sys.stdout.write(f"{publish(data, made, why, given.publish, command)}\n")
    waits = {
        f"{name}p{share}": round(float(np.percentile(values, share)), 2)
        for name, values in (("", checked.waits_ms), ("CPU ", checked.cpu_ms))
        for share in (50, 95)
    }
    if given.json:
        told = {name: {m: [f.value, f.low, f.high] for m, f in e.figures.items()} for name, e in made.items()}
        spans = {name: [f.value, f.low, f.high, f.records] for name, f in why.figures.items()}
        whole = {"data": data.name, "checksum": data.checksum, "cases": len(data.cases), "lists": told}
        whole |= {"reasons": spans, "kinds": dict(checked.kinds), "list_ms": waits}
        sys.stdout.write(json.dumps(whole, indent=2) + "\n")
        return 0
    sys.stdout.write(f"{data.name}, {given.split}: {len(data.cases)} people known by one sentence\n")
    for name, one in made.items():
        spans_ = "".join(f"{f.value:>10.4f} [{f.low:.3f}, {f.high:.3f}]" for f in one.figures.values())
        sys.stdout.write(f"{name:38}{spans_}\n")
    for name, figure in why.figures.items():
        sys.stdout.write(f"{name:38}{figure.value:>10.4f} [{figure.low:.3f}, {figure.high:.3f}] of {figure.records}\n")
    sys.stdout.write(f"reasons {json.dumps(checked.kinds)}; a list of ten takes ms {json.dumps(waits)}\n")
    return 0


def _as_evaluation(data: Data, checked: Reasons, split: str) -> Evaluation:
    columns = {REAL.name: checked.real, FALLS.name: checked.falls}
    return Evaluation(
        task="recommendation",
        system="reasons",
        data=data.name,
        split=split,
        checksum=data.checksum,
        ids=checked.ids,
        columns=columns,
        measures=(REAL, FALLS),
        figures=figures((REAL, FALLS), columns),
    )


def publish(data: Data, made: Mapping[str, Evaluation], why: Evaluation, folder: Path, command: str) -> Path:
    """Each pattern beside popularity, and what reasons are worth."""
    popular = [made[name] for name in POPULARITY]
    rows = []
    for name, one in made.items():
        if name not in POPULARITY:
            wanted = [scoreboard.Wanted(m.name, f"{data.name}: {name}: {m.name}") for m in MEASURES]
            rows += scoreboard.published("recommendation", report(data.name, [one, *popular], command), one, wanted)
    wanted = [scoreboard.Wanted(m.name, f"{data.name}: {m.name}") for m in why.measures]
    told = scoreboard.published("recommendation", report(data.name, [why], command), why, wanted)
    return scoreboard.save(folder, f"recommendation-{data.name}-{why.split}-lists", rows + told)


if __name__ == "__main__":
    sys.exit(main())
