"""Show a network every cell at the scale it was trained at, whatever the size and magnification of the image."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.sparse import csr_array

from wbc_utils.data.tables import DataError
from wbc_utils.images.segment import segment
from wbc_utils.images.stain import slide_colour

MIN_TRUSTED = 10
"""Fewest cells whose median is taken for a scale; single cells differ by 15 to 25 %, the median of ten by 6 to 8 %."""

_LARGEST = 400  # pixels; larger images are shrunk before they are segmented


@dataclass(frozen=True)
class Diameter:
    """How large the cells of some images are.

    Attributes
    ----------
    px
        Median diameter of a disc as large as the cell, pixels.
    quartiles
        Of the diameters, pixels.
    trusted, looked_at
        Number of images whose segmentation could be trusted, and of all images.
    """

    px: float
    quartiles: tuple[float, float]
    trusted: int
    looked_at: int


def cell_diameter(images: Iterable[np.ndarray]) -> Diameter:
    """Measure the size of the cell in the middle of each image.

    All images are taken to be of one magnification. Which cells they show matters too: platelets are smaller than
    monocytes.

    Parameters
    ----------
    images
        RGB, uint8 (h, w, 3), of any sizes.

    Raises
    ------
    DataError
        If fewer than ``MIN_TRUSTED`` cells could be segmented.
    """
    found = [_diameter(image) for image in images]
    trusted = [diameter for diameter in found if diameter is not None]
    if len(trusted) < MIN_TRUSTED:
        raise DataError(
            f"the size of the cells cannot be measured: {len(trusted)} of {len(found)} images have a single whole cell "
            f"in the middle that can be outlined, at least {MIN_TRUSTED} are needed. Give the diameter of a typical "
            "cell in pixels: --cell-px"
        )
    low, median, high = np.percentile(trusted, [25, 50, 75])
    return Diameter(float(median), (float(low), float(high)), len(trusted), len(found))


def frame(image: np.ndarray, side: int, field_px: float) -> np.ndarray:
    """Cut the middle square out of an image and bring it to the size of a network's input.

    Every new pixel is the mean over its area when the square shrinks (nothing is aliased), and interpolated linearly
    when it grows. Where the square reaches beyond the image it has the colour of the empty slide.

    Parameters
    ----------
    image
        RGB, uint8 (h, w, 3).
    side
        Side of the result, pixels.
    field_px
        Side of the square in pixels of the image; may be a fraction.

    Returns
    -------
    numpy.ndarray
        uint8 (side, side, 3).

    Raises
    ------
    DataError
        If the side of the square is not a positive number.
    """
    if not 0 < field_px < np.inf:
        raise DataError(f"found a field of {field_px} pixels around each cell; it must be a positive number: --cell-px")
    height, width = image.shape[:2]
    down, across = (_weights(length, side, field_px) for length in (height, width))
    half_way = (down @ image.reshape(height, -1).astype(np.float32)).reshape(side, width, 3).swapaxes(0, 1)
    framed = (across @ half_way.reshape(width, -1)).reshape(side, side, 3).swapaxes(0, 1)
    if field_px > min(height, width):
        inside = np.outer(down.sum(axis=1), across.sum(axis=1))[..., None]
        framed = framed + (1 - inside) * slide_colour(image)
    return np.rint(framed).clip(0, 255).astype(np.uint8)


def _weights(length: int, side: int, field_px: float) -> csr_array:
    """Return how much each pixel of a line (columns) counts in each new pixel (rows): its share of a window.

    The window is as wide as the new pixel, but at least one old pixel: means of two neighbours are then linear
    interpolation. A row sums to the part of the new pixel that lies on the line.
    """
    step = field_px / side
    middle = (length - field_px) / 2 + (np.arange(side)[:, None] + 0.5) * step
    half, start = max(step, 1) / 2, np.arange(length)
    overlap = np.clip(np.minimum(middle + half, start + 1) - np.maximum(middle - half, start), 0, None)
    covered = np.clip(np.minimum(middle + step / 2, length) - np.maximum(middle - step / 2, 0), 0, None) / step
    total = overlap.sum(axis=1, keepdims=True)
    return csr_array((overlap * covered / np.where(total > 0, total, 1)).astype(np.float32))


def _diameter(image: np.ndarray) -> float | None:
    """Return the diameter of a disc as large as the cell in pixels, None where the segmentation is not trusted."""
    factor = -(-max(image.shape[:2]) // _LARGEST)
    if factor > 1:
        image = np.asarray(Image.fromarray(image).reduce(factor))
    found = segment(image)
    return factor * float(2 * np.sqrt(found.cell.sum() / np.pi)) if found.ok else None
