"""Figures of detectors: what they draw, by the artists on their axes."""

import numpy as np
import pandas as pd
import pytest
from box_tables import CLASSES, random_tables
from boxes import table

from wbc_utils.figures import detection, show
from wbc_utils.manifest import RECORD_MIME
from wbc_utils.metrics.counts import image_counts
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.errors import errors
from wbc_utils.metrics.matching import matched_tables
from wbc_utils.metrics.operating import operating_point, precision_recall

THRESHOLDS = {"RBC": 0.5, "WBC": 0.7, "Platelets": 0.3}


@pytest.fixture(scope="module")
def found():
    truth, predictions, names = random_tables(0)
    return Detections.of(truth, predictions, names, CLASSES)


@pytest.fixture(scope="module")
def images(found):
    return {name: np.full((300, 400, 3), 200, dtype=np.uint8) for name in found.images}


@pytest.fixture(scope="module")
def curves(found):
    return precision_recall(found)


def history(best):
    parts = {f"loss_{name}": [0.4, 0.2, 0.1] for name in ("classifier", "box_reg", "objectness", "rpn_box_reg")}
    return pd.DataFrame(
        {"epoch": [1, 2, 3], "loss": [1.6, 0.8, 0.4], **parts, "validation_ap50": [0.1, best, 0.2],
         "validation_loss": [2.0, 1.0, 1.5]}
    )  # fmt: skip


def titles(fig):
    return [axes.get_title(loc="left") for axes in fig.axes]


def rectangles(axes):
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in axes.patches]


def test_each_picture_stands_once_with_its_truth_and_once_with_each_detector():
    pictures = {name: np.zeros((20, 30, 3), dtype=np.uint8) for name in "ab"}
    truth = table(("a", "RBC", 1, 2, 4, 6), ("b", "WBC", 0, 0, 9, 9), ("c", "RBC", 0, 0, 1, 1), scored=False)
    said = table(("a", "WBC", 0.9, 3, 3, 5, 8), ("b", "WBC", 0.8, 0, 0, 8, 8), ("b", "RBC", 0.7, 1, 1, 2, 2))
    fig = detection.boxes(pictures, truth, {"net": said, "other": said[:0]})
    assert titles(fig) == ["truth: 1", "net: 1", "other: 0", "truth: 1", "net: 2", "other: 0"]
    assert [rectangles(axes) for axes in fig.axes] == [
        [(1, 2, 3, 4)], [(3, 3, 2, 5)], [], [(0, 0, 9, 9)], [(0, 0, 8, 8), (1, 1, 1, 1)], [],
    ]  # fmt: skip
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["RBC", "WBC"]


def test_a_class_has_one_colour_and_one_line_in_all_panels_and_no_other_class_has_either(images, found):
    truth, predictions = found.tables
    fig = detection.boxes(dict(list(images.items())[:4]), truth, {"net": predictions}, columns=2)
    handles = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in fig.legends[0].get_lines()}
    assert len({color for color, _ in handles.values()}) == len({line for _, line in handles.values()}) == 3
    assert len(fig.axes) == 8


def test_curves_of_precision_are_those_given_and_the_operating_point_lies_on_them(found, curves):
    point = operating_point(found, THRESHOLDS)
    fig = detection.precision_recall({"net": curves, "other": curves}, {"net": point})
    assert titles(fig) == ["RBC", "WBC", "Platelets"]
    for axes, name in zip(fig.axes, CLASSES, strict=True):
        own = curves[curves["class"] == name]
        first, mark, second = axes.lines
        assert first.get_xydata() == pytest.approx(own[["recall", "precision"]].to_numpy())
        assert second.get_linestyle() != first.get_linestyle()
        row = point.set_index("class").loc[name]
        assert mark.get_xydata().tolist() == [[row["recall"], row["precision"]]]
        assert np.abs(first.get_xydata() - mark.get_xydata()).sum(axis=1).min() == pytest.approx(0, abs=1e-12)


def test_histograms_hold_every_prediction_once_by_what_became_of_it(found):
    matched, _ = matched_tables(found)
    fig = detection.score_histograms(matched, THRESHOLDS)
    for axes, name in zip(fig.axes, CLASSES, strict=True):
        own = matched[matched["class"] == name]
        drawn = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
        assert drawn == own["match"].value_counts().reindex(list(detection.MATCHES), fill_value=0).tolist()
        assert axes.lines[0].get_xdata()[0] == THRESHOLDS[name]
    assert titles(fig)[0] == f"RBC: {(matched['class'] == 'RBC').sum()}"


