"""SimOTA on cases that can be counted by hand, and what must not change its answer."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.models.simota import RADIUS, assign, cost, dynamic_k, reach

STRIDE = 8.0


def points(columns=8, rows=8):
    """Return the middles of the pixels of one map, row by row, and their strides."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = (torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * STRIDE
    return places, torch.full((len(places),), STRIDE)


def around(places, side):
    return torch.cat([places - side / 2, places + side / 2], dim=1)


def assigned(truth, boxes=None, probabilities=None, labels=None):
    places, strides = points()
    truth = torch.tensor(truth).reshape(-1, 4)
    boxes = around(places, 2.0) if boxes is None else boxes
    probabilities = torch.full((len(places), 1), 0.5) if probabilities is None else probabilities
    labels = torch.zeros(len(truth), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return assign(probabilities, boxes, places, strides, truth, labels)


@pytest.mark.parametrize(
    ("overlaps", "expected"),
    [
        ([0.9, 0.9, 0.9, 0.9], 3),
        ([0.2, 0.3, 0.0], 1),
        ([0.0, 0.0], 1),
        ([1.0] * 30, 10),
        ([0.5] * 30, 5),
        ([1.0], 1),
    ],
)
def test_a_true_box_takes_the_whole_part_of_the_sum_of_its_ten_best_overlaps_and_at_least_one(overlaps, expected):
    assert dynamic_k(torch.tensor(overlaps)[:, None]).tolist() == [expected]


def test_each_true_box_has_a_number_of_its_own():
    assert dynamic_k(torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])).tolist() == [2, 1]


def test_points_are_near_within_a_square_of_their_stride_about_the_centre():
    places = torch.tensor([[20.0, 20.0], [39.0, 20.0], [41.0, 20.0], [39.0, 39.0], [41.0, 20.0]])
    near, inside = reach(places, torch.tensor([8.0, 8, 8, 8, 16]), torch.tensor([[10.0, 10, 30, 30]]))
    assert RADIUS * 8 == 20
    assert near[:, 0].tolist() == [True, True, False, True, True]
    assert inside[:, 0].tolist() == [True, False, False, False, False]


def test_the_cost_is_cross_entropy_of_the_root_of_the_probabilities_less_three_log_overlaps():
    quarter, overlap = torch.tensor([[0.25, 0.25]]), torch.tensor([[1.0, math.exp(-1)]])
    found = cost(quarter, overlap, torch.tensor([0, 1]))
    torch.testing.assert_close(found, torch.tensor([[2 * math.log(2), 2 * math.log(2) + 3]]))
    sure, wrong = cost(torch.tensor([[1.0], [0.0]]), torch.ones(2, 1), torch.tensor([0]))[:, 0]
    assert (float(sure), float(wrong)) == (0, 100)


def test_without_true_boxes_all_is_background():
    found = assigned([])
    assert found.truth.tolist() == [-1] * 64
    assert found.iou.tolist() == [0] * 64


def test_one_true_box_takes_the_predictions_that_fit_it():
    truth = [16.0, 16, 48, 48]
    boxes, fitting = around(points()[0], 2.0), [19, 28, 35]  # near the centre (32, 32)
    boxes[fitting] = torch.tensor(truth)
    found = assigned([truth], boxes)
    assert (found.truth == 0).nonzero()[:, 0].tolist() == fitting
    assert found.truth.unique().tolist() == [-1, 0]
    assert found.iou[fitting].tolist() == [1, 1, 1]
    assert float(found.iou.sum()) == 3


def test_of_predictions_that_fit_alike_the_surest_of_the_class_is_taken():
    probabilities = torch.full((64, 2), 0.5)
    probabilities[27] = torch.tensor([0.4, 0.9])
    probabilities[28] = torch.tensor([0.9, 0.4])
    boxes = around(points()[0], 2.0)
    boxes[[27, 28, 35]] = torch.tensor([24.0, 24, 40, 30])  # 0.375 of the true box each, so that k is 1
    for label, place in ((0, 28), (1, 27)):
        found = assigned([24.0, 24, 40, 40], boxes, probabilities, [label])
        assert (found.truth == 0).nonzero()[:, 0].tolist() == [place]


