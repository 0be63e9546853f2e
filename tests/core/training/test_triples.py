"""Pairs with wrong texts beside them, as an embedding model learns from them."""

from __future__ import annotations

from collections.abc import Sequence

from core.evaluation.datasets import Record
from core.training.data import NEGATIVES
from core.training.recipes.embedding import columns, distinct


def record(anchor: str, positive: str, wrong: Sequence[str] = ()) -> Record:
    return Record(anchor, anchor, answers=(positive,), metadata={NEGATIVES: tuple(wrong)} if wrong else {})


def test_each_row_has_a_wrong_text_that_is_right_for_none_of_its_batch() -> None:
    rows = distinct([record("a", "A", ["A", "C", "x"]), record("b", "B"), record("c", "C", ["y"]), record("a", "C")])
    assert [row[NEGATIVES] for row in rows] == [["x"], ["C"], ["y"]], "what is right for it in any row is not wrong"
    assert columns(rows[:2]) == [["a", "b"], ["A", "B"], ["x", "C"]]
    rows = distinct([record("a", "A", ["B", "x"]), record("b", "B", ["A"])])
    assert columns(rows)[2] == ["x", "A"], "the partner of another row, where there is no other wrong text"


def test_plain_pairs_stay_pairs() -> None:
    rows = distinct([record("a", "A"), record("b", "B")])
    assert columns(rows) == [["a", "b"], ["A", "B"]]
