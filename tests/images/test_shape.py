"""Shape: analytic figures, and equality with scikit-image on arbitrary masks."""

import numpy as np
import pytest
from examples_of_cells import beads, disc, ellipse, masks
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import measure
from skimage.morphology import convex_hull_image

from wbc_utils.images import shape


@pytest.mark.parametrize("radius", [15, 30, 60])
def test_perimeter_of_a_disc_is_two_pi_r(radius):
    assert shape.perimeter(disc(radius)) == pytest.approx(2 * np.pi * radius, rel=0.03)


@settings(deadline=None)
@given(mask=masks)
def test_perimeter_equals_scikit_image(mask):
    assert shape.perimeter(mask) == pytest.approx(measure.perimeter_crofton(mask), rel=1e-12)


@settings(deadline=None)
@given(mask=masks)
def test_moments_equal_scikit_image(mask):
    expected = measure.moments_central(mask.astype(np.uint8), order=3)  # zero beyond the third order
    found = np.fliplr(np.triu(np.fliplr(shape.central_moments(mask))))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)


@settings(deadline=None)
@given(mask=masks)
def test_hull_equals_scikit_image(mask):
    hull = shape.convex_hull(mask)
    np.testing.assert_array_equal(hull, convex_hull_image(mask))
    assert shape.convex_area(mask) == hull.sum()


@settings(deadline=None)
@given(mask=masks)
def test_hull_contains_the_region_and_has_its_bounding_box(mask):
    hull = shape.convex_hull(mask)
    assert (hull >= mask).all()
    assert shape.bounding_box(hull) == shape.bounding_box(mask)


def test_hull_of_two_distant_pixels_is_the_line_between_them():
    mask = np.zeros((9, 9), bool)
    mask[1, 1] = mask[7, 7] = True
    np.testing.assert_array_equal(np.argwhere(shape.convex_hull(mask)), [[i, i] for i in range(1, 8)])


def test_bounding_box_is_the_smallest_rectangle():
    mask = np.zeros((8, 9), bool)
    mask[2, 3] = mask[5, 7] = True
    assert shape.bounding_box(mask) == (slice(2, 6), slice(3, 8))


def test_centroid_of_a_rectangle_is_its_middle():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 1:8] = True
    assert shape.centroid(mask) == (3, 4)


def test_eccentricity_of_a_disc_is_zero():
    assert shape.eccentricity(shape.central_moments(disc(20))) == 0


@pytest.mark.parametrize(("a", "b"), [(40, 30), (50, 20), (20, 50)])
def test_eccentricity_of_an_ellipse_follows_from_its_axes(a, b):
    expected = np.sqrt(1 - (min(a, b) / max(a, b)) ** 2)
    assert shape.eccentricity(shape.central_moments(ellipse(a, b))) == pytest.approx(expected, abs=0.005)


def test_eccentricity_of_a_line_is_one_and_of_a_pixel_zero():
    assert shape.eccentricity(shape.central_moments(np.ones((1, 9), bool))) == 1
    assert shape.eccentricity(shape.central_moments(np.ones((1, 1), bool))) == 0


@pytest.mark.parametrize("side", [2, 10, 31])
def test_a_square_has_one_hu_moment_that_is_not_zero(side):
    hu = shape.log_hu_moments(shape.central_moments(np.ones((side, side), bool)))
    first = (1 - 1 / side**2) / 6
    assert hu[0] == pytest.approx(np.log10(1 + first / shape.HU_FLOOR), rel=1e-12)
    np.testing.assert_allclose(hu[1:], 0, atol=1e-3)


def test_hu_moments_are_the_signed_logarithms_of_scikit_image():
    hu = measure.moments_hu(measure.moments_normalized(measure.moments_central(beads(2)[:15].astype(np.uint8))))
    expected = np.sign(hu) * np.log10(1 + np.abs(hu) / 1e-12)
    found = shape.log_hu_moments(shape.central_moments(beads(2)[:15]))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


def test_a_mirror_changes_the_sign_of_the_seventh_hu_moment_alone():
    mask = disc(20) | disc(8, 45, (8, 30))
    mask[30:34, 2:30] = True
    hu, mirrored = (shape.log_hu_moments(shape.central_moments(m)) for m in (mask, mask[:, ::-1]))
    assert abs(hu[6]) > 0.1
    np.testing.assert_allclose(mirrored, hu * [1, 1, 1, 1, 1, 1, -1], rtol=1e-9)


def test_depth_of_a_disc_is_its_radius_and_zero_outside():
    depths = shape.depth(disc(20))
    assert depths.max() == pytest.approx(20, abs=1)
    assert (depths[1:-1, 1:-1][~disc(20)] == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_beads_on_a_thin_bar_are_lobes(count):
    assert shape.lobes(shape.depth(beads(count))) == count


def test_a_thick_neck_and_specks_make_no_lobe():
    assert shape.lobes(shape.depth(beads(2, neck=8))) == 1
    speckled = disc(20, 60)
    speckled[2, 2] = speckled[57, 57] = True
    assert shape.lobes(shape.depth(speckled)) == 1


@settings(deadline=None)
@given(mask=masks, turn=st.integers(0, 3))
def test_lobes_do_not_depend_on_the_orientation(mask, turn):
    assert shape.lobes(shape.depth(mask)) == shape.lobes(shape.depth(np.rot90(mask, turn)))
