import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.morphology import convex_hull_image

from wbc_utils.data.images import open_image
from wbc_utils.data.synthetic.fields import draw_cell, draw_field
from wbc_utils.images import segment as module
from wbc_utils.images.segment import Segmentation, segment

CLASSES = ("SNE", "EO", "LY", "MO", "MY")


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def _cell(seed: int = 0, size: int = 160, code: str = "SNE", look: str = "pbc"):
    return draw_cell(code, np.random.default_rng(seed), size, look)


def _smear(whites: list[str], size: int = 160, seed: int = 0, **options) -> np.ndarray:
    rng = np.random.default_rng(seed)
    options = {"reds": 8, "platelets": 0, "scale": size / 32, "look": "pbc", **options}
    return draw_field(rng, size, size, whites=whites, **options).image


@pytest.fixture(scope="module")
def slide() -> tuple[int, int, int]:
    return (250, 230, 205)


def _painted(slide, centres, size: int = 120, radius: float = 0.16) -> np.ndarray:
    """Paint round cells with round nuclei at the centres (fractions of the size)."""
    image = np.full((size, size, 3), slide, np.uint8)
    y, x = np.mgrid[:size, :size] / size
    for part, colour in ((radius, (190, 170, 200)), (0.65 * radius, (90, 40, 130))):
        for row, column in centres:
            image[np.hypot(y - row, x - column) <= part] = colour
    return image


@pytest.mark.parametrize("look", ["pbc", "lymph", "cbc", "wbcbench", "segwbc-white", "segwbc-yellow"])
def test_masks_agree_with_drawn_cells_under_every_microscope(look):
    scores = []
    for seed, code in enumerate(CLASSES):
        image, nucleus, cell = _cell(seed, code=code, look=look)
        found = segment(image)
        scores.append((_dice(found.nucleus, nucleus), _dice(found.cell, cell)))
    nucleus_dice, cell_dice = np.mean(scores, axis=0)
    assert nucleus_dice >= 0.93
    assert cell_dice >= 0.93


@pytest.mark.parametrize("size", [64, 100, 250, 400])
def test_masks_agree_with_drawn_cells_of_every_size(size):
    found = [(segment(image), nucleus, cell) for image, nucleus, cell in (_cell(s, size, "MO") for s in range(3))]
    assert all(result.ok for result, _, _ in found)
    assert min(_dice(result.nucleus, nucleus) for result, nucleus, _ in found) >= 0.93
    assert min(_dice(result.cell, cell) for result, _, cell in found) >= 0.95


@given(st.integers(0, 10_000), st.sampled_from(["SNE", "BA", "LY", "ERB", "PLATELET"]), st.integers(32, 150))
@settings(max_examples=15, deadline=None)
def test_good_masks_are_not_empty_and_the_cell_contains_the_nucleus(seed, code, size):
    result = segment(_cell(seed, size, code)[0])
    assert result.nucleus.shape == result.cell.shape == (size, size)
    assert not (result.nucleus & ~result.cell).any()
    assert result.reason is None or result.reason in module.REASONS
    assert result.nucleus.any() or not result.ok


def test_a_painted_cell_is_found_to_the_pixel_rim(slide):
    image = _painted(slide, [(0.5, 0.5)])
    result = segment(image)
    assert result.ok
    assert _dice(result.cell, (image != slide).any(axis=2)) >= 0.97
    assert _dice(result.nucleus, image[..., 0] == 90) >= 0.97


def test_turning_the_image_turns_the_masks():
    image = _cell(3)[0]
    straight, turned = segment(image), segment(np.ascontiguousarray(np.rot90(image)))
    assert _dice(np.rot90(straight.nucleus), turned.nucleus) >= 0.99
    assert _dice(np.rot90(straight.cell), turned.cell) >= 0.99


def test_a_rectangular_image_is_segmented():
    image, nucleus, _ = _cell(1, code="LY")
    result = segment(image[20:140])
    assert result.nucleus.shape == (120, 160)
    assert _dice(result.nucleus, nucleus[20:140]) >= 0.93


def test_red_cells_that_touch_the_cell_are_cut_off(slide):
    image = np.full((160, 160, 3), slide, np.uint8)
    y, x = np.mgrid[:160, :160]
    for row, column in ((80, 127), (80, 33), (10, 80), (159, 20), (150, 90)):
        image[np.hypot(y - row, x - column) <= 20] = (198, 168, 160)
    cell, nucleus = np.hypot(y - 80, x - 80) <= 30, np.hypot(y - 80, x - 80) <= 18
    image[cell], image[nucleus] = (190, 170, 205), (90, 40, 130)
    result = segment(image)
    assert result.ok
    assert _dice(result.cell, cell) >= 0.96


