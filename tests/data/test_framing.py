"""A cell is shown at the same scale whatever its image's size, and its size is measured."""

import numpy as np
import pytest
from examples_of_cells import NUCLEATED, drawn_cell
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wbc_utils.data.framing import MIN_TRUSTED, cell_diameter, frame
from wbc_utils.data.tables import DataError
from wbc_utils.images.stain import slide_colour


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def off(found, expected):
    """Return the largest difference in grey levels."""
    return np.abs(found.astype(float) - expected).max()


sizes = st.integers(1, 40)
images = st.tuples(sizes, sizes).flatmap(lambda shape: arrays(np.uint8, (*shape, 3)))


def test_a_field_as_large_as_the_input_is_cut_out_of_the_middle_unchanged():
    image = noise(30, 50)
    assert np.array_equal(frame(image, 20, 20), image[5:25, 15:35])


def test_shrinking_takes_the_mean_over_the_area_of_each_new_pixel():
    image = noise(48, 40)
    blocks = image[4:44].reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    assert off(frame(image, 10, 40), blocks) <= 0.51


def test_a_pattern_finer_than_the_new_pixels_becomes_grey():
    image = np.repeat((np.indices((64, 64)).sum(axis=0) % 2 * 200)[..., None], 3, axis=2).astype(np.uint8)
    assert off(frame(image, 16, 64), 100) <= 1


def test_the_same_field_looks_the_same_at_twice_the_resolution():
    image = noise(45, 60)
    doubled = image.repeat(2, axis=0).repeat(2, axis=1)
    assert off(frame(doubled, 16, 2 * 37.5), frame(image, 16, 37.5)) <= 1


def test_enlarging_keeps_a_smooth_gradient():
    ramp = np.repeat(np.repeat(np.arange(0, 200, 5, dtype=np.uint8)[None, :, None], 40, axis=0), 3, axis=2)
    expected = 50 + np.arange(0.25, 20, 0.5) * 5 - 2.5  # the field starts at column 10, pixels are half as wide
    assert off(frame(ramp, 40, 20)[20, :, 0], expected) <= 1


def test_beyond_the_image_is_the_empty_slide_and_the_image_stays_in_the_middle():
    image = np.full((20, 30, 3), (230, 220, 210), np.uint8)
    image[5:15, 10:20] = (90, 30, 120)
    found = frame(image, 50, 50)
    assert np.array_equal(found[15:35, 10:40], image)
    outside = np.ones((50, 50), bool)
    outside[15:35, 10:40] = False
    assert (found[outside] == slide_colour(image)).all()
    assert slide_colour(image).tolist() == [230, 220, 210]


def test_a_field_that_ends_within_a_pixel_takes_its_share_of_it():
    columns = np.array([0, 10, 20, 90], np.uint8)
    image = np.repeat(np.repeat(columns[None, :, None], 4, axis=0), 3, axis=2)
    # the field goes from 0.5 to 3.5: half of the first column and the second; the third and half of the fourth
    assert frame(image, 2, 3)[0, :, 0].tolist() == [round(10 / 1.5), round((20 + 45) / 1.5)]


@given(images, st.integers(1, 40), st.floats(0.1, 1000))
def test_the_result_is_a_square_of_the_asked_size_within_the_range_of_colours(image, side, field_px):
    found = frame(image, side, field_px)
    assert (found.shape, found.dtype) == ((side, side, 3), np.uint8)
    assert found.min() >= image.min()
    assert found.max() <= image.max()


@given(images, st.integers(1, 40), st.floats(0, 1))
def test_inside_the_image_framing_and_turning_can_change_places(image, side, share):
    field_px = max(0.1, share * min(image.shape[:2]))
    found = frame(image, side, field_px)
    assert off(frame(image[:, ::-1], side, field_px)[:, ::-1], found) <= 1
    assert off(frame(image[::-1], side, field_px)[::-1], found) <= 1
    assert off(frame(image.swapaxes(0, 1), side, field_px).swapaxes(0, 1), found) <= 1


@pytest.mark.parametrize("field_px", [0, -3, float("nan"), float("inf")])
def test_a_field_without_a_size_is_refused(field_px):
    with pytest.raises(DataError, match=r"field of .* pixels .* positive number: --cell-px"):
        frame(noise(4, 4), 8, field_px)


@pytest.fixture(scope="module")
def drawn():
    """Return images of one magnification and the true diameters of their cells, pixels."""
    pairs = [drawn_cell(code, seed) for seed, code in enumerate(NUCLEATED[:12])]
    return [image for image, _ in pairs], [2 * np.sqrt(truth.cell.sum() / np.pi) for _, truth in pairs]


def test_the_median_diameter_is_that_of_the_drawn_cells(drawn):
    images, truth = drawn
    found = cell_diameter(images)
    assert found.looked_at == len(images)
    assert found.trusted >= MIN_TRUSTED
    assert found.px == pytest.approx(np.median(truth), rel=0.05)
    assert found.quartiles == pytest.approx(np.percentile(truth, [25, 75]), rel=0.05)


def test_large_images_are_measured_in_their_own_pixels(drawn):
    images, truth = drawn
    found = cell_diameter(image.repeat(4, axis=0).repeat(4, axis=1) for image in images)
    assert found.px == pytest.approx(4 * np.median(truth), rel=0.05)


def test_images_without_a_trusted_cell_do_not_count(drawn):
    images, _ = drawn
    blank = np.full((64, 64, 3), 230, np.uint8)
    alone, beside = cell_diameter(images), cell_diameter([*images, blank, noise(8, 8)])
    assert (beside.px, beside.trusted) == (alone.px, alone.trusted)
    assert beside.looked_at == alone.looked_at + 2


@pytest.mark.parametrize("number", [0, MIN_TRUSTED - 1])
def test_too_few_cells_are_an_error_that_says_what_to_give(drawn, number):
    images, _ = drawn
    with pytest.raises(DataError, match=rf"{number} of {number} images .* at least {MIN_TRUSTED} .*--cell-px"):
        cell_diameter(images[:number])
