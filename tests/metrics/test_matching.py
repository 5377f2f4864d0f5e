"""One-to-one matching, by hand, against a plain loop and by its properties."""

import numpy as np
import pytest
from box_tables import CLASSES, detections, drawn_tables, random_tables
from hypothesis import given, settings

from wbc_utils.metrics import MetricError, matching
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.matching import match, matched_tables, overlapping
from wbc_utils.metrics.overlap import iou

quick = settings(max_examples=60, deadline=None)


def plain_match(found, least):
    """Return the true box that each prediction takes, by the definition, a loop at a time."""
    boxes, truth = found.predictions, found.truth
    overlap = iou(boxes.corners, truth.corners) if len(truth) else np.zeros((len(boxes), 0))
    taken, taker = set(), np.full(len(boxes), -1)
    for one in np.argsort(-boxes.score, kind="stable"):
        rivals = [
            (overlap[one, other], other)
            for other in range(len(truth))
            if (truth.image[other], truth.label[other]) == (boxes.image[one], boxes.label[one])
            and overlap[one, other] >= least
            and other not in taken
        ]
        if rivals:
            taker[one] = max(rivals)[1]
            taken.add(taker[one])
    return taker


@quick
@given(drawn_tables())
def test_matching_is_that_of_a_plain_loop_at_every_iou(tables):
    found = Detections.of(*tables, CLASSES)
    least = [0.1, 0.5, 1.0]
    assert match(found, least).tolist() == [plain_match(found, one).tolist() for one in least]


@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_matching_does_not_depend_on_how_many_pairs_fit_into_memory(monkeypatch, at_once):
    found = Detections.of(*random_tables(0), CLASSES)
    whole = overlapping(found)
    monkeypatch.setattr(matching, "_PAIRS_AT_ONCE", at_once)
    parts = overlapping(found)
    assert parts.prediction.tolist() == whole.prediction.tolist()
    assert parts.truth.tolist() == whole.truth.tolist()
    assert match(found, [0.5])[0].tolist() == plain_match(found, 0.5).tolist()


@quick
@given(drawn_tables(tied=False))
def test_predictions_of_lower_score_change_no_match(tables):
    truth, predictions, images = tables
    whole, _ = matched_tables(Detections.of(truth, predictions, images, CLASSES))
    high = predictions["score"] >= 0.5
    kept, _ = matched_tables(Detections.of(truth, predictions[high], images, CLASSES))
    assert kept.to_dict() == whole[high].to_dict()


def test_a_prediction_takes_the_best_box_that_is_left():
    # the wide box overlaps the second cell more, but a better prediction of that one comes first
    truth = [("a", "RBC", 0, 0, 8, 10), ("a", "RBC", 8, 0, 20, 10)]
    boxes = [("a", "RBC", 0, 0, 20, 10, 0.5), ("a", "RBC", 9, 0, 21, 10, 0.9)]
    predictions, found = matched_tables(detections(truth, boxes), iou=0.4)
    assert predictions["match"].tolist() == ["true positive", "true positive"]
    assert predictions["iou"].tolist() == pytest.approx([8 / 20, 11 / 13])
    assert predictions["truth"].tolist() == [0, 1]
    assert found["prediction"].tolist() == [0, 1]


def test_each_prediction_and_each_true_box_is_told_what_became_of_it():
    truth = [("b", "RBC", 50, 0, 60, 10), ("a", "RBC", 0, 0, 10, 10), ("a", "WBC", 0, 0, 10, 10)]
    boxes = [
        ("a", "RBC", 0, 0, 10, 5, 0.3),  # overlaps enough, but comes second
        ("a", "RBC", 0, 0, 10, 8, 0.9),
        ("a", "RBC", 0, 0, 10, 4, 0.8),  # overlaps too little
        ("b", "RBC", 0, 0, 10, 10, 0.9),  # overlaps nothing
        ("b", "WBC", 50, 0, 60, 10, 0.9),  # of another class than the box there
    ]
    predictions, found = matched_tables(detections(truth, boxes, images=("a", "b"), classes=("RBC", "WBC")))
    assert predictions["match"].tolist() == ["duplicate", "true positive", "background", "background", "background"]
    assert predictions["iou"].tolist() == [0.5, 0.8, 0.4, 0, 0]
    assert predictions["truth"].fillna(-1).tolist() == [1, 1, 1, -1, -1]
    assert found["found"].tolist() == [False, True, False]
    assert found["prediction"].fillna(-1).tolist() == [-1, 1, -1]


@quick
@given(drawn_tables())
def test_found_boxes_and_true_positives_are_pairs(tables):
    truth, predictions, images = tables
    predicted, true = matched_tables(Detections.of(truth, predictions, images, CLASSES))
    assert predicted[list(predictions.columns)].equals(predictions)
    hits = predicted[predicted["match"] == "true positive"]
    assert sorted(hits["truth"]) == np.flatnonzero(true["found"]).tolist()
    assert true["prediction"].dropna().sort_values().tolist() == hits.index.tolist()
    assert (
        true.iloc[hits["truth"].astype(int)][["image", "class"]].to_numpy() == hits[["image", "class"]].to_numpy()
    ).all()
    assert (predicted["iou"] >= 0.5).tolist() == (predicted["match"] != "background").tolist()


def test_tables_without_rows_stay_without_rows():
    predictions, truth = matched_tables(detections([], []))
    assert (len(predictions), len(truth)) == (0, 0)
    predictions, truth = matched_tables(detections([("a", "RBC", 0, 0, 1, 1)], []))
    assert truth["found"].tolist() == [False]


@pytest.mark.parametrize("least", [0, 1.1, np.nan])
def test_an_iou_that_every_or_no_pair_has_is_refused(least):
    with pytest.raises(MetricError, match="above 0 and up to 1"):
        match(detections([], []), [0.5, least])
