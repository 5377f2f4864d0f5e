"""Calibration by hand, against closed forms and known coverage."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from wbc_utils.metrics import MetricError, calibration

quick = settings(max_examples=40, deadline=None)
logits_of_three = hnp.arrays(float, (8, 3), elements=st.integers(-2000, 2000).map(lambda number: number / 100))
labels_of_three = hnp.arrays(int, 8, elements=st.integers(0, 2))


def binary(confidence, correct):
    """Return probabilities of two classes, the first more likely, and labels that make it right or wrong."""
    confidence = np.asarray(confidence, dtype=float)
    return np.column_stack([confidence, 1 - confidence]), np.where(correct, 0, 1)


@quick
@given(logits_of_three, st.floats(0.1, 10))
def test_a_softmax_is_a_distribution_that_a_shift_leaves_alone(logits, temperature):
    found = calibration.softmax(logits, temperature)
    assert found.sum(axis=1) == pytest.approx(np.ones(8))
    assert calibration.softmax(logits + 100, temperature) == pytest.approx(found, abs=1e-9)
    assert found == pytest.approx(calibration.softmax(logits / temperature))


def test_a_softmax_of_two_is_the_logistic_function():
    assert calibration.softmax([[np.log(3), 0.0]])[0] == pytest.approx([0.75, 0.25])
    assert calibration.softmax([[np.log(3), 0.0]], temperature=0.5)[0] == pytest.approx([0.9, 0.1])
    assert calibration.softmax([[1000.0, 0.0]])[0].tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0, -1, np.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(MetricError, match="must be positive"):
        calibration.softmax([[1.0, 2.0]], temperature)


def test_nll_is_the_log_loss_of_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities, labels = calibration.softmax(rng.normal(size=(50, 3))), rng.integers(0, 3, 50)
    assert calibration.nll(probabilities, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(3)))


def test_nll_of_an_impossible_truth_is_infinite():
    assert calibration.nll([[1.0, 0.0], [0.5, 0.5]], [1, 0]) == np.inf


def test_reliability_counts_each_bin_with_its_upper_bound():
    probabilities, labels = binary([0.5, 0.6, 0.75, 0.8, 1.0], [True, False, True, True, False])
    table = calibration.reliability(probabilities, labels, bins=4)
    assert table["low"].tolist() == [0, 0.25, 0.5, 0.75]
    assert table["high"].tolist() == [0.25, 0.5, 0.75, 1]
    assert table["n"].tolist() == [0, 1, 2, 2]
    assert table["confidence"].tolist() == pytest.approx([np.nan, 0.5, 0.675, 0.9], nan_ok=True)
    assert table["accuracy"].tolist() == pytest.approx([np.nan, 1, 0.5, 0.5], nan_ok=True)


def test_ece_by_hand():
    probabilities, labels = binary([0.5, 0.6, 0.75, 0.8, 1.0], [True, False, True, True, False])
    assert calibration.ece(probabilities, labels, bins=4) == pytest.approx((1 * 0.5 + 2 * 0.175 + 2 * 0.4) / 5)


def test_ece_of_a_network_that_is_sure_and_always_right_or_always_wrong():
    probabilities = np.eye(3)
    assert calibration.ece(probabilities, [0, 1, 2]) == 0
    assert calibration.ece(probabilities, [1, 2, 0]) == 1


@quick
@given(logits_of_three, labels_of_three, st.integers(1, 20))
def test_ece_is_the_weighted_gap_of_the_reliability_table(logits, labels, bins):
    probabilities = calibration.softmax(logits)
    table = calibration.reliability(probabilities, labels, bins)
    filled = table[table["n"] > 0]
    gap = (filled["n"] * (filled["accuracy"] - filled["confidence"]).abs()).sum() / 8
    assert table["n"].sum() == 8
    assert filled["confidence"].between(filled["low"] - 1e-12, filled["high"] + 1e-12).all()
    assert calibration.ece(probabilities, labels, bins) == pytest.approx(gap, abs=1e-12)


def overconfident(rng, n):
    """Return answers with confidence uniform in 0.6 … 1 that are right 0.1 less often than that."""
    confidence = rng.uniform(0.6, 1, n)
    return binary(confidence, rng.random(n) < confidence - 0.1)


def test_95_of_100_intervals_of_the_calibration_error_hold_the_true_one():
    rng = np.random.default_rng(0)
    holding = []
    for seed in range(150):
        found = calibration.ece_interval(*overconfident(rng, 600), np.arange(600), seed, bins=5, draws=300)
        holding.append(found.low <= 0.1 <= found.high)
    assert np.mean(holding) == pytest.approx(0.95, abs=0.05)


def test_95_of_100_intervals_of_a_calibrated_network_hold_zero():
    rng, holding = np.random.default_rng(0), []
    for seed in range(150):
        confidence = rng.uniform(0.6, 1, 500)
        found = calibration.ece_interval(*binary(confidence, rng.random(500) < confidence), range(500), seed, draws=200)
        assert found.low < found.value <= found.high
        holding.append(found.low == 0)
    assert np.mean(holding) >= 0.93


def test_grouped_copies_change_neither_calibration_error_nor_interval():
    probabilities, labels = overconfident(np.random.default_rng(0), 100)
    once = calibration.ece_interval(probabilities, labels, range(100), seed=0)
    twice = calibration.ece_interval(np.tile(probabilities, (2, 1)), np.tile(labels, 2), np.tile(range(100), 2), seed=0)
    assert (twice.value, twice.n) == (pytest.approx(once.value), 100)
    assert twice.ci == pytest.approx(once.ci)
    assert once.value == pytest.approx(calibration.ece(probabilities, labels))


def test_accuracy_of_what_is_kept_by_hand():
    table = calibration.risk_coverage([0.9, 0.5, 0.9, 0.7], [True, False, False, True])
    assert table["coverage"].tolist() == [0.5, 0.75, 1]
    assert table["accuracy"].tolist() == pytest.approx([1 / 2, 2 / 3, 2 / 4])
    assert table["threshold"].tolist() == [0.9, 0.7, 0.5]


@quick
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_what_is_kept_reaches_the_threshold_and_full_coverage_is_plain_accuracy(items):
    confidence, correct = map(np.array, zip(*items, strict=True))
    table = calibration.risk_coverage(confidence, correct)
    for row in table.itertuples():
        kept = confidence >= row.threshold
        assert row.coverage == pytest.approx(kept.mean())
        assert row.accuracy == pytest.approx(correct[kept].mean())
    assert table["coverage"].iloc[-1] == 1


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [([0.5], [True, False], "1 confidences and 2 outcomes"), ([], [], "0 confidences"), ([np.nan], [True], "are NaN")],
)
def test_what_cannot_be_abstained_from_is_refused(confidence, correct, message):
    with pytest.raises(MetricError, match=message):
        calibration.risk_coverage(confidence, correct)


@pytest.mark.parametrize(("right", "logit"), [(6, 3.0), (9, 1.0), (7, 40.0)])
def test_the_temperature_of_two_classes_has_a_closed_form(right, logit):
    # all items have the same logits; the best probability is the share that is right
    labels = np.repeat([0, 1], [right, 10 - right])
    found = calibration.fit_temperature(np.tile([logit, 0.0], (10, 1)), labels)
    assert found == pytest.approx(logit / np.log(right / (10 - right)))


@quick
@given(logits_of_three, labels_of_three, st.floats(0.01, 100))
def test_the_temperature_is_the_best_and_follows_the_scale_of_logits(logits, labels, scale):
    try:
        found = calibration.fit_temperature(logits, labels)
    except MetricError:
        assume(False)
    assume(found < 1000)  # beyond, all probabilities are equal to rounding

    def loss(log_temperature):
        return calibration.nll(calibration.softmax(logits, np.exp(log_temperature)), labels)

    for step in (-0.05, 0.05):
        assert loss(np.log(found)) <= loss(np.log(found) + step) + 1e-9
    assert calibration.fit_temperature(scale * logits, labels) == pytest.approx(scale * found, rel=1e-4)


def test_the_temperature_is_that_of_a_plain_minimiser():
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(500, 5))
    labels = np.array([rng.choice(5, p=row) for row in calibration.softmax(logits, 2.5)])
    oracle = minimize_scalar(
        lambda t: calibration.nll(calibration.softmax(logits, t), labels), bounds=(0.1, 10), method="bounded"
    ).x
    assert calibration.fit_temperature(logits, labels) == pytest.approx(oracle, rel=1e-4)
    assert oracle == pytest.approx(2.5, rel=0.1)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[2.0, 0.0], [0.0, 1.0]], [0, 1], "all 2 items are right"),
        ([[2.0, 0.0], [0.0, 1.0]], [1, 0], "do not favour the true classes"),
        ([[2.0, 0.0]], [2], "positions 0 to 1"),
        ([[2.0, np.nan]], [0], "1 of 1 rows of logits are not finite"),
        ([[2.0, 0.0]], [0, 1], r"shape \(1, 2\) and labels of shape \(2,\)"),
    ],
)
def test_logits_without_a_best_temperature_are_refused(logits, labels, message):
    with pytest.raises(MetricError, match=message):
        calibration.fit_temperature(logits, labels)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[2.0, -1.0]], [0], "1 of 1 rows are negative or do not sum to 1"),
        ([[0.5, 0.4]], [0], "do not sum to 1"),
        ([[0.5, 0.5]], [-1], "positions 0 to 1"),
        ([[0.5, 0.5]], ["MY"], "positions 0 to 1"),
        ([[0.5, np.nan]], [0], "not finite"),
        ([0.5, 0.5], [0, 1], r"shape \(2,\)"),
        (np.empty((0, 2)), np.empty(0, dtype=int), r"shape \(0, 2\)"),
    ],
)
def test_what_is_no_distribution_over_classes_is_refused(probabilities, labels, message):
    for score in (calibration.nll, calibration.reliability, calibration.ece):
        with pytest.raises(MetricError, match=message):
            score(probabilities, labels)


def test_no_bin_is_refused():
    with pytest.raises(MetricError, match="at least one bin"):
        calibration.ece([[0.5, 0.5]], [0], bins=0)


def test_probabilities_in_half_precision_pass():
    probabilities = calibration.softmax(np.random.default_rng(0).normal(size=(100, 13))).astype(np.float16)
    assert calibration.reliability(probabilities, np.zeros(100, dtype=int))["n"].sum() == 100
