"""Tasks: systems run as durable jobs, outputs judged, failures counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, MissingKey, StoreBusy
from core.evaluation import results
from core.evaluation.datasets import Dataset, Record
from core.evaluation.judges import answer_output, answer_task, curve, intent_task, label_task, retrieval_task, span_task
from core.evaluation.tasks import System, Task, evaluate, judged, report
from core.jobs import Jobs
from core.types import Answer, Citation
from core.workspace import Workspace

QUERIES = Dataset(
    "colors",
    "test",
    (
        Record("q1", "red?", relevant={"d1": 1.0}),
        Record("q2", "blue?", relevant={"d2": 2.0, "d3": 1.0}),
        Record("q3", "nothing?", relevant={"d4": 0.0}),
    ),
)
RANKINGS = {"q1": ["d1", "d2"], "q2": ["d1", "d3"], "q3": ["d4"]}


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    workspace = Workspace.open(tmp_path / "home")
    yield Jobs(workspace)
    workspace.close()


def run(task: Task, system: System, jobs: Jobs, **options: Any) -> results.Evaluation:
    return asyncio.run(evaluate(task, system, name=options.pop("name", "system"), jobs=jobs, **options))


async def search(record: Record) -> list[str]:
    return RANKINGS[record.id]


# --- kinds of tasks ------------------------------------------------------------------------------


def test_retrieval(jobs: Jobs) -> None:
    found = run(retrieval_task(QUERIES, ["mrr", "recall@2"]), search, jobs)
    assert found.ids == ("q1", "q2"), "a query without a relevant document cannot be judged"
    assert found.columns["mrr"] == [1.0, 0.5]
    assert found.columns["recall@2"] == [1.0, 0.5]
    figure = found.figures["mrr"]
    assert (figure.value, figure.records) == (0.75, 2)
    assert figure.low <= 0.75 <= figure.high
    assert found.errors == {}
    assert found.median_s is not None


def test_a_query_does_not_find_itself() -> None:
    data = Dataset("d", "test", (Record("a", "?", relevant={"b": 1.0}),))
    assert judged(retrieval_task(data, ["mrr"]), {"a": ["a", "b"]}, name="x").value("mrr") == 1.0


def test_labels_with_and_without_confidence() -> None:
    data = Dataset("d", "test", tuple(Record(str(n), "?", label="ab"[n % 2]) for n in range(4)))
    plain = judged(label_task(data), {"0": "a", "1": "a", "2": "a", "3": "b"}, name="x")
    assert plain.value("accuracy") == 0.75
    assert plain.value("macro_f1") == pytest.approx((0.8 + 2 / 3) / 2)
    assert {"ece", "aurc"}.isdisjoint(plain.figures)
    sure = {str(n): {"label": "a", "confidence": 0.9 if n % 2 == 0 else 0.6} for n in range(4)}
    scored = judged(label_task(data), sure, name="x")
    assert scored.value("accuracy") == 0.5
    assert scored.value("ece") == pytest.approx((2 * 0.1 + 2 * 0.6) / 4)
    assert scored.value("aurc") == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)


def test_spans_by_the_language_of_the_question() -> None:
    data = Dataset(
        "d", "test", (Record("1", "什么颜色？", answers=("红色",)), Record("2", "which?", answers=("the red",)))
    )
    found = judged(span_task(data), {"1": "红色的", "2": {"text": "Red"}}, name="x")
    assert found.columns["exact_match"] == [0.0, 1.0]
    assert found.columns["f1"] == [pytest.approx(0.8), 1.0]


def answer(confidence: float | None, *quotes: str, answered: bool = True) -> dict[str, Any]:
    return {"answered": answered, "quotes": list(quotes), "confidence": confidence}


ANSWERS = Dataset("shop", "test", tuple(Record(str(n), "?", answers=("blue",)) for n in range(4)))
OTHERS = Dataset("bank", "test", tuple(Record(str(n), "?", answers=("never used",)) for n in range(2)))


def test_answers_and_refusals() -> None:
    outputs = {
        "0": answer(0.9, "It is blue."),
        "1": answer(0.8, "It is red.", "Or blue."),
        "2": answer(0.7, "It is red."),
        "3": answer(0.2, "It is blue.", answered=False),
        "bank:0": answer(0.1, answered=False),
        "bank:1": answer(0.5, "The bank is blue."),
    }
    found = judged(answer_task(ANSWERS, [OTHERS]), outputs, name="x")
    assert found.value("answered") == 0.75
    assert found.value("supported") == 0.75, "evidence counts whether or not the system dared to answer"
    assert found.value("supported_when_answered") == pytest.approx(2 / 3)
    assert found.value("refused") == 0.5
    assert found.value("unsupported_at_60%") == pytest.approx(1 / 3), "the three surest of four"
    assert found.value("refused_at_10%") == 0.5, "no answerable one may be refused, so below .2 it is"
    assert found.value("refusal_auroc") == pytest.approx((4 + 3) / 8)
    coverage, risk = curve(found.columns)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])
    alone = judged(answer_task(ANSWERS), {k: v for k, v in outputs.items() if ":" not in k}, name="x")
    assert "refused" not in alone.figures


def test_an_answer_of_which_nothing_was_weighed_has_no_place_in_an_order_by_confidence() -> None:
    outputs = {
        "0": answer(0.9, "It is blue."),
        "1": answer(None, "It is blue, says its page."),
        "2": answer(0.7, "It is red."),
        "bank:0": answer(0.1, answered=False),
        "bank:1": answer(None, "The bank is blue."),
    }
    found = judged(answer_task(ANSWERS, [OTHERS]), outputs, name="x")
    assert found.columns["confidence"] == [0.9, None, 0.7, 0.0, 0.1, None], "what failed is unsure, not unweighed"
    assert (found.value("answered"), found.value("supported"), found.value("refused")) == (0.75, 0.5, 0.5)
    assert found.figures["supported"].records == 4
    assert found.figures["unsupported_at_60%"].records == 3
    assert found.value("unsupported_at_60%") == 0.5, "of the two surest of three, one"
    assert found.figures["refused_at_10%"].records == 4
    assert curve(found.columns)[0].tolist() == [pytest.approx(n / 3) for n in (1, 2, 3)]


def test_of_written_answers_the_words_are_judged_and_what_they_cite() -> None:
    outputs = {
        "0": {**answer(0.9, "It is blue."), "text": "Blue it is."},
        "1": {**answer(0.8, "It is blue."), "text": "It is red."},
        "2": {**answer(0.2, "It is blue.", answered=False), "text": "The documents do not say: blue or red."},
        "bank:0": {**answer(0.1, answered=False), "text": ""},
        "bank:1": {**answer(0.1), "text": "It is blue."},
    }
    found = judged(answer_task(ANSWERS, [OTHERS], written=True), outputs, name="checked")
    assert found.task == "written"
    assert found.value("said") == 0.25, "one of four: one is wrong, one declined, one is missing"
    assert found.value("said_when_answered") == 0.5
    assert (found.value("supported"), found.value("refused")) == (0.75, 0.5)
    uncited = {key: {**output, "quotes": None, "confidence": None} for key, output in outputs.items()}
    found = judged(answer_task(ANSWERS, [OTHERS], written=True), uncited, name="unchecked")
    assert (found.value("said"), found.value("refused")) == (0.25, 0.5)
    assert "supported_when_answered" not in found.figures
    quoting = judged(answer_task(ANSWERS, written=True), {"0": answer(0.9, "It is blue.")}, name="lexical")
    assert found.columns["said"][:1] == [1.0]
    assert quoting.columns["said"] == [None, 0.0, 0.0, 0.0], (
        "who says nothing in words of its own is not judged by them"
    )


def test_rows_that_ask_nothing_are_neither_failed_nor_refused() -> None:
    blank = Dataset("bank", "test", (*OTHERS.records, Record("blank", " \n", answers=("of nothing",))))
    task = answer_task(ANSWERS, [blank])
    assert [record.id for record in task.data.records] == ["0", "1", "2", "3", "bank:0", "bank:1"]
    assert task.data.checksum == answer_task(ANSWERS, [OTHERS]).data.checksum
    found = judged(task, {record.id: answer(0.1, answered=False) for record in task.data.records}, name="x")
    assert (found.value("refused"), found.errors) == (1.0, {})
    only = Dataset("shop", "test", (*ANSWERS.records, Record("blank", "")))
    assert "refused" not in judged(answer_task(only), {}, name="x").figures


def test_an_answer_of_an_app_becomes_an_output() -> None:
    citations = tuple(Citation(n, "p", "d", "t", "s", f"quote {n}", 0, 1) for n in range(3))
    given = Answer("?", "extractive", "text", citations=citations, confidence=0.4)
    assert answer_output(given) == {
        "answered": True,
        "quotes": ["quote 0", "quote 1"],
        "confidence": 0.4,
        "text": "text",
    }
    assert answer_output(Answer("?", "generated", "Red. [1] Or blue [2].", confidence=0.4))["text"] == "Red.  Or blue ."
    assert answer_output(Answer("?", "refused", "no"))["answered"] is False
    assert answer_output(Answer("?", "extractive", "It is a kettle."))["confidence"] is None, "nothing was weighed"


# --- failures ------------------------------------------------------------------------------------


def test_a_failure_is_never_worth_more_than_a_wrong_answer() -> None:
    half = {"q1": RANKINGS["q1"]}
    ranked = judged(retrieval_task(QUERIES, ["mrr"]), half, {"q2": "timed_out"}, name="x")
    assert (ranked.value("mrr"), ranked.errors) == (0.5, {"q2": "timed_out"})
    labels = Dataset("d", "test", (Record("1", "?", label="a"), Record("2", "?", label="a")))
    labelled = judged(label_task(labels), {"1": "a"}, name="x")
    assert (labelled.value("accuracy"), labelled.value("macro_f1")) == (0.5, pytest.approx(2 / 3))
    impossible = Dataset("d", "test", (Record("1", "?"), Record("2", "?")))
    spans = judged(span_task(impossible), {"1": ""}, name="x")
    assert spans.columns["exact_match"] == [1.0, 0.0], "no output is not the same as no answer"
    answers = judged(
        answer_task(ANSWERS, [OTHERS]), {"0": answer(0.9, "blue"), "bank:0": answer(0.1, answered=False)}, name="x"
    )
    assert answers.value("refused") == 0.5, "a crash is no refusal"
    assert answers.value("supported") == 0.25
    assert answers.value("aurc") > 0


def test_errors_of_the_system_are_kept_by_record(jobs: Jobs) -> None:
    async def breaks(record: Record) -> list[str]:
        if record.id == "q2":
            raise ValueError("no answer")
        return RANKINGS[record.id]

    found = run(retrieval_task(QUERIES, ["mrr"]), breaks, jobs)
    assert found.errors == {"q2": "ValueError"}
    assert found.value("mrr") == 0.5


def test_too_many_errors_end_it(jobs: Jobs) -> None:
    async def breaks(record: Record) -> list[str]:
        raise ValueError("server is gone")

    data = Dataset("d", "test", tuple(Record(str(n), "?", relevant={"x": 1.0}) for n in range(50)))
    with pytest.raises(InputError) as caught:
        run(retrieval_task(data), breaks, jobs, max_errors=3)
    assert caught.value.reason == "evaluation_stopped"
    assert "50" in caught.value.text("zh")


def test_a_configuration_error_ends_it_at_once(jobs: Jobs) -> None:
    async def breaks(record: Record) -> list[str]:
        raise MissingKey(provider="p", variable="P_API_KEY")

    with pytest.raises(MissingKey):
        run(retrieval_task(QUERIES), breaks, jobs)


# --- stopping and going on -----------------------------------------------------------------------


def test_a_stopped_run_goes_on_only_when_asked(jobs: Jobs) -> None:
    data = Dataset("d", "test", tuple(Record(str(n), "?", relevant={"x": 1.0}) for n in range(20)))
    task, asked = retrieval_task(data, ["mrr"]), []

    async def stops(record: Record) -> list[str]:
        if len(asked) == 7:
            raise MissingKey(provider="p", variable="P_API_KEY")
        asked.append(record.id)
        return ["x"]

    async def works(record: Record) -> list[str]:
        asked.append(record.id)
        return ["x"]

    with pytest.raises(MissingKey):
        run(task, stops, jobs, concurrency=1)
    with pytest.raises(InputError) as caught:
        run(task, works, jobs)
    assert caught.value.reason == "evaluation_unfinished"
    assert len(asked) == 7
    assert run(task, works, jobs, resume=True).value("mrr") == 1.0
    assert sorted(asked, key=int) == [str(n) for n in range(20)], "no record twice"
    run(task, works, jobs, resume=True)
    assert len(asked) == 40, "a finished run is measured anew"


def test_starting_afresh_forgets_the_stopped_run(jobs: Jobs) -> None:
    async def stops(record: Record) -> list[str]:
        if record.id == "q2":
            raise MissingKey(provider="p", variable="P_API_KEY")
        return []

    task = retrieval_task(QUERIES, ["mrr"])
    with pytest.raises(MissingKey):
        run(task, stops, jobs, concurrency=1)
    assert run(task, search, jobs, resume=False).value("mrr") == 0.75


def test_other_configuration_is_another_run(jobs: Jobs) -> None:
    async def stops(record: Record) -> list[str]:
        if record.id == "q2":
            raise MissingKey(provider="p", variable="P_API_KEY")
        return []

    task = retrieval_task(QUERIES, ["mrr"])
    with pytest.raises(MissingKey):
        run(task, stops, jobs, concurrency=1, config={"weight": 0.3})
    assert run(task, search, jobs, config={"weight": 0.4}).config == {"weight": 0.4}


def test_the_same_evaluation_does_not_run_twice_at_once(jobs: Jobs) -> None:
    async def both() -> list[Any]:
        started = asyncio.Event()

        async def slow(record: Record) -> list[str]:
            started.set()
            await asyncio.sleep(0.3)
            return []

        task = retrieval_task(QUERIES, ["mrr"])
        first = asyncio.create_task(evaluate(task, slow, name="s", jobs=jobs))
        await started.wait()
        second = evaluate(task, search, name="s", jobs=jobs)
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(both())
    assert isinstance(first, results.Evaluation)
    assert isinstance(second, StoreBusy)


# --- report files --------------------------------------------------------------------------------


def test_a_report_file_keeps_values_and_no_texts(jobs: Jobs, tmp_path: Path) -> None:
    found = run(retrieval_task(QUERIES, ["mrr", "ndcg@10"]), search, jobs, config={"k": 10})
    made = report("Colors", [found], "touchstone evaluate")
    results.save(made, tmp_path / "reports" / "r.json")
    text = (tmp_path / "reports" / "r.json").read_text("utf-8")
    assert "blue?" not in text
    loaded = results.load(tmp_path / "reports" / "r.json")
    results.save(loaded, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text("utf-8") == text
    (evaluation,) = loaded.evaluations
    assert (evaluation.ids, evaluation.config, evaluation.checksum) == (found.ids, {"k": 10}, found.checksum)
    assert evaluation.figures["mrr"].value == 0.75
    assert loaded.date
    assert loaded.device


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"evaluations": [{"task": "x"}], "title": "t"}', '{"evaluations": 3}']
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError) as caught:
        results.load(tmp_path / "r.json")
    assert caught.value.reason == "not_a_report"


def test_intents_count_what_was_accepted_and_what_was_refused() -> None:
    records = tuple(Record(str(n), "x", label=label) for n, label in enumerate(["a", "a", "b", "oos", "oos"]))
    outputs = {
        "0": {"label": "a", "in_scope": True, "confidence": 0.9},  # right
        "1": {"label": "a", "in_scope": False, "confidence": 0.5},  # right label, but refused
        "2": {"label": "a", "in_scope": True, "confidence": 0.6},  # wrong label
        "3": {"label": "b", "in_scope": False, "confidence": 0.2},  # rightly refused
    }  # the fifth failed: neither accepted rightly nor refused
    found = judged(intent_task(Dataset("d", "test", records)), outputs, name="x")
    values = {name: round(figure.value, 4) for name, figure in found.figures.items()}
    assert values["accuracy"] == 0.4
    assert values["in_scope_accuracy"] == 0.3333
    assert values["oos_recall"] == 0.5
    assert values["oos_precision"] == 0.5
    assert found.columns["right"][:3] == [1.0, 1.0, 0.0]
    assert found.columns["confidence"][3] is None


def test_where_every_record_has_a_label_accuracy_is_that_of_the_label() -> None:
    records = tuple(Record(str(n), "x", label=label) for n, label in enumerate(["a", "a", "b", "b"]))
    outputs = {
        "0": {"label": "a", "in_scope": True, "confidence": 0.9},
        "1": {"label": "a", "in_scope": False, "confidence": 0.5},  # right label, though it would be refused
        "2": {"label": "a", "in_scope": False, "confidence": 0.6},  # wrong either way
        "3": {"label": "b", "in_scope": True, "confidence": 0.9},
    }
    found = judged(intent_task(Dataset("d", "test", records)), outputs, name="x").figures
    assert found["accuracy"].value == 0.75
    assert found["in_scope_accuracy"].value == 0.5


def test_intents_without_out_of_scope_records_say_nothing_of_them() -> None:
    data = Dataset("d", "test", (Record("0", "x", label="a"), Record("1", "x", label="b")))
    found = judged(intent_task(data), {}, name="x")
    assert "oos_recall" not in found.figures
    assert found.figures["accuracy"].value == 0.0
