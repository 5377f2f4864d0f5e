"""Fields without white cells, made from fields with some: the cells are painted over with empty slide.

Report 000 trains its detectors on such pictures too, as examples of nothing to find. A detector must not learn the
paint instead: the patch has the colour of the slide around it and a grain of the same strength, colour and coarseness.
"""

import numpy as np
from scipy import ndimage

from wbc_utils.images.masks import dilate, erode, fill_holes
from wbc_utils.images.stain import otsu

MARGIN = 16
"""Pixels around a box that are looked at, as around the crops of the second stage."""

_WIDER = 0.03  # of the side of the box: how far the mask is dilated
_COARSEST = 25  # px; what varies over a larger square is colour, what varies within one is grain
_RIM = 4  # px from a border of the slide; lens and compression carry the colour of red cells so far
_SEAM = 1.0  # px; standard deviation of the transition at the outline
_FLAT = 10.0  # grey levels between the thresholds of three classes; with less all is slide
_LEAST = 200  # pixels of slide
_STEP = 4  # px between the pixels that the colour of the slide is fitted to


class BackgroundError(ValueError):
    """A white cell that cannot be painted over."""


def without_cells(image: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paint over every white cell of a field.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3).
    boxes
        All white cells of the field, ``xmin, ymin, xmax, ymax`` in px, (n, 4).
    rng
        Draws the grain.

    Returns
    -------
    numpy.ndarray
        uint8 (H, W, 3); away from the cells as before.

    Raises
    ------
    BackgroundError
        If the field shows too little empty slide to take colour and grain from.
    """
    mask = cell_mask(image, boxes)
    if not mask.any():
        return image.copy()
    levels = image.astype(np.float32)
    slide = _slide(levels, mask)
    if slide.sum() < _LEAST:
        raise BackgroundError(
            f"{slide.sum()} pixels of empty slide away from {len(boxes)} white cells, {_LEAST} are needed for the "
            "colour and the grain of the paint; leave the field out"
        )
    rows, columns = (slice(*place) for place in _extent(dilate(mask, 4 * _SEAM)))
    paint = _colour(levels, slide)[rows, columns]
    paint += _grain(levels, slide, paint.shape, rng)
    share = ndimage.gaussian_filter(mask[rows, columns].astype(np.float32), _SEAM)[..., None]
    painted = image.copy()
    mixed = levels[rows, columns] * (1 - share) + paint * share
    painted[rows, columns] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return painted


def cell_mask(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the pixels of white cells, generously, bool (H, W).

    The ellipse around each box and a margin of `MARGIN` px is divided in two by Otsu's threshold on brightness. The
    cell is the largest dark part, together with the ellipse in the box, since pale cytoplasm is brighter than the
    threshold; holes filled, and dilated.
    """
    mask = np.zeros(image.shape[:2], bool)
    brightness = image.sum(axis=2, dtype=np.float32)
    for box in np.asarray(boxes, dtype=float).reshape(-1, 4):
        inner, outer = (_ellipse(box, mask.shape, wider) for wider in (0, MARGIN))
        dark = outer & (brightness < otsu(brightness[outer])[0])
        parts, _ = ndimage.label(dark)
        largest = np.bincount(parts[dark], minlength=1).argmax()
        side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        mask |= dilate(fill_holes(dark & (parts == largest) | inner), _WIDER * side) & outer
    return mask


def _slide(levels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the empty slide away from the cells and from rims, bool (H, W).

    It is the brightest of three Otsu classes; where these hardly differ there is nothing but slide.
    """
    away = ~dilate(mask, MARGIN / 2)
    if not away.any():
        return away
    brightness = levels.mean(axis=2)
    low, high = otsu(brightness[away], classes=3)
    return erode(away & (brightness >= high), _RIM) if high - low > _FLAT else away


def _ellipse(box: np.ndarray, shape: tuple[int, int], wider: float) -> np.ndarray:
    """Return the ellipse that touches the sides of a box, each moved outwards by some pixels, bool (H, W)."""
    xmin, ymin, xmax, ymax = box + np.array([-wider, -wider, wider, wider])
    y, x = (np.arange(length) + 0.5 for length in shape)
    across, down = (2 * x - xmin - xmax) / (xmax - xmin), (2 * y - ymin - ymax) / (ymax - ymin)
    return across**2 + down[:, None] ** 2 <= 1


def _extent(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last + 1 row, and column, of a mask."""
    places = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return [(int(place[0]), int(place[-1]) + 1) for place in places]


def _colour(levels: np.ndarray, slide: np.ndarray) -> np.ndarray:
    """Return the colour of the slide everywhere, a quadratic of the place fitted to where it is seen, (H, W, 3)."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, length, dtype=np.float32) for length in slide.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
    seen = slide[::_STEP, ::_STEP]
    if seen.sum() < terms.shape[2]:
        return np.broadcast_to(levels[slide].mean(axis=0), levels.shape).copy()
    factors = np.linalg.lstsq(terms[::_STEP, ::_STEP][seen], levels[::_STEP, ::_STEP][seen], rcond=None)[0]
    low, high = np.percentile(levels[slide], [1, 99], axis=0)  # a quadratic may run away where nothing is seen
    return np.clip(terms @ factors, low, high).astype(np.float32)


def _grain(levels: np.ndarray, slide: np.ndarray, shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return noise with the covariance of the slide's fine variation and its correlation of neighbours, (h, w, 3).

    It is measured in the quieter half of the slide, where no rim and no dirt adds to it, and brought to the median
    strength. White noise smoothed by a Gaussian of standard deviation s has a correlation of exp(−1 / 4 s²) at a
    distance of one.
    """
    square = (_COARSEST, _COARSEST)
    around = ndimage.uniform_filter(levels * slide[..., None], (*square, 1))
    share = np.maximum(ndimage.uniform_filter(slide.astype(np.float32), square), 1e-6)
    fine = (levels - around / share[..., None]) * slide[..., None]
    strength = ndimage.uniform_filter(np.square(fine).sum(axis=2), square) / share
    middle = np.median(strength[slide])
    quiet = slide & (strength <= middle)
    both = quiet[:, :-1] & quiet[:, 1:]
    covariance = np.cov(fine[quiet], rowvar=False)
    products = (fine[:, :-1][both] * fine[:, 1:][both]).sum(axis=1).mean() if both.any() else 0.0
    noise = rng.standard_normal(shape, dtype=np.float32)
    correlation = products / max(np.trace(covariance), 1e-6)
    if correlation > 0:
        spread = 1 / (2 * np.sqrt(-np.log(np.clip(correlation, 0.01, 0.95))))
        noise = ndimage.gaussian_filter(noise, (spread, spread, 0))
        noise /= noise.std()
    values, vectors = np.linalg.eigh(covariance * middle / max(np.trace(covariance), 1e-6))
    return noise @ (vectors * np.sqrt(np.maximum(values, 0))).T.astype(np.float32)
