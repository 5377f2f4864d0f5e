"""Precision, recall and F1 at score thresholds, by hand, against scikit-learn and scipy."""

import numpy as np
import pytest
from box_tables import CLASSES, detections, drawn_tables, random_tables
from hypothesis import given, settings
from scipy import stats
from sklearn.metrics import precision_recall_curve

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.matching import matched_tables
from wbc_utils.metrics.operating import operating_interval, operating_point, precision_recall

quick = settings(max_examples=40, deadline=None)
TRUTH = [("a", "RBC", 0, 0, 10, 10), ("a", "RBC", 20, 0, 30, 10), ("b", "RBC", 0, 0, 10, 10)]
BOXES = [
    ("a", "RBC", 0, 0, 10, 10, 0.9),
    ("a", "RBC", 0, 0, 10, 9, 0.8),  # duplicate
    ("b", "RBC", 0, 0, 10, 10, 0.8),
    ("b", "RBC", 50, 0, 60, 10, 0.2),  # background
]


def test_the_curve_has_a_point_for_each_score():
    curve = precision_recall(detections(TRUTH, BOXES, images=("a", "b")))
    assert curve["score"].tolist() == [0.9, 0.8, 0.2]
    assert curve["precision"].tolist() == pytest.approx([1, 2 / 3, 1 / 2])
    assert curve["recall"].tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3])


def test_the_curve_is_that_of_scikit_learn_up_to_the_boxes_never_found():
    truth, predictions, images = random_tables(0)
    found = Detections.of(truth, predictions, images, CLASSES)
    matched, _ = matched_tables(found)
    curve = precision_recall(found)
    for name in CLASSES:
        own = matched[matched["class"] == name]
        hit = own["match"] == "true positive"
        precision, recall, scores = precision_recall_curve(hit, own["score"])
        ours = curve[curve["class"] == name].iloc[::-1]
        reached = hit.sum() / (truth["class"] == name).sum()
        assert ours["score"].tolist() == scores.tolist()
        assert ours["precision"].tolist() == pytest.approx(precision[:-1])
        assert ours["recall"].tolist() == pytest.approx(recall[:-1] * reached)


def test_a_class_without_true_boxes_has_no_recall_and_one_without_predictions_no_row():
    found = detections([], [("a", "WBC", 0, 0, 10, 10, 0.9)], classes=("RBC", "WBC"))
    curve = precision_recall(found)
    assert curve["class"].tolist() == ["WBC"]
    assert curve["precision"].tolist() == [0]
    assert curve["recall"].isna().all()


def test_an_operating_point_counts_hits_duplicates_and_misses():
    found = operating_point(detections(TRUTH, BOXES, images=("a", "b")), 0.5).set_index("class").loc["RBC"]
    assert found[["n", "TP", "FP", "FN"]].tolist() == [3, 2, 1, 1]
    assert found[["precision", "recall", "F1"]].tolist() == pytest.approx([2 / 3] * 3)


def test_a_stricter_iou_turns_loose_boxes_into_false_ones():
    loose = [("a", "RBC", 0, 0, 10, 7, 0.9)]
    hits = [operating_point(detections(TRUTH[:1], loose), 0.5, iou)["TP"][0] for iou in (0.5, 0.7, 0.75)]
    assert hits == [1, 1, 0]


@quick
@given(drawn_tables())
def test_an_operating_point_lies_on_the_curve(tables):
    truth, predictions, images = tables
    found = Detections.of(truth, predictions, images, CLASSES)
    for row in precision_recall(found).to_dict("records"):
        point = operating_point(found, row["score"]).set_index("class").loc[row["class"]]
        assert [point["precision"], point["recall"]] == pytest.approx([row["precision"], row["recall"]], nan_ok=True)


def test_each_class_has_its_own_threshold_and_all_boxes_are_pooled():
    truth, predictions, images = random_tables(0)
    found = Detections.of(truth, predictions, images, CLASSES)
    thresholds = {"RBC": 0.3, "WBC": 0.5, "Platelets": 0.7}
    table = operating_point(found, thresholds).set_index("class")
    for name, threshold in thresholds.items():
        assert table.loc[name].tolist() == operating_point(found, threshold).set_index("class").loc[name].tolist()
    counts = ["n", "TP", "FP", "FN"]
    assert table.loc["pooled", counts].tolist() == table.loc[list(CLASSES), counts].sum().tolist()
    hits, false, missed = table.loc["pooled", ["TP", "FP", "FN"]]
    assert table.loc["pooled", "F1"] == pytest.approx(2 * hits / (2 * hits + false + missed))


def test_without_predictions_there_is_no_precision():
    point = operating_point(detections(TRUTH[:1], []), 0.5)
    assert point["precision"].isna().all()
    assert point["recall"].tolist() == [0, 0]
    assert point["F1"].tolist() == [0, 0]


def test_the_interval_of_f1_is_that_of_scipy_over_images():
    truth, predictions, images = random_tables(0, images=40)
    found = Detections.of(truth, predictions, images, CLASSES)
    matched, true = matched_tables(found)
    kept = matched[matched["score"] >= 0.4]
    hits, boxes, cells = (
        np.array([(table["image"] == image).sum() for image in images])
        for table in (kept[kept["match"] == "true positive"], kept, true)
    )

    def f1(chosen):
        return 2 * hits[chosen].sum() / (boxes[chosen].sum() + cells[chosen].sum())

    oracle = stats.bootstrap(
        (np.arange(40),), f1, vectorized=False, n_resamples=2000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    table = operating_interval(found, 0.4, seed=0, draws=20_000).set_index(["class", "metric"])
    row = table.loc[("pooled", "F1")]
    assert row["value"] == pytest.approx(f1(np.arange(40)))
    assert [row["low"], row["high"]] == pytest.approx(oracle, abs=0.008)
    assert row["n"] == 40
    point = operating_point(found, 0.4).set_index("class")
    for metric in ("precision", "recall", "F1"):
        assert table.xs(metric, level="metric")["value"].tolist() == point[metric].tolist()


def test_an_interval_over_one_image_is_refused():
    with pytest.raises(MetricError, match="at least two independent"):
        operating_interval(detections(TRUTH[:1], []), 0.5, seed=0)
