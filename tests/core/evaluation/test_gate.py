"""The gate: significant losses fail it, noise does not, silence does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.evaluation import results
from core.evaluation.datasets import Dataset, Record
from core.evaluation.gate import GateResult, compare
from core.evaluation.results import Cell, Evaluation, Measure
from core.evaluation.tasks import Task, judged, report

N = 200
DATA = Dataset("d", "test", tuple(Record(str(n), "?") for n in range(N)))
GOOD = np.random.default_rng(0).random(N)


def evaluation(
    values: Sequence[float], name: str = "ours", task: str = "t", data: Dataset = DATA, higher: bool = True
) -> Evaluation:
    def judge(records: Sequence[Record], outputs: Sequence[float]) -> dict[str, list[Cell]]:
        return {"score": list(outputs), "note": [0.5] * len(records)}

    measures = (Measure("score", higher_is_better=higher), Measure("note", gated=False))
    return judged(
        Task(task, data, judge, measures), dict(zip([r.id for r in data.records], values, strict=True)), name=name
    )


def gate(current: Sequence[Evaluation], baseline: Sequence[Evaluation], **options: float) -> GateResult:
    return compare(report("now", current), report("then", baseline), **options)  # type: ignore[arg-type]


def test_the_same_values_pass_also_after_a_round_trip_through_a_file(tmp_path: Path) -> None:
    now = evaluation((GOOD / 3).tolist())
    results.save(report("base", [now]), tmp_path / "base.json")
    found = compare(report("now", [now]), results.load(tmp_path / "base.json"))
    assert [(row.verdict, row.difference, row.p) for row in found.rows] == [("same", 0.0, 1.0)]
    assert found.exit_code == 0


def test_a_steady_loss_fails_and_a_steady_gain_does_not() -> None:
    worse = evaluation((GOOD - 0.02).tolist())
    base = evaluation(GOOD.tolist())
    lost = gate([worse], [base])
    assert [row.verdict for row in lost.rows] == ["worse"]
    assert (lost.passed, lost.exit_code) == (False, 1)
    (row,) = lost.rows
    assert row.difference == pytest.approx(-0.02)
    assert row.low is not None
    assert row.high is not None
    assert row.low <= row.difference <= row.high < 0
    assert gate([base], [worse]).rows[0].verdict == "better"
    assert gate([worse], [base], tolerance=0.05).passed


def test_noise_passes() -> None:
    rng = np.random.default_rng(5)
    noisy = evaluation((GOOD + rng.normal(0, 0.1, N)).tolist())
    found = gate([noisy], [evaluation(GOOD.tolist())])
    assert found.rows[0].verdict == "same"
    assert found.rows[0].p is not None
    assert found.rows[0].p > 0.05


def test_lower_may_be_better() -> None:
    base = evaluation(GOOD.tolist(), higher=False)
    assert gate([evaluation((GOOD + 0.1).tolist(), higher=False)], [base]).rows[0].verdict == "worse"


def test_many_figures_are_corrected_for() -> None:
    """Twenty figures at p just below .05: chance finds one of them; none may fail the gate."""
    noise = np.random.default_rng(1).normal(0, 0.1, N)
    noise += -noise.mean() - 2.2 * noise.std() / np.sqrt(N)  # 2.2 standard errors below nothing
    alone = gate([evaluation((GOOD + noise).tolist())], [evaluation(GOOD.tolist())])
    assert alone.rows[0].p is not None
    assert 0.01 < alone.rows[0].p < 0.05
    assert not alone.passed
    current = [evaluation((GOOD + noise).tolist(), task=f"t{n}") for n in range(20)]
    assert gate(current, [evaluation(GOOD.tolist(), task=f"t{n}") for n in range(20)]).passed


def test_what_the_baseline_has_must_be_there() -> None:
    base = [evaluation(GOOD.tolist(), task="kept"), evaluation(GOOD.tolist(), task="dropped")]
    found = gate([base[0]], base)
    assert [(row.task, row.verdict) for row in found.rows] == [("dropped", "missing"), ("kept", "same")]
    assert not found.passed
    fewer = replace(base[0], measures=(Measure("note"),))
    assert [row.verdict for row in gate([fewer], [base[0]]).rows if row.measure == "score"] == ["missing"]


def test_something_new_passes() -> None:
    found = gate([evaluation(GOOD.tolist()), evaluation(GOOD.tolist(), task="new")], [evaluation(GOOD.tolist())])
    assert [(row.task, row.verdict) for row in found.rows] == [("new", "new"), ("t", "same")]
    assert found.passed


def test_a_renamed_system_is_compared_with_the_only_one_there_was() -> None:
    found = gate([evaluation((GOOD - 0.1).tolist(), name="new-model")], [evaluation(GOOD.tolist(), name="old-model")])
    assert found.rows[0].verdict == "worse"
    two = [evaluation(GOOD.tolist(), name="old"), evaluation(GOOD.tolist(), name="older")]
    assert {row.verdict for row in gate([evaluation(GOOD.tolist(), name="new")], two).rows} == {"new", "missing"}


def test_other_data_is_refused() -> None:
    other = Dataset("d", "test", tuple(Record(str(n), "changed") for n in range(N)))
    with pytest.raises(InputError) as caught:
        gate([evaluation(GOOD.tolist(), data=other)], [evaluation(GOOD.tolist())])
    assert caught.value.reason == "not_comparable"


def test_pairs_are_found_by_record_and_not_by_place() -> None:
    turned = Dataset("d", "test", DATA.records[::-1], checksum=DATA.checksum)
    found = gate([evaluation(GOOD[::-1].tolist(), data=turned)], [evaluation(GOOD.tolist())])
    assert found.rows[0].p == 1.0


def test_figures_of_whole_sets_are_compared_by_resampling() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(N) < 0.5).astype(float)

    def labelled(noise: float, name: str) -> Evaluation:
        score = truth + np.random.default_rng(7).normal(0, noise, N)
        columns = {"truth": truth.tolist(), "score": score.tolist()}
        task = Task("t", DATA, lambda records, outputs: columns, (Measure("auroc", ("truth", "score"), "auroc"),))
        return judged(task, {r.id: 1 for r in DATA.records}, name=name)

    good, poor = labelled(0.5, "s"), labelled(2.0, "s")
    assert gate([poor], [good]).rows[0].verdict == "worse"
    assert gate([good], [good]).rows[0].p == 1.0


def test_only_the_measures_asked_for_are_looked_at() -> None:
    base = evaluation(GOOD.tolist())
    found = compare(report("now", [evaluation((GOOD - 0.1).tolist())]), report("then", [base]), measures=["note"])
    assert [(row.measure, row.verdict) for row in found.rows] == [("note", "same")]


def test_as_data() -> None:
    found = gate([evaluation((GOOD - 0.1).tolist())], [evaluation(GOOD.tolist())]).as_dict()
    assert found["passed"] is False
    assert found["rows"][0]["verdict"] == "worse"
