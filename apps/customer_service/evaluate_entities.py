"""Order numbers, products, days and amounts in messages: what rules find, and what rules and the embedding model find.

    python -m apps.customer_service.evaluate_entities [--split fresh|again|test|tune] [--fit] [--misses] [--publish FOLDER]

The 377 messages of ``sample/entities.jsonl`` are ours: products in other words, with slips, in the other language, several
at once, goods that the shop does not sell, and none; two catalogues, one of which, a tea shop's, is in Chinese alone.
Weights are learned on ``tune`` and ``test`` (``--fit``), which were written before anything read them and have been seen
since. Messages of ``again`` were looked at while rules were mended. ``fresh`` was written after all of that by someone who
had read none of the rules, and nothing is chosen on it. A product counts as filled when the assistant would go on with it,
as asked when it would name two or three and ask which.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from apps.customer_service.assistant import POLICY
from apps.customer_service.catalogues import Catalogues
from apps.customer_service.evaluate import SAMPLE, table
from apps.customer_service.meant import SIGNALS, Weights, likeliest, surely
from apps.customer_service.policy_file import read_policy
from apps.customer_service.shop.tools import SHOP_TOOLS, list_products
from apps.customer_service.slots import Value, find, named
from core.evaluation import results, scoreboard
from core.evaluation.results import Evaluation, Measure
from core.evaluation.tasks import report
from core.runtime import Runtime
from core.settings import load_settings, override
from core.tools import tool
from core.types import LOCAL

FILE, TEA = SAMPLE / "entities.jsonl", SAMPLE / "tea_catalogue.json"
TODAY = date(2026, 11, 26)  # a Thursday
SPLITS, SLOTS = ("tune", "test", "again", "fresh"), ("order", "date", "amount")
SYSTEMS = ("rules", "rules and meaning")
MEASURES = (
    *(Measure(f"{slot}_{what}") for slot in (*SLOTS, "product") for what in ("precision", "recall")),
    Measure("asked"),
    Measure("left_alone"),
)
SHOWN = {
    "product_precision": "products filled that are right",
    "product_recall": "products named and filled",
    "asked": "of several products, those asked about are all possible",
    "left_alone": "no product named and none filled",
    "date_recall": "days found",
    "amount_recall": "amounts found",
}
PENALTY = 0.05  # of squared weights, chosen on five parts of tune among .01, .05 and .2


@tool("read")
def list_tea() -> list[dict[str, Any]]:
    """List the products of the tea shop."""
    return list(json.loads(TEA.read_text("utf-8")))


CATALOGUES = {"sample": list_products, "tea": list_tea}


@dataclass(frozen=True, slots=True)
class Found:
    """A row of the file and, by slot, what was found; ``asked`` are the products that would be asked about."""

    row: Mapping[str, Any]
    values: Mapping[str, Value | None]
    asked: tuple[str, ...] = ()


def rows(split: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, FILE.read_text("utf-8").splitlines()) if row["split"] == split]


@contextmanager
def catalogues() -> Iterator[Catalogues]:
    with tempfile.TemporaryDirectory() as folder, Runtime(override(load_settings(), home=folder)) as runtime:
        yield Catalogues(runtime)


def found(split: str) -> dict[str, list[Found]]:
    """By system, what each finds in the messages of a split."""
    policy = read_policy(POLICY, SHOP_TOOLS)
    tea = {item["value"]: (item["zh"],) for item in list_tea.function()}
    products = {"sample": policy.slots["product"], "tea": replace(policy.slots["product"], words=tea)}
    told: dict[str, list[Found]] = {system: [] for system in SYSTEMS}
    with catalogues() as known:
        for row in rows(split):
            rules = {**{slot: policy.slots[slot] for slot in SLOTS}, "product": products[row["shop"]]}
            values = {slot: find(rule, row["text"], today=TODAY) for slot, rule in rules.items()}
            told["rules"].append(Found(row, values))
            asked: tuple[str, ...] = ()
            if values["product"] is None:
                several = named(rules["product"], row["text"])
                guesses = known.guesses(CATALOGUES[row["shop"]], LOCAL, row["text"], named=several)
                values = {**values, "product": surely(guesses)}
                asked = () if values["product"] else tuple(guess["value"] for guess in likeliest(guesses))
            told["rules and meaning"].append(Found(row, values, asked))
    return told


def cells(one: Found) -> dict[str, float | None]:
    """One message's part in each measure; ``None`` where it has none."""
    products, filled = one.row["product"], one.values["product"]
    there: dict[str, Value | None] = {slot: one.row.get(slot) for slot in SLOTS}
    there["product"] = products[0] if len(products) == 1 else None
    told: dict[str, float | None] = {}
    for slot, value in one.values.items():
        right = float(value is not None and value == there[slot])
        told[f"{slot}_precision"] = None if value is None else right
        told[f"{slot}_recall"] = None if there[slot] is None else right
    told["asked"] = float(len(one.asked) > 1 and {*one.asked} <= {*products}) if len(products) > 1 else None
    told["left_alone"] = None if products else float(filled is None)
    return told


