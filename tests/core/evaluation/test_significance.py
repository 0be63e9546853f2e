"""Intervals and tests: right on known cases, and honest when there is nothing to find."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.evaluation import labels
from core.evaluation.significance import bootstrap, bootstrap_means, holm, paired_bootstrap, paired_permutation


def test_the_interval_of_a_share_is_near_the_binomial_one() -> None:
    values = np.array([1.0] * 300 + [0.0] * 100)
    found = bootstrap(values)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - half, abs=0.006)
    assert found.high == pytest.approx(0.75 + half, abs=0.006)


def test_95_percent_of_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = bootstrap(rng.exponential(1.0, 120), resamples=1000)
        hits += found.low <= 1.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_several_means_at_once_are_the_same_as_one_by_one() -> None:
    values = np.random.default_rng(0).random((70, 3))
    for together, alone in zip(bootstrap_means(values), [bootstrap(values[:, n]) for n in range(3)], strict=True):
        assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


def test_the_interval_of_a_figure_of_the_whole_set() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.4
    score = truth + rng.normal(0, 1, 300)
    found = bootstrap(truth, score, statistic=labels.auroc)
    assert found.low < found.value == labels.auroc(truth, score) < found.high
    assert 0.05 < found.high - found.low < 0.2


def test_a_figure_that_some_resamples_do_not_have_still_gets_an_interval() -> None:
    found = bootstrap(np.array([1.0, 0.0, 0.0, 0.0]), np.arange(4.0)[::-1], statistic=labels.auroc)
    assert found.value == 1.0
    assert not math.isnan(found.low)


@pytest.mark.parametrize("bad", [(), (np.array([]),), (np.ones(2), np.ones(3))])
def test_nothing_to_draw_from_is_refused(bad: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ValueError, match="columns"):
        bootstrap(*bad, statistic=labels.auroc)


# --- pairs ---------------------------------------------------------------------------------------


def test_equal_systems_do_not_differ() -> None:
    values = np.random.default_rng(0).random(100)
    assert paired_permutation(values, values) == 1.0
    found = paired_bootstrap(values, values)
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_exact_permutation_by_hand() -> None:
    # gaps 3, 1, -1: sums over the 8 signs are ±5, ±3 (three each way: 3+1-1, 3-1+1, ...): |sum| >= 3 in 6 of 8
    first, second = np.array([3.0, 1.0, 0.0, 7.0]), np.array([0.0, 0.0, 1.0, 7.0])
    assert paired_permutation(first, second) == 6 / 8


def test_sampled_and_exact_permutations_agree() -> None:
    rng = np.random.default_rng(2)
    first = rng.random(12)
    second = first - rng.normal(0.05, 0.12, 12)
    exact = paired_permutation(first, second)  # 4096 ways, all tried
    sampled = paired_permutation(first, second, resamples=4000)
    assert sampled == pytest.approx(exact, abs=0.02)
    assert 0.01 < exact < 0.9


@pytest.mark.parametrize(
    "test", [lambda a, b: paired_permutation(a, b, resamples=999), lambda a, b: paired_bootstrap(a, b, resamples=999).p]
)
def test_false_alarms_are_as_rare_as_promised(test: object) -> None:
    """Two systems of the same quality: p < .05 in about 5 of 100 experiments."""
    rng = np.random.default_rng(11)
    alarms = sum(test(rng.random(60), rng.random(60)) < 0.05 for _ in range(400))  # type: ignore[operator]
    assert 0.02 <= alarms / 400 <= 0.09


def test_a_small_steady_gain_is_found_because_pairs_are_compared() -> None:
    rng = np.random.default_rng(4)
    second = rng.random(200)
    first = second + rng.normal(0.02, 0.05, 200)
    apart = bootstrap(first), bootstrap(second)
    assert apart[0].low < apart[1].high, "the two intervals overlap"
    assert paired_permutation(first, second) < 0.001
    found = paired_bootstrap(first, second)
    assert found.p < 0.001
    assert 0 < found.low < found.difference < found.high


def test_figures_of_whole_sets_can_be_compared() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.5
    good, poor = truth + rng.normal(0, 0.7, 300), truth + rng.normal(0, 2.5, 300)
    found = paired_bootstrap((truth, good), (truth, poor), statistic=labels.auroc)
    assert found.p < 0.01
    assert found.low > 0.1
    assert paired_bootstrap((truth, good), (truth, good), statistic=labels.auroc).p == 1.0


def test_pairs_need_the_same_records() -> None:
    with pytest.raises(ValueError, match="same records"):
        paired_bootstrap(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="same records"):
        paired_permutation(np.ones(3), np.ones(4))


def test_many_comparisons_are_corrected() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.5, 0.01, 0.02]) == pytest.approx([0.5, 0.03, 0.04])
    assert max(holm([0.9, 0.8])) == 1.0
