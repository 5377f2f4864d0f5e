"""Texture: against scikit-image where it defines the same, flat regions, and blindness to what lies outside."""

import numpy as np
import pytest
from examples_of_cells import disc
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from wbc_utils.images import texture

SHAPE = (11, 9)
greys = arrays(np.uint8, SHAPE)
regions = arrays(bool, SHAPE)
whole = np.ones(SHAPE, bool)


def glcm_and_lbp(grey, mask, step=1):
    counts = texture.cooccurrence(grey // 8, mask, step)
    return texture.glcm_properties(counts), texture.lbp_histogram(grey, mask, step)


@pytest.mark.parametrize(
    ("shape", "step"),
    [((64, 64), 1), ((120, 120), 1), ((160, 160), 1), ((320, 320), 2), ((360, 363), 2), ((480, 480), 3)],
)
def test_step_is_proportional_to_the_image(shape, step):
    assert texture.step_of(shape) == step


def test_grey_is_the_luma():
    assert texture.grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist() == [[76, 150, 29]]


def test_pairs_of_a_small_region_counted_by_hand():
    levels = np.array([[0, 1], [2, 31]])
    mask = np.array([[True, True], [True, False]])
    counts = texture.cooccurrence(levels, mask, 1)
    found = [sorted(map(tuple, np.argwhere(matrix).tolist())) for matrix in counts]
    assert found == [[(0, 1), (1, 0)], [(1, 2), (2, 1)], [(0, 2), (2, 0)], []]


@settings(deadline=None)
@given(grey=greys)
def test_cooccurrence_of_a_whole_image_equals_scikit_image(grey):
    levels = grey // 8
    clockwise = [0, 3 * np.pi / 4, np.pi / 2, np.pi / 4]
    expected = graycomatrix(levels, [1], clockwise, texture.LEVELS, symmetric=True)
    counts = texture.cooccurrence(levels, whole, 1)
    np.testing.assert_array_equal(counts, np.moveaxis(expected[:, :, 0], 2, 0))
    for number, name in enumerate(texture.GLCM_PROPERTIES):
        properties = texture.glcm_properties(counts)[number]
        np.testing.assert_allclose(properties, graycoprops(expected, name)[0], rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_patterns_equal_scikit_image_on_the_enlarged_image(seed):
    """At three times the size and radius its interpolated neighbours are the eight of the square."""
    grey = np.random.default_rng(seed).permutation(256)[:99].astype(np.uint8).reshape(SHAPE)  # no ties
    patterns = local_binary_pattern(np.kron(grey, np.ones((3, 3), np.uint8)), 8, 3, "uniform")[4:-4:3, 4:-4:3]
    expected = np.bincount(patterns.astype(int).ravel(), minlength=10) / patterns.size
    np.testing.assert_allclose(texture.lbp_histogram(grey, whole, 1), expected)


@settings(deadline=None)
@given(first=greys, second=greys, mask=regions, step=st.integers(1, 3))
def test_what_lies_outside_the_region_has_no_influence(first, second, mask, step):
    mixed = np.where(mask, first, second)
    for found, expected in zip(glcm_and_lbp(mixed, mask, step), glcm_and_lbp(first, mask, step), strict=True):
        np.testing.assert_array_equal(found, expected)


@settings(deadline=None)
@given(grey=greys, mask=regions, step=st.integers(1, 6))
def test_numbers_are_finite_and_shares_sum_to_one(grey, mask, step):
    properties, shares = glcm_and_lbp(grey, mask, step)
    assert np.isfinite(properties).all()
    assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("mask", [disc(9), np.zeros((23, 23), bool), np.eye(23, dtype=bool)])
def test_flat_and_too_thin_regions_have_the_texture_of_a_flat_one(mask):
    properties, shares = glcm_and_lbp(np.full(mask.shape, 77, np.uint8), mask)
    np.testing.assert_array_equal(properties, np.repeat([[0], [0], [1], [1], [1]], 4, axis=1))
    np.testing.assert_array_equal(shares, np.eye(10)[8])


def test_stripes_have_contrast_across_and_none_along():
    grey = np.tile(np.uint8([0, 80]), (8, 4))
    contrast = glcm_and_lbp(grey, np.ones(grey.shape, bool))[0][0]
    np.testing.assert_array_equal(contrast, [100, 100, 0, 100])


@settings(deadline=None)
@given(grey=greys, mask=regions)
def test_a_quarter_turn_swaps_the_angles_and_keeps_the_patterns(grey, mask):
    properties, shares = glcm_and_lbp(grey, mask)
    turned, turned_shares = glcm_and_lbp(np.rot90(grey), np.rot90(mask))
    np.testing.assert_allclose(turned, properties[:, [2, 3, 0, 1]], rtol=1e-12)
    np.testing.assert_array_equal(turned_shares, shares)


@settings(deadline=None)
@given(grey=greys, mask=regions)
def test_doubling_pixels_and_step_changes_nothing(grey, mask):
    properties, shares = glcm_and_lbp(grey, mask)
    large_grey, large_mask = (part.repeat(2, axis=0).repeat(2, axis=1) for part in (grey, mask))
    large, large_shares = glcm_and_lbp(large_grey, large_mask, 2)
    np.testing.assert_allclose(large, properties, rtol=1e-9)
    np.testing.assert_array_equal(large_shares, shares)
