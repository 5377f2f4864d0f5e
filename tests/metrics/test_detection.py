"""What makes a comparison of predictions and truth, and which boxes make none."""

import numpy as np
import pandas as pd
import pytest
from box_tables import CLASSES, detections, prediction_table, random_tables, truth_table

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.detection import Detections, interval_table, side_by_side, times_drawn

TRUE = ("a", "RBC", 0, 0, 10, 10)
FOUND = (*TRUE, 0.5)


def changed(row, **values):
    names = ["image", "label", "xmin", "ymin", "xmax", "ymax", "score"]
    return tuple({**dict(zip(names, row, strict=False)), **values}.values())


def test_boxes_are_ordered_by_image_class_and_falling_score_and_know_their_row():
    rows = [("b", "RBC", 0, 0, 1, 1, 0.9), ("a", "WBC", 0, 0, 1, 1, 0.2), ("a", "WBC", 0, 0, 1, 1, 0.8)]
    found = detections([], rows, images=("b", "a"), classes=("WBC", "RBC"))
    assert found.images == ("a", "b")
    assert found.predictions.row.tolist() == [2, 1, 0]
    assert found.predictions.image.tolist() == [0, 0, 1]
    assert found.predictions.label.tolist() == [0, 0, 1]
    assert found.predictions.score.tolist() == [0.8, 0.2, 0.9]


def test_boxes_are_counted_in_every_image_and_class():
    truth, predictions, images = random_tables(0)
    found = Detections.of(truth, predictions, images, CLASSES)
    by_hand = pd.crosstab(truth["image"], truth["class"]).reindex(index=images, columns=list(CLASSES), fill_value=0)
    assert found.count(found.truth).tolist() == by_hand.to_numpy().tolist()
    assert found.count(found.truth)[-1].tolist() == [0, 0, 0]
    high = found.count(found.predictions, found.predictions.score >= 0.5)
    assert high.sum() == (predictions["score"] >= 0.5).sum()


def test_a_prediction_at_the_threshold_of_its_class_is_detected():
    rows = [changed(FOUND, score=0.4), FOUND, changed(FOUND, label="WBC", score=0.4)]
    found = detections([], rows, classes=("RBC", "WBC"))
    assert found.predictions.score[found.detected(0.5)].tolist() == [0.5]
    assert found.predictions.score[found.detected({"RBC": 0.6, "WBC": 0.4})].tolist() == [0.4]


@pytest.mark.parametrize("thresholds", [-0.1, 1.1, np.nan, {"RBC": 0.5}, {"RBC": 0.5, "WBC": 0.5, "IG": 0.5}])
def test_thresholds_that_are_no_scores_or_lack_a_class_are_refused(thresholds):
    with pytest.raises(MetricError, match=r"one number from 0 to 1, or one for each of \['RBC', 'WBC'\]"):
        detections([TRUE], [FOUND], classes=("RBC", "WBC")).detected(thresholds)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"image": "z"}, "an image that is not among the 1 given"),
        ({"image": None}, "an image that is not among the 1 given"),
        ({"label": "IG"}, r"a class that is not among \['RBC'\]"),
        ({"xmin": np.nan}, "a coordinate that is not a finite number"),
        ({"ymax": np.inf}, "a coordinate that is not a finite number"),
        ({"xmax": "wide"}, "a coordinate that is not a finite number"),
        ({"xmin": 11}, "reversed borders"),
        ({"xmin": 11, "ymin": 11}, "reversed borders"),
        ({"ymax": 0}, "no area"),
        ({"score": -0.01}, "a score that is not from 0 to 1"),
        ({"score": 1.01}, "a score that is not from 0 to 1"),
        ({"score": np.nan}, "a score that is not from 0 to 1"),
    ],
)
def test_a_prediction_without_sense_is_refused(values, fault):
    with pytest.raises(MetricError, match=f"1 of 2 predictions have {fault}.*repair or drop"):
        detections([TRUE], [FOUND, changed(FOUND, **values)])


@pytest.mark.parametrize("values", [{"image": "z"}, {"label": "IG"}, {"xmin": np.nan}, {"xmin": 10}, {"ymin": 11}])
def test_a_true_box_without_sense_is_refused(values):
    with pytest.raises(MetricError, match=r"1 of 1 truth have .*, the first \{"):
        detections([changed(TRUE, **values)], [FOUND])


@pytest.mark.parametrize(
    ("images", "classes"), [([], ["RBC"]), (["a", "a"], ["RBC"]), (["a"], []), (["a"], ["RBC"] * 2)]
)
def test_images_and_classes_are_named_once_and_at_least_one(images, classes):
    with pytest.raises(MetricError, match="name at least one, each once"):
        Detections.of(truth_table(TRUE), prediction_table(FOUND), images, classes)


def test_a_missing_column_is_named():
    with pytest.raises(MetricError, match=r"the predictions have no column \['score'\]"):
        Detections.of(truth_table(TRUE), truth_table(TRUE), ["a"], ["RBC"])


def test_intervals_are_a_row_a_metric_and_class():
    drawn = np.tile(np.arange(1001.0)[:, None], 2)
    table = interval_table(
        ["a", "b"], {"one": np.array([3, 4]), "two": np.array([5, 6])}, {"one": drawn, "two": -drawn}, 7
    )
    assert table["class"].tolist() == ["a", "b", "a", "b"]
    assert table["metric"].tolist() == ["one", "one", "two", "two"]
    assert table["value"].tolist() == [3, 4, 5, 6]
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([25, 975])
    assert table.loc[3, ["low", "high"]].tolist() == pytest.approx([-975, -25])
    assert table["n"].tolist() == [7] * 4


def test_a_page_gets_a_row_a_class_with_intervals_in_words():
    table = pd.DataFrame(
        [("a", "one", 3, 0.25, 9.5, 7), ("b", "one", 4, -1, 5, 7), ("a", "two", 5, 5, 5, 7), ("b", "two", 6, 0, 7, 7)],
        columns=["class", "metric", "value", "low", "high", "n"],
    )
    wide = side_by_side(table)
    assert wide.columns.tolist() == ["class", "one", "one, 95 %", "two", "two, 95 %"]
    assert wide.loc[0].tolist() == ["a", 3, "0.250 to 9.500", 5, "5.000 to 5.000"]
    assert wide["two"].tolist() == [5, 6]


def test_every_resample_holds_as_many_images_as_there_are_whatever_is_drawn_at_once():
    blocks = list(times_drawn(5, seed=0, draws=7, at_once=3))
    assert [block.shape for block in blocks] == [(3, 5), (3, 5), (1, 5)]
    drawn = np.concatenate(blocks)
    assert (drawn.sum(axis=1) == 5).all()
    assert np.array_equal(drawn, np.concatenate(list(times_drawn(5, seed=0, draws=7, at_once=100))))
    many = np.concatenate(list(times_drawn(5, seed=1, draws=20_000, at_once=5000)))
    assert many.mean(axis=0) == pytest.approx(np.ones(5), abs=0.05)


def test_one_image_cannot_be_resampled():
    with pytest.raises(MetricError, match="at least two independent images, found 1"):
        list(times_drawn(1, seed=0, draws=2, at_once=2))
