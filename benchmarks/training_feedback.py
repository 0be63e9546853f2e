"""The closed loop on the sample shop: ``python -m benchmarks.training_feedback``.

Requests in words that the shipped head seldom met are asked of the customer-service app, each in a conversation of its
own. What it did wrong gets a thumb down and, as on the Training page, the right label; what it did right a thumb up. From
these corrections and the sample's sentences a head is trained, promoted by the gate, and asked other requests, which
nobody corrected. Then it is rolled back, twice: to the version before, and to the head that came with the program.

What is judged is what the app does (the task it takes up, the case it opens), not what the head says. The requests
(``training_feedback.csv``) were written before the first run, by the author of the sample; ``said`` are corrected,
``asked`` only judge.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps import training_data
from apps.customer_service.intents import EMBEDDING, INTENTS, Intents, rows
from apps.customer_service.service import CustomerService
from core.evaluation.significance import paired_bootstrap
from core.providers.sync import run
from core.settings import load_settings
from core.training import promotion, work
from core.training.corrections import Corrections
from core.training.store import Trained
from core.types import LOCAL, Example

HERE = Path(__file__).parent
NOTHING = "question"  # no wish to act: the documents answer


def requests(part: str) -> list[Example]:
    with (HERE / "training_feedback.csv").open(encoding="utf-8", newline="") as file:
        return [Example(row["text"], row["label"]) for row in csv.DictReader(file) if row["part"] == part]


def did(service: CustomerService, text: str) -> tuple[str, int]:
    """What the app did with ``text`` in a new conversation, and the message that it answered with."""
    conversation = service.conversations.create(LOCAL)
    service.ask(text, conversation_id=conversation.id)
    case = service.assistant.cases.of_conversation(LOCAL, conversation.id)
    task = service.assistant.flow.talk(conversation.id).task
    done = str(case.brief.get("intent")) if case else task.intent if task else NOTHING
    answered = next(m for m in service.conversations.messages(LOCAL, conversation.id) if m.role == "assistant")
    return done, answered.id


def judged(service: CustomerService, asked: Sequence[Example]) -> list[bool]:
    return [did(service, row.text)[0] == row.label for row in asked]


def on_sample(service: CustomerService, checked: Sequence[Example]) -> list[bool]:
    """Sentences of the sample that no head learned from: what was right before should stay right."""
    intents = Intents(service.runtime)
    return [run(intents.predict(row.text))[0].label == row.label for row in checked]


def feedback(service: CustomerService, said: Sequence[Example]) -> tuple[int, int]:
    """Thumbs for all requests, corrections for those that went wrong; ``(up, down)``."""
    kept, wanted = Corrections(service.runtime.workspace), {row.text: row.label for row in said}
    ups = 0
    for row in said:
        done, message = did(service, row.text)
        service.conversations.rate(LOCAL, message, done == row.label)
        ups += done == row.label
    training_data.agree(service.runtime.workspace, LOCAL, True)
    disliked = training_data.disliked(service.runtime.workspace, LOCAL)
    for text in disliked:  # what the Training page lists
        kept.add(LOCAL, INTENTS, text, wanted[text])
    return ups, len(disliked)


def trained(service: CustomerService, folder: Path, name: str) -> dict[str, Any]:
    """A head of what the product now knows, promoted when the gate lets it."""
    path = folder / name
    training_data.gather(service.runtime.workspace, LOCAL, "intents").save(path)
    runtime = service.runtime
    prepared = work.prepare(runtime, "head", path, out=INTENTS, base=EMBEDDING)
    version = asyncio.run(work.train(runtime, prepared))
    step, gate, against = asyncio.run(promotion.promote(version, runtime.settings))
    return {
        "version": version.run.version,
        "rows": sum(version.run.rows.values()),
        "promoted": step is not None,
        "against": against,
        "seconds": version.facts()["seconds"],
        "gate": gate.as_dict(),
    }


def loop(home: Path) -> dict[str, Any]:
    """All of it; every figure is a list of right or wrong, one a request."""
    service = CustomerService.open(load_settings().with_values(TOUCHSTONE_HOME=str(home)))
    try:
        said, asked, checked = requests("said"), requests("asked"), rows("desk_dev.csv")
        found: dict[str, Any] = {}

        def look(name: str) -> None:
            found[name] = {"asked": judged(service, asked), "sample": on_sample(service, checked)}

        look("shipped")
        found["first"] = trained(service, home, "sample.jsonl")  # the sample alone, so that the gate has one to beat
        found["ups"], found["corrections"] = feedback(service, said)
        look("before")
        found["second"] = trained(service, home, "corrected.jsonl")
        look("after")
        store = Trained(service.runtime.settings.home)
        store.rollback(INTENTS, by="local", shipped=True)
        look("back")
        store.rollback(INTENTS, by="local", shipped=True)
        look("shipped again")
        return found
    finally:
        service.close()


def told(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['ups']} thumbs up, {found['corrections']} thumbs down, each corrected"]
    for name in ("first", "second"):
        made = found[name]
        lines.append(f"version {made['version']}: {made['rows']} rows, {made['seconds']:.0f} s, promoted {made['promoted']} against {made['against']}")  # fmt: skip
    for name in ("shipped", "before", "after", "back", "shipped again"):
        right = {part: found[name][part] for part in ("asked", "sample")}
        lines.append(f"{name}: " + ", ".join(f"{part} {sum(r)} of {len(r)} ({sum(r) / len(r):.3f})" for part, r in right.items()))  # fmt: skip
    for part in ("asked", "sample"):
        gain = paired_bootstrap(*(np.array(found[name][part], float) for name in ("after", "before")))
        lines.append(
            f"after against before, {part}: {gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], p {gain.p:.4f}"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_feedback", description=__doc__)
    parser.add_argument("--publish", type=Path, help="folder for the result as JSON")
    given = parser.parse_args()
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="touchstone-loop-") as folder:
        found = loop(Path(folder))
    lines = told(found)
    sys.stdout.write("\n".join([*lines, f"CPU s {time.process_time() - started:.0f}"]) + "\n")
    if given.publish:
        kept = {"told": lines, **found}
        (given.publish / "training_feedback.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
