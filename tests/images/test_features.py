"""The 89 features: equal to plain scikit-image, analytic on discs, finite on anything, blind to orientation."""

import numpy as np
import pytest
from examples_of_cells import NUCLEATED, cells, disc, doubled, drawn_cell, plain_features, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.images.features import FEATURES, FeatureError, extract
from wbc_utils.images.segment import Segmentation

NAMES = [feature.name for feature in FEATURES]
PLAIN = plain_features()


def named(image, segmentation):
    return dict(zip(NAMES, extract(image, segmentation), strict=True))


def pick(values, *endings):
    return np.array([values[name] for name in NAMES if name.endswith(endings)])


@pytest.mark.parametrize("code", NUCLEATED)
def test_every_feature_equals_plain_scikit_image(code):
    for seed in range(3):
        image, segmentation = drawn_cell(code, seed)
        expected = PLAIN(image, segmentation.nucleus, segmentation.cell)
        np.testing.assert_allclose(extract(image, segmentation), expected, rtol=1e-6)


@pytest.mark.parametrize(("side", "scale"), [(64, 2.5), (120, 7.0), (250, 14.0), (400, 18.0)])
def test_equality_holds_at_every_size_and_for_cells_cut_by_the_border(side, scale):
    for code in ("BNE", "MO", "PMY"):
        image, segmentation = drawn_cell(code, 1, scale, side)
        expected = PLAIN(image, segmentation.nucleus, segmentation.cell)
        np.testing.assert_allclose(extract(image, segmentation), expected, rtol=1e-6)


def test_two_concentric_discs_have_the_shape_of_discs():
    found = named(np.full((160, 160, 3), 200, np.uint8), Segmentation(disc(20, 160), disc(50, 160)))
    assert found["cell_area"] == pytest.approx(np.pi * 50**2 / 160**2, rel=0.01)
    assert found["cell_perimeter"] == pytest.approx(2 * np.pi * 50 / 160, rel=0.02)
    assert found["nucleus_cell_ratio"] == pytest.approx(0.16, rel=0.02)
    for region in ("cell", "nucleus"):
        assert found[f"{region}_circularity"] == pytest.approx(1, abs=0.05)
        assert found[f"{region}_solidity"] == pytest.approx(1, abs=0.04)
        assert found[f"{region}_extent"] == pytest.approx(np.pi / 4, abs=0.04)
        assert found[f"{region}_eccentricity"] == 0
    assert found["nucleus_thickness"] == pytest.approx(1, abs=0.05)
    assert found["nucleus_lobes"] == 1
    assert found["nucleus_offset"] == 0


def test_offset_is_a_fraction_of_the_diameter_of_the_cell():
    segmentation = Segmentation(disc(10, 161, (80, 95)), disc(50, 161))
    found = named(np.full((161, 161, 3), 200, np.uint8), segmentation)
    assert found["nucleus_offset"] == pytest.approx(15 / 100, rel=0.01)


def test_flat_regions_have_their_colour_no_deviation_and_flat_texture():
    image = np.full((80, 80, 3), (240, 120, 60), np.uint8)
    nucleus, cell = disc(12, 80), disc(30, 80)
    image[nucleus] = (60, 0, 120)
    found = named(image, Segmentation(nucleus, cell))
    assert [found[f"nucleus_{c}_mean"] for c in "rgbhsv"] == pytest.approx(
        [60 / 255, 0, 120 / 255, 5 / 12, 1, 120 / 255]
    )
    assert [found[f"cytoplasm_{c}_mean"] for c in "rgb"] == pytest.approx([240 / 255, 120 / 255, 60 / 255])
    assert [found[f"{region}_{c}_std"] for region in ("nucleus", "cytoplasm") for c in "rgbhsv"] == [0] * 12
    share = nucleus.sum() / cell.sum()
    assert found["cell_r_mean"] == pytest.approx((60 * share + 240 * (1 - share)) / 255)
    assert found["cell_r_std"] == pytest.approx(180 / 255 * np.sqrt(share * (1 - share)))


def test_a_cell_of_one_colour_has_the_texture_of_a_flat_region():
    found = named(np.full((80, 80, 3), 90, np.uint8), Segmentation(disc(12, 80), disc(30, 80)))
    assert [found[f"cell_glcm_{name}_45"] for name in ("contrast", "energy", "correlation")] == [0, 1, 1]
    assert found["cell_lbp_8"] == 1


def test_a_cell_without_cytoplasm_takes_the_colours_of_the_nucleus():
    image, segmentation = drawn_cell("LY")
    found = named(image, Segmentation(segmentation.cell, segmentation.cell))
    assert [found[f"cytoplasm_{c}_mean"] for c in "rgbhsv"] == [found[f"nucleus_{c}_mean"] for c in "rgbhsv"]
    assert [found[f"cytoplasm_{c}_std"] for c in "rgbhsv"] == [0] * 6
    assert [found[f"cell_{c}_std"] for c in "rgbhsv"] == [found[f"nucleus_{c}_std"] for c in "rgbhsv"]


