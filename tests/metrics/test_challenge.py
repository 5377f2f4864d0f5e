"""The challenge's score: by hand, against scikit-learn, its oddities, intervals, shares of the stages, bad input."""

import numpy as np
import pytest
from box_tables import CLASSES, detections, prediction_table, random_tables, truth_table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from wbc_utils.metrics import MetricError, challenge
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.overlap import giou

BOX, APART = (0, 0, 10, 10), (20, 20, 30, 30)


def taken(truth, predictions, images=("a", "b"), classes=("EO", "LY")):
    return challenge.take(detections(truth, predictions, images, classes))


def random_taken(seed, **changes):
    truth, predictions, names = random_tables(seed, **changes)
    return challenge.take(Detections.of(truth, predictions, names, CLASSES))


def test_a_perfect_prediction_scores_one():
    found = taken([("a", "EO", *BOX), ("b", "LY", *BOX)], [("a", "EO", *BOX, 0.9), ("b", "LY", *BOX, 0.8)])
    assert {name: one.value for name, one in challenge.intervals(found, 0).items()} == dict.fromkeys(
        challenge.SCORES, 1.0
    )


def test_the_score_of_a_shifted_box_and_of_a_wrong_type_is_that_of_the_formula():
    shifted = (0, 0, 10, 5)
    found = taken([("a", "EO", *BOX), ("b", "LY", *BOX)], [("a", "EO", *shifted, 0.9), ("b", "EO", *BOX, 0.8)])
    scores = challenge.intervals(found, 0)
    assert scores["giou"].value == pytest.approx(((0.5 + 1) / 2 + 1) / 2)
    assert scores["macro_f1"].value == pytest.approx((2 / 3 + 0) / 2)
    assert scores["score"].value == pytest.approx(0.2 * 0.875 + 0.8 / 3)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50))
def test_the_macro_f1_is_that_of_scikit_learn_over_the_classes_when_nothing_is_missed(seed):
    found = random_taken(seed, images=6, cells=3)
    some = found.said < len(CLASSES)
    labels = sorted({*found.label, *found.said[some]})
    wanted = f1_score(found.label, found.said, labels=labels, average="macro", zero_division=0)
    assert challenge.intervals(found, 0)["macro_f1"].value == pytest.approx(wanted)


def test_one_prediction_serves_two_true_boxes():
    found = taken([("a", "EO", *BOX), ("a", "EO", *APART)], [("a", "EO", *BOX, 0.9)], images=("a",))
    assert found.prediction.tolist() == [0, 0]
    assert found.confusion.tolist() == [[2, 0, 0], [0, 0, 0]]
    assert found.outcome.tolist() == ["right", "missed"]


def test_predictions_that_no_true_box_takes_cost_nothing():
    truth = [("a", "EO", *BOX), ("b", "LY", *BOX)]
    sure = [("a", "EO", *BOX, 0.1), ("b", "LY", *BOX, 0.1)]
    false = [("a", "LY", *APART, 0.99), ("b", "EO", *APART, 0.99)]
    scores = [challenge.intervals(taken(truth, said), 0)["score"] for said in (sure, sure + false)]
    assert scores[0] == scores[1]


def test_an_image_without_predictions_is_missed_with_a_giou_of_minus_one():
    found = taken([("a", "EO", *BOX), ("b", "LY", *BOX)], [("a", "EO", *BOX, 0.9)])
    assert found.confusion.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (found.giou.tolist(), found.iou.tolist(), found.prediction.tolist()) == ([1, -1], [1, 0], [0, -1])
    assert challenge.intervals(found, 0)["score"].value == pytest.approx(0.2 * 0.5 + 0.8 * 0.5)


def test_a_far_prediction_is_taken_where_there_is_no_nearer_one():
    found = taken([("a", "EO", *BOX)], [("a", "EO", *APART, 0.9), ("b", "LY", *BOX, 0.9)])
    assert found.giou[0] == pytest.approx(giou(np.array([BOX]), np.array([APART]))[0, 0])
    assert found.outcome.tolist() == ["missed"]


def test_of_equal_boxes_the_surer_is_taken():
    found = taken([("a", "LY", *BOX)], [("a", "EO", *BOX, 0.3), ("a", "LY", *BOX, 0.6)])
    assert found.outcome.tolist() == ["right"]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50))
def test_each_true_box_takes_the_best_of_its_image(seed):
    truth, predictions, names = random_tables(seed, images=5, cells=3)
    both = Detections.of(truth, predictions, names, CLASSES)
    found = challenge.take(both)
    for place, corners in enumerate(both.truth.corners):
        own = predictions[predictions["image"] == both.images[both.truth.image[place]]]
        if len(own):
            best = giou(corners[None], own[["xmin", "ymin", "xmax", "ymax"]].to_numpy()).max()
            assert found.giou[place] == pytest.approx(best)


def test_the_interval_resamples_images_and_holds_the_value():
    found = challenge.intervals(random_taken(1), 0)["score"]
    assert found.low < found.value < found.high
    assert found.n == 19


def test_a_gain_over_oneself_is_exactly_zero():
    one = random_taken(2)
    for gain in challenge.gains(one, one, 0).values():
        assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_a_gain_is_the_difference_of_the_scores():
    truth, predictions, names = random_tables(3)
    first, second = (
        challenge.take(Detections.of(truth, said, names, CLASSES))
        for said in (predictions, predictions.assign(**{"class": "RBC"}))
    )
    for name, gain in challenge.gains(first, second, 0).items():
        values = [challenge.intervals(one, 0)[name].value for one in (first, second)]
        assert gain.value == pytest.approx(values[1] - values[0])


def test_the_shares_are_of_the_whole_loss_where_one_stage_alone_errs():
    truth = [("a", "EO", *BOX), ("b", "LY", *BOX)]
    perfect = taken(truth, [("a", "EO", *BOX, 1), ("b", "LY", *BOX, 1)])
    wrong_type = taken(truth, [("a", "LY", *BOX, 1), ("b", "EO", *BOX, 1)])
    found = challenge.shares_lost(wrong_type, wrong_type, perfect, 0)
    assert (found["detection"].value, found["classification"].value) == (0, 1)


def test_the_outcomes_add_up_for_each_class():
    found = random_taken(4)
    table = challenge.outcomes(found, extra=7).set_index("class")
    inner = table.loc[list(CLASSES), ["right", "wrong type", "missed"]]
    assert inner.sum(axis=1).tolist() == np.bincount(found.label, minlength=len(CLASSES)).tolist()
    assert table.loc["all", "n"] == len(found)
    assert table.loc["no true cell", "n"] == 7


def test_predictions_beside_another_truth_are_refused():
    first = taken([("a", "EO", *BOX)], [])
    second = taken([("a", "LY", *BOX)], [])
    with pytest.raises(MetricError, match="other images, classes or true boxes"):
        challenge.gains(first, second, 0)


def test_no_true_box_and_a_single_image_are_refused():
    with pytest.raises(MetricError, match="no true box"):
        challenge.intervals(challenge.take(Detections.of(truth_table(), prediction_table(), ["a"], ["EO"])), 0)
    with pytest.raises(MetricError, match="at least two independent groups"):
        challenge.intervals(taken([("a", "EO", *BOX)], []), 0)
