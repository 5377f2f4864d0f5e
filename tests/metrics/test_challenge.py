"""The challenge's score: by hand, against scikit-learn, its oddities, intervals, shares of the stages, bad input."""

import numpy as np
import pandas as pd
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


def one_a_image(labels, said, classes=("EO", "LY")):
    """Return a cell an image, each found exactly, with these labels."""
    truth = [(f"{place:03d}", label, *BOX) for place, label in enumerate(labels)]
    predictions = [(f"{place:03d}", label, *BOX, 0.9) for place, label in enumerate(said)]
    return taken(truth, predictions, [row[0] for row in truth], classes)


def random_taken(seed, **changes):
    truth, predictions, names = random_tables(seed, **changes)
    return challenge.take(Detections.of(truth, predictions, names, CLASSES))


def test_a_perfect_prediction_scores_one():
    found = one_a_image(["EO", "EO", "LY"], ["EO", "EO", "LY"])
    assert {name: one.value for name, one in challenge.intervals(found, 0).items()} == dict.fromkeys(
        challenge.SCORES, 1.0
    )


def test_the_score_of_a_shifted_box_and_of_a_wrong_type_is_that_of_the_formula():
    shifted = (0, 0, 10, 5)
    found = taken([("a", "EO", *BOX), ("b", "LY", *BOX)], [("a", "EO", *shifted, 0.9), ("b", "EO", *BOX, 0.8)])
    assert ((found.giou + 1) / 2).mean() == pytest.approx(((0.5 + 1) / 2 + 1) / 2)
    assert challenge.score(found) == pytest.approx(0.2 * 0.875 + 0.8 * (2 / 3 + 0) / 2)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50))
def test_the_macro_f1_is_that_of_scikit_learn_over_the_classes_when_nothing_is_missed(seed):
    found = random_taken(seed, images=6, cells=3)
    some = found.said < len(CLASSES)
    labels = sorted({*found.label, *found.said[some]})
    wanted = f1_score(found.label, found.said, labels=labels, average="macro", zero_division=0)
    overlap = ((found.giou + 1) / 2).mean()
    assert challenge.score(found) == pytest.approx(0.2 * overlap + 0.8 * wanted)


def test_one_prediction_serves_two_true_boxes():
    found = taken([("a", "EO", *BOX), ("a", "EO", *APART)], [("a", "EO", *BOX, 0.9)], images=("a",))
    assert found.prediction.tolist() == [0, 0]
    assert found.confusion.tolist() == [[2, 0, 0], [0, 0, 0]]
    assert found.outcome.tolist() == ["right", "missed"]


def test_a_cell_named_as_a_class_that_is_not_there_takes_a_share_of_macro_f1():
    found = one_a_image(["EO", "EO", "LY"], ["EO", "BA", "LY"], classes=("EO", "BA", "LY"))
    assert found.astray == 1
    assert challenge.score(found) == pytest.approx(0.2 + 0.8 * (2 / 3 + 0 + 1) / 3)
    assert taken([("a", "EO", *BOX)], [], images=("a",)).astray == 0


def test_all_true_boxes_that_share_a_prediction_are_counted():
    far = (40, 40, 50, 50)
    truth = [("a", "EO", *BOX), ("a", "EO", *APART), ("a", "EO", *far), ("b", "LY", *BOX)]
    found = taken(truth, [("a", "EO", *BOX, 0.9), ("b", "LY", *BOX, 0.9)])
    assert found.sharing == 3
    assert taken(truth, []).sharing == 0


def test_a_class_of_which_two_cells_were_missed_is_not_certain_to_be_missed():
    found = one_a_image(["EO"] * 6 + ["LY"] * 2, ["EO"] * 5 + ["BA"] + ["EO"] * 2, ("EO", "LY", "BA", "MO"))
    one = challenge.intervals(found, 0)["macro_f1"]
    assert one.value == pytest.approx((10 / 13 + 0 + 0) / 3)  # MO neither occurs nor is said
    assert one.low < one.value < 1 / 3 < one.high


def test_one_cell_astray_is_no_certain_loss():
    """A third of the resamples lack it."""
    right, astray = one_a_image(["EO"] * 10, ["EO"] * 10), one_a_image(["EO"] * 10, ["LY", *["EO"] * 9])
    loss = challenge.gains(right, astray, 0)["macro_f1"]
    assert loss.value == pytest.approx(18 / 19 / 2 - 1)
    assert loss.low < loss.value < 0 <= loss.high


def test_the_interval_holds_the_truth_where_a_class_has_two_cells():
    recalls, numbers, held = {"EO": 0.9, "LY": 0.5, "MO": 0.7}, {"EO": 60, "LY": 2, "MO": 20}, []
    cells = np.array([[numbers[code] * recalls[code] if code == said else 0 for said in numbers] for code in numbers])
    cells[:, 0] += np.array(list(numbers.values())) - cells.sum(axis=1)
    cells[0, 2] += 60 - cells[0].sum()
    truth = np.mean(2 * np.diag(cells) / (cells.sum(axis=0) + cells.sum(axis=1)))
    for draw in range(100):
        rng = np.random.default_rng(draw)
        said = [rng.choice(list(numbers), n, p=cells[row] / n) for row, n in enumerate(numbers.values())]
        found = one_a_image(
            list(np.repeat(list(numbers), list(numbers.values()))), list(np.concatenate(said)), tuple(numbers)
        )
        one = challenge.intervals(found, draw, draws=300)["macro_f1"]
        held.append(one.low <= truth <= one.high)
    assert np.mean(held) >= 0.9


