"""The boxes of a census are one set in three forms: table, COCO JSON and counts."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from detector_models import ABOUT, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from wbc_utils.census import Census, OperatingPoint, rounded
from wbc_utils.manifest import Metric
from wbc_utils.models.detector_weights import DetectorCard
from wbc_utils.models.postprocess import PREDICTION_COLUMNS

CLASSES = ["RBC", "WBC"]


def census(*rows, names=("a.png", "b.png", "c.png"), reasons=("", "", ""), **fields):
    given = {
        "names": list(names), "classes": CLASSES, "sizes": np.array([(60, 40)] * len(names)), "reasons": list(reasons),
        "boxes": pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)), "pictures": None,
        "turned": np.zeros(len(names), bool),
    }  # fmt: skip
    return Census(**(given | fields))


@pytest.fixture(scope="module")
def card():
    return DetectorCard(design=tiny().design, init="random", **ABOUT)


FOUND = [
    ("a.png", "WBC", 0.9, 1.0, 2.0, 11.0, 22.0),
    ("a.png", "RBC", 0.8, 5.0, 5.0, 9.0, 9.0),
    ("c.png", "WBC", 0.7, 0.0, 0.0, 60.0, 40.0),
]


def test_counts_have_a_row_an_image_also_without_cells_and_a_reason_where_there_is_no_number():
    table = census(*FOUND, reasons=["", "", ""]).counts()
    assert list(table) == ["image", "RBC", "WBC", "cells", "reason"]
    assert table.to_numpy().tolist() == [["a.png", 1, 1, 2, ""], ["b.png", 0, 0, 0, ""], ["c.png", 0, 1, 1, ""]]
    broken = census(*FOUND, reasons=["", "no image", ""], pictures=["p/a.png", "", "p/c.png"]).counts()
    assert broken["picture"].tolist() == ["p/a.png", "", "p/c.png"]
    assert broken[["RBC", "WBC", "cells"]].isna().all(axis=1).tolist() == [False, True, False]
    assert broken.to_csv(index=False).splitlines()[2] == "b.png,,,,,no image"


def test_nothing_found_is_zero_everywhere():
    table = census().counts()
    assert table[["RBC", "WBC", "cells"]].to_numpy().tolist() == [[0, 0, 0]] * 3


def test_coco_has_the_images_that_were_read_all_classes_and_boxes_as_corner_and_sides():
    coco = census(*FOUND, reasons=["", "no image", ""]).coco("By a test.")
    assert coco["info"] == {"description": "By a test."}
    assert [(image["id"], image["file_name"]) for image in coco["images"]] == [(1, "a.png"), (3, "c.png")]
    assert coco["images"][0] == {"id": 1, "file_name": "a.png", "width": 60, "height": 40}
    assert [(one["id"], one["name"]) for one in coco["categories"]] == [(1, "RBC"), (2, "WBC")]
    assert coco["annotations"][0] == {
        "id": 1, "image_id": 1, "category_id": 2, "bbox": [1.0, 2.0, 10.0, 20.0], "area": 200.0, "iscrowd": 0,
        "score": 0.9,
    }  # fmt: skip


def test_boxes_without_area_after_rounding_are_left_out():
    boxes = rounded(pd.DataFrame([("a", "RBC", 0.1234567, 1.004, 1, 1.0049, 2), FOUND[0]], columns=PREDICTION_COLUMNS))
    assert boxes["image"].tolist() == ["a.png"]


@st.composite
def drawn(draw):
    """Draw a census as a detector leaves it: any images and classes, boxes of float32 in them."""
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
    names = draw(st.lists(text, min_size=1, max_size=4, unique=True))
    sizes = np.array([draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000))) for _ in names])
    rows = []
    for name, (width, height) in zip(names, sizes, strict=True):
        for _ in range(draw(st.integers(0, 4))):
            share = st.floats(0, 1, width=32)
            (left, right), (top, bottom) = (sorted(draw(st.tuples(share, share))) for _ in "xy")
            corners = np.float32([left * width, top * height, right * width, bottom * height]).tolist()
            rows.append((name, draw(st.sampled_from(CLASSES)), draw(share), *corners))
    boxes = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)).astype(dict.fromkeys(PREDICTION_COLUMNS[2:], float))
    return census(names=names, reasons=[""] * len(names), sizes=sizes, boxes=rounded(boxes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("coco")


@settings(max_examples=60, deadline=None)
@given(found=drawn())
def test_coco_json_read_by_pycocotools_is_the_table_and_gives_the_counts(folder, found):
    (folder / "boxes.json").write_text(json.dumps(found.coco()))
    coco = COCO(folder / "boxes.json")
    images = {one["id"]: one for one in coco.loadImgs(coco.getImgIds())}
    classes = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
    rows = []
    for one in coco.loadAnns(coco.getAnnIds()):
        x, y, width, height = one["bbox"]
        image = images[one["image_id"]]
        assert min(x, y) >= 0 < min(width, height)
        assert x + width <= image["width"] + 1e-9
        assert y + height <= image["height"] + 1e-9
        assert one["area"] == pytest.approx(width * height, abs=1e-4)
        corners = (round(value, 2) for value in (x, y, x + width, y + height))
        rows.append((image["file_name"], classes[one["category_id"]], one["score"], *corners))
    _, *lines = csv.reader(io.StringIO(found.boxes.to_csv(index=False), newline=""))
    assert rows == [(image, label, *map(float, numbers)) for image, label, *numbers in lines]
    counts = found.counts().set_index("image")
    for number, name in classes.items():
        for image in images.values():
            own = coco.getAnnIds(imgIds=[image["id"]], catIds=[number])
            assert len(own) == counts.loc[image["file_name"], name]


def test_the_operating_point_is_the_cards_but_for_what_was_asked_for(card):
    tuned = card.model_copy(update={"thresholds": {"WBC": 0.7, "RBC": 0.4}, "nms_iou": 0.3, "agnostic": True})
    point = OperatingPoint.of(tuned, {"RBC": 0.2}, None)
    assert (point.thresholds, point.nms_iou, point.agnostic) == ({"WBC": 0.7, "RBC": 0.2}, 0.3, True)
    assert str(point) == (
        "a box counts from a score of WBC 0.7 (the card's), RBC 0.2 (asked for) on, unless a better one of any class "
        "overlaps it by an IoU above 0.3"
    )
    assert OperatingPoint.of(tuned, {}, 0.0).nms_iou == 0


def test_thresholds_that_nobody_tuned_are_said_to_be_so(card):
    text = str(OperatingPoint.of(card, {}, None))
    assert text.startswith(
        "a box counts from a score of WBC 0.5, RBC 0.5 (not tuned) on, unless a better one of its class"
    )


def test_the_summary_has_numbers_reasons_operating_point_and_model(card):
    metrics = {"cbc.ap50": Metric(value=0.9, ci=(0.8, 0.95), n=60, split="test", init="random")}
    judged = card.model_copy(update={"metrics": metrics})
    found = census(*FOUND, reasons=["", "the file has zero bytes", ""], turned=np.array([False, False, True]))
    text = found.summary(judged, OperatingPoint.of(judged, {}, None))
    for part in (
        "3 cells in 2 of 3 images (1 × the file has zero bytes): RBC 1, WBC 2. Here a box counts from",
        "1 images have a tag that asks viewers to turn them",
        "Model: faster_rcnn_test_resnet, init random, cbc.ap50 0.900 (95 % interval 0.800–0.950) (test, n = 60).",
        "Not a medical device",
    ):
        assert part in text


def test_the_summary_says_where_a_count_may_be_too_low(card):
    point = OperatingPoint.of(card, {}, None)
    full = [("b.png", "RBC", 0.9, 0.0, 0.0, 1.0, 1.0)] * 300
    assert "1 images have 300 boxes, the most that are kept" in census(*full).summary(card, point)
    assert "boxes, the most" not in census(*full[1:]).summary(card, point)
    assert "viewers" not in census(*full).summary(card, point)
