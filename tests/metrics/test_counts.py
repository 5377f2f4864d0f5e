"""Counting cells: errors by hand, Bland and Altman's own example, known coverage."""

import numpy as np
import pytest
from box_tables import CLASSES, detections, random_tables

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import mean_interval
from wbc_utils.metrics.counts import bland_altman, count_error, image_counts
from wbc_utils.metrics.detection import Detections

# Bland & Altman 1986, table 1: peak expiratory flow (l/min) by two meters, first measurements of 17 subjects
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI_WRIGHT = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_every_image_and_class_is_counted_also_where_there_is_nothing():
    boxes = [("a", "RBC", 0, 0, 1, 1, 0.9), ("a", "RBC", 0, 0, 1, 1, 0.4), ("b", "WBC", 0, 0, 1, 1, 0.5)]
    table = image_counts(
        detections([("a", "RBC", 0, 0, 1, 1), ("a", "WBC", 0, 0, 1, 1)], boxes, ("c", "a", "b"), ("RBC", "WBC")), 0.5
    )
    assert table["image"].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert table["class"].tolist() == ["RBC", "WBC"] * 3
    assert table["truth"].tolist() == [1, 1, 0, 0, 0, 0]
    assert table["predicted"].tolist() == [1, 0, 0, 1, 0, 0]
    assert table["error"].tolist() == [0, -1, 0, 1, 0, 0]


def test_errors_that_cancel_leave_no_bias():
    boxes = [("a", "RBC", 0, 0, 1, 1, 0.9), ("a", "RBC", 0, 0, 1, 1, 0.9)]
    found = detections([("b", "RBC", 0, 0, 1, 1), ("b", "RBC", 0, 0, 1, 1)], boxes, images=("a", "b"))
    table = count_error(found, 0.5, seed=0).set_index("metric")
    assert table["value"].to_dict() == {"MAE": 2, "bias": 0}
    assert table.loc["MAE", ["low", "high"]].tolist() == [2, 2]
    assert table.loc["bias", ["low", "high"]].tolist() == [-2, 2]


def test_the_interval_of_a_count_error_is_that_of_a_mean_over_images():
    truth, predictions, images = random_tables(0, images=40)
    found = Detections.of(truth, predictions, images, CLASSES)
    thresholds = {"RBC": 0.3, "WBC": 0.5, "Platelets": 0.7}
    table = count_error(found, thresholds, seed=0, draws=20_000).set_index(["class", "metric"])
    counts = image_counts(found, thresholds)
    for name in CLASSES:
        error = counts.loc[counts["class"] == name, "error"]
        for metric, values in (("MAE", error.abs()), ("bias", error)):
            oracle = mean_interval(values, seed=1, draws=20_000)
            row = table.loc[(name, metric)]
            assert row["value"] == pytest.approx(oracle.value)
            assert [row["low"], row["high"]] == pytest.approx(oracle.ci, abs=0.06)
            assert row["n"] == 40


def test_agreement_is_that_of_bland_and_altman_s_example():
    found = bland_altman(MINI_WRIGHT, WRIGHT)
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert found.bias_error == pytest.approx(9.4, abs=0.05)
    assert found.bias.ci == pytest.approx((-22.0, 17.8), abs=0.1)
    assert [found.lower.value, found.upper.value] == pytest.approx([-78.1, 73.9], abs=0.05)
    assert found.limit_error == pytest.approx(16.3, abs=0.3)  # the paper rounds √(1 + 1.96² / 2) to √3
    assert found.bias.n == found.lower.n == 17


def test_the_standard_error_of_a_limit_of_two_subjects_by_hand():
    found = bland_altman([0, 0], [-1, 1])  # sd √2
    assert found.bias_error == pytest.approx(1)
    assert found.limit_error == pytest.approx(np.sqrt(2 * (1 / 2 + 1.959964**2 / 2)))


def test_a_constant_difference_has_limits_at_the_bias():
    found = bland_altman([1, 2, 3], [3, 4, 5])
    assert (found.bias.ci, found.lower.ci, found.upper.value) == ((2, 2), (2, 2), 2)
    assert (found.sd, found.bias_error, found.limit_error) == (0, 0, 0)


def test_swapped_measurements_mirror_bias_and_limits():
    one, other = bland_altman(WRIGHT, MINI_WRIGHT), bland_altman(MINI_WRIGHT, WRIGHT)
    assert one.bias.value == pytest.approx(-other.bias.value)
    assert one.upper.ci == pytest.approx([-bound for bound in other.lower.ci][::-1])


def test_the_standard_errors_are_those_of_repeated_samples():
    rng = np.random.default_rng(0)
    samples = [bland_altman(np.zeros(60), row) for row in rng.normal(1, 2, (2000, 60))]
    for error, name in (("bias_error", "bias"), ("limit_error", "upper")):
        spread = np.std([getattr(found, name).value for found in samples])
        assert np.mean([getattr(found, error) for found in samples]) == pytest.approx(spread, rel=0.05)
    holding = np.mean([found.upper.low <= 1 + 1.959964 * 2 <= found.upper.high for found in samples])
    assert holding == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        ([1, 2], [1, 2, 3], "give both of at least two subjects"),
        ([1], [1], "give both of at least two subjects"),
        ([1, np.nan], [1, 2], "1 of 2 subjects have a measurement that is not finite"),
    ],
)
def test_measurements_that_cannot_be_compared_are_refused(first, second, fault):
    with pytest.raises(MetricError, match=fault):
        bland_altman(first, second)


def test_a_count_error_over_one_image_has_no_interval():
    with pytest.raises(MetricError, match="at least two independent"):
        count_error(detections([("a", "RBC", 0, 0, 1, 1)], []), 0.5, seed=0)
