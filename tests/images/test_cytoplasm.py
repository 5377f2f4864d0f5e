"""Report 004's features: their formulas on known figures, and defined numbers where there is no ROC."""

import numpy as np
import pytest
from examples_of_cells import NUCLEATED, cells, disc, drawn_cell, turned
from hypothesis import given, settings
from skimage.color import rgb2lab
from skimage.measure import perimeter_crofton

from wbc_utils.images.cytoplasm import TAVAKOLI_FEATURES, extract_tavakoli
from wbc_utils.images.features import FeatureError
from wbc_utils.images.segment import Segmentation

NAMES = [feature.name for feature in TAVAKOLI_FEATURES]


def named(image, segmentation):
    return dict(zip(NAMES, extract_tavakoli(image, segmentation), strict=True))


def crescent():
    """Return image and masks of a C-shaped nucleus of one colour in a cytoplasm of another."""
    nucleus, cell = disc(20, 80), disc(35, 80)
    nucleus[30:50, 40:] = False
    image = np.full((80, 80, 3), 250, np.uint8)
    image[cell], image[nucleus] = (200, 150, 180), (100, 50, 160)
    return image, Segmentation(nucleus, cell)


def test_shapes_follow_the_published_formulas():
    image, segmentation = crescent()
    area, hull_area = segmentation.nucleus.sum(), segmentation.hull.sum()
    outline, hull_outline = perimeter_crofton(segmentation.nucleus), perimeter_crofton(segmentation.hull)
    found = extract_tavakoli(image, segmentation)[:3]
    np.testing.assert_allclose(found, [area / hull_area, hull_outline / outline, outline**2 / (4 * np.pi * area)])
    assert found[0] < 0.9
    assert found[1] < 0.9
    assert found[2] > 1.2


def test_colour_ratios_of_two_flat_colours_follow_from_their_shares():
    image, segmentation = crescent()
    share = segmentation.nucleus.sum() / segmentation.hull.sum()
    red = 100 * share + 200 * (1 - share)
    found = named(image, segmentation)
    assert found["tavakoli_rgb_r_nucleus_mean"] == pytest.approx(100 / red)
    assert found["tavakoli_rgb_r_roc_mean"] == pytest.approx(200 / red)
    assert found["tavakoli_rgb_r_nucleus_std"] == 0
    assert found["tavakoli_rgb_r_roc_std"] == 0


@pytest.mark.parametrize("code", ["SNE", "MO", "BNE"])
def test_ratios_are_those_of_the_masks_of_the_segmentation(code):
    image, segmentation = drawn_cell(code, 4)
    lab = rgb2lab(image) * [2.55, 1, 1] + [0, 128, 128]
    nucleus, roc, hull = lab[segmentation.nucleus], lab[segmentation.roc], lab[segmentation.hull]
    found = named(image, segmentation)
    for number, channel in enumerate("lab"):
        for part, values in (("nucleus", nucleus), ("roc", roc)):
            mean = values[:, number].mean() / hull[:, number].mean()
            spread = values[:, number].std() / hull[:, number].std()
            assert found[f"tavakoli_lab_{channel}_{part}_mean"] == pytest.approx(mean, rel=1e-6)
            assert found[f"tavakoli_lab_{channel}_{part}_std"] == pytest.approx(spread, rel=1e-6)


def test_a_convex_nucleus_has_no_roc_which_counts_as_the_hull_without_deviation():
    image, _ = drawn_cell("LY")
    nucleus, cell = np.zeros((2, 160, 160), bool)
    nucleus[70:90, 60:95] = cell[60:100, 50:110] = True
    found = named(image, Segmentation(nucleus, cell))
    assert {found[name] for name in NAMES if "_roc_mean" in name} == {1}
    assert {found[name] for name in NAMES if "_roc_std" in name} == {0}
    assert [found[name] for name in NAMES if "_nucleus_" in name] == pytest.approx([1] * 24)
    assert found["tavakoli_solidity"] == found["tavakoli_convexity"] == 1


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_image_has_ratio_one_everywhere_also_where_it_is_black(value):
    _, segmentation = crescent()
    found = named(np.full((80, 80, 3), value, np.uint8), segmentation)
    assert {found[name] for name in NAMES[3:]} == {1}


@settings(deadline=None)
@given(cell=cells())
def test_every_number_is_finite_whatever_the_masks(cell):
    assert np.isfinite(extract_tavakoli(*cell)).all()


@pytest.mark.parametrize("code", NUCLEATED[::3])
@pytest.mark.parametrize(("quarter", "mirrored"), [(1, False), (2, True)])
def test_orientation_has_no_influence(code, quarter, mirrored):
    cell = drawn_cell(code, 5)
    np.testing.assert_allclose(extract_tavakoli(*turned(*cell, quarter, mirrored)), extract_tavakoli(*cell), rtol=1e-9)


def test_an_empty_nucleus_is_refused():
    nothing = np.zeros((9, 9), bool)
    with pytest.raises(FeatureError, match="the nucleus is empty"):
        extract_tavakoli(np.zeros((9, 9, 3), np.uint8), Segmentation(nothing, nothing))
