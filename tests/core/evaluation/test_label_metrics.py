"""Labels, probabilities and risk: values by hand, and scikit-learn as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from core.evaluation import labels, selective

RNG = np.random.default_rng(3)
EXPECTED = RNG.choice(["buy", "hold", "sell", "中性"], 500, p=[0.6, 0.2, 0.15, 0.05])
PREDICTED = np.where(RNG.random(500) < 0.7, EXPECTED, RNG.choice(["buy", "hold", "sell", "other"], 500))
TRUTH = RNG.random(400) < 0.3
SCORE = np.round(np.clip(TRUTH * 0.3 + RNG.random(400) * 0.7, 0, 1), 2)  # rounded: many ties


def test_agrees_with_scikit_learn_on_labels() -> None:
    assert labels.accuracy(EXPECTED, PREDICTED) == pytest.approx(oracle.accuracy_score(EXPECTED, PREDICTED))
    macro = oracle.f1_score(EXPECTED, PREDICTED, average="macro", zero_division=0)
    weighted = oracle.f1_score(EXPECTED, PREDICTED, average="weighted", zero_division=0)
    assert labels.f1(EXPECTED, PREDICTED, "macro") == pytest.approx(macro)
    assert labels.f1(EXPECTED, PREDICTED, "weighted") == pytest.approx(weighted)
    names, counts = labels.confusion(EXPECTED, PREDICTED)
    np.testing.assert_array_equal(counts, oracle.confusion_matrix(EXPECTED, PREDICTED, labels=names))


def test_agrees_with_scikit_learn_on_scores() -> None:
    assert labels.auroc(TRUTH, SCORE) == pytest.approx(oracle.roc_auc_score(TRUTH, SCORE))
    assert labels.aupr(TRUTH, SCORE) == pytest.approx(oracle.average_precision_score(TRUTH, SCORE))
    assert labels.brier(SCORE, TRUTH) == pytest.approx(oracle.brier_score_loss(TRUTH, SCORE))


def test_scores_of_one_class_have_no_area() -> None:
    assert np.isnan(labels.auroc(np.ones(3), np.arange(3)))
    assert np.isnan(labels.aupr(np.zeros(3), np.arange(3)))


def test_no_label_given_is_a_miss_and_no_label_of_its_own() -> None:
    expected, predicted = np.array(["a", "a", "b", "b"]), np.array(["a", "", "b", "b"])
    # a: 2·1/(2+1), b: 1
    assert labels.f1(expected, predicted, "macro") == pytest.approx((2 / 3 + 1) / 2)
    assert labels.f1(expected, predicted, "weighted") == pytest.approx((2 / 3 + 1) / 2)
    assert labels.accuracy(expected, predicted) == 0.75


def test_calibration_by_hand() -> None:
    # bins of a quarter: (0, .25] {.1 wrong}, (.25, .5] {.5 right}, (.75, 1] {.8 right, 1. wrong}
    confidence, correct = np.array([0.1, 0.5, 0.8, 1.0]), np.array([0, 1, 1, 0])
    assert labels.ece(confidence, correct, bins=4) == pytest.approx((0.1 + 0.5 + abs(1 - 1.8)) / 4)
    assert labels.ece(np.array([0.0]), np.array([0])) == 0.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        labels.ece(np.array([1.2]), np.array([1]))


def test_a_perfectly_calibrated_model_has_a_small_error() -> None:
    confidence = np.random.default_rng(0).random(200_000)
    correct = np.random.default_rng(1).random(200_000) < confidence
    assert labels.ece(confidence, correct) < 0.01
    assert labels.ece(confidence, ~correct) > 0.3


def test_brier_over_several_labels_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    assert labels.brier(probabilities, np.array([0, 1])) == pytest.approx((0.09 + 0.04 + 0.01 + 1 + 1) / 2)


@pytest.mark.parametrize("function", [labels.accuracy, labels.auroc, labels.ece, labels.brier, selective.aurc])
def test_arrays_of_different_length_are_refused(function: object) -> None:
    with pytest.raises(ValueError, match="one length"):
        function(np.ones(3), np.ones(2))  # type: ignore[operator]


# --- risk and coverage ---------------------------------------------------------------------------


def test_the_curve_by_hand() -> None:
    curve = selective.risk_coverage(np.array([0.9, 0.2, 0.5, 0.5]), np.array([0.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(curve.threshold, [0.9, 0.5, 0.2])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.75, 1.0])
    np.testing.assert_allclose(curve.risk, [0.0, 1 / 3, 0.5])


def test_the_order_of_ties_changes_nothing() -> None:
    confidence = np.repeat([0.9, 0.5, 0.1], 40)
    loss = np.random.default_rng(0).integers(0, 2, 120).astype(float)
    shuffled = np.concatenate([40 * n + np.random.default_rng(n).permutation(40) for n in range(3)])
    assert selective.aurc(confidence, loss) == pytest.approx(selective.aurc(confidence, loss[shuffled]))


def test_tied_records_count_as_their_expectation() -> None:
    loss = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    tied = np.array([0.9, 0.9, 0.9, 0.1, 0.1])
    orders = [np.random.default_rng(n).random(5) * 1e-9 + tied for n in range(4000)]
    simulated = np.mean([selective.aurc(order, loss) for order in orders])
    assert selective.aurc(tied, loss) == pytest.approx(simulated, abs=0.01)


def test_better_confidences_make_a_smaller_area() -> None:
    loss = np.array([0.0] * 80 + [1.0] * 20)
    perfect, useless = 1 - loss, np.full(100, 0.5)
    assert selective.aurc(perfect, loss) < 0.03
    assert selective.aurc(useless, loss) == pytest.approx(0.2)
    assert selective.aurc(1 - perfect, loss) > 0.4


def test_points_of_the_curve() -> None:
    confidence, loss = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.0, 0.0, 1.0, 0.0])
    assert selective.coverage_at_risk(confidence, loss, 0.0) == 0.5
    assert selective.coverage_at_risk(confidence, loss, 0.25) == 1.0, "a later point may be better again"
    assert selective.coverage_at_risk(np.array([0.9]), np.array([1.0]), 0.5) == 0.0
    assert selective.risk_at_coverage(confidence, loss, 0.5) == 0.0
    assert selective.risk_at_coverage(confidence, loss, 0.51) == pytest.approx(1 / 3)
    assert selective.risk_at_coverage(confidence, loss, 1.0) == 0.25


def test_refusals_keep_the_promised_false_refusals() -> None:
    rng = np.random.default_rng(5)
    answerable, unanswerable = rng.normal(2, 1, 1000), rng.normal(0, 1, 1000)
    found = selective.refusal_at(answerable, unanswerable, 0.10)
    assert found.false_refusals == pytest.approx(0.10)
    assert 0.7 < found.refusals < 0.85  # the normal distribution gives P(Z < 0.72) = .764
    tied = selective.refusal_at(np.full(10, 0.5), np.array([0.4, 0.5]), 0.10)
    assert (tied.false_refusals, tied.refusals) == (0.0, 0.5), "of ties none can be refused"
    assert np.isnan(selective.refusal_at(np.array([]), np.array([0.4]), 0.10).refusals)


def test_a_confidence_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        selective.aurc(np.array([np.nan, 0.5]), np.array([0.0, 1.0]))
