"""Fusion: each leg on its own scale, whatever its units."""

from __future__ import annotations

import pytest

from core.retrieval import fuse

KEYWORD, VECTOR = {"a": 9.0, "b": 3.0, "c": 0.0}, {"a": 0.7, "b": 0.9, "c": 0.8}


def test_the_weight_decides_between_the_legs() -> None:
    assert fuse.ranked(fuse.mix(KEYWORD, VECTOR, 0.9))[0] == "a"
    assert fuse.ranked(fuse.mix(KEYWORD, VECTOR, 0.1))[0] == "b"


def test_scores_run_from_0_to_1() -> None:
    mixed = fuse.mix(KEYWORD, VECTOR)
    assert (min(mixed.values()), max(mixed.values())) == (0.0, 1.0)


def test_one_leg_alone_keeps_its_order() -> None:
    assert fuse.ranked(fuse.mix({}, VECTOR)) == ["b", "c", "a"]
    assert fuse.ranked(fuse.mix(KEYWORD, {})) == ["a", "b", "c"]
    assert fuse.mix({"x": 2.0}, {}) == {"x": 1.0}
    assert fuse.mix({}, {}) == {}


def test_units_of_a_leg_do_not_matter() -> None:
    larger = {id_: 100 * score + 7 for id_, score in KEYWORD.items()}
    assert fuse.mix(larger, VECTOR) == pytest.approx(fuse.mix(KEYWORD, VECTOR))


def test_more_candidates_leave_the_order_of_the_best() -> None:
    """The scale is that of a leg's best, so asking for more hits never reorders those already shown."""
    keyword = {f"p{i:03}": 20.0 / (i + 1) for i in range(400)}
    vector = {f"p{i:03}": 0.9 - 0.001 * ((i * 37) % 400) for i in range(400)}
    few = {id_ for leg in (keyword, vector) for id_ in fuse.ranked(leg)[: fuse.SCALE_OVER]}
    narrow = fuse.mix({i: keyword[i] for i in few}, {i: vector[i] for i in few})
    assert fuse.ranked(narrow)[:20] == fuse.ranked(fuse.mix(keyword, vector))[:20]


def test_what_a_leg_did_not_score_counts_as_its_worst() -> None:
    pending = fuse.mix({"a": 5.0, "new": 4.9, "b": 1.0}, {"a": 0.9, "b": 0.7})
    assert fuse.ranked(pending) == ["a", "new", "b"]


def test_a_leg_that_tells_nothing_apart_is_silent() -> None:
    assert fuse.ranked(fuse.mix({"a": 1.0, "b": 1.0}, {"a": 0.7, "b": 0.9}, 0.99)) == ["b", "a"]


def test_reciprocal_rank() -> None:
    assert fuse.ranked(fuse.reciprocal_rank({"a": 9.0, "b": 3.0}, {"b": 0.9, "c": 0.8}))[0] == "b"  # found by both
    assert fuse.reciprocal_rank({"a": 1.0}, {"a": 0.5})["a"] == pytest.approx(2 / 61)


def test_words_weigh_less_among_single_sentences() -> None:
    assert fuse.keyword_weight([12, 15, 900]) == fuse.AMONG_SENTENCES
    assert fuse.keyword_weight([400, 500, 20]) == fuse.KEYWORD_WEIGHT == fuse.keyword_weight([])
