"""The texture of one region: grey-level co-occurrence (GLCM) and local binary patterns (LBP), strictly inside it.

Neighbours are `step` pixels apart. The step grows with the image (`step_of`), so that an image and the same image with
every pixel doubled have the same texture. Only groups of pixels that lie wholly in the region are counted: its outline
and what surrounds it have no influence.
"""

import numpy as np
from PIL import Image

LEVELS = 32
"""Grey levels of the co-occurrence matrix: the 256 values of the image in 32 equal classes."""

STEP_SIDE = 160
"""Image side at which the step is one pixel."""

ANGLES: dict[int, tuple[int, int]] = {0: (0, 1), 45: (-1, 1), 90: (-1, 0), 135: (-1, -1)}
"""Degrees, counter-clockwise from the row direction, and the offset in rows and columns (Haralick 1973)."""

GLCM_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
LBP_BINS = 10
"""Uniform patterns with 0 to 8 neighbours set, and the rest."""

_RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
_FIRST, _SECOND = (level.ravel().astype(float) for level in np.indices((LEVELS, LEVELS)))
_APART = np.abs(_FIRST - _SECOND)
_GLCM_WEIGHTS = np.stack(
    [_APART**2, _APART, 1 / (1 + _APART**2), _FIRST, _FIRST**2, _FIRST * _SECOND, np.ones(LEVELS**2)], axis=1
)


def _lbp_bins() -> np.ndarray:
    """Return which bin each of the 256 patterns falls into, one-hot, (256, 10)."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    transitions = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.eye(LBP_BINS)[np.where(transitions <= 2, bits.sum(axis=1), LBP_BINS - 1)]


_LBP_BINS = _lbp_bins()


def step_of(shape: tuple[int, ...]) -> int:
    """Return the distance of neighbours for an image of this shape, pixels: side / 160, rounded, at least 1.

    The side is the square root of height times width.
    """
    return max(1, int((shape[0] * shape[1]) ** 0.5 / STEP_SIDE + 0.5))


def grey(image: np.ndarray) -> np.ndarray:
    """Return the luma of an RGB image (ITU-R BT.601), uint8 (h, w)."""
    return np.asarray(Image.fromarray(image).convert("L"))


def cooccurrence(levels: np.ndarray, mask: np.ndarray, step: int) -> np.ndarray:
    """Count pairs of grey levels of pixels that both lie in a region, in both orders.

    Parameters
    ----------
    levels
        0 to 31, (h, w).
    mask
        The region, bool (h, w).
    step
        Distance of the two pixels along rows and columns.

    Returns
    -------
    numpy.ndarray
        int64, (4, 32, 32): one symmetric matrix an angle, in the order of `ANGLES`.
    """
    height, width = mask.shape
    size = LEVELS + 1  # the last level is the outside
    coded = np.full((height + step, width + 2 * step), LEVELS, np.int16)
    coded[step:, step:-step] = np.where(mask, levels, LEVELS)
    scaled = size * coded[step:, step:-step]
    pairs = np.empty((len(ANGLES), height, width), np.int16)
    for number, (down, right) in enumerate(ANGLES.values()):
        top, left = step * (1 + down), step * (1 + right)
        np.add(scaled + number * size**2, coded[top : top + height, left : left + width], out=pairs[number])
    counts = np.bincount(pairs.ravel(), minlength=len(ANGLES) * size**2).reshape(-1, size, size)
    counts = counts[:, :LEVELS, :LEVELS]
    return counts + counts.swapaxes(1, 2)


def glcm_properties(counts: np.ndarray) -> np.ndarray:
    """Return contrast, dissimilarity, homogeneity, energy and correlation of co-occurrence matrices.

    Where all pairs have one level, and where there is no pair, they are those of a flat region: 0, 0, 1, 1, 1.

    Parameters
    ----------
    counts
        Symmetric, (matrices, 32, 32), from `cooccurrence`.

    Returns
    -------
    numpy.ndarray
        (5, matrices).

    References
    ----------
    R. M. Haralick, K. Shanmugam and I. Dinstein (1973), *Textural features for image classification*, IEEE Trans.
    Syst. Man Cybern. 3, 610–621; definitions as ``skimage.feature.graycoprops``.
    """
    flat = counts.reshape(len(counts), -1).astype(float)
    squares, apart, close, first, first_2, product, total = (flat @ _GLCM_WEIGHTS).T
    pairs = np.maximum(total, 1)
    variance, covariance = total * first_2 - first**2, total * product - first**2
    energy = np.sqrt(np.square(flat).sum(axis=1)) / pairs
    correlation = np.where(variance > 0, covariance / np.where(variance > 0, variance, 1), 1)
    found = np.stack([squares / pairs, apart / pairs, close / pairs, energy, correlation])
    found[:, total == 0] = np.array([[0], [0], [1], [1], [1]])
    return found


def lbp_histogram(image: np.ndarray, mask: np.ndarray, step: int) -> np.ndarray:
    """Return the shares of the uniform local binary patterns in a region, (10,), with sum 1.

    The eight neighbours are those of the square around a pixel; one is set if it is not darker than the pixel. Bins
    0 to 8 count patterns whose set neighbours are adjacent, by their number; bin 9 all others. Where no pixel has all
    neighbours in the region, the shares are those of a flat region (all in bin 8).

    Parameters
    ----------
    image
        Grey values, uint8 (h, w).
    mask
        The region, bool (h, w).
    step
        Distance of the neighbours along rows and columns.

    References
    ----------
    T. Ojala, M. Pietikäinen and T. Mäenpää (2002), *Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns*, IEEE Trans. Pattern Anal. Mach. Intell. 24, 971–987 (riu2 with P = 8).
    Neighbours are not interpolated, as in T. Ojala, M. Pietikäinen and D. Harwood (1996), Pattern Recognit. 29, 51–59:
    rounding would else decide the pattern of flat areas.
    """
    height, width = mask.shape[0] - 2 * step, mask.shape[1] - 2 * step
    if height < 1 or width < 1:
        return _LBP_BINS[255].copy()
    centre = image[step : step + height, step : step + width]
    whole = mask[step : step + height, step : step + width].copy()
    patterns = np.zeros((height, width), np.uint8)
    for bit, (down, right) in enumerate(_RING):
        rows = slice(step * (1 + down), step * (1 + down) + height)
        columns = slice(step * (1 + right), step * (1 + right) + width)
        whole &= mask[rows, columns]
        patterns |= (image[rows, columns] >= centre).view(np.uint8) << np.uint8(bit)
    counts = np.bincount(patterns[whole], minlength=256)
    return counts @ _LBP_BINS / counts.sum() if counts.any() else _LBP_BINS[255].copy()
