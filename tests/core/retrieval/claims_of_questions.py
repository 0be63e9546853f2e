"""``python -m tests.core.retrieval.claims_of_questions FILE``: what the claim checker says of other people's wording.

In Chinese the question word stands where the answer stands: 谁 in 作者是谁 becomes the author, and the question is a claim that
its paragraph carries. With the answer to another question of the same kind it is one that it does not carry, in
the same words. ``FILE`` has the format of SQuAD (CMRC2018); ``--publish docs/measured`` puts the figures on the scoreboard.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core import __version__
from core.evaluation import scoreboard
from core.evaluation.results import device
from core.evaluation.significance import bootstrap
from core.providers.registry import open_model
from core.retrieval import sentences
from core.retrieval.judge import Judge
from core.settings import load_settings
from tests.core.retrieval.claims import Claim, passed, right

_ASKED = (
    ("when", re.compile(r"在?(?:什么时候|什么时间|何时|哪一?年|哪一?天|几月几[日号])")),
    ("who", re.compile(r"谁|何人|什么人|哪位")),
    ("where", re.compile(r"哪里|哪儿|何处|何地|什么地方|哪个(?:国家|城市|地区|省份|地方)|哪国")),
    ("what", re.compile(r"什么(?=$)")),
    ("many", re.compile(r"多少[^\d，。]{0,2}$")),
)
_ANY = re.compile("什么|谁|哪|几(?=[个次年月])|多少|何[时地人处]|为何|怎|如何|多[大长高远久]")
# CMRC2018's dev part on 27 November 2026, before the checker had been held against any question (docs/log.md).
_BEFORE = {False: 0.493, True: 0.946}
_LONGEST = 24  # characters of an answer that can stand in a sentence
_SOURCE = 120  # characters of the sentences laid beside a claim
_HELD = 0.45  # of the question's pairs of characters that those sentences hold


@dataclass(frozen=True)
class Asked:
    """A question with ``{}`` where its answer stands, and the sentences around that answer."""

    form: str
    answer: str
    kind: str
    source: str
    paragraph: str


def claims(file: Path, *, seed: int = 1) -> list[Claim]:
    """For each question that can be made a claim, the claim and, where another answer of its kind is there, a wrong one."""
    asked = list(_asked(file))
    near, far = defaultdict(list), defaultdict(list)
    for each in asked:
        near[each.paragraph, each.kind].append(each.answer)
        far[each.kind].append(each.answer)
    chance, found = random.Random(seed), []
    for each in asked:
        found.append(Claim(each.source, each.form.format(each.answer), True, each.kind))
        for answers, kind in ((near[each.paragraph, each.kind], "same paragraph"), (far[each.kind], "elsewhere")):
            others = [a for a in answers if a not in each.answer and each.answer not in a and a not in each.form]
            if kind == "elsewhere":
                others = [a for a in others if a not in each.source]
            if others:
                found.append(Claim(each.source, each.form.format(chance.choice(others)), False, kind))
                break
    return found


def _asked(file: Path) -> Iterator[Asked]:
    for article in json.loads(file.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"]
            for row in paragraph["qas"]:
                answer, start = row["answers"][0]["text"].strip("。，；、 "), row["answers"][0]["answer_start"]
                form = formed(row["question"], answer)
                source = _around(text, start, start + len(answer)) if form else ""
                if form and answer in source and _held(form[0], source) >= _HELD:
                    yield Asked(form[0], answer, form[1], source, paragraph["id"])


def formed(question: str, answer: str) -> tuple[str, str] | None:
    """``question`` with ``{}`` where ``answer`` stands, and its kind; ``None`` where that makes no claim.

    >>> formed("这部小说的作者是谁？", "林遥"), formed("桥在哪一年建成？", "1931年"), formed("为什么停运？", "因为水浅")
    (('这部小说的作者是{}', 'who'), ('桥在{}建成', 'when'), None)
    """
    question = question.strip("？?。 ").removeprefix("请问")
    if len(_ANY.findall(question)) != 1 or not 1 < len(answer) <= _LONGEST or set("{}") & set(question + answer):
        return None
    for kind, pattern in _ASKED:
        if match := pattern.search(question):
            if kind == "many" and not re.search(r"[\d一二三四五六七八九十百千万]", answer):
                return None
            said = "在{}" if kind == "when" and match[0].startswith("在") and answer[0] != "在" else "{}"
            return question[: match.start()] + said + question[match.end() :], kind
    return None


def _around(text: str, start: int, end: int) -> str:
    """The sentence that holds the span ``start`` to ``end``, with those beside it while there is room."""
    spans = list(sentences.spans(text))
    at = next((n for n, (a, b) in enumerate(spans) if a <= start and end <= b), None)
    if at is None:
        return ""
    first = last = at
    while last + 1 < len(spans) and spans[last + 1][1] - spans[first][0] <= _SOURCE:
        last += 1
    while first and spans[last][1] - spans[first - 1][0] <= _SOURCE:
        first -= 1
    return text[spans[first][0] : spans[last][1]]


def _held(form: str, source: str) -> float:
    pairs = {form[n : n + 2] for n in range(len(form) - 1) if "{" not in form[n : n + 2] and "}" not in form[n : n + 2]}
    return sum(pair in source for pair in pairs) / len(pairs) if pairs else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.core.retrieval.claims_of_questions", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--judge", metavar="MODEL", help="a chat model that judges as well, such as embedded:qwen")
    parser.add_argument(
        "--some", type=int, metavar="N", help="N claims by chance: a judge takes most of a second for each"
    )
    parser.add_argument("--publish", type=Path)
    given = parser.parse_args(arguments)
    made = claims(given.file)
    if given.some is not None:
        made = random.Random(1).sample(made, given.some)
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(Path(home), {"TOUCHSTONE_HOME": home})
        model = open_model("embedding", "embedded:e5", settings)
        alone = outcomes = asyncio.run(passed(made, "zh", model))
        if given.judge:
            chat = open_model("chat", given.judge, settings)
            outcomes = asyncio.run(passed(made, "zh", model, Judge(chat)))
            asyncio.run(chat.aclose())
        asyncio.run(model.aclose())
    options = f"{f' --judge {given.judge}' if given.judge else ''}{f' --some {given.some}' if given.some else ''}"
    figures = []
    for name, faithful in (("altered claims rejected", False), ("faithful claims accepted", True)):
        values = np.array(right(made, outcomes, faithful=faithful))
        figure = bootstrap(values)
        wrong = Counter(
            c.kind for c, ok in zip(made, outcomes, strict=True) if c.faithful == faithful and ok != faithful
        )
        print(
            f"{name}: {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}] of {len(values)}; wrong: {dict(wrong)}"
        )
        before = {"before": _BEFORE[faithful]} if given.file.name == "cmrc2018_dev.json" else {}
        if given.judge:
            before = {"rules alone": round(float(np.mean(right(made, alone, faithful=faithful))), 3)}
        figures.append(
            scoreboard.Measured(
                app="answers",
                name=f"claims zh, questions made claims{f', judge {given.judge}' if given.judge else ''}: {name}",
                value=round(figure.value, 3),
                interval=(round(figure.low, 3), round(figure.high, 3)),
                baselines=before,
                command=f"python -m tests.core.retrieval.claims_of_questions {given.file.name}{options}",
                data=given.file.name,
                checksum=hashlib.sha256(given.file.read_bytes()).hexdigest(),
                date=datetime.now(UTC).isoformat(timespec="seconds"),
                version=__version__,
                device=device(),
                records=len(values),
            )
        )
    if given.publish:
        scoreboard.save(given.publish, f"claims-questions{'-judged' if given.judge else ''}", figures)


if __name__ == "__main__":
    main()
