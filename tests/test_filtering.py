"""Raw predictions through filters: what is kept, how it scores, and the best filter of a grid."""

import inspect

import numpy as np
import pytest
from boxes import CELLS, draw
from torchvision.models.detection.faster_rcnn import FasterRCNN

from wbc_utils.filtering import REPORT_002_GRID, REPORT_002_NMS, Filter, Raw, compare, summary
from wbc_utils.metrics.coco import coco_ap
from wbc_utils.metrics.report_002 import report_002_ap
from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import apply
from wbc_utils.models.tuning import OBJECTIVES, tune

GRID = {name: [0.0, 0.4, 0.6] for name in CELLS}
IOUS = [0.3, 0.6, 1.0]


@pytest.fixture(scope="module")
def raw():
    predictions, truth, images = draw(images=5, seed=1)
    return Raw(predictions, truth, images, list(CELLS))


def test_no_filter_keeps_every_prediction(raw):
    assert len(raw.through(Filter.none(raw.classes)).predictions) == len(raw.predictions)


def test_the_default_filter_is_that_of_torchvision(raw):
    names = inspect.signature(FasterRCNN.__init__).parameters
    default = Filter.default(raw.classes)
    assert set(default.thresholds.values()) == {names["box_score_thresh"].default}
    assert default.nms_iou == names["box_nms_thresh"].default
    assert default.most == names["box_detections_per_img"].default
    assert not default.agnostic


@pytest.mark.parametrize("agnostic", [False, True])
def test_what_passes_a_filter_is_what_post_processing_returns(raw, agnostic):
    way = Filter({"RBC": 0.3, "WBC": 0.5, "Platelets": 0.4}, 0.45, agnostic, most=4)
    kept = apply(raw.predictions, way.thresholds, 0.45, agnostic, 4)
    assert raw.through(way).tables[1].equals(kept)
    assert len(kept) < len(raw.predictions)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_best_filter_of_a_grid_is_that_of_the_search_and_scores_what_the_search_says(raw, objective):
    best = raw.best(GRID, IOUS, objective)
    found = tune(raw.predictions, raw.truth, raw.images, thresholds=GRID, nms_ious=IOUS, objective=objective)
    assert (best.thresholds, best.nms_iou) == (found.thresholds, found.nms_iou)
    scores = summary(raw.through(best))
    ours = {
        "coco_ap": "AP", "coco_ap50": "AP50", "f1": "F1", "count_mae": "count MAE", "report_002_ap": "by score",
        "report_002_ap_by_image": "image by image",
    }  # fmt: skip
    if objective in ours:
        assert scores[ours[objective]] == pytest.approx(found.value, rel=1e-9)


def test_a_summary_is_the_mean_over_the_classes(raw):
    found = raw.through(Filter.default(raw.classes))
    scores = summary(found)
    assert scores["AP"] == coco_ap(found)["AP"].iloc[:-1].mean()
    assert scores["by score"] == report_002_ap(found)["report_002_AP"].iloc[:-1].mean()


def test_one_class_alone_has_its_own_boxes_and_all_images(raw):
    one = raw.of("WBC")
    assert set(one.predictions["class"]) == set(one.truth["class"]) == {"WBC"}
    assert one.images == raw.images
    whole = coco_ap(raw.through(Filter.none(raw.classes))).set_index("class").loc["WBC", "AP"]
    assert summary(one.through(Filter.none(["WBC"])))["AP"] == whole


def test_a_comparison_has_a_row_a_filter_with_its_numbers_in_words(raw):
    ways = {"all": Filter.none(raw.classes), "some": Filter(dict.fromkeys(raw.classes, 0.5), 0.45, agnostic=True)}
    table = compare(ways, raw)
    assert table["filter"].tolist() == ["all", "some"]
    assert table["numbers"].tolist() == [
        "RBC 0.00, WBC 0.00, Platelets 0.00; no NMS",
        "RBC 0.50, WBC 0.50, Platelets 0.50; NMS 0.45 among classes",
    ]
    assert table["AP50"].tolist() == [summary(raw.through(way))["AP50"] for way in ways.values()]


def test_report_002s_ranges_hold_what_it_chose():
    assert (0.55, 0.7, 0.8) == tuple(
        REPORT_002_GRID[name][at] for name, at in (("Platelets", 3), ("RBC", 4), ("WBC", 2))
    )
    assert [(min(grid), max(grid)) for grid in REPORT_002_GRID.values()] == [(0.5, 0.7), (0.7, 0.8), (0.4, 0.6)]
    assert all(np.diff(grid) == pytest.approx(0.05) for grid in REPORT_002_GRID.values())
    assert REPORT_002_NMS == 0.45


def test_a_class_without_a_threshold_is_refused(raw):
    with pytest.raises(ModelError, match="has no threshold"):
        raw.through(Filter({"RBC": 0.5}))
