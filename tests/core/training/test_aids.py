"""A shadow beside the version that serves; few rows and more rows; texts with another name, gender or place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core.errors import InputError, code_of
from core.evaluation import results
from core.evaluation.datasets import Record
from core.runtime import Runtime
from core.training import promotion, work
from core.training.few import augmented, drawn
from core.training.shadow import Shadow
from core.training.store import Trained, Version
from core.training.swaps import KINDS, swapped
from core.types import Question
from tests.core.training.conftest import rows, table

CHOICE = [Question("mood", "choice", "", ("good", "bad"))]


def trained(runtime: Runtime, path: Path) -> Version:
    return asyncio.run(work.train(runtime, work.prepare(runtime, "head", path, out="stock")))


def test_a_shadow_is_asked_beside_and_changes_nothing(runtime: Runtime, tmp_path: Path) -> None:
    first = trained(runtime, table(tmp_path / "x.csv", rows()))
    with pytest.raises(InputError) as caught:
        Shadow("stock", runtime.settings).begin(first)
    assert code_of(caught.value) == "input.not_promoted", "nothing serves that it could stand beside"
    asyncio.run(promotion.promote(first, runtime.settings, force=True))
    turned = [(text, {"good": "bad", "bad": "good"}.get(label, label)) for text, label in rows()]
    second = trained(runtime, table(tmp_path / "y.csv", turned))
    shadow = Shadow("stock", runtime.settings)
    with pytest.raises(InputError) as caught:
        shadow.told()
    assert code_of(caught.value) == "input.no_shadow"
    with pytest.raises(InputError) as caught:
        shadow.begin(first)
    assert code_of(caught.value) == "input.serves_already"
    shadow.begin(second)
    texts = [next(text for text, label in rows() if label == wanted) for wanted in ("good", "bad")]
    said = [asyncio.run(runtime.decision("trained:stock").decide(text, CHOICE))["mood"].answer for text in texts]
    assert said == ["good", "bad"], "the one that serves answers"
    told = shadow.told()
    assert (told.version, told.answers, told.agreed) == (2, 2, 0)
    assert dict(told.differed) == {("good", "bad"): 1, ("bad", "good"): 1}
    kept = (Trained(runtime.settings.home).folder / "stock" / "shadow.jsonl").read_text()
    assert not any(text in kept for text in texts), "texts are not kept"
    shadow.end()
    asyncio.run(runtime.decision("trained:stock").decide(texts[0], CHOICE))
    assert shadow.told().answers == 2
    (Trained(runtime.settings.home).folder / "stock" / "shadow.json").write_text("{", "utf-8")
    answer = asyncio.run(runtime.decision("trained:stock").decide(texts[0], CHOICE))["mood"].answer
    assert answer == "good", "a damaged shadow is no matter of the caller"
    figures = results.load(first.report).evaluations[0].figures
    assert {f"same_other_{kind}" for kind in KINDS} <= figures.keys()


def test_few_rows_of_each_label_and_more_of_each_row() -> None:
    records = [
        Record(str(n), f"Where is {word}?", "a" if n % 3 else "b")
        for n, word in enumerate(["kettle", "lamp", "tent", "這個", "radio", "stove"])
    ]
    chosen = drawn(records, 2, seed=1)
    assert [record.label for record in chosen].count("a") == [record.label for record in chosen].count("b") == 2
    assert drawn(records, 2, seed=1) == chosen
    with pytest.raises(InputError):
        drawn(records, 3)
    more = augmented(records, 2)
    assert len(more) == len({record.input for record in more}) == 18
    assert [record for record in more if "+" not in record.id] == records
    assert all(record.label == records[int(record.id.partition("+")[0])].label for record in more)


def test_another_name_gender_or_place() -> None:
    assert swapped("他说王伟来了", "gender") == ("他说王伟来了", "她说王伟来了")
    assert swapped("John paid in London", "names")[1] == "Mohammed paid in London"
    assert swapped("JOHN paid", "regions") == ("From London: JOHN paid", "From Lagos: JOHN paid")
    assert swapped("the theme of his tent", "gender")[1] == "the theme of her tent"
    assert swapped("I can't buy it", "words") == ("I can't buy it", "I cannot purchase it")
    assert swapped("我购买的东西坏了，为什么", "words")[1] == "我买的东西出故障了，为何"
    for kind in KINDS:
        for text in ("Where is it?", "在哪里？"):
            one, two = swapped(text, kind)
            assert one != two
