"""What is around a cell is measured, and only that."""

import numpy as np
import pytest
from smears import CREAM, GREY, RED, smear, write

from wbc_utils.images.surroundings import BARE, FILLED, SURROUNDINGS, measure_surroundings, surroundings

NAMES = [name for kind in SURROUNDINGS.values() for name in kind]


def measured(image):
    return dict(zip(NAMES, surroundings(image), strict=True))


@pytest.mark.parametrize("slide", [CREAM, GREY])
def test_slide_and_red_cells_have_the_colours_they_were_painted_in(slide):
    found = measured(smear(slide))
    assert [found[f"slide_{channel}"] for channel in "rgb"] == pytest.approx(slide)
    assert [found[f"red_{channel}"] for channel in "rgb"] == pytest.approx(RED)
    assert [found[f"red_spread_{channel}"] for channel in "rgb"] == pytest.approx([0, 0, 0], abs=1e-3)
    assert [found[f"noise_{channel}"] for channel in "rgb"] == [0, 0, 0]


@pytest.mark.parametrize(
    "change", [{"radius": 20}, {"radius": 46}, {"cell": (150, 120, 190)}, {"nucleus": (60, 30, 110)}]
)
def test_another_cell_in_the_same_place_changes_nothing(change):
    assert surroundings(smear(**change)) == pytest.approx(surroundings(smear()))


def test_crowding_is_the_share_that_is_no_slide():
    image = smear()
    border = np.ones(image.shape[:2], bool)
    border[16:-16, 16:-16] = False
    assert measured(image)["crowding"] == pytest.approx((image[border] != CREAM).any(axis=1).mean())


def test_noise_is_that_of_a_second_difference():
    """For normal noise of deviation s the mean of |2x − l − r| is s √6 √(2/π)."""
    found = measured(smear(slide=(200, 200, 190), red=(150, 110, 110), noise=3.0))
    expected = 3 * np.sqrt(6 * 2 / np.pi)
    assert [found[f"noise_{channel}"] for channel in "rgb"] == pytest.approx([expected] * 3, rel=0.05)


def test_steps_are_as_high_as_the_edge_of_a_red_cell():
    assert measured(smear())["edge_99"] == pytest.approx((sum(CREAM) - sum(RED)) / 3, abs=1e-3)
    assert measured(smear())["edge_50"] == 0


def test_a_cell_that_fills_the_border_and_a_bare_border_are_reasons():
    assert surroundings(smear(radius=78)) == FILLED
    assert surroundings(smear(red=CREAM)) == BARE


def test_files_are_measured_in_order_and_an_unreadable_one_has_its_reason(tmp_path):
    good, other = (write(tmp_path / f"{k}.png", smear(slide)) for k, slide in enumerate((CREAM, GREY)))
    (tmp_path / "bad.png").write_bytes(b"")
    frame = measure_surroundings([other, tmp_path / "bad.png", good], workers=1)
    assert frame.columns.tolist() == [*NAMES, "reason"]
    assert frame["slide_b"].tolist() == pytest.approx([228, np.nan, 201], nan_ok=True)
    assert frame["reason"].tolist() == ["", "the file has zero bytes", ""]
    assert frame.loc[1, NAMES].isna().all()


def test_no_files_give_an_empty_frame():
    assert measure_surroundings([], workers=1).columns.tolist() == [*NAMES, "reason"]
    assert measure_surroundings([], workers=1).empty


def test_two_processes_measure_what_one_does(tmp_path):
    files = [write(tmp_path / f"{seed}.png", smear(noise=2, seed=seed, side=80, radius=17)) for seed in range(65)]
    assert measure_surroundings(files, workers=2).equals(measure_surroundings(files, workers=1))
