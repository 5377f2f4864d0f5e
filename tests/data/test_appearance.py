"""A box is judged by the colours of the unambiguous boxes."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wbc_utils.data.appearance import FEWEST_REFERENCES, Appearance, describe

BOX = {"xmin": 2.0, "ymin": 1.0, "xmax": 6.0, "ymax": 5.0}


def field(tmp_path, name, color):
    Image.new("RGB", (8, 6), color).save(tmp_path / name)
    return {"image": name, **BOX}


@pytest.mark.parametrize(
    ("color", "saturation", "blueness"),
    [((0, 0, 0), 0, 0), ((200, 200, 200), 0, 0), ((51, 0, 102), 1, 0.2), ((200, 100, 149), 0.5, -0.2)],
)
def test_a_uniform_colour_has_its_own_saturation_and_blueness(color, saturation, blueness):
    pixels = np.full((3, 4, 3), color, dtype=np.uint8)
    assert describe(pixels) == pytest.approx([saturation, blueness])


def test_the_distance_is_the_root_mean_square_of_standard_scores(tmp_path):
    colors = [(200, 100, 150 + step) for step in range(5)]
    boxes = pd.DataFrame([field(tmp_path, f"{i}.png", color) | {"class": "RBC"} for i, color in enumerate(colors)])
    paths = pd.Series({image: str(tmp_path / image) for image in boxes["image"]})
    found = Appearance.of(boxes, paths).distances(boxes.iloc[0], paths)
    blueness = np.array([(step - 50) / 255 for step in range(5)])
    expected = abs(blueness[0] - blueness.mean()) / blueness.std(ddof=1) / np.sqrt(2)
    assert found == {"RBC": pytest.approx(expected)}


def test_a_class_with_too_few_boxes_is_not_judged(tmp_path):
    boxes = pd.DataFrame([field(tmp_path, f"{i}.png", (9, 9, i)) | {"class": "WBC"} for i in range(FEWEST_REFERENCES)])
    paths = pd.Series({image: str(tmp_path / image) for image in boxes["image"]})
    assert Appearance.of(boxes, paths).means.keys() == {"WBC"}
    assert Appearance.of(boxes[1:], paths).means == {}
    assert Appearance.of(boxes[:0], paths).means == {}


def test_a_damaged_image_gives_no_reference_and_no_distance(tmp_path):
    boxes = pd.DataFrame([field(tmp_path, f"{i}.png", (9, 9, i)) | {"class": "WBC"} for i in range(FEWEST_REFERENCES)])
    paths = pd.Series({image: str(tmp_path / image) for image in boxes["image"]})
    look = Appearance.of(boxes, paths)
    (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:50])
    assert look.distances(boxes.iloc[0], paths) == {}
    assert Appearance.of(boxes, paths).means == {}
