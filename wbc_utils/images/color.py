"""Colours of pixels: conversion from RGB, and mean and standard deviation over a region.

Scales are chosen so that no mean is near zero by convention and hue does not jump inside a stained cell.
"""

import numpy as np
from skimage.color import rgb2lab

HUE_ORIGIN = 1 / 3
"""Hue is counted in turns from green (120°), which no stained cell has: blue 1/3, magenta 1/2, red 2/3."""

_YCRCB = np.array([[0.299, 0.587, 0.114], [0.713 * 0.701, -0.713 * 0.587, -0.713 * 0.114],
                   [-0.564 * 0.299, -0.564 * 0.587, 0.564 * 0.886]])  # fmt: skip


def hsv(pixels: np.ndarray) -> np.ndarray:
    """Convert RGB to hue, saturation and value, each from 0 to 1.

    Hue is counted from `HUE_ORIGIN`; grey pixels have the hue of red (2/3) and saturation 0.

    Parameters
    ----------
    pixels
        uint8, (n, 3).

    Returns
    -------
    numpy.ndarray
        float64, (3, n).

    References
    ----------
    A. R. Smith (1978), *Color gamut transform pairs*, SIGGRAPH 12, 12–19.
    """
    red, green, blue = pixels.T.astype(np.int16, order="C")
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    bluest, greenest = blue == highest, green == highest
    start = np.where(bluest, 2.0, np.where(greenest, 0.0, 4.0))
    ahead = np.where(bluest, red - green, np.where(greenest, blue - red, green - blue))
    value, chroma = highest.astype(float), (highest - lowest).astype(float)
    sixths = start + ahead / np.maximum(chroma, 1)
    hue = np.where(sixths < 0, sixths + 6, sixths) / 6
    hue[chroma == 0] = 1 - HUE_ORIGIN
    return np.stack([hue, chroma / np.maximum(value, 1), value / 255])


def lab(pixels: np.ndarray) -> np.ndarray:
    """Convert sRGB to CIELab (D65) on the scale of 8-bit images: L* · 2.55, a* + 128, b* + 128.

    Parameters
    ----------
    pixels
        uint8, (n, 3).

    Returns
    -------
    numpy.ndarray
        float64, (3, n).
    """
    lightness, a, b = rgb2lab(pixels).T
    return np.stack([lightness * 2.55, a + 128, b + 128])


def ycrcb(pixels: np.ndarray) -> np.ndarray:
    """Convert RGB to full-range luma and chroma differences: Y, 0.713 (R − Y) + 128, 0.564 (B − Y) + 128.

    Parameters
    ----------
    pixels
        uint8, (n, 3).

    Returns
    -------
    numpy.ndarray
        float64, (3, n), each from 0 to 255.

    References
    ----------
    ITU-R BT.601, as in OpenCV's ``COLOR_RGB2YCrCb``.
    """
    return _YCRCB @ pixels.T + np.array([[0], [128], [128]])


def moments(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (of the population) of each channel; exactly 0 deviation where it is flat.

    Parameters
    ----------
    channels
        (channels, n) with n ≥ 1.
    """
    first = channels[:, :1]
    difference = channels - first
    mean = difference.mean(axis=1)
    spread = np.sqrt(np.square(difference - mean[:, None]).mean(axis=1))
    return first[:, 0] + mean, spread


def pooled(parts: list[tuple[int, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the union of disjoint parts.

    Parameters
    ----------
    parts
        Number of pixels, means and standard deviations of each part, at least one pixel in all.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque (1983), *Algorithms for computing the sample variance*, Am. Stat. 37,
    242–247, eq. 2.1.
    """
    shares = np.array([count for count, _, _ in parts]) / sum(count for count, _, _ in parts)
    means, spreads = (np.stack([part[place] for part in parts]) for place in (1, 2))
    mean = means[0] + shares @ (means - means[0])
    return mean, np.sqrt(shares @ (np.square(spreads) + np.square(means - mean)))
