import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab
from skimage.filters import threshold_multiotsu, threshold_otsu

from wbc_utils.images.stain import otsu, relative_lab, slide_colour


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    y, x = np.mgrid[:60, :60] - 29.5
    image = np.full((60, 60, 3), (250, 230, 205), np.uint8)
    image[np.hypot(y, x) < 15] = (90, 40, 130)
    image[:8, :8] = (190, 150, 150)
    return image


def test_the_slide_colour_is_the_colour_of_the_empty_slide(disc):
    assert slide_colour(disc).tolist() == [250, 230, 205]


def test_the_slide_colour_of_a_uniform_image_is_its_colour():
    assert slide_colour(np.full((9, 9, 3), 77, np.uint8)).tolist() == [77, 77, 77]


def test_the_empty_slide_is_white_in_relative_lab(disc):
    lab = relative_lab(disc, 0.3)
    assert lab.shape == (3, 60, 60)
    np.testing.assert_allclose(lab[:, 50, 2], (100, 0, 0), atol=0.05)


def test_relative_lab_of_a_white_slide_is_plain_cielab():
    image = np.full((40, 40, 3), 255, np.uint8)
    image[10:30, 10:30] = (120, 60, 160)
    lab = relative_lab(image, 0.3)
    np.testing.assert_allclose(lab[:, 20, 20], rgb2lab(image)[20, 20], atol=0.05)


def test_the_colour_of_the_lamp_does_not_change_relative_lab():
    rng = np.random.default_rng(0)
    light = np.ones((40, 40, 3))
    light[10:30, 10:30] = rng.uniform(0.3, 0.7, 3)

    def seen(lamp):
        linear = light * np.asarray(lamp)
        return np.round(255 * np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))

    under_white, under_yellow = (relative_lab(seen(lamp).astype(np.uint8), 0.5) for lamp in ((1, 1, 1), (1, 0.9, 0.4)))
    np.testing.assert_allclose(under_yellow, under_white, atol=1.5)


def _within(values: np.ndarray, thresholds) -> float:
    """Return the summed squared distance of values from the mean of their class."""
    classes = np.digitize(values, thresholds)
    return sum(((part - part.mean()) ** 2).sum() for part in (values[classes == c] for c in np.unique(classes)))


@given(st.integers(0, 2**32 - 1))
def test_two_classes_vary_no_more_than_those_of_scikit_image(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 1, 300), rng.normal(rng.uniform(3, 9), 1, int(rng.integers(50, 400)))])
    assert _within(values, otsu(values)) <= 1.002 * _within(values, [threshold_otsu(values, nbins=128)])


@given(st.integers(0, 2**32 - 1))
def test_three_classes_vary_no_more_than_those_of_scikit_image(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(mean, 1, int(rng.integers(100, 400))) for mean in (0, 6, 14)])
    assert _within(values, otsu(values, 3)) <= 1.002 * _within(values, threshold_multiotsu(values, 3, nbins=128))


def test_separate_peaks_are_divided_in_the_middle():
    assert otsu(np.repeat([0.0, 10.0], 50)) == pytest.approx((5,), abs=0.1)
    assert otsu(np.repeat([0.0, 10.0, 30.0], 50), classes=3) == pytest.approx((5, 20), abs=0.3)


def test_equal_values_are_their_own_threshold():
    assert otsu(np.full(5, 3.0)) == (3.0,)
    assert otsu(np.full(5, 3.0), classes=3) == (3.0, 3.0)
