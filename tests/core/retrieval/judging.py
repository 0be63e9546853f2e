"""``python -m tests.core.retrieval.judging embedded:qwen``: learns how a model's answers about claims are to be read.

The model is asked about claims that repeat their source as much when they are wrong as when they are right (``paired``, and
``amounts`` for numbers, dates and units); what weighs for and against is a logistic regression on the log probabilities of the
``WORDS`` likeliest words, both languages together. The limits come from ``written`` and ``blind``, where the rules of words have
had their say: claims as they are written to be checked. It takes two hours on two cores; answers are kept in ``--kept``, so that it goes on where it was stopped. ``--write`` puts the reading in
``core/retrieval/data/judge.yaml``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from core.contracts import ChatModel
from core.providers.registry import open_model
from core.retrieval import judge as judging
from core.retrieval.check import ARGUABLE, checked
from core.retrieval.judge import Judge, Reading
from core.settings import load_settings
from core.types import Language
from tests.core.retrieval.claims import LANGUAGES, Claim, cited, written

WORDS, ASKED = 590, 600  # words that count, and log probabilities asked for to find them
STRENGTH = 0.03  # of the regression's weights (C of scikit-learn); more is better on the same writers, worse on others
TAUGHT = ("paired", "amounts")
LIMITED = ("written", "blind")  # what the limits are taken from
ACCEPT = 0.91  # of the right ones of these; of claims that nobody has looked at some fewer are accepted
Top = list[tuple[str, float]]


class Kept:
    """Answers of a model, one line each, so that none is asked for twice."""

    def __init__(self, chat: ChatModel, file: Path) -> None:
        self._judge, self._file = Judge(chat, Reading({}, 0.0, {}, {}, ASKED)), file
        self._known: dict[str, Top] = {}
        if file.exists():
            for line in file.read_text("utf-8").splitlines():
                key, top = json.loads(line)
                self._known[key] = [(word, value) for word, value in top]

    async def top(self, claim: Claim) -> Top:
        key = hashlib.sha256(f"{claim.source}\n{claim.text}".encode()).hexdigest()[:16]
        if key not in self._known:
            found = [(word, round(value, 4)) for word, value in await self._judge.top(claim.source, claim.text)]
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, found], ensure_ascii=False) + "\n")
            self._known[key] = found
        return self._known[key]


def every(language: Language) -> list[Claim]:
    """The claims that teach."""
    return [claim for name in TAUGHT for claim in written(language, name)]


def words_of(tops: Sequence[Top]) -> list[str]:
    """The words that are likeliest in all answers together, best first."""
    above: dict[str, float] = defaultdict(float)
    for top in tops:
        least = min(value for _, value in top)
        for word, value in dict(top).items():
            above[word] += value - least
    whole = [word for word in above if word.strip() and word.isprintable() and "\ufffd" not in word]
    return sorted(whole, key=lambda word: -above[word])[:WORDS]


def features(tops: Sequence[Top], words: Sequence[str]) -> np.ndarray:
    """Log probabilities, shape ``(answers, words)``; a word that is not there counts as the least likely one that is."""
    rows = []
    for top in tops:
        held, least = dict(top), min(value for _, value in top)
        rows.append([held.get(word, least) for word in words])
    return np.array(rows)


def learned(tops: Sequence[Top], right: np.ndarray) -> tuple[dict[str, float], float]:
    """Weights by word, and the constant."""
    from sklearn.linear_model import LogisticRegression

    words = words_of(tops)
    found = features(tops, words)
    mean, deviation = found.mean(0), found.std(0) + 1e-9
    model = LogisticRegression(C=STRENGTH, max_iter=2000).fit((found - mean) / deviation, right)
    weights = model.coef_[0] / deviation
    rounded = {word: round(float(weight), 4) for word, weight in zip(words, weights, strict=True)}
    return rounded, round(float(model.intercept_[0] - weights @ mean), 4)


def area(odds: np.ndarray, right: np.ndarray) -> float:
    """Of a right claim and a wrong one, how often the right one has the better odds."""
    better = odds[right][:, None] - odds[~right][None]
    return float(((better > 0) + 0.5 * (better == 0)).mean())


def folded(tops: Sequence[Top], claims: Sequence[Claim]) -> np.ndarray:
    """Odds of each claim by weights that were learned from other sources."""
    from sklearn.model_selection import GroupKFold

    right = np.array([claim.faithful for claim in claims])
    odds = np.zeros(len(claims))
    for others, these in GroupKFold(5).split(tops, right, [claim.source for claim in claims]):
        weights, constant = learned([tops[n] for n in others], right[others])
        odds[these] = features([tops[n] for n in these], list(weights)) @ np.array(list(weights.values())) + constant
    return odds


def limits(odds: np.ndarray, right: np.ndarray, reasons: Sequence[str | None], *, accept: float) -> tuple[float, float]:
    """Below which odds a claim that the rules let pass is refused, and from which on one they refused for an arguable
    reason is accepted, so that most wrong ones are rejected with ``accept`` of the right ones accepted."""
    passes, arguable = np.array([r is None for r in reasons]), np.array([r in ARGUABLE for r in reasons])
    steps = np.quantile(odds, np.linspace(0, 1, 101))
    best, chosen = -1.0, (float(steps[0]), float(steps[-1]))
    for low in steps:
        for high in steps:
            ok = (passes & (odds >= low)) | (arguable & (odds >= high))
            rejected = float((~ok[~right]).mean())
            if ok[right].mean() >= accept and rejected > best:
                best, chosen = rejected, (float(low), float(high))
    return chosen


async def reading(chat: ChatModel, file: Path, settings: Any) -> dict[str, Any]:
    kept = Kept(chat, file)
    claims = [(language, claim) for language in LANGUAGES for claim in every(language)]
    tops = [await kept.top(claim) for _, claim in claims]
    right = np.array([claim.faithful for _, claim in claims])
    odds = folded(tops, [claim for _, claim in claims])
    weights, constant = learned(tops, right)
    found = Reading(weights, constant, {}, {}, ASKED)
    refused, accepted = {}, {}
    embedding = open_model("embedding", "embedded:e5", settings)
    for language in LANGUAGES:
        mine = np.array([of == language for of, _ in claims])
        print(f"{language}: area {area(odds[mine], right[mine]):.3f} over {mine.sum()} claims of other sources")
        natural = [claim for name in LIMITED for claim in written(language, name)]
        told = np.array([found.odds(await kept.top(claim)) for claim in natural])
        reasons = [(await checked(f"{c.text} [1]", [cited(c, language)], model=embedding)).failed for c in natural]
        faithful = np.array([claim.faithful for claim in natural])
        low, high = limits(told, faithful, reasons, accept=ACCEPT)
        refused[language], accepted[language] = round(low, 2), round(high, 2)
        print(
            f"   {' and '.join(LIMITED)}: area {area(told, faithful):.3f}; refused below {low:.2f}, accepted from {high:.2f} on"
        )
    await embedding.aclose()
    return {"weights": weights, "constant": constant, "refused": refused, "accepted": accepted, "top": ASKED}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.core.retrieval.judging", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--kept", type=Path, required=True, help="file of the answers so far")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(Path(home), {"TOUCHSTONE_HOME": home})
        chat = open_model("chat", given.model, settings)
        found = asyncio.run(reading(chat, given.kept, settings))
        asyncio.run(chat.aclose())
    if given.write:
        data = yaml.safe_load(judging.DATA.read_text("utf-8"))
        data["models"][given.model] = found
        head = judging.DATA.read_text("utf-8").partition("models:")[0]
        models = yaml.safe_dump({"models": data["models"]}, allow_unicode=True, sort_keys=False, width=10_000)
        judging.DATA.write_text(head + models, "utf-8")


if __name__ == "__main__":
    main()
