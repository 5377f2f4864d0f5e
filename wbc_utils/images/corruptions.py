"""Noise, blur and uneven light at four severities, to see how a classifier bears what it was not trained on.

The kinds are those of phase 2 of the challenge WBCBench 2026; the strengths are our own. They do not depend on the size
of the image: grey levels, fractions of the width, relative gains.
"""

import numpy as np
from scipy import ndimage

KINDS = ("noise", "blur", "illumination")
"""What can be done to an image."""
SEVERITIES = (1, 2, 3, 4)
"""How much, from mild to severe."""

_NOISE = (5, 10, 20, 40)  # standard deviation in grey levels of 255; a good camera has about 2
_BLUR = (0.005, 0.01, 0.02, 0.03)  # standard deviation of the Gaussian, fraction of the width
_GAIN = (0.1, 0.2, 0.3, 0.4)  # relative gain at the brightest edge, and loss at the darkest
_TEMPERATURE = (0.05, 0.1, 0.15, 0.2)  # relative gain of red and loss of blue, or the other way round


class CorruptionError(ValueError):
    """A corruption that does not exist, or images that cannot be corrupted."""


def corrupt(images: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """Degrade images, each by draws of its own.

    The same seed draws the same for every severity, only the strength differs, so that severities compare.

    ``noise`` adds independent Gaussian noise to each pixel and channel. ``blur`` is Gaussian, the image mirrored at its
    edges. ``illumination`` multiplies by a linear gradient across the image in a random direction and shifts the
    colour temperature of the lamp, warmer or colder.

    Parameters
    ----------
    images
        RGB, uint8 (n, h, w, 3); a memory map is read image by image.
    kind
        One of `KINDS`.
    severity
        One of `SEVERITIES`.
    seed
        Of the draws; blur has none.

    Returns
    -------
    numpy.ndarray
        uint8, of the same shape.

    Raises
    ------
    CorruptionError
        If the kind or the severity is unknown, or the images are not RGB uint8.

    References
    ----------
    D. Hendrycks and T. Dietterich (2019), *Benchmarking neural network robustness to common corruptions and
    perturbations*, ICLR: the method of severities.
    """
    if kind not in KINDS or severity not in SEVERITIES:
        allowed = f"kinds are {', '.join(KINDS)}, severities {', '.join(map(str, SEVERITIES))}"
        raise CorruptionError(f"no corruption {kind!r} of severity {severity!r}; {allowed}")
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise CorruptionError(f"images are {images.dtype} {images.shape}; give RGB images, uint8 (n, h, w, 3)")
    one = {"noise": _noise, "blur": _blur, "illumination": _illumination}[kind]
    rng = np.random.default_rng(seed)
    corrupted = np.empty(images.shape, np.uint8)
    for number, image in enumerate(images):
        corrupted[number] = np.clip(np.rint(one(image.astype(np.float32), severity - 1, rng)), 0, 255)
    return corrupted


def _noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return image + _NOISE[level] * rng.standard_normal(image.shape, np.float32)


def _blur(image: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    sigma = _BLUR[level] * image.shape[1]
    return ndimage.gaussian_filter(image, (sigma, sigma, 0))


def _illumination(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    height, width, _ = image.shape
    angle, warmth = rng.uniform(0, 2 * np.pi), rng.choice((-1, 1))
    y, x = (np.arange(height) + 0.5) / height * 2 - 1, (np.arange(width) + 0.5) / width * 2 - 1
    across = np.cos(angle) * x + np.sin(angle) * y[:, None]
    gain = 1 + _GAIN[level] * across / (abs(np.cos(angle)) + abs(np.sin(angle)))
    lamp = 1 + warmth * _TEMPERATURE[level] * np.array((1, 0, -1))
    return image * gain[..., None] * lamp
