"""Painted smears: one purple cell in the middle, red cells along the border, a slide of a given colour."""

import numpy as np
from PIL import Image

CREAM, GREY, RED = (253, 227, 201), (228, 220, 228), (206, 168, 167)
PURPLE, LILAC = (90, 50, 140), (180, 150, 200)


def smear(slide=CREAM, red=RED, radius=34, cell=LILAC, nucleus=PURPLE, noise=0.0, seed=0, side=160):
    """Return an image; twelve red cells stand at fixed places along its border, ``radius`` is that of the cell."""
    y, x = np.mgrid[:side, :side] + 0.5
    image = np.full((side, side, 3), slide, float)
    for place in np.linspace(0.125, 0.875, 4) * side:
        for row, column in ((8, place), (side - 8, place), (place, 8)):
            image[np.hypot(y - row, x - column) <= 7] = red
    away = np.hypot(y - side / 2, x - side / 2)
    image[away <= radius] = cell
    image[away <= 0.7 * radius] = nucleus
    image += np.random.default_rng(seed).normal(0, 1, image.shape) * noise
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def write(path, image):
    Image.fromarray(image).save(path)
    return path
