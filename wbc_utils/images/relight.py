"""The same cell under another lamp: replace the colour of the empty slide and see what a classifier says then."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wbc_utils.data.images import open_image
from wbc_utils.images.features import FEATURES, FeatureError, extract
from wbc_utils.images.segment import segment
from wbc_utils.images.stain import slide_colour

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)


def relight(image: np.ndarray, slide: np.ndarray) -> np.ndarray:
    """Give the empty slide of an image another colour, and everything else in proportion.

    Each channel of the linear light is multiplied by one factor (von Kries 1902, the diagonal model), as if lamp or
    white balance had been another. Stain, sharpness, noise and shapes stay.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3).
    slide
        Wanted colour of the empty slide, sRGB 0 to 255, (3,).

    Returns
    -------
    numpy.ndarray
        uint8 (H, W, 3); brighter than white is white.

    Raises
    ------
    ValueError
        If the wanted colour is not three numbers from 1 to 255.
    """
    slide = np.asarray(slide, dtype=float)
    if slide.shape != (3,) or not ((slide >= 1) & (slide <= 255)).all():
        raise ValueError(f"found the slide colour {slide.tolist()}; allowed are three numbers from 1 to 255")
    wanted = np.interp(slide, np.arange(256), _LINEAR)
    found = _LINEAR[np.maximum(slide_colour(image), 1)]
    light = np.minimum(_LINEAR[:, None] * (wanted / found), 1)
    codes = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.round(255 * codes).astype(np.uint8)
    return np.stack([table[:, channel][image[..., channel]] for channel in range(3)], axis=-1)


def relit_features(paths: Iterable[Path | str], slide: np.ndarray) -> np.ndarray:
    """Measure the handcrafted features of cells as if their slide had another colour.

    Parameters
    ----------
    paths
        Image files, each with one cell in the middle.
    slide
        As `relight`.

    Returns
    -------
    numpy.ndarray
        Features in the order of `wbc_utils.images.features.FEATURES`, (n, features); NaN where the cell cannot be
        measured.

    Raises
    ------
    ImageError
        If a file is no image.
    """
    rows = []
    for path in paths:
        image = relight(open_image(Path(path)), slide)
        try:
            rows.append(extract(image, segment(image)))
        except FeatureError:
            rows.append(np.full(len(FEATURES), np.nan))
    return np.array(rows).reshape(-1, len(FEATURES))
