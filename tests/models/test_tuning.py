"""The exhaustive search against one evaluation a combination, by rules written out."""

from itertools import product

import numpy as np
import pytest
from boxes import COORDINATES, draw, table
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.metrics.coco import coco_ap
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.report_002 import report_002_ap
from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import apply, suppress
from wbc_utils.models.tuning import OBJECTIVES, tune

GRIDS = {"RBC": [0.3, 0.5, 0.7], "WBC": [0.2, 0.6], "Platelets": [0.4, 0.55, 0.8]}
IOUS = [0.2, 0.45, 0.8]


def overlaps(rows, boxes):
    """Return the IoU of each row with each box."""
    low, high = np.maximum(rows[:, None, :2], boxes[None, :, :2]), np.minimum(rows[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(some[:, 2:] - some[:, :2]).prod(axis=1) for some in (rows, boxes)]
    return shared / (areas[0][:, None] + areas[1] - shared)


def true_positives(found, truth, least, one_to_one):
    """Return which rows are true positives, in their order."""
    overlap = overlaps(found[COORDINATES].to_numpy(), truth[COORDINATES].to_numpy())
    overlap[found["image"].to_numpy()[:, None] != truth["image"].to_numpy()] = 0
    if not one_to_one:
        return overlap.max(axis=1, initial=0) > least
    hits = []
    for row in overlap:
        hits.append(row.max() >= least)
        if hits[-1]:
            overlap[:, row.argmax()] = 0
    return np.array(hits, dtype=bool)


def plain_value(objective, found, truth, images):
    """Return the objective of one class by its definition."""
    by_image = found.sort_values(["image", "score"], ascending=[True, False])
    found = found.sort_values("score", ascending=False)
    if objective == "count_mae":
        counts = [[(some["image"] == name).sum() for name in images] for some in (found, truth)]
        return np.abs(np.subtract(*counts)).mean()
    if objective.startswith("report_002"):
        ordered = by_image if objective.endswith("by_image") else found
        hits = true_positives(ordered, truth, 0.5, one_to_one=False)
        precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / len(truth)
        return np.trapezoid([*precision[:1], *precision], [0, *recall]) if len(hits) else 0
    ious = {"coco_ap": np.linspace(0.5, 0.95, 10), "coco_ap75": [0.75]}.get(objective, [0.5])
    values = []
    for least in ious:
        hits = true_positives(found, truth, least, one_to_one=True)
        if objective == "f1":
            values.append(2 * hits.sum() / (len(hits) + len(truth)))
            continue
        precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / len(truth)
        at = [precision[recall >= level].max(initial=0) for level in np.linspace(0, 1, 101)]
        values.append(np.mean(at))
    return np.mean(values)


def plain_values(objective, raw, truth, images, grids, ious, agnostic):
    """Return the objective of each combination, IoU of suppression first, one evaluation each."""
    values = {}
    for nms_iou, *thresholds in product(ious, *grids.values()):
        found = apply(raw, dict(zip(grids, thresholds, strict=True)), nms_iou, agnostic)
        parts = [
            plain_value(objective, found[found["class"] == name], truth[truth["class"] == name], images)
            for name in grids
        ]
        values[nms_iou, *thresholds] = np.mean(parts)
    return values


@pytest.mark.parametrize("agnostic", [False, True], ids=["within classes", "among classes"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_optimum_is_that_of_one_evaluation_a_combination(objective, agnostic):
    raw, truth, images = draw(images=4, seed=3)
    images.append("nothing there.png")
    found = tune(raw, truth, images, thresholds=GRIDS, nms_ious=IOUS, objective=objective, agnostic=agnostic)
    values = plain_values(objective, raw, truth, images, GRIDS, IOUS, agnostic)
    assert found.combinations == len(values) == 54
    best = (min if objective == "count_mae" else max)(values.values())
    assert found.value == pytest.approx(best, rel=1e-12)
    first = next(key for key, value in values.items() if abs(value - best) < 1e-12)
    assert (found.nms_iou, *found.thresholds.values()) == first
    assert list(found.thresholds) == list(GRIDS)
    for row in found.table.itertuples(index=False):
        assert row.value == pytest.approx(values[row.nms_iou, *row[2:]], rel=1e-12)


@given(st.integers(0, 10**6), st.sampled_from(sorted(OBJECTIVES)), st.booleans())
@settings(max_examples=15, deadline=None)
def test_the_optimum_is_that_of_one_evaluation_a_combination_on_any_predictions(seed, objective, agnostic):
    raw, truth, images = draw(images=2, copies=2, seed=seed)
    grids = {"RBC": [0.3, 0.6], "WBC": [0.2, 0.7], "Platelets": [0.4, 0.9]}
    found = tune(raw, truth, images, thresholds=grids, nms_ious=[0.3, 0.6], objective=objective, agnostic=agnostic)
    values = plain_values(objective, raw, truth, images, grids, [0.3, 0.6], agnostic)
    best = (min if objective == "count_mae" else max)(values.values())
    assert found.value == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert values[found.nms_iou, *found.thresholds.values()] == pytest.approx(best, rel=1e-9, abs=1e-12)


@given(st.integers(0, 10**6), st.sampled_from(["coco_ap", "coco_ap50", "report_002_ap"]))
@settings(max_examples=20, deadline=None)
def test_no_threshold_raises_an_area_over_ranked_predictions(seed, objective):
    raw, truth, images = draw(images=3, seed=seed)
    lowest = tune(raw, truth, images, thresholds={name: [0.0] for name in GRIDS}, nms_ious=[0.5], objective=objective)
    grids = {name: [0.0, 0.3, 0.5, 0.7] for name in GRIDS}
    tuned = tune(raw, truth, images, thresholds=grids, nms_ious=[0.5], objective=objective)
    assert tuned.value == pytest.approx(lowest.value, rel=1e-12)


def test_suppression_raises_the_area_over_doubled_predictions():
    truth = table(("a", "RBC", 0, 0, 10, 10), ("a", "RBC", 50, 0, 60, 10), scored=False)
    boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (50, 0, 60, 10), (50, 0, 60, 9)]
    raw = table(*[("a", "RBC", score, *box) for score, box in zip((0.9, 0.8, 0.7, 0.6), boxes, strict=True)])
    found = tune(raw, truth, ["a"], thresholds={"RBC": [0.0, 0.65]}, nms_ious=[1.0, 0.5])
    assert (found.nms_iou, found.value, found.thresholds) == (0.5, 1.0, {"RBC": 0.0})
    assert found.table["value"].tolist() == pytest.approx([(51 + 50 * 2 / 3) / 101, 1.0])


def test_many_predictions_of_one_true_box_lift_the_area_of_report_002_above_one():
    truth = table(("a", "RBC", 0, 0, 10, 10), scored=False)
    raw = table(*[("a", "RBC", score, 0, 0, 10, 10) for score in (0.9, 0.8, 0.7)])
    found = tune(raw, truth, ["a"], thresholds={"RBC": [0.0]}, nms_ious=[1.0], objective="report_002_ap")
    assert found.value == pytest.approx(3.0)


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("objective", ["coco_ap50", "f1", "count_mae", "report_002_ap"])
def test_without_any_prediction_nothing_is_found(objective, agnostic):
    raw, truth, images = draw(images=3, cells={"RBC": 2}, seed=1)
    options = {"thresholds": {"RBC": [1.0]}, "nms_ious": [0.5], "objective": objective, "agnostic": agnostic}
    for predictions in (raw.iloc[:0], raw):
        found = tune(predictions, truth, images, **options)
        assert found.value == pytest.approx(len(truth) / 3 if objective == "count_mae" else 0)


def test_predictions_of_a_class_without_a_grid_do_not_count():
    raw, truth, images = draw(seed=5)
    own = raw[raw["class"] == "RBC"]
    one, other = (
        tune(some, truth, images, thresholds={"RBC": [0.4]}, nms_ious=[0.5], agnostic=True) for some in (raw, own)
    )
    assert one.value == other.value


def test_the_order_of_the_rows_does_not_matter():
    raw, truth, images = draw(seed=6)
    shuffled = raw.sample(frac=1, random_state=1), truth.sample(frac=1, random_state=2), images[::-1]
    options = {"thresholds": GRIDS, "nms_ious": IOUS, "objective": "report_002_ap_by_image", "agnostic": True}
    one, other = tune(raw, truth, images, **options), tune(*shuffled, **options)
    assert one.table.equals(other.table)


def test_the_search_in_blocks_finds_the_same(monkeypatch):
    raw, truth, images = draw(seed=7)
    options = {"thresholds": GRIDS, "nms_ious": IOUS, "agnostic": True, "objective": "f1"}
    whole = tune(raw, truth, images, **options)
    monkeypatch.setattr("wbc_utils.models.tuning._CELLS", 5 * len(raw))
    assert tune(raw, truth, images, **options).table.equals(whole.table)


def test_the_chosen_combination_gives_the_value_when_applied():
    raw, truth, images = draw(seed=8)
    found = tune(raw, truth, images, thresholds=GRIDS, nms_ious=IOUS, objective="f1")
    kept = apply(raw, found.thresholds, found.nms_iou, found.agnostic)
    parts = [plain_value("f1", kept[kept["class"] == c], truth[truth["class"] == c], images) for c in GRIDS]
    assert found.value == pytest.approx(np.mean(parts))
    assert len(kept) < len(suppress(raw, found.nms_iou))


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("objective", ["coco_ap", "coco_ap50", "coco_ap75", "report_002_ap", "report_002_ap_by_image"])
def test_the_value_is_that_of_the_evaluator(objective, agnostic):
    raw, truth, images = draw(images=8, copies=5, seed=9)
    found = tune(raw, truth, images, thresholds=GRIDS, nms_ious=IOUS, objective=objective, agnostic=agnostic)
    kept = apply(raw, found.thresholds, found.nms_iou, agnostic)
    detections = Detections.of(truth, kept, images, list(GRIDS))
    if objective.startswith("coco"):
        value = coco_ap(detections).iloc[-1][objective.removeprefix("coco_").upper()]
    else:
        value = report_002_ap(detections, ranked=objective == "report_002_ap").iloc[-1]["report_002_AP"]
    assert found.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "map"}, "no objective 'map'; there are coco_ap, coco_ap50"),
        ({"thresholds": {"RBC": []}}, "a grid is empty"),
        ({"nms_ious": []}, "a grid is empty"),
        ({"thresholds": {"RBC": [0.5, 2]}}, "a threshold of RBC is 2; give"),
        ({"nms_ious": [-1]}, "an IoU of suppression is -1"),
        ({"thresholds": {"RBC": [0.5], "Blast": [0.5]}}, "no true box of Blast: .*; leave it out"),
        ({"images": ["0.png"]}, r"predictions are of images that were not looked at, the first is [123]\.png"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_named(changes, message):
    raw, truth, images = draw(seed=0)
    options = {"images": images, "thresholds": GRIDS, "nms_ious": IOUS} | changes
    with pytest.raises(ModelError, match=message):
        tune(raw, truth, options.pop("images"), **options)


@pytest.mark.parametrize(
    ("column", "value", "message"), [("score", 2.0, "scores are not in"), ("xmin", np.nan, "finite")]
)
def test_damaged_predictions_are_named(column, value, message):
    raw, truth, images = draw(seed=0)
    raw.loc[3, column] = value
    with pytest.raises(ModelError, match=message):
        tune(raw, truth, images, thresholds=GRIDS, nms_ious=IOUS)


def test_true_boxes_without_area_are_named():
    raw, truth, images = draw(seed=0)
    truth.loc[0, "xmax"] = truth.loc[0, "xmin"]
    with pytest.raises(ModelError, match=r"1 of .* true boxes have no area"):
        tune(raw, truth, images, thresholds=GRIDS, nms_ious=IOUS)
