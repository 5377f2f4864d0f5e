"""Another lamp changes the slide's colour and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smears import CREAM, GREY, smear, write

from wbc_utils.data.images import ImageError
from wbc_utils.images.features import FEATURES, extract
from wbc_utils.images.relight import relight, relit_features
from wbc_utils.images.segment import segment
from wbc_utils.images.stain import slide_colour

SMALL = smear(side=64, radius=14)
colours = st.tuples(*[st.integers(120, 255)] * 3)


@given(colours)
def test_the_slide_has_the_wanted_colour(wanted):
    relit = relight(SMALL, wanted)
    assert relit.dtype == np.uint8
    assert slide_colour(relit).tolist() == list(wanted)


def test_its_own_colour_leaves_an_image_as_it_is():
    image = smear(noise=4)
    assert (relight(image, slide_colour(image)) == image).all()


def test_there_and_back_again_differs_by_rounding_only():
    image = smear(GREY)
    back = relight(relight(image, (250, 225, 235)), slide_colour(image))
    assert np.abs(back.astype(int) - image).max() <= 1


def test_light_is_scaled_in_linear_units():
    """Code 188 is half the linear light of 255; half the light of code 140 is code 102 (IEC 61966-2-1)."""
    image = smear(slide=(255, 255, 255))
    assert relight(image, (188, 188, 188))[80, 80, 2] == relight(image, (255, 255, 188))[80, 80, 2] == 102


def test_what_would_be_brighter_than_white_is_white():
    image = smear(slide=(200, 200, 200))
    image[0, 0] = 255
    assert relight(image, (255, 255, 255))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("wanted", [(0, 200, 200), (256, 200, 200), (200, 200), (200, 200, float("nan"))])
def test_an_impossible_slide_is_refused(wanted):
    with pytest.raises(ValueError, match="three numbers from 1 to 255"):
        relight(smear(), wanted)


def test_features_are_those_of_the_relit_image(tmp_path):
    path = write(tmp_path / "cell.png", smear(GREY))
    relit = relight(smear(GREY), CREAM)
    assert relit_features([path], CREAM)[0] == pytest.approx(extract(relit, segment(relit)))


def test_a_cell_that_cannot_be_measured_is_nan_and_no_image_an_error(tmp_path):
    blank = write(tmp_path / "blank.png", np.full((64, 64, 3), 220, np.uint8))
    assert np.isnan(relit_features([blank], CREAM)).all()
    assert relit_features([], CREAM).shape == (0, len(FEATURES))
    with pytest.raises(ImageError):
        relit_features([tmp_path / "absent.png"], CREAM)