def evaluation(told: Sequence[Found], split: str, system: str) -> Evaluation:
    parts = [cells(one) for one in told]
    columns = {measure.name: [part[measure.name] for part in parts] for measure in MEASURES}
    return Evaluation(
        task="entities", system=system, data="customer messages", split=split,
        checksum=hashlib.sha256(FILE.read_bytes()).hexdigest(), ids=tuple(one.row["id"] for one in told),
        columns=columns, measures=MEASURES, figures=results.figures(MEASURES, columns),
    )  # fmt: skip


def figures(told: Sequence[Found]) -> dict[str, Any]:
    parts = [cells(one) for one in told]
    means: dict[str, float | None] = {}
    for measure in MEASURES:
        kept = [cell for part in parts if (cell := part[measure.name]) is not None]
        means[measure.name] = sum(kept) / len(kept) if kept else None
        means[f"  of {measure.name}"] = len(kept)
    return means


def publish(told: Mapping[str, Sequence[Found]], split: str, folder: Path) -> Path:
    """Write the figures for the scoreboard, those of rules alone beside them."""
    ours, rules = (evaluation(told[system], split, system) for system in reversed(SYSTEMS))
    said = report("entities", [ours, rules], f"python -m apps.customer_service.evaluate_entities --split {split}")
    wanted = [scoreboard.Wanted(name, f"entities: {words}") for name, words in SHOWN.items() if name in ours.figures]
    return scoreboard.save(
        folder, f"customer-service-entities-{split}", scoreboard.published("customer service", said, ours, wanted)
    )


def fit(penalty: float = PENALTY) -> Weights:
    """Weights under which the products of ``tune`` and ``test`` are likeliest; several that are right share their row."""
    import numpy as np
    from scipy.optimize import minimize

    read = []
    with catalogues() as known:
        for row in [*rows("tune"), *rows("test")]:
            catalogue, vectors = known.compared(CATALOGUES[row["shop"]], LOCAL, row["text"])
            if (signals := catalogue.signals(row["text"], vectors)) is not None:
                values = [item.value for item in catalogue.items]
                right = [values.index(value) for value in row["product"]] or [len(values)]
                read.append((signals, right))

    def loss(weights: np.ndarray) -> float:
        total = penalty * float((weights[1:] ** 2).sum())
        for signals, right in read:
            logits = np.append(signals @ weights[1:] + weights[0], 0.0)
            logs = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
            total -= float(logs[right].mean())
        return total

    best = minimize(loss, np.zeros(1 + len(SIGNALS)), method="L-BFGS-B").x
    return Weights(*(round(float(weight), 2) for weight in best))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=SPLITS, default="fresh")
    parser.add_argument("--fit", action="store_true", help="learn the weights on tune and test and print them")
    parser.add_argument("--misses", action="store_true", help="print what was not found or found wrongly")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write the figures for docs/scoreboard.md")
    given = parser.parse_args(arguments)
    if given.fit:
        sys.stdout.write(f"{fit()}\n")
        return 0
    told = found(given.split)
    sys.stdout.write(f"split: {given.split}\n{table({system: figures(told[system]) for system in SYSTEMS})}\n")
    by = {lang: [one for one in told[SYSTEMS[1]] if one.row["lang"] == lang] for lang in ("zh", "en", "mixed")}
    sys.stdout.write(f"rules and meaning\n{table({lang: figures(part) for lang, part in by.items()})}\n")
    if given.misses:
        for one in told[SYSTEMS[1]]:
            if any(value == 0.0 for value in cells(one).values()):
                values = {slot: value for slot, value in one.values.items() if value is not None}
                sys.stdout.write(f"{one.row} {values} {one.asked}\n")
    if given.publish:
        sys.stdout.write(f"{publish(told, given.split, given.publish)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
