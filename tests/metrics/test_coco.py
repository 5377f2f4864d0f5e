"""COCO's average precision, against two other libraries, by hand and by its properties."""

import contextlib
import io

import faster_coco_eval
import numpy as np
import pandas as pd
import pytest
from box_tables import CLASSES, detections, drawn_tables, random_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wbc_utils.metrics import MetricError, coco
from wbc_utils.metrics.coco import ap_difference, ap_interval, ap_scores, coco_ap
from wbc_utils.metrics.detection import COORDINATES, Detections

quick = settings(max_examples=40, deadline=None)
SCORES = ["AP", "AP50", "AP75"]
PYCOCOTOOLS, FASTER = (COCO, COCOeval), (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)


def peer_ap(truth, predictions, images, classes, max_detections=300, library=PYCOCOTOOLS):
    """Return AP, AP50 and AP75 by another library, (k + 1, 3), NaN for classes without true boxes."""
    data, evaluator = library

    def annotations(table):
        table = table.sort_values(["image", "class", *COORDINATES])  # ties go by this order
        return [
            {
                "id": number,
                "image_id": images.index(row["image"]) + 1,
                "category_id": classes.index(row["class"]) + 1,
                "bbox": [row["xmin"], row["ymin"], row["xmax"] - row["xmin"], row["ymax"] - row["ymin"]],
                "area": (row["xmax"] - row["xmin"]) * (row["ymax"] - row["ymin"]),
                "iscrowd": 0,
                "score": row.get("score"),
            }
            for number, row in enumerate(table.to_dict("records"), start=1)
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        both = [data(), data()]
        for one, table in zip(both, (truth, predictions), strict=True):
            one.dataset = {
                "images": [{"id": number + 1} for number in range(len(images))],
                "categories": [{"id": number + 1} for number in range(len(classes))],
                "annotations": annotations(table),
            }
            one.createIndex()
        evaluation = evaluator(*both, "bbox")
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]
    precision = np.where(precision < 0, np.nan, precision).mean(axis=1)  # IoU, class
    each = np.stack([precision.mean(axis=0), precision[0], precision[5]], axis=1)
    return np.vstack([each, each[~np.isnan(each[:, 0])].mean(axis=0) if (each >= 0).any() else np.full(3, np.nan)])


def interval_values(found, draws=2, max_detections=300):
    """Return the values of `ap_interval` in the shape of `coco_ap`."""
    table = ap_interval(found, seed=0, draws=draws, max_detections=max_detections)
    return np.stack([table.loc[table["metric"] == name, "value"] for name in SCORES], axis=1)


def ap(found):
    return coco_ap(found).set_index("class")["AP"]["mean"]


