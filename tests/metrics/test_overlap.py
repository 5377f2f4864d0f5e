"""Overlap of boxes, by hand and by counting pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.overlap import giou, iou, paired_iou

quick = settings(max_examples=50, deadline=None)
side = st.integers(1, 6)
boxes = st.lists(
    st.builds(lambda x, y, w, h: [x, y, x + w, y + h], st.integers(0, 8), st.integers(0, 8), side, side),
    min_size=1,
    max_size=5,
)


def pixels(box):
    mask = np.zeros((20, 20), dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


@quick
@given(boxes, boxes)
def test_the_iou_of_whole_boxes_is_that_of_their_pixels(first, second):
    counted = [[(pixels(a) & pixels(b)).sum() / (pixels(a) | pixels(b)).sum() for b in second] for a in first]
    assert iou(first, second) == pytest.approx(np.array(counted), abs=1e-12)


def test_boxes_that_touch_do_not_overlap():
    assert iou([[0, 0, 2, 2]], [[2, 0, 4, 2], [0, 2, 2, 4], [1, 0, 3, 2]]).tolist() == [[0, 0, 1 / 3]]


@quick
@given(boxes, boxes, st.floats(0.01, 100), st.floats(-1000, 1000))
def test_overlap_is_symmetric_and_knows_no_scale_or_place(first, second, scale, shift):
    first, second = np.array(first, dtype=float), np.array(second, dtype=float)
    for overlap in (iou, giou):
        assert overlap(first, second).T == pytest.approx(overlap(second, first))
        assert overlap(first * scale + shift, second * scale + shift) == pytest.approx(overlap(first, second), abs=1e-6)


@quick
@given(boxes, boxes)
def test_giou_is_between_minus_one_and_iou_and_one_for_a_box_and_itself(first, second):
    assert (giou(first, second) > -1).all()
    assert (giou(first, second) <= iou(first, second) + 1e-12).all()
    assert np.diag(giou(first, first)) == pytest.approx(np.ones(len(first)))


def test_giou_by_hand():
    # apart: union 8, box around 4 × 4; overlapping by 1: union 7, around 3 × 3
    assert giou([[0, 0, 2, 2]], [[2, 2, 4, 4], [1, 1, 3, 3]])[0] == pytest.approx([-8 / 16, 1 / 7 - 2 / 9])


def test_giou_falls_as_boxes_move_apart():
    away = np.array([[10.0 * step, 0, 10.0 * step + 5, 5] for step in range(1, 5)])
    assert (np.diff(giou([[0, 0, 5, 5]], away)[0]) < 0).all()
    assert (iou([[0, 0, 5, 5]], away) == 0).all()


def test_boxes_may_be_compared_pair_by_pair():
    first = np.array([[0, 0, 2, 2], [0, 0, 4, 4]], dtype=float)
    second = np.array([[0, 0, 2, 1], [2, 2, 4, 4]], dtype=float)
    assert paired_iou(first, second).tolist() == [0.5, 0.25]
    assert paired_iou(first, second).tolist() == np.diag(iou(first, second)).tolist()


def test_no_boxes_give_an_empty_table():
    assert iou(np.zeros((0, 4)), [[0, 0, 1, 1]]).shape == (0, 1)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([0, 0, np.nan, 1], "not a finite number"),
        ([0, 0, np.inf, 1], "not a finite number"),
        ([2, 0, 1, 1], "reversed borders"),
        ([0, 0, 0, 1], "no area"),
        ([1, 1, 1, 1], "no area"),
    ],
)
@pytest.mark.parametrize("overlap", [iou, giou])
def test_a_box_without_sense_is_refused(overlap, box, fault):
    with pytest.raises(MetricError, match=f"1 of 2 boxes have .*{fault}"):
        overlap([[0, 0, 1, 1]], [[0, 0, 1, 1], box])


def test_boxes_of_another_shape_are_refused():
    with pytest.raises(MetricError, match=r"shape \(4,\)"):
        iou([0, 0, 1, 1], [[0, 0, 1, 1]])