def test_threshold_curves_pass_through_precision_recall_and_f1_of_the_operating_point(found, curves):
    fig = detection.threshold_curves(curves, THRESHOLDS)
    point = operating_point(found, THRESHOLDS).set_index("class")
    for axes, name in zip(fig.axes, CLASSES, strict=True):
        score = axes.lines[0].get_xdata()
        place = int(np.flatnonzero(score >= THRESHOLDS[name])[-1])
        drawn = {line.get_label(): line.get_ydata()[place] for line in axes.lines[:3]}
        assert drawn == pytest.approx(point.loc[name, ["precision", "recall", "F1"]].to_dict())
        assert axes.lines[3].get_xdata()[0] == THRESHOLDS[name]


def test_agreement_shows_every_image_once_and_the_bias_in_the_title(found):
    counts = image_counts(found, THRESHOLDS)
    fig = detection.bland_altman(counts)
    for axes, name in zip(fig.axes, CLASSES, strict=True):
        own = counts[counts["class"] == name]
        means = {(row.truth + row.predicted) / 2: None for row in own.itertuples()}
        assert set(axes.collections[0].get_offsets()[:, 0].tolist()) == set(means)
        bias, lower, upper = (line.get_ydata()[0] for line in axes.lines)
        assert bias == pytest.approx(own["error"].mean())
        assert (lower + upper) / 2 == pytest.approx(bias)
        assert upper - bias == pytest.approx(1.96 * own["error"].std(), rel=1e-3)
        assert axes.get_title(loc="left") == f"{name}: {bias:+.2f}"


def test_losses_have_a_line_for_each_part_and_the_best_epoch_is_marked():
    fig = detection.losses({"a": history(0.5), "b": history(0.7)}, "validation_ap50")
    assert titles(fig)[1::2] == ["validation AP50, best 0.500 (epoch 2)", "validation AP50, best 0.700 (epoch 2)"]
    left, right = fig.axes[:2]
    labels = [line.get_label() for line in left.lines]
    assert labels == ["classifier", "box_reg", "objectness", "rpn_box_reg", "sum, training", "sum, validation"]
    assert left.lines[-1].get_ydata().tolist() == [2.0, 1.0, 1.5]
    assert right.lines[-1].get_xydata().tolist() == [[2, 0.5]]


def test_an_error_stands_in_the_middle_of_its_crop_with_its_circumstance():
    wrong = pd.DataFrame(
        [("a", "RBC", "at the border", 0.9, 10, 10, 30, 20), ("a", "WBC", "alone", np.nan, 0, 0, 8, 8)],
        columns=["image", "class", "circumstance", "score", "xmin", "ymin", "xmax", "ymax"],
    )
    truth, said = table(("a", "WBC", 0, 0, 8, 8), scored=False), table(("a", "RBC", 0.9, 10, 10, 30, 20))
    fig = detection.error_crops({"a": np.zeros((40, 40, 3), dtype=np.uint8)}, wrong, truth, said, columns=2)
    assert titles(fig) == ["RBC, 0.90\nat the border", "WBC, missed\nalone"]
    assert np.mean(fig.axes[0].get_xlim()) == 20
    assert np.mean(fig.axes[0].get_ylim()) == 15
    assert [rectangles(axes)[-1] for axes in fig.axes] == [(10, 10, 20, 10), (0, 0, 8, 8)]


@pytest.mark.parametrize("kind", ["boxes", "crops"])
def test_pictures_can_be_shown(published, images, found, kind):
    truth, predictions = found.tables
    some = dict(list(images.items())[:2])
    if kind == "boxes":
        fig = detection.boxes(some, truth, {"net": predictions})
    else:
        sizes = dict.fromkeys(found.images, (400, 300))
        fig = detection.error_crops(images, errors(found, sizes)[:7], truth, predictions)
    show(fig, caption="What.", alt="Instead.")
    assert "image/jpeg" in published[0]
    assert published[0][RECORD_MIME]["width_px"] <= 640


@pytest.mark.parametrize("kind", ["recall", "scores", "thresholds", "counts", "losses"])
def test_charts_can_be_shown(published, found, curves, kind):
    fig = {
        "recall": lambda: detection.precision_recall({"net": curves}),
        "scores": lambda: detection.score_histograms(matched_tables(found)[0]),
        "thresholds": lambda: detection.threshold_curves(curves, THRESHOLDS),
        "counts": lambda: detection.bland_altman(image_counts(found, 0.5)),
        "losses": lambda: detection.losses({"a": history(0.5)}, "validation_ap50"),
    }[kind]()
    show(fig, caption="What.", alt="Instead.")
    assert "image/svg+xml" in published[0]
    assert published[0][RECORD_MIME]["width_px"] <= 640