@pytest.mark.parametrize("library", [PYCOCOTOOLS, FASTER], ids=["pycocotools", "faster-coco-eval"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("max_detections", "decimals"), [(300, 15), (3, 15), (300, 1)])
def test_ap_is_that_of_other_libraries_on_random_boxes(seed, max_detections, decimals, library):
    truth, predictions, images = random_tables(seed)
    predictions["score"] = predictions["score"].round(decimals)
    found = Detections.of(truth, predictions, images, CLASSES)
    oracle = peer_ap(truth, predictions, images, CLASSES, max_detections, library)
    assert 0.1 < oracle[-1, 0] < 0.9
    assert coco_ap(found, max_detections)[SCORES].to_numpy() == pytest.approx(oracle, abs=1e-9)
    assert interval_values(found, max_detections=max_detections) == pytest.approx(oracle, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(drawn_tables())
def test_ap_is_that_of_pycocotools_where_scores_and_overlaps_are_tied(tables):
    truth, predictions, images = tables
    found = Detections.of(truth, predictions, images, CLASSES)
    oracle = peer_ap(truth, predictions, images, CLASSES)
    assert coco_ap(found)[SCORES].to_numpy() == pytest.approx(oracle, abs=1e-9, nan_ok=True)
    assert interval_values(found) == pytest.approx(oracle, abs=1e-9, nan_ok=True)


def test_ap_by_hand():
    # hit, miss, hit of two boxes: precision 1 up to recall 1/2, then 2/3
    truth = [("a", "RBC", 0, 0, 10, 10), ("a", "RBC", 20, 0, 30, 10)]
    boxes = [("a", "RBC", 0, 0, 10, 10, 0.9), ("a", "RBC", 50, 0, 60, 10, 0.8), ("a", "RBC", 20, 0, 30, 10, 0.7)]
    by_hand = (51 * 1 + 50 * 2 / 3) / 101
    assert coco_ap(detections(truth, boxes))[SCORES].to_numpy() == pytest.approx(np.full((2, 3), by_hand))


def test_ap_counts_the_thresholds_that_a_box_reaches():
    found = coco_ap(detections([("a", "RBC", 0, 0, 10, 10)], [("a", "RBC", 0, 0, 10, 7, 0.5)]))  # IoU 0.7
    assert found[SCORES].iloc[0].tolist() == pytest.approx([0.5, 1, 0])


def test_perfect_predictions_have_an_ap_of_one():
    truth, _, images = random_tables(0)
    found = Detections.of(truth, truth.assign(score=0.3), images, CLASSES)
    assert coco_ap(found)[SCORES].to_numpy() == pytest.approx(np.ones((4, 3)))
    table = ap_interval(found, seed=0, draws=50)
    assert table[["value", "low", "high"]].to_numpy() == pytest.approx(np.ones((12, 3)))


@quick
@given(drawn_tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_images_changes_nothing(tables, random):
    truth, predictions, images = tables

    def shuffled(table):
        return table.iloc[random.sample(range(len(table)), len(table))]

    one = Detections.of(truth, predictions, images, CLASSES)
    other = Detections.of(shuffled(truth), shuffled(predictions), random.sample(images, 3), CLASSES)
    pd.testing.assert_frame_equal(coco_ap(one), coco_ap(other), check_exact=True)
    pd.testing.assert_frame_equal(ap_interval(one, 0, draws=5), ap_interval(other, 0, draws=5), check_exact=True)


@quick
@given(drawn_tables(), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_score_threshold_never_raises_ap(tables, threshold):
    truth, predictions, images = tables
    all_of_them = coco_ap(Detections.of(truth, predictions, images, CLASSES))
    kept = coco_ap(Detections.of(truth, predictions[predictions["score"] >= threshold], images, CLASSES))
    defined = all_of_them["AP"].notna()
    assert (kept.loc[defined, SCORES] <= all_of_them.loc[defined, SCORES] + 1e-12).all(axis=None)


def test_suppression_of_a_second_box_of_one_cell_raises_ap():
    truth = [("a", "RBC", 0, 0, 10, 10), ("a", "RBC", 20, 0, 30, 10)]
    first, second = ("a", "RBC", 0, 0, 10, 10, 0.9), ("a", "RBC", 0, 0, 10, 9, 0.8)
    other = ("a", "RBC", 20, 0, 30, 10, 0.7)
    assert ap(detections(truth, [first, other])) == pytest.approx(1)
    assert ap(detections(truth, [first, second, other])) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_false_alarms_in_an_image_without_true_boxes_lower_ap():
    truth = [("a", "RBC", 0, 0, 10, 10)]
    boxes = [("b", "RBC", 0, 0, 10, 10, 0.9), ("a", "RBC", 0, 0, 10, 10, 0.8)]
    assert ap(detections(truth, boxes, images=("a", "b"))) == pytest.approx(0.5)
    assert ap(detections(truth, boxes[1:], images=("a", "b"))) == pytest.approx(1)


def test_a_class_without_true_boxes_has_no_ap_and_is_left_out_of_the_mean():
    truth = [("a", "RBC", 0, 0, 10, 10), ("b", "RBC", 0, 0, 10, 10)]
    boxes = [("a", "RBC", 0, 0, 10, 10, 0.9), ("a", "WBC", 0, 0, 10, 10, 0.9)]
    found = detections(truth, boxes, images=("a", "b"), classes=("RBC", "WBC"))
    table = coco_ap(found).set_index("class")
    assert table["n"].tolist() == [2, 0, 2]
    assert table["AP"].tolist() == pytest.approx([51 / 101, np.nan, 51 / 101], nan_ok=True)
    assert table["note"].tolist() == ["", "no true box, not in the mean", "without WBC: no true box"]
    intervals = ap_interval(found, seed=0, draws=50).query("metric == 'AP50'").set_index("class")
    assert intervals.loc["WBC", ["value", "low", "high"]].isna().all()
    assert intervals.loc["mean", ["value", "low", "high"]].tolist() == pytest.approx([51 / 101, 0, 1])


def test_without_any_box_there_is_no_ap_and_without_predictions_it_is_zero():
    nothing = coco_ap(detections([], []))
    assert nothing["AP"].isna().all()
    assert ap(detections([("a", "RBC", 0, 0, 1, 1)], [])) == 0


def test_ap_of_a_resample_is_that_of_its_images_evaluated_anew():
    truth, predictions, images = random_tables(1, images=12)
    rng = np.random.default_rng(0)
    ranked = coco._rank(Detections.of(truth, predictions, images, CLASSES), 300)
    for _ in range(5):
        drawn = rng.integers(len(images), size=len(images))
        names = [f"{copy:02d}" for copy in range(len(drawn))]
        copies = [
            pd.concat(
                [
                    table[table["image"] == images[image]].assign(image=name)
                    for image, name in zip(drawn, names, strict=True)
                ]
            )
            for table in (truth, predictions)
        ]
        anew = coco_ap(Detections.of(*copies, names, CLASSES))[SCORES].to_numpy()
        times = np.bincount(drawn, minlength=len(images))[None].astype(float)
        fast = coco._averages(ranked, times)
        assert np.stack([fast[name][0] for name in SCORES], axis=1) == pytest.approx(anew, abs=1e-9)


def test_the_interval_of_ap_does_not_depend_on_how_many_resamples_fit_into_memory(monkeypatch):
    truth, predictions, images = random_tables(2)
    found = Detections.of(truth, predictions, images, CLASSES)
    at_once = ap_interval(found, seed=0, draws=40)
    monkeypatch.setattr(coco, "_CELLS_AT_ONCE", 7 * (len(predictions) + len(images)))
    pd.testing.assert_frame_equal(ap_interval(found, seed=0, draws=40), at_once)
    assert (at_once["low"] < at_once["value"]).all()
    assert (at_once["value"] < at_once["high"]).all()
    assert (at_once["n"] == len(images)).all()


def test_more_images_narrow_the_interval_of_ap():
    widths = []
    for images in (20, 80):
        truth, predictions, names = random_tables(3, images=images)
        table = ap_interval(Detections.of(truth, predictions, names, CLASSES), seed=0, draws=300)
        row = table[(table["class"] == "mean") & (table["metric"] == "AP50")].iloc[0]
        widths.append(row["high"] - row["low"])
    assert widths[1] < 0.75 * widths[0]


def test_a_difference_is_that_of_the_values_and_its_interval_is_paired():
    truth, predictions, images = random_tables(4)
    worse = predictions.assign(score=predictions["score"].sample(frac=1, random_state=0).to_numpy())
    first, second = (Detections.of(truth, table, images, CLASSES) for table in (worse, predictions))
    found = ap_difference(first, second, seed=0, draws=300)
    alone = [ap_interval(one, seed=0, draws=300) for one in (first, second)]
    assert found["value"].to_numpy() == pytest.approx((alone[1]["value"] - alone[0]["value"]).to_numpy())
    assert found[["class", "metric", "n"]].equals(alone[0][["class", "metric", "n"]])
    assert (found.loc[found["class"] == "mean", "low"] > 0).all()
    nothing = ap_difference(second, second, seed=0, draws=50)
    assert (nothing[["value", "low", "high"]] == 0).all(axis=None)


def test_detectors_on_other_images_classes_or_truth_are_not_compared():
    truth, predictions, images = random_tables(0)
    found = Detections.of(truth, predictions, images, CLASSES)
    more = Detections.of(truth, predictions, [*images, "more"], CLASSES)
    fewer = Detections.of(truth[1:], predictions, images, CLASSES)
    turned = Detections.of(truth, predictions, images, CLASSES[::-1])
    for other, what in ((more, "images"), (fewer, "true boxes"), (turned, "classes")):
        with pytest.raises(MetricError, match=f"the two have other .*{what}"):
            ap_difference(found, other, seed=0, draws=2)


def test_a_training_watches_the_mean_ap50_first():
    truth, predictions, images = random_tables(0)
    watched = ap_scores(truth, predictions, images, CLASSES)
    mean = coco_ap(Detections.of(truth, predictions, images, CLASSES)).iloc[-1]
    assert list(watched.items()) == [("validation_ap50", mean["AP50"]), ("validation_ap", mean["AP"])]


def test_five_thousand_boxes_in_one_image_are_cut_to_the_first_three_hundred():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1000, (5000, 2))
    boxes = pd.DataFrame(np.hstack([low, low + 30]), columns=COORDINATES).assign(image="a")
    boxes["class"], boxes["score"] = "RBC", rng.permutation(np.linspace(0.1, 0.9, 5000))
    best = boxes.sort_values("score", ascending=False)[:400]
    found = Detections.of(best.drop(columns="score"), boxes, ["a", "b"], ["RBC"])
    assert ap(found) == pytest.approx(76 / 101)  # recalls 0, 0.01 … 0.75
    assert interval_values(found)[-1, 0] == pytest.approx(76 / 101)


def test_an_interval_over_one_image_is_refused():
    with pytest.raises(MetricError, match="at least two independent images, found 1"):
        ap_interval(detections([("a", "RBC", 0, 0, 1, 1)], []), seed=0)


@pytest.mark.parametrize("score", [coco_ap, lambda found, cap: ap_interval(found, 0, cap)])
def test_at_least_one_detection_must_be_kept(score):
    with pytest.raises(MetricError, match="0 detections an image"):
        score(detections([("a", "RBC", 0, 0, 1, 1)], [], images=("a", "b")), 0)
