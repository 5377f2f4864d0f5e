"""A cell alone on a white slide, whatever lamp, white balance and neighbours the picture had."""

import numpy as np
import pytest
from smears import CREAM, GREY, smear

from wbc_utils.images.isolate import isolate
from wbc_utils.images.relight import relight


def away(side=160):
    """Return the distance of each pixel from the middle."""
    y, x = np.mgrid[:side, :side] + 0.5
    return np.hypot(y - side / 2, x - side / 2)


def test_what_lies_outside_the_cell_is_white_red_cells_too():
    assert (isolate(smear())[away() > 42] == 255).all()


def test_the_inside_of_the_cell_keeps_its_pixels_relative_to_the_slide():
    image = smear()
    inside = away() < 30
    assert (isolate(image)[inside] == relight(image, (255, 255, 255))[inside]).all()


def test_the_same_cell_under_two_lamps_looks_the_same_to_a_few_grey_levels():
    bright = smear(slide=CREAM)
    shown = [isolate(image).astype(int) for image in (bright, relight(bright, GREY))]
    assert np.abs(shown[0] - shown[1]).max() <= 3


def test_a_blank_image_becomes_a_white_slide():
    assert isolate(np.full((64, 64, 3), CREAM, np.uint8)) == pytest.approx(255)


def test_the_picture_itself_is_not_changed():
    image = smear()
    before = image.copy()
    isolate(image)
    assert (image == before).all()