def test_cytoplasm_of_the_hue_of_red_cells_stays_with_the_cell(slide):
    image = np.full((160, 160, 3), slide, np.uint8)
    y, x = np.mgrid[:160, :160]
    for row, column in ((80, 150), (80, 5), (10, 80), (159, 20)):
        image[np.hypot(y - row, x - column) <= 20] = (198, 168, 160)
    cell, nucleus = np.hypot(y - 80, x - 80) <= 30, np.hypot(y - 80, x - 80) <= 15
    image[cell], image[nucleus] = (198, 168, 160), (90, 40, 130)
    assert _dice(segment(image).cell, cell) >= 0.97


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_image_of_one_grey_is_blank(grey):
    result = segment(np.full((80, 80, 3), grey, np.uint8))
    assert result.reason == module.BLANK
    assert not result.cell.any()


def test_noise_alone_is_blank():
    noise = np.random.default_rng(0).normal(200, 2, (80, 80, 3))
    assert segment(noise.astype(np.uint8)).reason == module.BLANK


def test_an_image_of_three_pixels_is_too_small():
    result = segment(np.zeros((3, 3, 3), np.uint8))
    assert result.reason == module.TOO_SMALL
    assert result.nucleus.shape == (3, 3)


@pytest.mark.parametrize("seed", range(4))
def test_red_cells_alone_have_no_nucleus(seed):
    assert segment(_smear([], seed=seed)).reason == module.NO_NUCLEUS


def test_a_grey_image_read_from_a_file_has_no_nucleus(tmp_path):
    Image.fromarray(_cell()[0]).convert("L").save(tmp_path / "grey.png")
    assert segment(open_image(tmp_path / "grey.png")).reason == module.NO_NUCLEUS


def test_a_cell_cut_through_its_nucleus_is_named(slide):
    image = _painted(slide, [(0.5, 0.5)], radius=0.3)
    assert segment(image[:, 40:]).reason == module.CUT_NUCLEUS


def test_a_cell_cut_through_its_cytoplasm_is_named(slide):
    image = _painted(slide, [(0.5, 0.5)], radius=0.3)
    assert segment(image[:, 30:]).reason == module.CUT_CELL


def test_a_cell_in_the_corner_is_not_taken_for_the_one_in_the_middle(slide):
    assert segment(_painted(slide, [(0.2, 0.2)])).reason == module.OFF_CENTRE


def test_two_cells_at_the_same_distance_are_not_told_apart(slide):
    assert segment(_painted(slide, [(0.5, 0.3), (0.5, 0.7)])).reason == module.SEVERAL


def test_two_touching_cells_are_parted_at_the_neck(slide):
    image = _painted(slide, [(0.5, 0.47), (0.5, 0.78)])
    result = segment(image)
    y, x = np.mgrid[:120, :120] / 120
    assert result.ok
    assert _dice(result.cell, np.hypot(y - 0.5, x - 0.47) <= 0.16) >= 0.95
    assert _dice(result.nucleus, np.hypot(y - 0.5, x - 0.47) <= 0.104) >= 0.95


def test_a_neighbour_at_the_border_is_left_out(slide):
    image = _painted(slide, [(0.5, 0.5), (0.95, 0.95)])
    result = segment(image)
    assert result.ok
    assert not result.cell[100:, 100:].any()


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((80, 80), np.uint8), ((80, 80, 4), np.uint8), ((80, 80, 3), np.uint16), ((80, 80, 3), float)],
    ids=["grey", "RGBA", "16 bits", "float"],
)
def test_other_arrays_are_refused_and_the_way_out_is_named(shape, kind):
    with pytest.raises(ValueError, match=r"allowed is .* uint8.*open_image"):
        segment(np.zeros(shape, kind))


def test_the_parts_follow_from_the_masks():
    nucleus, cell = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    nucleus[10:30, 10:15] = nucleus[25:30, 10:30] = True
    cell[8:35, 8:35] = True
    parts = Segmentation(nucleus, cell)
    assert parts.cytoplasm.sum() == cell.sum() - nucleus.sum()
    np.testing.assert_array_equal(parts.hull, convex_hull_image(nucleus))
    np.testing.assert_array_equal(parts.roc, parts.hull & ~nucleus)


def test_the_hull_of_no_nucleus_is_empty():
    nothing = np.zeros((40, 40), bool)
    assert not Segmentation(nothing, nothing, module.NO_NUCLEUS).hull.any()
