"""Nucleus and representative of the cytoplasm (ROC) against the convex hull of the nucleus: report 004's 51 features.

The ROC is the part of the cytoplasm inside that hull: a sample of cytoplasm that needs no outline of the whole cell.
"""

import numpy as np

from wbc_utils.images import color, shape
from wbc_utils.images.catalogue import TAVAKOLI_FEATURES
from wbc_utils.images.features import require_usable
from wbc_utils.images.segment import Segmentation

__all__ = ["TAVAKOLI_FEATURES", "extract_tavakoli"]


def extract_tavakoli(image: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """Measure the 51 features of one cell.

    A convex nucleus leaves no ROC. Its means then equal the hull's (ratio 1: there is no contrast to see) and its
    deviations are 0, as for any single colour; so a round nucleus, the usual case in a healthy lymphocyte, yields
    numbers a classifier can use instead of missing values. A ratio of 0 to 0 (a flat or black channel) is 1.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3).
    segmentation
        Masks of the same height and width.

    Returns
    -------
    numpy.ndarray
        float64, (51,), in the order of `TAVAKOLI_FEATURES`.

    Raises
    ------
    wbc_utils.images.features.FeatureError
        If the image is not RGB uint8, the masks do not fit it, or a mask is empty.

    References
    ----------
    S. Tavakoli, A. Ghaffari, Z. M. Kouzehkanan and R. Hosseini (2021), *New segmentation and feature extraction
    algorithm for classification of white blood cells in peripheral smear images*, Sci. Rep. 11, 19428.
    """
    require_usable(image, segmentation)
    box = shape.bounding_box(segmentation.nucleus)  # the hull has the same
    crop, nucleus, cell = image[box], segmentation.nucleus[box], segmentation.cell[box]
    hull = shape.convex_hull(nucleus)
    perimeter, area = shape.perimeter(nucleus), np.count_nonzero(nucleus)
    shapes = [
        area / np.count_nonzero(hull),
        shape.perimeter(hull) / perimeter,
        perimeter**2 / (4 * np.pi * area),
    ]
    return np.concatenate([shapes, _ratios(crop[hull], nucleus[hull], cell[hull])])


def _ratios(pixels: np.ndarray, nucleus: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return the ratios for the pixels of the hull, given which of them are nucleus and cell."""
    spaces = (pixels.T.astype(float), color.hsv(pixels), color.lab(pixels), color.ycrcb(pixels))
    ratios = []
    for channels in spaces:
        mean, spread = color.moments(channels)
        inner_mean, inner_spread = color.moments(channels[:, nucleus])
        roc = channels[:, cell & ~nucleus]
        roc_mean, roc_spread = color.moments(roc) if roc.size else (mean, np.zeros_like(spread))
        ratios += [_ratio(inner_mean, mean), _ratio(inner_spread, spread)]
        ratios += [_ratio(roc_mean, mean), _ratio(roc_spread, spread)]
    return np.concatenate(ratios)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; where the whole is 0 so is the part, and the ratio is 1."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1)
