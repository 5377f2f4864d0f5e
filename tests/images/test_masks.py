import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from wbc_utils.images.masks import at_border, dilate, erode, fill_holes, large_parts, opened

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
CROSS, SQUARE = ndimage.generate_binary_structure(2, 1), np.ones((3, 3), bool)


def _disc(radius: float, size: int = 61) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return np.hypot(y, x) <= radius


@given(MASKS, st.integers(1, 4))
def test_erosion_is_that_of_scipy_with_alternating_neighbourhoods(mask, radius):
    expected = mask
    for step in range(radius):
        expected = ndimage.binary_erosion(expected, SQUARE if step % 2 else CROSS, border_value=1)
    np.testing.assert_array_equal(erode(mask, radius), expected)


@given(MASKS, st.integers(1, 4))
def test_opening_only_takes_away_and_twice_is_once(mask, radius):
    once = opened(mask, radius)
    assert not (once & ~mask).any()
    np.testing.assert_array_equal(opened(once, radius), once)


@given(MASKS, st.integers(1, 4))
def test_dilation_contains_the_mask(mask, radius):
    assert not (mask & ~dilate(mask, radius)).any()


def test_a_disc_shrinks_by_the_radius():
    assert erode(_disc(20), 6).sum() == pytest.approx(np.pi * 14**2, rel=0.1)


def test_the_mask_that_is_given_stays_as_it_is():
    mask = _disc(5)
    erode(mask, 3)
    np.testing.assert_array_equal(mask, _disc(5))


def test_a_mask_that_reaches_the_border_goes_on_outside():
    assert erode(np.ones((5, 5), bool), 2).all()


@given(MASKS)
def test_holes_are_filled_as_scipy_fills_them(mask):
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_only_parts_at_the_border_are_kept_at_the_border():
    mask = np.zeros((9, 9), bool)
    mask[0, 3] = mask[4, 4] = mask[8, 8] = True
    assert np.argwhere(at_border(mask)).tolist() == [[0, 3], [8, 8]]


def test_large_parts_are_measured_against_the_largest():
    mask = np.zeros((9, 20), bool)
    mask[1:5, 1:6] = mask[1:3, 8:13] = mask[7, 15:18] = True  # areas 20, 10, 3
    assert large_parts(mask, 0.5).sum() == 30
    assert large_parts(mask, 0.1).sum() == 33


def test_an_empty_mask_has_no_large_parts():
    assert not large_parts(np.zeros((4, 4), bool), 0.5).any()