@settings(deadline=None)
@given(cell=cells())
def test_every_number_is_finite_whatever_the_masks(cell):
    assert np.isfinite(extract(*cell)).all()


@settings(deadline=None, max_examples=30)
@given(code=st.sampled_from(NUCLEATED), seed=st.integers(0, 1000), quarter=st.integers(0, 3), mirrored=st.booleans())
def test_orientation_only_swaps_angles_and_the_sign_of_the_seventh_hu_moment(code, seed, quarter, mirrored):
    image, segmentation = drawn_cell(code, seed, 3.0, 70)
    expected = named(image, segmentation)
    if quarter % 2:
        swap = {"0": "90", "90": "0", "45": "135", "135": "45"}
        expected |= {name: expected[_with_angle(name, swap)] for name in NAMES if "glcm" in name}
    if mirrored:
        swap = {"0": "0", "90": "90", "45": "135", "135": "45"}
        expected |= {name: expected[_with_angle(name, swap)] for name in NAMES if "glcm" in name}
        expected["nucleus_hu_7"] *= -1
    found = extract(*turned(image, segmentation, quarter, mirrored))
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-9, atol=1e-6)


def _with_angle(name, swap):
    stem, angle = name.rsplit("_", 1)
    return f"{stem}_{swap[angle]}"


def test_position_in_the_image_has_no_influence():
    image, segmentation = drawn_cell("EO", 2, 5.0, 160)
    moved = [np.roll(part, (9, -13), (0, 1)) for part in (image, segmentation.nucleus, segmentation.cell)]
    found = extract(moved[0], Segmentation(*moved[1:]))
    np.testing.assert_allclose(found, extract(image, segmentation), rtol=1e-9)


@pytest.mark.parametrize("code", ["SNE", "LY", "MO"])
def test_doubling_every_pixel_keeps_colours_texture_and_proportions(code):
    small = drawn_cell(code, 3)
    found, expected = named(*doubled(*small)), named(*small)
    stairs = ("perimeter", "circularity")  # their steps are now two pixels high, which lengthens the outline
    nearly = ("eccentricity", "solidity", "hu_1", "thickness")
    same = [name for name in NAMES if not name.endswith((*stairs, *nearly)) and "_hu_" not in name]
    assert len(same) == 89 - 2 - 2 - 2 - 2 - 7 - 1
    np.testing.assert_allclose([found[n] for n in same], [expected[n] for n in same], rtol=1e-9)
    np.testing.assert_allclose(pick(found, *nearly), pick(expected, *nearly), rtol=0.06)
    np.testing.assert_allclose(pick(found, "perimeter"), pick(expected, "perimeter"), rtol=0.15)


def test_a_larger_drawing_of_the_same_discs_has_the_same_shape():
    blank = np.full((321, 321, 3), 200, np.uint8)
    small = extract(blank[:161, :161], Segmentation(disc(20, 161), disc(50, 161)))[:12]
    large = extract(blank, Segmentation(disc(40, 321), disc(100, 321)))[:12]
    np.testing.assert_allclose(large, small, rtol=0.03)


def test_doubtful_masks_are_measured_all_the_same():
    image, segmentation = drawn_cell("LY")
    doubtful = Segmentation(segmentation.nucleus, segmentation.cell, "the cell is cut by the border of the image")
    np.testing.assert_array_equal(extract(image, doubtful), extract(image, segmentation))


@pytest.mark.parametrize(
    ("image", "nucleus", "cell", "reason"),
    [
        (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool), np.ones((9, 9), bool), "the nucleus is empty"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool), np.zeros((9, 9), bool), "the nucleus is empty"),
        (np.zeros((9, 9, 3), np.uint8), np.ones((9, 9), bool), disc(2, 9), "not inside the cell"),
        (np.zeros((9, 9, 3), np.uint8), disc(2, 8), disc(2, 8), r"masks are bool \(8, 8\)"),
        (np.zeros((9, 9, 3), np.uint8), disc(2, 9).astype(np.uint8), disc(2, 9), "masks are uint8"),
        (np.zeros((9, 9), np.uint8), disc(2, 9), disc(2, 9), r"uint8 \(9, 9\), not uint8"),
        (np.zeros((9, 9, 3)), disc(2, 9), disc(2, 9), "float64"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(image, nucleus, cell, reason):
    with pytest.raises(FeatureError, match=reason):
        extract(image, Segmentation(nucleus, cell))
