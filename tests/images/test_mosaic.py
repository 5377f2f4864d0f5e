"""Mosaic and mixup keep boxes on their cells."""

import pytest
import torch

from wbc_utils.images import mosaic as module
from wbc_utils.images.augment import step_generator
from wbc_utils.images.mosaic import SCALES, VISIBLE, mixup, mosaic

WHITE, GREY = 240 / 255, 114 / 255
COLOURS = torch.tensor([[0.1, 0.2, 0.3], [0.7, 0.1, 0.2], [0.1, 0.8, 0.4], [0.2, 0.3, 0.9]])


def field(number, *boxes, size=(48, 64)):
    """Return a white field with rectangles in the colour of their label."""
    image = torch.full((3, *size), WHITE)
    for x, y, right, low in boxes:
        image[:, y:low, x:right] = COLOURS[number][:, None, None]
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return image, {"boxes": corners, "labels": torch.full((len(boxes),), number)}


def four(size=(48, 64)):
    return [field(n, (4 + n, 6, 22 + n, 20), (40, 22 + n, 58, 36 + n), size=size) for n in range(4)]


def generator(seed=0):
    return step_generator(seed, 0, 0)


@pytest.fixture
def plain(monkeypatch):
    """Set a mosaic that neither enlarges nor drops cut boxes, so that every pixel can be foretold."""
    monkeypatch.setattr(module, "SCALES", (1.0, 1.0))
    monkeypatch.setattr(module, "VISIBLE", 0.0)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("seed", range(8))
def test_every_pixel_of_a_box_has_the_colour_of_its_label_and_no_other_pixel_has(seed):
    image, target = mosaic(four(), generator(seed))
    expected = torch.full_like(image, WHITE)
    for (x, y, right, low), label in zip(target["boxes"].int().tolist(), target["labels"], strict=True):
        expected[:, y:low, x:right] = COLOURS[label][:, None, None]
    torch.testing.assert_close(image, expected)


@pytest.mark.parametrize("seed", range(8))
def test_boxes_stay_on_their_cells_at_any_scale(seed):
    image, target = mosaic(four(), generator(seed))
    assert image.shape == (3, 48, 64)
    assert len(target["boxes"]) == len(target["labels"]) > 0
    assert (target["boxes"] >= 0).all()
    assert (target["boxes"] <= torch.tensor([64, 48, 64, 48])).all()
    for box, label in zip(target["boxes"].tolist(), target["labels"], strict=True):
        x, y, right, low = (round(side) for side in box)
        inner = image[:, y + 2 : low - 2, x + 2 : right - 2]
        torch.testing.assert_close(inner, COLOURS[label][:, None, None].expand_as(inner), atol=0.02, rtol=0)


@pytest.mark.usefixtures("plain")
def test_each_field_lies_in_its_quarter():
    whole = [field(n, (0, 0, 64, 48)) for n in range(4)]
    image, target = mosaic(whole, generator())
    x, y = (int(side) for side in target["boxes"][0, 2:])
    assert target["boxes"].tolist() == [[0, 0, x, y], [x, 0, 64, y], [0, y, x, 48], [x, y, 64, 48]]
    assert 16 <= x <= 48
    assert 12 <= y <= 36
    corners = image[:, [0, 0, -1, -1], [0, -1, 0, -1]].T
    torch.testing.assert_close(corners, COLOURS)


def test_all_four_are_resized_alike_by_scales_of_the_whole_range():
    inner = [(56, 40, 64, 48), (0, 40, 8, 48), (56, 0, 64, 8), (0, 0, 8, 8)]  # always on the canvas
    ratios = []
    for seed in range(60):
        _, target = mosaic([field(n, box) for n, box in enumerate(inner)], generator(seed))
        sides = (target["boxes"][:, 2] - target["boxes"][:, 0]) / 8
        assert len(sides) == 4
        assert sides.max() - sides.min() < 1e-4
        ratios.append(float(sides[0]))
    assert SCALES[0] - 0.01 <= min(ratios) < 0.55
    assert 1.4 < max(ratios) <= SCALES[1] + 0.01


@pytest.mark.parametrize("seed", range(20))
def test_of_a_cut_box_more_than_a_fifth_is_left_or_it_is_gone(seed, monkeypatch):
    monkeypatch.setattr(module, "SCALES", (1.0, 1.0))
    _, found = mosaic(four(), generator(seed))
    monkeypatch.setattr(module, "VISIBLE", 0.0)
    _, whole = mosaic(four(), generator(seed))
    areas = (whole["boxes"][:, 2:] - whole["boxes"][:, :2]).prod(dim=1)
    assert VISIBLE == 0.2
    assert found["boxes"].tolist() == whole["boxes"][areas > 0.2 * 18 * 14].tolist()


def test_where_no_field_is_the_canvas_is_grey(monkeypatch):
    monkeypatch.setattr(module, "SCALES", (0.25, 0.25))
    image, target = mosaic(four(), generator())
    assert len(target["boxes"]) == 8
    grey = (image - GREY).abs().amax(dim=0) < 1e-6
    assert int((~grey).sum()) == 4 * 12 * 16


def test_fields_of_other_sizes_and_without_boxes_are_joined_on_a_canvas_of_the_first_one():
    fields = [field(0), field(1, (0, 0, 5, 5), size=(10, 8)), field(2, size=(300, 20)), field(3, size=(1, 1))]
    image, target = mosaic(fields, generator())
    assert image.shape == (3, 48, 64)
    assert set(target["labels"].tolist()) <= {1}
    _, none = mosaic([field(n) for n in range(4)], generator())
    assert none["boxes"].shape == (0, 4)


def test_a_mosaic_follows_from_its_generator_and_leaves_its_fields():
    fields = four()
    before = [(image.clone(), target["boxes"].clone()) for image, target in fields]
    first, again, other = (mosaic(fields, generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    for (image, target), (pixels, boxes) in zip(fields, before, strict=True):
        assert torch.equal(image, pixels)
        assert torch.equal(target["boxes"], boxes)


def test_mixup_is_the_mean_of_both_with_the_boxes_of_both():
    one, other = field(0, (2, 2, 20, 20)), field(1, (30, 10, 50, 40))
    image, target = mixup(one, other)
    torch.testing.assert_close(image, (one[0] + other[0]) / 2)
    assert target["boxes"].tolist() == [[2, 2, 20, 20], [30, 10, 50, 40]]
    assert target["labels"].tolist() == [0, 1]


def test_mixup_cuts_a_larger_field_and_continues_a_smaller_one_in_grey():
    small, large = field(0, (2, 2, 20, 20), size=(24, 24)), field(1, (10, 0, 30, 10), (23, 0, 40, 9), size=(48, 64))
    image, target = mixup(small, large)
    assert image.shape == (3, 24, 24)
    assert target["boxes"].tolist() == [[2, 2, 20, 20], [10, 0, 24, 10]]
    image, target = mixup(large, small)
    torch.testing.assert_close(image[:, 30:, 30:], torch.full((3, 18, 34), (WHITE + GREY) / 2))
    assert len(target["boxes"]) == 3
