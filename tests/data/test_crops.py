"""Crops: a square around each box, the border continued, on any device alike; detections mapped to true boxes."""

import numpy as np
import pytest
import torch
from boxes import table
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.data.crops import MARGIN, crops_of, cut, with_truth
from wbc_utils.data.tables import DataError


def ramp(height=60, width=80):
    """Return an image whose first channel is x, the second y, both in the middle of the pixel."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)]).float()


def test_a_crop_at_its_own_size_is_the_pixels_themselves():
    image = torch.rand(3, 60, 80)
    assert torch.allclose(cut(image, torch.tensor([[20.0, 10, 30, 20]]), 20, margin=5)[0], image[:, 5:25, 15:35])


@settings(deadline=None, max_examples=30)
@given(st.integers(22, 50), st.integers(22, 40), st.integers(4, 30), st.integers(4, 30), st.integers(2, 24))
def test_the_crop_shows_the_square_around_the_box(x, y, width, height, side):
    margin = 2
    crop = cut(ramp(), torch.tensor([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]]), side, margin)[0]
    reach = max(width, height) / 2 + margin
    inside = reach < min(x, y, 80 - x, 60 - y)
    if inside:
        places = (torch.arange(side) + 0.5) / side * 2 * reach - reach
        assert torch.allclose(crop[0], (x + places).expand(side, side), atol=0.02)
        assert torch.allclose(crop[1], (y + places)[:, None].expand(side, side), atol=0.02)


def test_a_small_crop_is_the_mean_of_what_it_covers():
    image = torch.zeros(3, 40, 40)
    image[:, ::2] = 1
    assert torch.allclose(cut(image, torch.tensor([[4.0, 4, 36, 36]]), 8, margin=0), torch.tensor(0.5))


def test_beyond_the_border_the_border_goes_on():
    crop = cut(ramp(), torch.tensor([[0.0, 0, 20, 20]]), 40, margin=10)[0]
    assert torch.allclose(crop[0, :, :10], torch.tensor(0.5), atol=1e-4)
    assert torch.allclose(crop[1, :10], torch.tensor(0.5), atol=1e-4)
    assert torch.allclose(crop[0, 0, 10:], torch.arange(30) + 0.5, atol=1e-4)


def test_no_box_gives_no_crop_and_two_hundred_give_two_hundred():
    assert cut(ramp(), torch.empty(0, 4), 8).shape == (0, 3, 8, 8)
    assert cut(ramp(), torch.tensor([[5.0, 5, 9, 9]]).repeat(200, 1), 8).shape == (200, 3, 8, 8)


def test_a_table_is_cut_in_its_own_order_whatever_the_sizes_of_the_images():
    images = {"a": np.full((50, 60, 3), 10, np.uint8), "b": np.full((30, 30, 3), 200, np.uint8)}
    boxes = table(("b", "WBC", 5, 5, 9, 9), ("a", "WBC", 5, 5, 9, 9), ("b", "WBC", 1, 1, 9, 9), scored=False)
    found = crops_of(images, boxes, 6)
    assert found.dtype == np.uint8
    assert found[:, 0, 0, 0].tolist() == [200, 10, 200]


def test_the_margin_is_that_of_the_report():
    assert MARGIN == 16
    images = {"a": (ramp() * 3).permute(1, 2, 0).round().to(torch.uint8).numpy()}
    boxes = table(("a", "WBC", 30, 25, 34, 29), scored=False)
    assert crops_of(images, boxes, 36)[0, :, 0, 0].tolist() == [round(3 * (30 - MARGIN + 0.5))] * 36


def test_boxes_of_unknown_images_and_empty_crops_are_refused():
    boxes = table(("a", "WBC", 0, 0, 4, 4), scored=False)
    with pytest.raises(DataError, match="boxes of 1 images that are not given, such as 'a'"):
        crops_of({}, boxes, 8)
    with pytest.raises(DataError, match="crops of 0 px"):
        crops_of({}, boxes, 0)


def test_a_detection_has_the_class_of_the_nearest_true_box():
    truth = table(("a", "EO", 0, 0, 10, 10), ("a", "LY", 20, 0, 30, 10), ("b", "MO", 0, 0, 10, 10), scored=False)
    found = table(("a", "WBC", 0.9, 1, 0, 9, 10), ("a", "WBC", 0.8, 19, 0, 29, 10), ("c", "WBC", 0.7, 0, 0, 5, 5))
    mapped = with_truth(found, truth)
    assert mapped["class"].tolist()[:2] == ["EO", "LY"]
    assert mapped["class"].isna().tolist() == [False, False, True]
    assert mapped["giou"].tolist() == pytest.approx([0.8, 0.9 / 1.1, -1])


def test_a_detection_far_from_every_cell_is_of_none():
    truth = table(("a", "EO", 0, 0, 10, 10), scored=False)
    found = table(("a", "WBC", 0.9, 50, 50, 60, 60))
    assert with_truth(found, truth)["class"].isna().all()
    assert with_truth(found, truth, least=-1)["class"].tolist() == ["EO"]


def test_a_detection_between_two_classes_is_of_none_and_between_two_cells_of_one_class_is_of_that():
    twice = [("a", kind, 0, 0, 10, 10) for kind in ("EO", "LY")]
    found = table(("a", "WBC", 0.9, 0, 0, 10, 10))
    assert with_truth(found, table(*twice, scored=False))["class"].isna().all()
    assert with_truth(found, table(twice[0], twice[0], scored=False))["class"].tolist() == ["EO"]


def test_a_true_box_of_unknown_class_gives_none():
    truth = table(("a", None, 0, 0, 10, 10), ("a", "EO", 30, 0, 40, 10), scored=False)
    mapped = with_truth(table(("a", "WBC", 0.9, 0, 0, 10, 10)), truth)
    assert mapped["class"].isna().all()
