import numpy as np
import pytest
from PIL import Image

from wbc_utils.data import synthetic
from wbc_utils.images import agreement


def test_white_is_nucleus_grey_is_cytoplasm_black_is_background(tmp_path):
    Image.fromarray(np.array([[0, 128, 255], [30, 100, 220]], dtype=np.uint8)).save(tmp_path / "mask.png")
    assert agreement.read_truth(tmp_path / "mask.png").tolist() == [[0, 1, 2], [0, 1, 2]]


def test_each_image_is_compared_with_its_own_mask(tmp_path):
    images, masks = [], []
    for number, code in enumerate(["LY", "MO"]):
        image, nucleus, cell = synthetic.draw_cell(code, np.random.default_rng(number))
        images.append(tmp_path / f"{number}.png")
        masks.append(tmp_path / f"{number}-mask.png")
        Image.fromarray(image).save(images[-1])
        Image.fromarray(np.where(nucleus, 255, np.where(cell, 128, 0)).astype(np.uint8)).save(masks[-1])
    found = agreement.agreement(images, masks)
    assert list(found["path"]) == images
    assert (found[["nucleus", "cell"]] > 0.8).all(axis=None)
    swapped = agreement.agreement(images, masks[::-1])
    assert (swapped["nucleus"] < found["nucleus"]).all()


def test_more_images_than_masks_are_refused(tmp_path):
    image, _, _ = synthetic.draw_cell("LY", np.random.default_rng(0))
    Image.fromarray(image).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="shorter"):
        agreement.agreement([tmp_path / "a.png"], [])
