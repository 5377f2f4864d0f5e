"""Colour: conversions against the standard library and known colours, statistics against NumPy."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wbc_utils.images import color

pixels = arrays(np.uint8, st.tuples(st.integers(1, 30), st.just(3)))
BLACK, WHITE, GREY = [0, 0, 0], [255, 255, 255], [90, 90, 90]


@settings(deadline=None)
@given(rgb=pixels)
def test_hsv_equals_the_standard_library_with_hue_counted_from_green(rgb):
    expected = np.array([colorsys.rgb_to_hsv(*(value / 255 for value in row)) for row in rgb.tolist()]).T
    expected[0] = (expected[0] - 1 / 3) % 1
    found = color.hsv(rgb)
    turns = np.abs(found[0] - expected[0])
    assert np.minimum(turns, 1 - turns).max() < 1e-12
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-12)
    assert ((found >= 0) & (found <= 1)).all()


def test_hue_jumps_at_green_and_not_at_red_or_purple():
    reddish = np.array([[255, 0, 3], [255, 3, 0], [255, 0, 255], [0, 0, 255], [0, 255, 0]], np.uint8)
    hue = color.hsv(reddish)[0]
    assert hue[0] == pytest.approx(hue[1], abs=0.01)
    np.testing.assert_allclose(hue, [2 / 3, 2 / 3, 1 / 2, 1 / 3, 0], atol=0.003)


def test_grey_pixels_have_no_saturation_and_the_hue_of_red():
    np.testing.assert_allclose(color.hsv(np.array([BLACK, GREY], np.uint8)), [[2 / 3] * 2, [0, 0], [0, 90 / 255]])


def test_lab_of_black_and_white_lies_on_the_scale_of_8_bits():
    found = color.lab(np.array([BLACK, WHITE], np.uint8))
    np.testing.assert_allclose(found, [[0, 255], [128, 128], [128, 128]], atol=0.02)


def test_ycrcb_of_known_colours():
    found = color.ycrcb(np.array([GREY, [255, 0, 0], [0, 0, 255]], np.uint8))
    np.testing.assert_allclose(found[0], [90, 0.299 * 255, 0.114 * 255])
    np.testing.assert_allclose(found[1:, 0], 128)
    np.testing.assert_allclose(found[1, 1], 128 + 0.713 * 0.701 * 255)
    np.testing.assert_allclose(found[2, 2], 128 + 0.564 * 0.886 * 255)


@settings(deadline=None)
@given(values=arrays(float, (3, 7), elements=st.floats(0, 255)))
def test_moments_are_mean_and_population_deviation(values):
    mean, spread = color.moments(values)
    np.testing.assert_allclose(mean, values.mean(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(spread, values.std(axis=1), rtol=1e-9, atol=1e-9)


@given(value=st.floats(0, 255), count=st.integers(1, 1000))
def test_a_flat_channel_has_its_value_and_exactly_no_deviation(value, count):
    assert [part.item() for part in color.moments(np.full((1, count), value))] == [value, 0]


@settings(deadline=None)
@given(
    first=arrays(float, (2, 5), elements=st.floats(0, 255)), second=arrays(float, (2, 3), elements=st.floats(0, 255))
)
def test_pooled_moments_are_those_of_the_union(first, second):
    mean, spread = color.pooled([(5, *color.moments(first)), (3, *color.moments(second))])
    union = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(mean, union.mean(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(spread, union.std(axis=1), rtol=1e-9, atol=1e-6)


def test_an_empty_part_adds_nothing():
    moments = color.moments(np.array([[1.0, 2.0, 6.0]]))
    mean, spread = color.pooled([(3, *moments), (0, np.array([100.0]), np.array([9.0]))])
    assert (mean, spread) == (moments[0], pytest.approx(moments[1]))
