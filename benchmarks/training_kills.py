"""One run killed with ``kill -9`` again and again, and gone on with: ``python -m benchmarks.training_kills``.

All weights of all-MiniLM-L6-v2 on 240 made headlines, a checkpoint (model and optimizer, 270 MB) every few steps. The run
beside it is never killed. Told are the steps at which it was killed, the checkpoint from which each session went on, whether
a checkpoint that was whole before a kill was lost, and what the two runs came to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.training import minilm
from core.evaluation import results
from core.jobs import Jobs
from core.runtime import Runtime, open_runtime
from core.training import work
from core.training.loop import Log, newest
from core.training.work import Prepared
from core.types import LOCAL

SETTINGS = {"evaluations": "4", "batch_size": "8", "patience": "1000", "max_tokens": "32"}
STEPS = (2, 12)  # that a session gets before it is killed; a checkpoint is due every five
WORDS = {"good": ("rises", "gains", "soars"), "bad": ("falls", "drops", "sinks"), "flat": ("stays", "rests", "waits")}


def headlines(path: Path) -> Path:
    draw = random.Random(0)
    rows = [
        f"Firm {chr(65 + n % 26)}{n} {draw.choice(verbs)} after the {draw.choice(('report', 'call', 'news'))},{label}"
        for n in range(80)
        for label, verbs in WORDS.items()
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


def step_of(checkpoints: Path) -> int:
    """The step of the newest checkpoint whose state is whole; takes nothing away while the run goes on."""
    found = [0]
    for path in checkpoints.glob("checkpoint-*/trainer_state.json"):
        try:
            json.loads(path.read_text("utf-8"))
            found.append(int(path.parent.name.rpartition("-")[2]))
        except (OSError, ValueError):
            continue
    return max(found)


def kill_once(runtime: Runtime, ready: Prepared, draw: random.Random) -> dict[str, int] | None:
    """Go on in a process of its own and kill it some steps later, in the middle of one or of a checkpoint; ``None`` when
    it ended before. Steps are waited for and not seconds: on a busy machine no kill would come after a checkpoint."""
    jobs, folder = Jobs(runtime.workspace), ready.version.folder
    log = Log(folder / "progress.jsonl")
    lines = len(log.all())
    if jobs.get(LOCAL, ready.job.id).state in ("failed", "cancelled"):
        jobs.resume(LOCAL, ready.job.id, errors=True)
    pid = jobs.spawn(LOCAL, ready.job.id, concurrency=1)
    while len(log.all()) <= lines:
        if jobs.get(LOCAL, ready.job.id).state == "done":
            return None
        time.sleep(0.02)
    began = log.all()[lines].step
    until = began + draw.randint(*STEPS)
    while (last := log.last()) and last.step < until and not ready.version.facts():
        time.sleep(0.02)
    time.sleep(draw.uniform(0.0, 0.5))
    whole = step_of(folder / "checkpoints")
    if ready.version.facts():
        return None
    os.kill(pid, signal.SIGKILL)
    while jobs.get(LOCAL, ready.job.id).state == "running":
        time.sleep(0.05)
    last, kept = log.last(), newest(folder / "checkpoints")
    after = int(kept.name.rpartition("-")[2]) if kept else 0
    return {"began_at": began, "killed_at": last.step if last else 0, "whole_before": whole, "kept": after}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=7)
    given = parser.parse_args()
    settings = {**SETTINGS, "epochs": str(given.epochs)}
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TOUCHSTONE_HOME"] = str(Path(folder) / "home")
        data = headlines(Path(folder) / "headlines.csv")
        with open_runtime() as runtime:
            first = work.prepare(runtime, "full", data, out="whole", base=minilm(), settings=settings)
            whole = asyncio.run(work.train(runtime, first))
            ready = work.prepare(runtime, "full", data, out="killed", base=minilm(), settings=settings)
            kills = []
            while len(kills) < given.kills and (told := kill_once(runtime, ready, draw)):
                kills.append(told)
                sys.stdout.write(f"{len(kills)} {json.dumps(told)}\n")
                sys.stdout.flush()
            ready = work.prepare(runtime, "full", data, out="killed", base=minilm(), settings=settings)
            made = asyncio.run(work.train(runtime, ready)) if not ready.version.finished else ready.version
            one, other = (results.load(v.report).evaluations[0] for v in (whole, made))
            lost = sum(k["kept"] < k["whole_before"] for k in kills)
            facts = [{n: v.facts()[n] for n in ("steps", "best_step", "validation_loss")} for v in (whole, made)]
            sys.stdout.write(f"{len(kills)} kills, {lost} checkpoints lost\nnever killed {json.dumps(facts[0])}\nkilled {json.dumps(facts[1])}\n")  # fmt: skip
            same = one.columns["predicted"] == other.columns["predicted"]
            sys.stdout.write(
                f"accuracy {one.value('accuracy'):.3f} and {other.value('accuracy'):.3f}, same predictions: {same}\n"
            )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
