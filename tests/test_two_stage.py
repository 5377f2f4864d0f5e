"""Two stages as one: what is found and named, ensembles, mirror images, decisions, time, bad input."""

import numpy as np
import pandas as pd
import pytest
import torch
from two_stages import BLUE, RED, TYPES, Always, Finder, Namer, field, pipeline

from wbc_utils.detection import predict_boxes
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build
from wbc_utils.multilabel import BACKGROUND
from wbc_utils.sightings import Settings, Sightings
from wbc_utils.two_stage import STAGES, TwoStage, batches, sightings

IMAGES = {
    "red": field((10, 20, 20, RED)),
    "both": field((5, 5, 16, RED), (50, 30, 20, BLUE)),
    "none": field(),
    "large": field((20, 20, 30, BLUE), size=(90, 120)),
}
WHOLE = Always((*TYPES, BACKGROUND), [-3.0, 3.0, 0.0])  # every image shows LY


def said(found):
    """Return the class of each detection by image."""
    return {name: own["class"].tolist() for name, own in found.groupby("image")}


def test_every_cell_is_found_and_named_in_images_of_any_size():
    found = predict_boxes(pipeline(), IMAGES)
    assert said(found) == {"red": ["EO"], "both": ["EO", "LY"], "large": ["LY"]}
    boxes = found[found["image"] == "both"][["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist()
    assert boxes == [[5, 5, 21, 21], [50, 30, 70, 50]]


def test_the_score_is_that_of_the_box_times_that_of_the_type():
    seen = sightings(pipeline(), {"red": IMAGES["red"]})
    (box,) = seen.boxes.to_dict("records")
    (found,) = seen.decided(Settings()).to_dict("records")
    assert found["score"] == pytest.approx(box["score"] * box["EO"])
    assert box["EO"] + box["LY"] == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_batches_change_nothing(size):
    found = sightings(pipeline(), IMAGES, size).boxes
    wanted = sightings(pipeline(), IMAGES, 3).boxes
    pd.testing.assert_frame_equal(found, wanted)


def test_batches_hold_images_of_one_size():
    assert list(batches(IMAGES, 2)) == [["red", "both"], ["none"], ["large"]]


def test_an_image_without_cells_has_no_row_and_a_batch_of_them_no_table():
    assert len(sightings(pipeline(), {"none": IMAGES["none"]}).decided(Settings())) == 0
    assert len(predict_boxes(pipeline(), {"none": IMAGES["none"]})) == 0


def test_two_hundred_cells_are_all_named():
    many = field(*[(3 + 8 * x, 3 + 8 * y, 5, RED) for x in range(20) for y in range(10)], size=(90, 170))
    finder = Finder()
    finder._see = lambda image, least: {
        "boxes": torch.tensor([[3.0 + 8 * x, 3 + 8 * y, 8 + 8 * x, 8 + 8 * y] for x in range(20) for y in range(10)]),
        "labels": torch.ones(200, dtype=torch.int64), "scores": torch.full((200,), 0.9),
    }  # fmt: skip
    found = predict_boxes(pipeline(detectors=[finder]), {"many": many})
    assert found["class"].tolist() == ["EO"] * 200


def test_cells_at_the_border_and_of_the_whole_image_are_named():
    images = {"corner": field((70, 50, 10, RED)), "all": np.full((40, 40, 3), BLUE, np.uint8)}
    assert said(predict_boxes(pipeline(), images)) == {"corner": ["EO"], "all": ["LY"]}


def test_two_detectors_are_fused_and_two_classifiers_averaged():
    both = pipeline(detectors=[Finder(0.9), Finder(0.5, shift=2.0)], classifiers=[Namer(), Always(TYPES, [0.0, 0.0])])
    seen, alone = (sightings(one, {"red": IMAGES["red"]}).boxes.iloc[0] for one in (both, pipeline()))
    assert seen["score"] == pytest.approx(0.7)
    assert seen["xmin"] == pytest.approx((0.9 * 10 + 0.5 * 12) / 1.4, abs=0.01)
    assert seen["EO"] == pytest.approx((alone["EO"] + 0.5) / 2, abs=0.01)


def test_a_box_that_one_of_two_detectors_sees_keeps_half_of_its_score():
    blind = Finder(0.01)
    seen = sightings(pipeline(detectors=[Finder(0.9), blind]), {"red": IMAGES["red"]}).boxes
    assert seen["score"].tolist() == pytest.approx([0.45])


def test_a_mirror_image_moves_no_box():
    finder = Finder()
    mirrored = sightings(pipeline(detectors=[finder], mirrored=True), IMAGES)
    plain = sightings(pipeline(), IMAGES)
    corners = ["xmin", "ymin", "xmax", "ymax"]
    assert finder.asked == 2 * len(IMAGES)
    for name in ("red", "large"):
        one, other = (found.boxes[found.boxes["image"] == name][corners].to_numpy() for found in (mirrored, plain))
        assert one == pytest.approx(other, abs=0.01)


def test_the_whole_image_has_its_share_only_where_a_cell_is_alone():
    both = pipeline(image_classifiers=[WHOLE], whole_px=32)
    seen = sightings(both, IMAGES)
    assert list(seen.whole.columns) == list(TYPES)
    crops, whole = (said(seen.decided(Settings(0.5, share))) for share in (0.0, 1.0))
    assert (crops["red"], whole["red"]) == (["EO"], ["LY"])
    assert crops["both"] == whole["both"] == ["EO", "LY"]


def test_a_box_below_the_least_score_does_not_make_another_less_alone():
    both = pipeline(image_classifiers=[WHOLE], whole_px=32)
    seen = sightings(both, {"both": field((5, 5, 16, RED), (50, 30, 20, RED))})
    assert said(seen.decided(Settings(0.5, 1.0))) == {"both": ["EO", "EO"]}
    assert said(seen.decided(Settings(0.85, 1.0))) == {"both": ["LY"]}


def test_sightings_of_parts_join_to_those_of_all():
    both = pipeline(image_classifiers=[WHOLE], whole_px=32)
    parts = [sightings(both, {name: IMAGES[name]}) for name in ("red", "both")]
    joined = Sightings.join(parts)
    assert len(joined.boxes) == 3
    assert list(joined.whole.index) == ["red", "both"]


def test_time_is_told_by_stage_and_begins_anew():
    one = pipeline()
    predict_boxes(one, IMAGES)
    assert set(one.spent) == set(STAGES)
    assert one.spent["boxes"] > 0
    one.clear()
    assert set(one.spent.values()) == {0.0}


def test_real_networks_fit_in():
    from wbc_utils.models.detection import build_detector

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = [build_detector("yolox_test_resnet", ("WBC",), image_px=(64, 64))], [build("test_convnext", TYPES)]
        both = TwoStage(*parts, [build("test_convnext", (*TYPES, BACKGROUND))], crop_px=32, whole_px=32)
    found = sightings(both, IMAGES)
    assert list(found.whole.index) == list(IMAGES)
    assert found.boxes[list(TYPES)].sum(axis=1).to_numpy() == pytest.approx(1)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ModelError, match="no network of whole images"):
        sightings(pipeline(), IMAGES).decided(Settings(0.5, 0.5))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"detectors": []}, "0 detectors and 1 classifiers"),
        ({"classifiers": [Namer(), Namer(("EO", "LY", "BA"))]}, "know the same types"),
        ({"image_classifiers": [Namer()]}, "those of whole images the background last"),
    ],
)
def test_stages_that_do_not_fit_are_refused(changes, reason):
    with pytest.raises(ModelError, match=reason):
        pipeline(**changes)


def test_a_detector_of_several_classes_is_refused():
    finder = Finder()
    finder.classes = ("WBC", "RBC")
    with pytest.raises(ModelError, match="a detector finds WBC, RBC"):
        pipeline(detectors=[finder])
