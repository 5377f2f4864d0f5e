"""Dice's coefficient, by hand and by its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.segmentation import dice

masks = hnp.arrays(bool, (5, 6))


def test_half_overlapping_squares_have_dice_one_half():
    a, b = np.zeros((4, 8), dtype=bool), np.zeros((4, 8), dtype=bool)
    a[:, :4], b[:, 2:6] = True, True
    assert dice(a, b) == 0.5


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty, full = np.zeros((3, 3)), np.ones((3, 3))
    assert dice(empty, empty) == 1
    assert dice(empty, full) == 0


@given(a=masks, b=masks)
def test_dice_is_symmetric_bounded_and_one_for_equal_masks_only(a, b):
    assert 0 <= dice(a, b) <= 1
    assert dice(a, b) == dice(b, a)
    assert (dice(a, b) == 1) == (a == b).all()


@given(a=masks, b=masks, value=st.integers(1, 255))
def test_any_non_zero_value_marks_the_mask(a, b, value):
    assert dice(a.astype(np.uint8) * value, b) == dice(a, b)


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(MetricError, match=r"\(2, 3\) and \(3, 2\) cannot be compared"):
        dice(np.ones((2, 3)), np.ones((3, 2)))
