"""Colour of a stained smear seen against its own empty slide, and thresholds on it."""

import numpy as np
from scipy import ndimage

_BINS = 128
_DARKEST = 0.01  # linear light; keeps the division by the slide's colour finite
_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_ADAPTED = (_XYZ / _XYZ.sum(axis=1, keepdims=True)).astype(np.float32)  # white is 1, 1, 1


def slide_colour(image: np.ndarray) -> np.ndarray:
    """Return the colour of the empty slide: the median of the brightest of three Otsu classes.

    Every second row and column is looked at.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3).

    Returns
    -------
    numpy.ndarray
        RGB, uint8 (3,).
    """
    sample = image[::2, ::2].reshape(-1, 3).T.astype(np.float32, order="C")
    brightness = sample.sum(axis=0)
    slide = sample[:, brightness >= otsu(brightness, classes=3)[1]]
    return np.median(slide, axis=1).astype(np.uint8)


def relative_lab(image: np.ndarray, blur: float) -> np.ndarray:
    """Convert to CIELab with the empty slide as the reference white, and smooth it.

    The slide is (100, 0, 0) whatever the lamp and the camera, so that the same stain has about the same colour under
    every microscope.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3).
    blur
        Standard deviation of the Gaussian in pixels.

    Returns
    -------
    numpy.ndarray
        L*, a*, b*, float32 (3, H, W). L* is above 100 where the image is brighter than the slide.

    References
    ----------
    CIE 15:2004, equations 8.3 to 8.5; sRGB of IEC 61966-2-1.
    """
    relative = _LINEAR[:, None] / np.maximum(_LINEAR[slide_colour(image)], _DARKEST)
    light = np.stack([relative[:, channel][image[..., channel]] for channel in range(3)])
    xyz = (_ADAPTED @ light.reshape(3, -1)).reshape(light.shape)
    root = np.cbrt(xyz)
    dark = xyz <= 0.008856
    root[dark] = 7.787 * xyz[dark] + 16 / 116
    lab = np.stack([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])
    return ndimage.gaussian_filter(lab, (0, blur, blur), truncate=2.5)


def otsu(values: np.ndarray, classes: int = 2) -> tuple[float, ...]:
    """Return the thresholds that divide values into two or three classes of least variance.

    Parameters
    ----------
    values
        Any shape, not empty.
    classes
        2 or 3.

    Returns
    -------
    tuple of float
        One threshold fewer than classes, ascending; values equal to a threshold belong above it. If all values are
        equal, so are the thresholds.

    References
    ----------
    Otsu 1979, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 62-66: equations 18 and 23.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return (low,) * (classes - 1)
    bins = ((values.ravel() - low) * ((_BINS - 0.001) / (high - low))).astype(np.intp)
    counts = np.bincount(bins, minlength=_BINS)
    number = np.concatenate([[0], np.cumsum(counts)])
    total = np.concatenate([[0.0], np.cumsum(counts * np.arange(_BINS))])
    width = (high - low) / _BINS
    below, above = _between(number, total), _between(number[-1] - number, total[-1] - total)
    if classes == 2:
        variance = below + above
    else:
        inner = _between(number - number[:, None], total - total[:, None])
        variance = np.triu(below[:, None] + inner + above, 1)
    # Between separate peaks every edge is as good: the middle.
    best = np.nonzero(variance >= variance.max() * (1 - 1e-12))
    return tuple(low + width * float(edges.mean()) for edges in best)


def _between(number: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return what a class adds to the variance between classes, 0 where it is empty."""
    return total * total / np.maximum(number, 1)
