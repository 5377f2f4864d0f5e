"""One cell on a white slide: what a laboratory adds to a picture is taken away as far as the picture allows."""

import numpy as np
from scipy import ndimage

from wbc_utils.images.masks import dilate
from wbc_utils.images.relight import relight
from wbc_utils.images.segment import segment

_WHITE = (255, 255, 255)
_RIM = 0.04  # of the radius of a disc as large as the cell: kept around it, and the width over which the picture fades


def isolate(image: np.ndarray) -> np.ndarray:
    """Show the cell in the middle alone, in colours relative to the empty slide.

    The slide becomes white, everything else is brightened in proportion, and what lies outside the outline of the cell
    fades into white: the lamp, the white balance, red cells and neighbours are gone. Stain, sharpness and scale stay as
    they are. An outline that is not trusted is taken all the same; where there is none, only the colours change.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3), one white cell in the middle.

    Returns
    -------
    numpy.ndarray
        uint8 (H, W, 3).
    """
    relative, cell = relight(image, _WHITE), segment(image).cell
    if not cell.any():
        return relative
    rim = max(1.0, _RIM * np.sqrt(cell.sum() / np.pi))
    shown = ndimage.gaussian_filter(dilate(cell, rim).astype(np.float32), rim)[..., None]
    return np.rint(relative * shown + 255 * (1 - shown)).astype(np.uint8)
