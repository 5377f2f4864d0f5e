"""Report 002's AP: by hand, where it leaves COCO's, and what a threshold does to it."""

import numpy as np
import pandas as pd
import pytest
from box_tables import CLASSES, detections, drawn_tables, random_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.metrics import report_002
from wbc_utils.metrics.coco import coco_ap
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.report_002 import report_002_ap, report_002_difference, report_002_interval

quick = settings(max_examples=60, deadline=None)
TRUTH = [("a", "RBC", 0, 0, 10, 10), ("a", "RBC", 20, 0, 30, 10)]
FIRST, SECOND = ("a", "RBC", 0, 0, 10, 10), ("a", "RBC", 20, 0, 30, 10)
STRAY = ("a", "RBC", 50, 0, 60, 10)


def area(found, ranked=True):
    return report_002_ap(found, ranked).set_index("class")["report_002_AP"]["mean"]


def test_the_area_is_that_of_trapezoids():
    # hit, miss, hit of two boxes: (0, 1), (1/2, 1), (1/2, 1/2), (1, 2/3)
    found = detections(TRUTH, [(*FIRST, 0.9), (*STRAY, 0.8), (*SECOND, 0.7)])
    assert area(found) == pytest.approx(1 / 2 + (1 / 2 + 2 / 3) / 2 / 2)


def test_boxes_of_one_cell_all_count_so_that_recall_and_ap_pass_one():
    found = detections(TRUTH, [(*FIRST, 0.9), (*FIRST, 0.8), (*SECOND, 0.7)])
    table = report_002_ap(found).set_index("class")
    assert table.loc["RBC", ["report_002_AP", "recall"]].tolist() == [1.5, 1.5]
    assert coco_ap(found)["AP"].tolist()[-1] < 1


def test_one_cell_found_twice_hides_that_the_other_was_missed():
    found = detections(TRUTH, [(*FIRST, 0.9), (*FIRST, 0.8)])
    assert area(found) == 1
    assert coco_ap(found)["AP50"].tolist()[-1] == pytest.approx(51 / 101)


def test_suppression_of_second_boxes_lowers_it_though_it_raises_that_of_coco():
    every, suppressed = [(*FIRST, 0.9), (*FIRST, 0.8), (*SECOND, 0.7)], [(*FIRST, 0.9), (*SECOND, 0.7)]
    assert area(detections(TRUTH, suppressed)) < area(detections(TRUTH, every))
    assert coco_ap(detections(TRUTH, suppressed))["AP"].iloc[-1] > coco_ap(detections(TRUTH, every))["AP"].iloc[-1]


def test_an_iou_of_one_half_is_not_above_the_threshold():
    truth, box = [("a", "RBC", 0, 0, 10, 10)], ("a", "RBC", 0, 0, 10, 5, 0.9)
    assert area(detections(truth, [box])) == 0
    assert coco_ap(detections(truth, [box]))["AP50"].iloc[-1] == 1


@quick
@given(drawn_tables(), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_score_threshold_never_raises_it_where_predictions_are_ranked(tables, threshold):
    truth, predictions, images = tables
    every = report_002_ap(Detections.of(truth, predictions, images, CLASSES))["report_002_AP"]
    kept = predictions[predictions["score"] >= threshold]
    some = report_002_ap(Detections.of(truth, kept, images, CLASSES))["report_002_AP"]
    assert (some[every.notna()] <= every[every.notna()] + 1e-12).all()


def test_a_score_threshold_raises_it_where_predictions_come_image_after_image():
    truth, predictions, images = random_tables(0, images=40, classes=("RBC",), extra=30)
    areas = {}
    for threshold in (0, 0.5):
        kept = predictions[predictions["score"] >= threshold]
        found = Detections.of(truth, kept, images, ["RBC"])
        areas[threshold] = area(found, ranked=False), area(found)
    assert areas[0.5][0] > 1.2 * areas[0][0]
    assert areas[0.5][1] <= areas[0][1]


def test_image_after_image_it_is_near_precision_times_recall():
    truth, predictions, images = random_tables(1, images=60, classes=("RBC",), extra=10)
    found = Detections.of(truth, predictions[predictions["score"] >= 0.4], images, ["RBC"])
    recall = report_002_ap(found, ranked=False)["recall"][0]
    precision = recall * len(truth) / len(found.predictions)
    assert area(found, ranked=False) == pytest.approx(precision * recall, rel=0.15)


@quick
@given(drawn_tables(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_rows_changes_nothing(tables, random, ranked):
    truth, predictions, images = tables
    shuffled = predictions.iloc[random.sample(range(len(predictions)), len(predictions))]
    one, other = (Detections.of(truth, table, images, CLASSES) for table in (predictions, shuffled))
    assert report_002_ap(one, ranked).equals(report_002_ap(other, ranked))


def test_perfect_predictions_give_one():
    truth, _, images = random_tables(0)
    found = Detections.of(truth, truth.assign(score=0.3), images, CLASSES)
    assert report_002_ap(found)["report_002_AP"].tolist() == pytest.approx([1] * 4)


def test_a_class_without_true_boxes_is_not_in_the_mean_and_one_without_predictions_is_zero():
    found = detections(TRUTH, [("a", "WBC", 0, 0, 10, 10, 0.9)], classes=("RBC", "WBC"))
    table = report_002_ap(found)
    assert table["report_002_AP"].tolist() == pytest.approx([0, np.nan, 0], nan_ok=True)
    assert table["n"].tolist() == [2, 0, 2]
    assert report_002_ap(detections([], []))["report_002_AP"].isna().all()


@pytest.mark.parametrize("ranked", [True, False])
def test_the_area_of_a_resample_is_that_of_its_images_evaluated_anew(ranked):
    truth, predictions, images = random_tables(1, images=8)
    found = Detections.of(truth, predictions, images, CLASSES)
    hits, rng = report_002._hits(found, ranked), np.random.default_rng(0)
    for _ in range(5):
        drawn = np.sort(rng.integers(len(images), size=len(images)))
        names = [f"{copy:02d}" for copy in range(len(drawn))]
        copies = [
            pd.concat([table[table["image"] == images[image]].assign(image=name)
                       for image, name in zip(drawn, names, strict=True)])
            for table in (truth, predictions)
        ]  # fmt: skip
        anew = report_002_ap(Detections.of(*copies, names, CLASSES), ranked)["report_002_AP"]
        fast = report_002._areas(found, hits, ranked, np.bincount(drawn, minlength=len(images))[None])
        assert fast[0] == pytest.approx(anew.to_numpy(), rel=1e-12)


@pytest.mark.parametrize("ranked", [True, False])
def test_the_interval_holds_the_value_and_a_difference_is_paired(ranked):
    truth, predictions, images = random_tables(2)
    found = Detections.of(truth, predictions, images, CLASSES)
    table = report_002_interval(found, 0, ranked, draws=200)
    assert table["value"].tolist() == report_002_ap(found, ranked)["report_002_AP"].tolist()
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()
    assert (table["n"] == len(images)).all()
    kept = Detections.of(truth, predictions[predictions["score"] > 0.6], images, CLASSES)
    change = report_002_difference(found, kept, 0, ranked, draws=200)
    values = report_002_ap(kept, ranked)["report_002_AP"] - report_002_ap(found, ranked)["report_002_AP"]
    assert change["value"].to_numpy() == pytest.approx(values.to_numpy())
    nothing = report_002_difference(found, found, 0, ranked, draws=20)
    assert (nothing[["value", "low", "high"]] == 0).all(axis=None)
