"""``python -m tests.core.retrieval.claims odd``: what the claim checker rejects and accepts of claims written apart.

Even rows may be tuned on, odd rows are for reporting. ``reworded`` tells the altered claims that repeat their source from
those in other words; ``written`` are those of four further writers, ``crossed`` and ``paired`` those of eight that exchange things
more often, ``amounts`` of four that exchange numbers, dates and units: they may be tuned on, and so may ``blind`` since
``fresh`` is there. Of ``held``, ``balanced`` and ``fresh``, of five others, nothing but totals may be looked at. Claims of
``paired``, ``amounts`` and ``balanced`` repeat their source as much when they are wrong as when they are right.
``--publish docs/measured`` puts the figures of all but ``reworded`` on the scoreboard.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from core import __version__
from core.contracts import EmbeddingModel
from core.evaluation import scoreboard
from core.evaluation.results import device
from core.evaluation.significance import Interval, bootstrap
from core.providers.registry import open_model
from core.retrieval.check import checked
from core.retrieval.judge import Judge
from core.settings import load_settings
from core.types import Language, Passage

HERE = Path(__file__).parent
LANGUAGES: tuple[Language, ...] = ("zh", "en")
_REJECTED, _ACCEPTED = "altered claims rejected", "faithful claims accepted"
# The odd rows with a checker of words alone, read once on 26 November 2026 (docs/log.md).
_BEFORE = {
    "odd": {("zh", _REJECTED): 0.60, ("zh", _ACCEPTED): 0.86, ("en", _REJECTED): 0.72, ("en", _ACCEPTED): 0.84},
    # the first two writers' before anybody had looked at a row of them, 28 November 2026
    "written": {("zh", _REJECTED): 0.655, ("zh", _ACCEPTED): 0.65, ("en", _REJECTED): 0.755, ("en", _ACCEPTED): 0.705},
    # with the checker of that morning
    "blind": {("zh", _REJECTED): 0.675, ("zh", _ACCEPTED): 0.76, ("en", _REJECTED): 0.745, ("en", _ACCEPTED): 0.755},
}
_WRITERS = {
    "written": "four writers",
    "crossed": "two writers, things exchanged",
    "paired": "six writers, by meaning alone",
    "amounts": "four writers, amounts",
    "blind": "two writers, once unseen",
    "fresh": "two more writers, unseen",
    "held": "two writers, things exchanged, unseen",
    "balanced": "by meaning alone, unseen",
}


@dataclass(frozen=True)
class Claim:
    source: str
    text: str
    faithful: bool
    kind: str


def apart(language: Language, half: str = "even") -> list[Claim]:
    """The claims whose author had not seen the checker: the ``even`` rows or the ``odd`` ones."""
    rows = yaml.safe_load((HERE / f"claims_{language}.yaml").read_text("utf-8"))
    return [
        Claim(row["source"], row["claim"], row["faithful"], row["kind"])
        for row in rows[0 if half == "even" else 1 :: 2]
    ]


def written(language: Language, name: str = "written") -> list[Claim]:
    """The claims of further writers, by the name of their file."""
    rows = yaml.safe_load((HERE / f"claims_{name}_{language}.yaml").read_text("utf-8"))
    if "claim" in rows[0]:
        return [Claim(row["source"], row["claim"], row["faithful"], row["kind"]) for row in rows]
    return [
        Claim(row["source"], text, faithful, kind)
        for row in rows
        for faithful, told in ((True, [("paraphrase", t) for t in row["right"]]), (False, row["wrong"].items()))
        for kind, text in told
    ]


def more(language: Language) -> list[Claim]:
    """Claims that were written to tune the checker on."""
    rows = yaml.safe_load((HERE / f"claims_more_{language}.yaml").read_text("utf-8"))
    return [
        Claim(row["source"], text, faithful, kind)
        for row in rows
        for faithful, told in ((True, [("carried", text) for text in row["carried"]]), (False, row["altered"].items()))
        for kind, text in told
    ]


def reworded(language: Language, part: str) -> list[Claim]:
    """Claims of one ``part``: ``carried``, ``copied`` (altered, in the source's words) or ``reworded`` (altered, in others)."""
    rows = yaml.safe_load((HERE / f"claims_reworded_{language}.yaml").read_text("utf-8"))
    if part == "carried":
        return [Claim(row["source"], text, True, part) for row in rows for text in row[part]]
    return [Claim(row["source"], text, False, kind) for row in rows for kind, text in row[part].items()]


def cited(claim: Claim, language: Language) -> Passage:
    """The source of ``claim`` as a passage."""
    text = claim.source
    return Passage("p", "d", text, "", "s", 0, 0, len(text), None, None, language)


async def passed(
    claims: Sequence[Claim], language: Language, model: EmbeddingModel | None, judge: Judge | None = None
) -> list[bool]:
    """Whether each claim passes the checker with its source cited."""
    return [
        (await checked(f"{claim.text} [1]", [cited(claim, language)], model=model, judge=judge)).failed is None
        for claim in claims
    ]


def right(claims: Sequence[Claim], outcomes: Sequence[bool], *, faithful: bool) -> list[float]:
    """1 where the checker was right, over the ``faithful`` claims or over the others."""
    return [float(ok == faithful) for claim, ok in zip(claims, outcomes, strict=True) if claim.faithful == faithful]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.core.retrieval.claims", description=__doc__)
    parser.add_argument("half", choices=["even", "odd", "reworded", *_WRITERS])
    parser.add_argument("--judge", metavar="MODEL", help="a chat model that judges as well, such as embedded:qwen")
    parser.add_argument("--publish", type=Path)
    given = parser.parse_args(arguments)
    figures: list[scoreboard.Measured] = []
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(Path(home), {"TOUCHSTONE_HOME": home})
        model = open_model("embedding", "embedded:e5", settings)
        chat = open_model("chat", given.judge, settings) if given.judge else None
        judge = Judge(chat) if chat is not None else None
        for language in LANGUAGES:
            if given.half == "reworded":
                for part in ("carried", "copied", "reworded"):
                    claims = reworded(language, part)
                    outcomes = asyncio.run(passed(claims, language, model, judge))
                    missed = Counter(c.kind for c, ok in zip(claims, outcomes, strict=True) if ok != c.faithful)
                    print(
                        f"{language} {part}: right {len(claims) - missed.total()} of {len(claims)}; wrong: {dict(missed)}"
                    )
                continue
            claims = written(language, given.half) if given.half in _WRITERS else apart(language, given.half)
            outcomes = asyncio.run(passed(claims, language, model, judge))
            alone = asyncio.run(passed(claims, language, model)) if judge is not None else outcomes
            missed = Counter(c.kind for c, ok in zip(claims, outcomes, strict=True) if ok != c.faithful)
            for name, faithful in ((_REJECTED, False), (_ACCEPTED, True)):
                values = right(claims, outcomes, faithful=faithful)
                figure = bootstrap(np.array(values))
                print(f"{language} {name}: {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}] of {len(values)}")
                before = {"before": _BEFORE[given.half][language, name]} if given.half in _BEFORE else {}
                if judge is not None:
                    before = {"rules alone": round(float(np.mean(right(claims, alone, faithful=faithful))), 3)}
                figures.append(_measured(language, name, figure, len(values), given.half, given.judge, before))
            print(f"   wrong by kind: {dict(missed)}")
        asyncio.run(model.aclose())
        if chat is not None:
            asyncio.run(chat.aclose())
    if given.publish and figures:
        scoreboard.save(given.publish, f"claims-{given.half}{'-judged' if given.judge else ''}", figures)


def _measured(
    language: str,
    name: str,
    figure: Interval,
    records: int,
    half: str,
    judge: str | None,
    baselines: Mapping[str, float],
) -> scoreboard.Measured:
    file = HERE / (f"claims_{half}_{language}.yaml" if half in _WRITERS else f"claims_{language}.yaml")
    return scoreboard.Measured(
        app="answers",
        name=f"claims {language}{f', {_WRITERS[half]}' if half in _WRITERS else ''}{_with(judge)}: {name}",
        value=round(figure.value, 3),
        interval=(round(figure.low, 3), round(figure.high, 3)),
        baselines=baselines,
        command=f"python -m tests.core.retrieval.claims {half}{f' --judge {judge}' if judge else ''}",
        data=file.name if half in _WRITERS else f"{file.name}, {half} rows",
        checksum=hashlib.sha256(file.read_bytes()).hexdigest(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        device=device(),
        records=records,
    )


def _with(judge: str | None) -> str:
    return f", judge {judge}" if judge else ""


if __name__ == "__main__":
    main()
