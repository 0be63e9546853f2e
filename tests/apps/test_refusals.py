"""Questions that the samples do not answer, and what refusals of them name."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import apps.refusals
from apps.refusals import Case, Outcome, cases, figures
from core.i18n import detect_language

APPS = Path(apps.refusals.__file__).parent


def test_half_of_each_kind_is_for_tuning_and_documents_are_there() -> None:
    found = cases()
    counted = Counter((c.sample, detect_language(c.question), c.split, bool(c.near)) for c in found)
    assert len(counted) == 16
    assert set(counted.values()) == {4}
    assert len({c.question for c in found}) == len(found)
    assert [name for c in found for name in c.near if not (APPS / c.sample / "sample" / name).is_file()] == []


def test_figures_by_hand() -> None:
    near, far = Case("search", "test", "?", frozenset({"zh/a.md"})), Case("search", "test", "?", frozenset())
    made = figures(
        [
            Outcome(near, True, ("zh/a.md",)),
            Outcome(near, True, ("zh/b.md", "zh/a.md")),
            Outcome(near, False, ()),
            Outcome(near, True, ("zh/b.md",)),
            Outcome(far, True, ()),
            Outcome(far, False, ("zh/b.md",)),
        ]
    )
    assert made == {
        "questions": 6,
        "refused_near": 0.75,
        "refused_far": 0.5,
        "named_where_of_use": 0.5,
        "first_of_use": pytest.approx(1 / 3),
        "silent_where_not": 0.5,
    }


def test_the_tuning_half_is_named_and_silent_as_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert apps.refusals.main(["--split", "tune", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["named_where_of_use"] >= 0.9
    assert made["silent_where_not"] >= 0.9
