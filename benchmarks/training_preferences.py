"""Pairs of answers about the sample shop: the bare fact, or the fact with an offer of more help, which people like better.

A model finds the bare fact likelier, for it is shorter; so the order has to be turned round. The facts and the ways to
ask are those of ``training_talks``: half of the facts are learned from, the others judge, asked for in other words and
with other offers: what is measured is whether the taste was learned, not the facts.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks.training_talks import FACTS, JUDGED, LEARNED

OFFERS = (
    "{answer} Is there anything else I can do for you?",
    "{answer} May I help you with anything else today?",
    "{answer} Just ask if you need anything more.",
)
OFFERS_JUDGED = ("{answer} Can I help you with something else?", "{answer} Let me know if there is more I can do.")
SIZE = {"epochs": "1", "batch_size": "4", "accumulate": "1", "max_tokens": "96", "evaluations": "2"}
ASKED, JUDGED_FACTS = 2, 24  # ways in which a fact is asked for; facts that only judge


def pairs(*, judged: bool) -> list[dict[str, str]]:
    draw = random.Random(2)
    facts = FACTS[-JUDGED_FACTS:] if judged else FACTS[:-JUDGED_FACTS]
    found = []
    for how, clause, noun, answer, _ in facts:
        for way in (JUDGED if judged else draw.sample(LEARNED, ASKED))[:ASKED]:
            prompt = way.format(how=how, clause=clause, noun=noun)
            longer = draw.choice(OFFERS_JUDGED if judged else OFFERS).format(answer=answer)
            found.append({"prompt": prompt, "chosen": longer, "rejected": answer})
    return found


def files(into: Path, recipe: str) -> tuple[Path, None, Path]:
    """For ``kto`` each pair of the training part is one thumb, up or down in turn."""
    into.mkdir(parents=True, exist_ok=True)
    learned = pairs(judged=False)
    if recipe == "kto":
        learned = [{name: row[name] for name in ("prompt", ("chosen", "rejected")[n % 2])} for n, row in enumerate(learned)]  # fmt: skip
    paths = []
    for name, rows in ((f"{recipe}-train", learned), ("preferences-test", pairs(judged=True))):
        paths.append(into / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return paths[0], None, paths[1]
