"""From a file to a served model and back, with the recipe that needs no torch; and all that may be refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from core.errors import InputError, NotFound, TouchstoneError, UnknownName, code_of
from core.evaluation import results
from core.jobs import Jobs
from core.runtime import Runtime
from core.training import promotion, work
from core.training.classifiers import open_classifier
from core.training.explain import explain, faithfulness
from core.training.export import export_to
from core.training.recipes import LIMITS, recipe, recipes, trainer
from core.training.store import Trained, Version, serving_name
from core.training.typos import with_typos
from core.types import LOCAL, Question
from tests.core.training.conftest import rows, table

CHOICE = [Question("mood", "choice", "", ("good", "bad"))]


def trained(runtime: Runtime, path: Path, **options: object) -> Version:
    prepared = work.prepare(runtime, "head", path, out="stock", **options)  # type: ignore[arg-type]
    return asyncio.run(work.train(runtime, prepared))


def test_a_run_ends_in_a_judged_model_with_a_card(runtime: Runtime, tmp_path: Path) -> None:
    made = trained(runtime, table(tmp_path / "x.csv", rows()))
    assert made.finished
    assert made.facts()["labels"] == ["bad", "flat", "good"]
    assert {"seconds", "cpu_s", "peak_mib", "device", "bytes"} <= made.facts().keys()
    found = results.load(made.report)
    mine, plain = found.evaluations
    assert (mine.system, plain.system) == ("trained:stock@1", "tfidf+svm")
    assert mine.value("accuracy") == 1.0
    assert {"macro_f1", "ece", "accuracy_typos"} <= mine.figures.keys()
    assert set(mine.ids) == {record.id for record in made.splits().test.records}
    card = (made.folder / "README.md").read_text("utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "text-classification"
    assert head["language"] == ["en"]
    for said in ("x.csv", made.run.checksum[:16], "1.000", "### How good it is", "### 效果如何", "trained:stock"):
        assert said in card
    assert str(tmp_path) not in card


def test_promotion_is_seen_at_the_next_call_and_can_be_taken_back(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        runtime.decision("trained:stock")
    first = trained(runtime, table(tmp_path / "x.csv", rows(verbs=3)))
    with pytest.raises(InputError) as caught:
        runtime.decision("trained:stock")
    assert code_of(caught.value) == "input.not_promoted"
    step, gate, against = asyncio.run(promotion.promote(first, runtime.settings))
    assert (step and step.what, gate.passed, against) == ("promoted", True, "tfidf+svm")
    model = runtime.decision("trained:stock")
    answer = asyncio.run(model.decide("Acme stock jumps today", CHOICE))["mood"]
    assert (model.name, answer.answer) == ("trained:stock@1", "good")
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    second = trained(runtime, table(tmp_path / "y.csv", rows()))
    step, _, against = asyncio.run(promotion.promote(second, runtime.settings, by="ann"))
    assert against == "trained:stock@1"
    assert runtime.decision("trained:stock").name == "trained:stock@2"
    assert runtime.decision("trained:stock@1").name == "trained:stock@1"
    store = Trained(runtime.settings.home)
    assert store.rollback("stock", by="ann").version == 1
    assert runtime.decision("trained:stock").name == "trained:stock@1"
    with pytest.raises(InputError) as caught:
        store.rollback("stock", by="ann")
    assert code_of(caught.value) == "input.no_version_before"
    assert [(s.version, s.what, s.by) for s in store.history("stock")] == [
        (1, "promoted", "local"),
        (2, "promoted", "ann"),
        (1, "rolled_back", "ann"),
    ]
    assert store.history("stock")[1].compared["against"] == "trained:stock@1"
    assert serving_name("trained:stock", runtime.settings.home) == "trained:stock@1"
    assert store.serving("stock") == 1
    for force in (False, True):
        with pytest.raises(InputError) as caught:
            asyncio.run(promotion.promote(first, runtime.settings, force=force))
        assert code_of(caught.value) == "input.serves_already"
    assert len(store.history("stock")) == 3
    other = Version(second.folder, replace(second.run, kind="entities", recipe="entities"))
    with pytest.raises(InputError) as caught:
        asyncio.run(promotion.promote(other, runtime.settings, force=True))
    assert code_of(caught.value) == "input.other_role"
    assert "trained:stock@2 (entities) cannot follow trained:stock@1 (classifier)" in str(caught.value)
    # Where the program brings a model of this name, there is a way back from the first version too, and forth again.
    assert store.rollback("stock", by="ann", shipped=True).version == 0
    assert store.serving("stock") is None
    with pytest.raises(InputError):
        store.rollback("stock", by="ann", shipped=True)
    store.promote(store.version("stock", 1), what="promoted", by="ann", compared={})
    assert store.serving("stock") == 1


def test_a_worse_version_is_refused_unless_forced(runtime: Runtime, tmp_path: Path) -> None:
    good = trained(runtime, table(tmp_path / "x.csv", rows()))
    asyncio.run(promotion.promote(good, runtime.settings))
    # It learns what is wrong and is judged on what is right.
    labels = {"good": "bad", "bad": "flat", "flat": "good"}
    wrong = table(tmp_path / "y.csv", [(f"{text} again", labels[label]) for text, label in rows()])
    right = table(tmp_path / "t.csv", [(text.replace("report", "call"), label) for text, label in rows()])
    worse = trained(runtime, wrong, test=right)
    step, gate, _ = asyncio.run(promotion.promote(worse, runtime.settings))
    assert step is None
    assert {row.measure for row in gate.rows if row.verdict == "worse"} >= {"accuracy", "macro_f1"}
    assert Trained(runtime.settings.home).serving("stock") == 1
    step, _, _ = asyncio.run(promotion.promote(worse, runtime.settings, force=True))
    assert step is not None
    assert step.what == "forced"


def test_rows_the_serving_version_has_learned_do_not_judge(runtime: Runtime, tmp_path: Path) -> None:
    first = trained(runtime, table(tmp_path / "x.csv", rows()))
    asyncio.run(promotion.promote(first, runtime.settings))
    known = [(r.input, str(r.label)) for r in first.splits().train.records]
    fresh = [(text.replace("report", "call"), label) for text, label in rows()]
    second = trained(runtime, table(tmp_path / "y.csv", fresh), test=table(tmp_path / "t.csv", known[:30] + fresh[:5]))
    with pytest.raises(InputError) as caught:
        asyncio.run(promotion.promote(second, runtime.settings))
    assert code_of(caught.value) == "input.few_rows"
    assert " 5 " in str(caught.value)
    step, _, _ = asyncio.run(promotion.promote(second, runtime.settings, force=True))
    assert step is not None
    assert (step.what, step.version) == ("forced", 2)


def test_a_run_that_was_stopped_is_taken_up_again(runtime: Runtime, tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", rows())
    first = work.prepare(runtime, "head", path, out="stock")
    again = work.prepare(runtime, "head", path, out="stock")
    assert (again.resumed, again.version.run.version, again.job.id) == (True, 1, first.job.id)
    assert work.prepare(runtime, "head", path, out="stock", fresh=True).version.run.version == 2
    assert work.prepare(runtime, "head", path, out="stock", seed=1).version.run.version == 3
    made = asyncio.run(work.train(runtime, first))
    assert made.finished
    assert not work.prepare(runtime, "head", path, out="stock", seed=2).resumed
    job = Jobs(runtime.workspace).get(LOCAL, first.job.id)
    assert (job.state, job.done, job.total) == ("done", 2, 2)


def test_what_fails_in_a_run_is_told_and_can_be_tried_again(runtime: Runtime, tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", rows())
    prepared = work.prepare(runtime, "head", path, out="stock")
    data = prepared.version.folder / "data" / "train.jsonl"
    kept = data.read_text("utf-8")
    data.write_text("not json\n", "utf-8")
    with pytest.raises(InputError) as caught:
        asyncio.run(work.train(runtime, prepared))
    assert code_of(caught.value) == "input.training_failed"
    assert not prepared.version.finished
    data.write_text(kept, "utf-8")
    assert asyncio.run(work.train(runtime, work.prepare(runtime, "head", path, out="stock"))).finished


def test_explanations_name_the_words_that_decide(runtime: Runtime, tmp_path: Path) -> None:
    made = trained(runtime, table(tmp_path / "x.csv", rows()))
    classifier = open_classifier(made, runtime.settings)
    text = "Acme stock soars after the report"
    found = asyncio.run(explain(classifier, text, version=made))
    assert found.label == "good"
    assert max(found.parts, key=lambda part: part.weight).text == "soars"
    assert [text[part.start : part.end] for part in found.parts] == [part.text for part in found.parts]
    assert min(asyncio.run(explain(classifier, text, label="bad")).parts, key=lambda p: p.weight).text == "soars"
    learned = {(record.input, record.label) for record in made.splits().train.records}
    assert {(row.text, row.label) for row in found.nearest} <= learned
    assert found.nearest[0].similarity >= found.nearest[-1].similarity
    texts = [record.input for record in made.splits().test.records]
    named, chance = asyncio.run(faithfulness(classifier, texts))
    assert named > chance + 0.2


def test_questions_a_classifier_cannot_answer(runtime: Runtime, tmp_path: Path) -> None:
    made = trained(runtime, table(tmp_path / "x.csv", [(t, {"good": "1", "flat": "0", "bad": "-1"}[la]) for t, la in rows()]))  # fmt: skip
    asyncio.run(promotion.promote(made, runtime.settings))
    model = runtime.decision("trained:stock")
    score = asyncio.run(model.decide("Acme stock soars", [Question("s", "score", "", low=-1, high=1)]))["s"]
    assert 0.5 < float(score.answer) <= 1
    with pytest.raises(InputError, match="superb"):
        asyncio.run(model.decide("Acme stock soars", [Question("m", "choice", "", ("1", "superb"))]))
    with pytest.raises(InputError) as caught:
        runtime.chat("trained:stock")
    assert code_of(caught.value) == "input.wrong_kind"


def test_export_is_what_providers_load(runtime: Runtime, tmp_path: Path) -> None:
    from core.training.heads import load

    made = trained(runtime, table(tmp_path / "x.csv", rows()))
    export_to(made, tmp_path / "out")
    assert load(tmp_path / "out").labels == ("bad", "flat", "good")
    assert (tmp_path / "out" / "README.md").is_file()
    with pytest.raises(InputError) as caught:
        export_to(made, tmp_path / "out")
    assert code_of(caught.value) == "input.file_exists"
    with pytest.raises(InputError):
        export_to(Version(tmp_path / "nothing", made.run), tmp_path / "other")


REFUSED = [
    ({"name": "magic"}, UnknownName),
    ({"settings": {"depth": "3"}}, UnknownName),
    ({"settings": {"kept": "3"}}, InputError),
    ({"settings": {"kept": "much"}}, InputError),
    ({"out": "../up"}, InputError),
    ({"base": "nowhere:x"}, UnknownName),
    ({"name": "lora", "base": ""}, InputError),
    ({"name": "lora", "base": "/nowhere"}, TouchstoneError),
]


@pytest.mark.parametrize(("changes", "error"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_what_cannot_be_is_refused_before_anything_begins(
    runtime: Runtime, tmp_path: Path, changes: dict[str, object], error: type[TouchstoneError]
) -> None:
    given = {"name": "head", "out": "stock", **changes}
    name = str(given.pop("name"))
    with pytest.raises(error) as caught:
        work.prepare(runtime, name, table(tmp_path / "x.csv", rows()), **given)  # type: ignore[arg-type]
    assert "?" not in caught.value.text("zh")
    assert Trained(runtime.settings.home).names() == []


def test_every_recipe_can_be_read_and_run() -> None:
    from apps.commands.train import RECIPES
    from core.i18n import catalogue

    assert set(RECIPES) == set(recipes())
    for found in recipes().values():
        assert callable(trainer(found))
        for name, value in found.settings.items():
            low, high = LIMITS[name]
            assert low <= value <= high
        assert f"cli.train.recipe.{found.name}" in catalogue("zh")
    changed = recipe("lora").with_settings({"rank": "16", "learning_rate": "2e-4"})
    assert (changed.settings["rank"], changed.settings["learning_rate"]) == (16, 2e-4)
    assert recipe("lora").settings["rank"] == 8


def test_a_damaged_version_says_so(runtime: Runtime, tmp_path: Path) -> None:
    made = trained(runtime, table(tmp_path / "x.csv", rows()))
    (made.folder / "run.json").write_text(json.dumps({"name": "stock"}))
    with pytest.raises(InputError) as caught:
        Trained(runtime.settings.home).version("stock")
    assert code_of(caught.value) == "input.bad_head"


def test_typos_are_the_same_every_time_and_small() -> None:
    for text in ("where is my parcel now please", "请问什么时候发货"):
        slipped = with_typos(text)
        assert slipped != text
        assert slipped == with_typos(text)
        assert abs(len(slipped) - len(text)) <= len(text) // 12 + 1
    assert with_typos("1 2 3") == "1 2 3"


def test_a_run_keeps_what_it_was_made_from(runtime: Runtime, tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", rows())
    made = trained(runtime, path, seed=3)
    path.unlink()
    run = made.run
    assert (run.recipe, run.embedding, run.seed, run.kind) == ("head", "scripted:hash", 3, "classification")
    assert made.splits().checksum == run.checksum
    assert sum(run.rows.values()) == 120
    assert replace(made.splits(), findings=()).sizes == run.rows
