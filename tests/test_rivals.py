"""Rivals side by side: standings, paired differences, anchors, time."""

import numpy as np
import pytest
import torch
from box_tables import random_tables
from squares import squares

from wbc_utils.metrics.coco import coco_ap
from wbc_utils.metrics.detection import Detections
from wbc_utils.models.boxed_images import BoxedImages
from wbc_utils.models.detection import build_detector
from wbc_utils.rivals import anchor_overlap, differences, milliseconds, standings

CLASSES = ("RBC", "WBC", "Platelets")


@pytest.fixture(autouse=True)
def _thin_pyramids(monkeypatch):
    monkeypatch.setattr("wbc_utils.models.detector_init._CHANNELS", 64)


@pytest.fixture(scope="module")
def rivals():
    truth, found, names = random_tables(seed=0)
    ways = {"all": found, "half": found.iloc[::2], "none": found.iloc[:0]}
    return {name: Detections.of(truth, kept, names, CLASSES) for name, kept in ways.items()}


def test_the_standings_are_the_means_of_each_rival(rivals):
    table = standings(rivals, seed=0)
    assert list(table["detector"].unique()) == ["all", "half", "none"]
    assert set(table["n"]) == {20}
    for name, found in rivals.items():
        own = table[table["detector"] == name].set_index("metric")
        mean = coco_ap(found).set_index("class").loc["mean"]
        assert own["value"].to_dict() == pytest.approx(mean[["AP", "AP50", "AP75"]].to_dict())
        assert (own["low"] <= own["value"]).all()
        assert (own["value"] <= own["high"]).all()


def test_each_pair_is_compared_once_and_what_is_better_is_above_zero(rivals):
    table = differences(rivals, seed=0).set_index(["first", "second"])
    assert list(table.index) == [("all", "half"), ("all", "none"), ("half", "none")]
    values = standings(rivals, seed=0).query("metric == 'AP'").set_index("detector")["value"]
    assert table.loc[("all", "half"), "AP"] == pytest.approx(values["all"] - values["half"])
    assert (table["low"] > 0).all()


@pytest.mark.parametrize(("architecture", "side"), [("retinanet_test_resnet", 16), ("faster_rcnn_test_resnet", 16)])
def test_a_box_of_the_size_of_an_anchor_on_its_grid_fits_it_in_the_resized_image(architecture, side):
    with torch.random.fork_rng(devices=[]):
        model = build_detector(architecture, ("RBC",), image_px=(64, 64), finest_stride=8, anchor_px=side)
    image = np.zeros((128, 128, 3), np.uint8)  # shrunk by two
    low = 2 * (32 - side // 2)
    corners = ([low] * 2 + [low + 2 * side] * 2, [low + side] * 2 + [low + 3 * side] * 2, [0, 0, 4, 4])
    boxes = BoxedImages(
        ("a", "b"), (image, image), (np.array(corners, np.float32), np.empty((0, 4), np.float32)),
        (np.zeros(3, int), np.empty(0, int)), ("RBC",),
    )  # fmt: skip
    found = anchor_overlap(model, boxes)
    assert found[:2] == pytest.approx([1, 1])
    assert found[2] < 0.1


def test_default_boxes_of_ssd_are_anchors_too():
    with torch.random.fork_rng(devices=[]):
        model = build_detector("ssdlite_mobilenet", ("RBC", "WBC"))
    found = anchor_overlap(model, squares(1))
    assert found.shape == (len(squares(1).truth),)
    assert ((found >= 0) & (found <= 1)).all()


def test_the_time_is_that_of_the_middle_image_after_a_first_that_does_not_count(monkeypatch):
    ticks = iter([0, 9, 0, 0.001, 0, 0.002, 0, 0.5])
    asked = []
    monkeypatch.setattr("wbc_utils.rivals.time.perf_counter", lambda: next(ticks))
    monkeypatch.setattr("wbc_utils.rivals.predict_boxes", lambda model, images, **how: asked.append(list(images)))
    assert milliseconds(None, {"a": 1, "b": 2, "c": 3}) == pytest.approx(2)
    assert asked == [["a"], ["a"], ["b"], ["c"]]