def test_no_resample_lacks_a_class():
    """With images drawn from all, the rare class would be absent from a third of the resamples, which would score 1."""
    found = one_a_image(["EO"] * 20 + ["LY"], ["EO"] * 21)
    one = challenge.intervals(found, 0)["macro_f1"]
    assert one.value == pytest.approx(40 / 41 / 2)
    assert one.low < one.value < one.high < 1
    rare = one_a_image(["EO"] * 20 + ["LY"] * 2, ["EO"] * 21 + ["LY"])
    bounds = challenge.intervals(rare, 0)["macro_f1"]
    assert bounds.low < 40 / 42 / 2
    assert bounds.high == pytest.approx(1)


def test_images_of_several_classes_are_drawn_among_their_like():
    truth = [(name, label, *box) for name in "abcd" for label, box in (("EO", BOX), ("LY", APART))]
    truth += [(name, "EO", *BOX) for name in "ef"]
    said = [("a", "EO", *BOX, 0.9), ("a", "LY", *APART, 0.9), ("e", "EO", *BOX, 0.9)]
    found = challenge.intervals(taken(truth, said, "abcdef"), 0)
    assert found["macro_f1"].low == 0
    assert found["macro_f1"].high < 1
    assert found["score"].n == 6


def test_the_strata_are_drawn_independently_and_the_seed_decides():
    labels, said = ["EO", "LY"] * 30, ["EO"] * 30 + ["LY"] * 30
    first, again, other = (challenge.intervals(one_a_image(labels, said), seed)["score"] for seed in (0, 0, 1))
    assert first == again
    assert first.ci != other.ci
    both = pd.Series(labels) == pd.Series(said)
    spread = np.sqrt(0.25 / both.size)  # of the share that is right, which macro-F1 follows here
    assert (first.high - first.low) / (2 * 1.96) == pytest.approx(0.8 * spread, rel=0.15)


def test_predictions_that_no_true_box_takes_cost_nothing():
    truth = [("a", "EO", *BOX), ("b", "LY", *BOX)]
    sure = [("a", "EO", *BOX, 0.1), ("b", "LY", *BOX, 0.1)]
    false = [("a", "LY", *APART, 0.99), ("b", "EO", *APART, 0.99)]
    once, more = (taken(truth, said) for said in (sure, sure + false))
    assert challenge.score(once) == challenge.score(more)
    assert (once.unused, more.unused) == (0, 2)


def test_an_image_without_predictions_is_missed_with_a_giou_of_minus_one():
    found = taken([("a", "EO", *BOX), ("b", "LY", *BOX)], [("a", "EO", *BOX, 0.9)])
    assert found.confusion.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (found.giou.tolist(), found.iou.tolist(), found.prediction.tolist()) == ([1, -1], [1, 0], [0, -1])
    assert challenge.score(found) == pytest.approx(0.2 * 0.5 + 0.8 * 0.5)


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
        assert str(gain.value) == "0.0"
        assert np.isnan(gain.ci).all()  # no resample differs: no interval


def test_a_gain_is_the_difference_of_the_scores():
    truth, predictions, names = random_tables(3)
    first, second = (
        challenge.take(Detections.of(truth, said, names, CLASSES))
        for said in (predictions, predictions.assign(**{"class": "RBC"}))
    )
    for name, gain in challenge.gains(first, second, 0).items():
        values = [challenge.intervals(one, 0)[name].value for one in (first, second)]
        assert gain.value == pytest.approx(values[1] - values[0])


def test_a_gain_over_a_mean_is_that_over_the_mean_of_the_scores():
    truth, predictions, names = random_tables(3)
    several = [
        challenge.take(Detections.of(truth, said, names, CLASSES))
        for said in (predictions, predictions.assign(**{"class": "RBC"}), predictions.assign(**{"class": "WBC"}))
    ]
    one, two, other = (challenge.score(each) for each in several)
    gain = challenge.gain_over_mean(several[:2], several[2], 0)["score"]
    assert gain.value == pytest.approx(other - (one + two) / 2)
    assert challenge.gain_over_mean(several[:1], several[2], 0) == challenge.gains(several[0], several[2], 0)


def test_the_shares_are_of_the_whole_loss_where_one_stage_alone_errs():
    truth = ["EO", "EO", "LY"]
    perfect, wrong_type = (one_a_image(truth, said) for said in (truth, ["LY", "LY", "EO"]))
    found = challenge.shares_lost(wrong_type, wrong_type, perfect, 0)
    assert (found["detection"].value, found["classification"].value) == (0, 1)


def test_the_outcomes_add_up_for_each_class():
    found = random_taken(4)
    table = challenge.outcomes(found).set_index("class")
    inner = table.loc[list(CLASSES), ["right", "wrong type", "missed"]]
    assert inner.sum(axis=1).tolist() == np.bincount(found.label, minlength=len(CLASSES)).tolist()
    assert table.loc["all", "n"] == len(found)
    assert table.loc["no true cell", "n"] == found.unused
    assert found.unused == found.offered - len(set(found.prediction) - {-1})


def test_predictions_beside_another_truth_are_refused():
    first = taken([("a", "EO", *BOX)], [])
    second = taken([("a", "LY", *BOX)], [])
    with pytest.raises(MetricError, match="other images, classes or true boxes"):
        challenge.gains(first, second, 0)


def test_no_true_box_and_a_single_image_are_refused():
    with pytest.raises(MetricError, match="no true box"):
        challenge.intervals(challenge.take(Detections.of(truth_table(), prediction_table(), ["a"], ["EO"])), 0)
    with pytest.raises(MetricError, match="two images that show the same classes, found 1"):
        challenge.intervals(taken([("a", "EO", *BOX)], []), 0)
