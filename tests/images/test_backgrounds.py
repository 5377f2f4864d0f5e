"""Cells painted over: nothing else changes, and neither colour nor grain gives the paint away."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from wbc_utils.data.synthetic import draw_field
from wbc_utils.images.backgrounds import MARGIN, BackgroundError, cell_mask, without_cells
from wbc_utils.images.masks import dilate


def slide(size=160, correlated=1.2, seed=0):
    """Return an empty slide with coloured grain of some coarseness."""
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(size=(size, size, 3)), (correlated, correlated, 0)
    )
    mixed = noise / noise.std() @ np.array([[3.0, 1, 0], [0, 2, 1], [0, 0, 2]])
    return np.clip(np.array([220.0, 225, 215]) + mixed, 0, 255).astype(np.uint8)


def with_cell(image, box, colour=(90, 60, 150)):
    """Return an image with a dark ellipse that fills a box."""
    drawn, (xmin, ymin, xmax, ymax) = image.copy(), box
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    inside = ((2 * x - xmin - xmax) / (xmax - xmin)) ** 2 + ((2 * y - ymin - ymax) / (ymax - ymin)) ** 2 <= 1
    drawn[inside] = colour
    return drawn


def unevenness(image, size=5):
    """Return the local standard deviation of brightness."""
    grey = image.mean(axis=2)
    return np.sqrt(np.maximum(ndimage.uniform_filter(grey**2, size) - ndimage.uniform_filter(grey, size) ** 2, 0))


def areas(image, box):
    """Return the middle of what is painted, and the slide away from it."""
    mask = cell_mask(image, np.array([box]))
    return ~dilate(~mask, 5), ~dilate(mask, MARGIN)


BOX = (50, 60, 110, 110)


@pytest.fixture(scope="module")
def cell():
    return with_cell(slide(), BOX)


@pytest.fixture(scope="module")
def painted(cell):
    return without_cells(cell, np.array([BOX]), np.random.default_rng(0))


def test_the_cell_is_gone_and_the_rest_is_as_it_was(cell, painted):
    inside, outside = areas(cell, BOX)
    assert (painted[outside] == cell[outside]).all()
    assert np.abs(painted[inside].mean(axis=0) - painted[outside].mean(axis=0)).max() < 1


def test_a_detector_by_local_variance_cannot_tell_the_patch_but_tells_a_flat_one(cell, painted):
    inside, outside = areas(cell, BOX)
    known = np.concatenate([np.ones(inside.sum()), np.zeros(outside.sum())])
    flat = painted.copy()
    flat[inside] = painted[outside].mean(axis=0)
    found = [unevenness(image) for image in (painted, flat)]
    areas_under = [roc_auc_score(known, np.concatenate([one[inside], one[outside]])) for one in found]
    assert 0.4 < areas_under[0] < 0.6
    assert areas_under[1] < 0.05


@pytest.mark.parametrize("correlated", [0.0, 0.7, 1.2])
def test_the_grain_has_the_colours_and_the_coarseness_of_the_slide(correlated):
    cell = with_cell(slide(240, correlated), BOX)
    painted = without_cells(cell, np.array([BOX]), np.random.default_rng(1)).astype(float)
    inside, outside = areas(cell, BOX)

    def grain(area):
        fine = painted - ndimage.gaussian_filter(painted, (2, 2, 0))
        both = area[:, :-1] & area[:, 1:]
        neighbours = (fine[:, :-1][both] * fine[:, 1:][both]).sum() / (fine[:, 1:][both] ** 2).sum()
        return np.cov(fine[area], rowvar=False), neighbours

    (ours, our_neighbours), (wanted, neighbours) = grain(inside), grain(outside)
    assert np.abs(ours - wanted).max() < 0.2 * np.abs(wanted).max()
    assert abs(our_neighbours - neighbours) < 0.15


def test_a_drawn_white_cell_leaves_no_stain():
    field = draw_field(np.random.default_rng(3), 320, 240, whites=["SNE"], reds=4, platelets=0, scale=6.0)
    white = next(one for one in field.objects if one.kind == "WBC")
    painted = without_cells(field.image, np.array([white.box]), np.random.default_rng(0))
    mask = field.mask("cell", [white])
    before, after = (image[mask].astype(float).mean(axis=0) for image in (field.image, painted))
    slide_colour = np.percentile(field.image.reshape(-1, 3), 90, axis=0)
    assert np.abs(after - slide_colour).max() < 15 < np.abs(before - slide_colour).max()


def test_the_mask_holds_the_box_and_not_more_than_the_margin():
    image = with_cell(slide(), BOX)
    rows, columns = np.nonzero(cell_mask(image, np.array([BOX])))
    assert columns.min() <= BOX[0] + 1
    assert columns.min() >= BOX[0] - MARGIN
    assert rows.max() >= BOX[3] - 2
    assert rows.max() < BOX[3] + MARGIN


def test_a_cell_at_the_border_is_painted_to_the_border():
    box = (-20, 100, 40, 170)
    cell = with_cell(slide(), box)
    painted = without_cells(cell, np.clip([box], 0, 160), np.random.default_rng(0))
    assert painted[120:155, :15].min() > 190


def test_without_boxes_nothing_changes(cell):
    assert (without_cells(cell, np.empty((0, 4)), np.random.default_rng(0)) == cell).all()


def test_equal_generators_paint_alike(cell, painted):
    assert (without_cells(cell, np.array([BOX]), np.random.default_rng(0)) == painted).all()


def test_a_field_without_empty_slide_is_refused(cell):
    with pytest.raises(BackgroundError, match="pixels of empty slide"):
        without_cells(cell[55:115, 45:115], np.array([(-5, -5, 75, 65)]), np.random.default_rng(0))
