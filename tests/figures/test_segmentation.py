import numpy as np
import pytest
from PIL import Image

from wbc_utils.data import synthetic
from wbc_utils.figures import segmentation


@pytest.fixture
def drawn(tmp_path):
    """Return the files of a drawn cell and of its mask."""
    image, nucleus, cell = synthetic.draw_cell("LY", np.random.default_rng(0))
    Image.fromarray(image).save(tmp_path / "cell.png")
    Image.fromarray(np.where(nucleus, 255, np.where(cell, 128, 0)).astype(np.uint8)).save(tmp_path / "mask.png")
    return tmp_path / "cell.png", tmp_path / "mask.png"


def test_a_montage_without_truth_has_the_given_titles_and_two_outlines(drawn):
    fig = segmentation.montage([drawn[0]], titles=["LY"])
    shown = [axes for axes in fig.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in shown] == ["LY"]
    assert len(shown[0].collections) == 2


def test_a_montage_with_truth_adds_its_outlines_and_the_overlap(drawn):
    [axes] = [axes for axes in segmentation.montage([drawn[0]], [drawn[1]]).axes if axes.images]
    assert len(axes.collections) == 4
    nucleus, cell = map(float, axes.get_title(loc="left").split(" / "))
    assert nucleus > 0.8
    assert cell > 0.8


def test_the_histogram_names_region_and_mean():
    fig = segmentation.dice_histogram({"nucleus": np.array([0.9, 1.0]), "cell": np.array([0.8, 0.8])}, "x")
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["x: nucleus, mean 0.950", "x: cell, mean 0.800"]
