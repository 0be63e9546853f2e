"""Teach the assistant this shop's intents: the sentences of ``intents.csv``, and those that come with Touchstone.

    python -m apps.customer_service.starter.train      # writes model/, which is used from the next start on

Ten to twenty sentences for each intent are enough, in the words of customers and in both languages. Training needs
scikit-learn (``pip install "touchstone-llm[train]"``) and takes seconds.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from apps.customer_service.intents import EMBEDDING, asked, rows
from apps.customer_service.starter import HERE, TOOLS, TRAINED
from core.providers.sync import run
from core.runtime import open_runtime
from core.training.fit import fit
from core.types import Example


def own() -> list[Example]:
    with (HERE / "intents.csv").open(encoding="utf-8", newline="") as file:
        return [Example(row["text"], row["label"]) for row in csv.DictReader(file)]


def train(folder: Path = TRAINED) -> None:
    from apps.customer_service.policy_file import read_policy

    wanted = read_policy(HERE / "policy.yaml", TOOLS).intents
    shipped = [example for example in [*rows("desk_train.csv"), *asked()] if example.label in wanted]
    with open_runtime() as runtime:
        head = run(fit([*shipped, *own()], runtime.embedding(EMBEDDING), names=False))
    head.save(folder)
    sys.stdout.write(f"{folder}: {', '.join(head.labels)}\n")


if __name__ == "__main__":
    train()
