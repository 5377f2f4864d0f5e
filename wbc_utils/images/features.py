"""The 89 handcrafted features of one segmented cell.

Their names, formulas and units are in `wbc_utils.images.catalogue`. The cell is cropped to its bounding box first; the
pixels of nucleus and cytoplasm are visited once each, and the cell's colours are pooled from the two.
"""

import math

import numpy as np

from wbc_utils.images import color, shape, texture
from wbc_utils.images.catalogue import FEATURES, Feature, feature_table
from wbc_utils.images.segment import Segmentation

__all__ = ["FEATURES", "FEATURES_VERSION", "Feature", "FeatureError", "extract", "feature_table", "require_usable"]

FEATURES_VERSION = 1
"""Raised when the meaning of a feature changes."""


class FeatureError(ValueError):
    """A cell that cannot be measured; `reason` says why in words that are equal for equal causes."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"the cell cannot be measured: {reason}. {advice}")
        self.reason = reason


def extract(image: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """Measure the 89 features of one cell.

    All numbers are finite. A cytoplasm without a pixel takes the mean colours of the nucleus, with deviation 0. A cell
    too thin to have neighbouring pixels inside has the texture of a flat region.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3).
    segmentation
        Masks of the same height and width. Whether they can be trusted (``segmentation.ok``) is the caller's concern.

    Returns
    -------
    numpy.ndarray
        float64, (89,), in the order of `FEATURES`, units there.

    Raises
    ------
    FeatureError
        If the image is not RGB uint8, the masks do not fit it, or a mask is empty.
    """
    require_usable(image, segmentation)
    box = shape.bounding_box(segmentation.cell)
    crop, nucleus, cell = image[box], segmentation.nucleus[box], segmentation.cell[box]
    area = image.shape[0] * image.shape[1]
    return np.concatenate(
        [_morphology(nucleus, cell, area), _colors(crop, nucleus, cell), _textures(crop, cell, image.shape)]
    )


def require_usable(image: np.ndarray, segmentation: Segmentation) -> None:
    """Raise `FeatureError` if an image and its masks cannot be measured."""
    nucleus, cell = segmentation.nucleus, segmentation.cell
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"the image is {image.dtype} {image.shape}, not uint8 (height, width, 3)"
        raise FeatureError(found, "Open it with wbc_utils.data.images.open_image.")
    if {nucleus.shape, cell.shape} != {image.shape[:2]} or {nucleus.dtype, cell.dtype} != {np.dtype(bool)}:
        found = (
            f"the masks are {nucleus.dtype} {nucleus.shape} and {cell.dtype} {cell.shape}, the image {image.shape[:2]}"
        )
        raise FeatureError(found, "Masks are bool; segment the same image that is measured.")
    if not nucleus.any():
        raise FeatureError("the nucleus is empty", "Check segmentation.ok first.")
    if (nucleus & ~cell).any():
        raise FeatureError("the nucleus is not inside the cell", "The cell's mask includes the nucleus.")


def _morphology(nucleus: np.ndarray, cell: np.ndarray, image_area: int) -> np.ndarray:
    inner = nucleus[shape.bounding_box(nucleus)]
    cell_moments, moments = shape.central_moments(cell), shape.central_moments(inner)
    cell_area, area = cell_moments[0, 0], moments[0, 0]
    depths = shape.depth(inner)
    (row, column), (cell_row, cell_column) = shape.centroid(nucleus), shape.centroid(cell)
    between = [
        2 * depths.max() / _equivalent_diameter(area),
        shape.lobes(depths),
        area / cell_area,
        math.hypot(row - cell_row, column - cell_column) / _equivalent_diameter(cell_area),
    ]
    outlines = [_outline(cell, cell_moments, image_area), _outline(inner, moments, image_area)]
    return np.concatenate([*outlines, shape.log_hu_moments(moments), between])


def _outline(mask: np.ndarray, moments: np.ndarray, image_area: int) -> list[float]:
    """Describe one region, cropped to its bounding box."""
    area, perimeter = moments[0, 0], shape.perimeter(mask)
    return [
        area / image_area,
        perimeter / math.sqrt(image_area),
        4 * math.pi * area / perimeter**2,
        shape.eccentricity(moments),
        area / shape.convex_area(mask),
        area / mask.size,
    ]


def _equivalent_diameter(area: float) -> float:
    return math.sqrt(4 * area / math.pi)


def _colors(crop: np.ndarray, nucleus: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return means, then deviations, of the six channels in cell, nucleus and cytoplasm."""
    inner, outer = _pixels(crop, nucleus), _pixels(crop, cell & ~nucleus)
    mean, spread = color.moments(_channels(inner))
    parts = [(len(inner), mean, spread), (0, mean, np.zeros_like(spread))]
    if len(outer):
        parts[1] = (len(outer), *color.moments(_channels(outer)))
    return np.concatenate([*color.pooled(parts), *parts[0][1:], *parts[1][1:]])


def _pixels(crop: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return ``crop[mask]``, four times as fast."""
    return crop.reshape(-1, 3).take(np.flatnonzero(mask), axis=0)


def _channels(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels.T.astype(float, order="C") / 255, color.hsv(pixels)])


def _textures(crop: np.ndarray, cell: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    grey, step = texture.grey(crop), texture.step_of(image_shape)
    counts = texture.cooccurrence(grey // (256 // texture.LEVELS), cell, step)
    return np.concatenate([texture.glcm_properties(counts).ravel(), texture.lbp_histogram(grey, cell, step)])