@pytest.mark.parametrize(("box", "owner"), [([24.0, 24, 42, 40], 0), ([26.0, 24, 44, 40], 1)])
def test_a_prediction_that_two_true_boxes_ask_for_goes_to_the_one_that_it_costs_less(box, owner):
    truth = [24.0, 24, 40, 40, 28, 24, 44, 40]
    boxes = around(points()[0], 0.5)
    boxes[28] = torch.tensor(box)
    found = assigned(truth, boxes)
    assert found.truth[28] == owner
    assert (found.truth == owner).sum() == 1


def test_a_prediction_far_from_the_centre_learns_nothing_however_well_it_fits():
    truth = [0.0, 0, 64, 64]
    boxes = around(points()[0], 2.0)
    boxes[0] = torch.tensor(truth)
    found = assigned([truth], boxes)
    assert found.truth[0] == -1
    assert (found.truth == 0).sum() == 1


def test_a_box_smaller_than_a_pixel_of_the_map_still_takes_a_point_outside_it():
    found = assigned([[31.0, 31, 33, 33]], around(points()[0], STRIDE))
    taken = (found.truth == 0).nonzero()[:, 0].tolist()
    assert len(taken) == 1
    assert taken[0] in (27, 28, 35, 36)


def test_a_point_inside_the_box_comes_before_better_ones_outside():
    truth = [27.0, 27, 29, 29]  # (28, 28) is the point 27
    boxes = around(points()[0], 0.5)
    boxes[[28, 35]] = torch.tensor(truth)
    boxes[[19, 26]] = torch.tensor(truth)
    found = assigned([truth], boxes)
    assert found.truth[27] == 0


@st.composite
def scenes(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    number = draw(st.integers(1, 5))
    corner = torch.rand(number, 2, generator=generator) * 40
    truth = torch.cat([corner, corner + 4 + torch.rand(number, 2, generator=generator) * 20], dim=1)
    labels = torch.randint(3, (number,), generator=generator)
    places, strides = points()
    centre = places + torch.randn(64, 2, generator=generator) * 4
    half = 2 + torch.rand(64, 2, generator=generator) * 10
    boxes = torch.cat([centre - half, centre + half], dim=1)
    return torch.rand(64, 3, generator=generator), boxes, places, strides, truth, labels


@given(scenes(), st.sampled_from([0.5, 2.0, 4.0]))
@settings(max_examples=25, deadline=None)
def test_the_unit_of_length_does_not_matter(scene, scale):
    probabilities, boxes, places, strides, truth, labels = scene
    found, scaled = assign(*scene), assign(
        probabilities, boxes * scale, places * scale, strides * scale, truth * scale, labels
    )  # fmt: skip
    assert torch.equal(found.truth, scaled.truth)
    torch.testing.assert_close(found.iou, scaled.iou)


@given(scenes(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_neither_the_order_of_predictions_nor_that_of_true_boxes_matters(scene, random):
    probabilities, boxes, places, strides, truth, labels = scene
    order, others = list(range(64)), list(range(len(truth)))
    random.shuffle(order)
    random.shuffle(others)
    found = assign(*scene)
    moved = assign(probabilities[order], boxes[order], places[order], strides, truth[others], labels[others])
    names = torch.tensor([*others, -1])  # the last is found by −1
    assert torch.equal(names[moved.truth], found.truth[order])
    torch.testing.assert_close(moved.iou, found.iou[order])


@given(scenes())
@settings(max_examples=25, deadline=None)
def test_a_true_box_takes_ten_predictions_at_most_and_only_near_ones(scene):
    _, _, places, strides, truth, _ = scene
    found = assign(*scene)
    near, _ = reach(places, strides, truth)
    for place in range(len(truth)):
        taken = found.truth == place
        assert taken.sum() <= 10
        assert near[taken, place].all()
    assert (found.truth >= 0).any()
    assert (found.iou[found.truth < 0] == 0).all()
