"""The shape of one region: perimeter, moments, convex hull, and how its inside narrows and falls into lobes.

Every function takes a mask, bool (h, w), with at least one pixel; what lies beyond its border counts as outside. None
depends on the position of the region in the mask, and lengths are in pixels.
"""

import math

import numpy as np
from scipy import ndimage

EROSION_STEP = 0.75
EROSION_LEVELS = 6
"""`lobes` erodes to the fractions 0.75, 0.75², … 0.75⁶ of the largest depth."""

HU_FLOOR = 1e-12
"""Hu moments below this size are taken for zero; see `log_hu_moments`."""

_NEIGHBOURS = np.ones((3, 3), bool)


def _crofton_weights() -> np.ndarray:
    """Return the length that each of the 16 states of a 2 × 2 window adds to the perimeter, in pixels.

    Lines along the rows, the columns and the two diagonals lie 1 and 1/√2 pixels apart. A window counts an entry into
    the region along each of the four directions; bits 1, 2, 4, 8 are its upper left, lower left, upper right and lower
    right pixel. Weighing each entry by π/4 times the distance of the lines gives the length of the outline.
    """
    weights = np.zeros(16)
    for state in range(16):
        upper_left, lower_left, upper_right, lower_right = (state >> bit & 1 for bit in range(4))
        straight = (upper_left > upper_right) + (upper_left > lower_left)
        diagonal = (upper_left > lower_right) + (lower_left > upper_right)
        weights[state] = math.pi / 4 * (straight + diagonal / math.sqrt(2))
    return weights


_CROFTON_WEIGHTS = _crofton_weights()


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest upright rectangle around a region."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def perimeter(mask: np.ndarray) -> float:
    """Return the length of the outline by Crofton's formula in four directions, pixels.

    References
    ----------
    G. Lehmann and D. Legland (2012), *Efficient N-dimensional surface estimation using Crofton formula and run-length
    encoding*, Insight Journal; ``skimage.measure.perimeter_crofton(directions=4)``.
    """
    padded = _framed(mask)
    states = padded[:-1, :-1] + 2 * padded[1:, :-1] + 4 * padded[:-1, 1:] + 8 * padded[1:, 1:]
    return float(np.bincount(states.ravel(), minlength=16) @ _CROFTON_WEIGHTS)


def central_moments(mask: np.ndarray) -> np.ndarray:
    """Return the moments about the centroid, ``[p, q]`` = Σ (row − r̄)ᵖ (column − c̄)^q with p, q = 0 … 3, (4, 4)."""
    weights = mask.astype(float)
    along_rows, along_columns = weights.sum(axis=1), weights.sum(axis=0)
    powers = []
    for profile in (along_rows, along_columns):
        position = np.arange(len(profile))
        powers.append(np.vander(position - profile @ position / profile.sum(), 4, increasing=True))
    return powers[0].T @ weights @ powers[1]


def centroid(mask: np.ndarray) -> tuple[float, float]:
    """Return the mean row and the mean column of a region, pixels."""
    rows, columns = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    area = rows.sum()
    return float(rows @ np.arange(len(rows)) / area), float(columns @ np.arange(len(columns)) / area)


def eccentricity(moments: np.ndarray) -> float:
    """Return the eccentricity of the ellipse with the same second moments: 0 for a disc, towards 1 for a line.

    Parameters
    ----------
    moments
        From `central_moments`.
    """
    spread = moments[2, 0] + moments[0, 2]
    difference = math.hypot(moments[2, 0] - moments[0, 2], 2 * moments[1, 1])
    return math.sqrt(2 * difference / (spread + difference)) if spread else 0.0


def log_hu_moments(moments: np.ndarray) -> np.ndarray:
    """Return the seven Hu moments h as sgn(h) · log₁₀(1 + |h| / 10⁻¹²), (7,).

    They do not change with position, size and rotation; the seventh changes sign in a mirror. Their raw values span ten
    orders of magnitude. The logarithm is offset by `HU_FLOOR` so that it is continuous through zero, where rounding
    decides the sign.

    Parameters
    ----------
    moments
        From `central_moments`.

    References
    ----------
    M.-K. Hu (1962), *Visual pattern recognition by moment invariants*, IRE Trans. Inf. Theory 8, 179–187.
    """
    order = np.add.outer(np.arange(4), np.arange(4))
    eta = moments / moments[0, 0] ** (1 + order / 2)
    sum_2, difference_2 = eta[2, 0] + eta[0, 2], eta[2, 0] - eta[0, 2]
    a, b = eta[3, 0] - 3 * eta[1, 2], 3 * eta[2, 1] - eta[0, 3]
    c, d = eta[3, 0] + eta[1, 2], eta[2, 1] + eta[0, 3]
    cubic_c, cubic_d = c * (c * c - 3 * d * d), d * (3 * c * c - d * d)
    hu = np.array(
        [
            sum_2,
            difference_2**2 + 4 * eta[1, 1] ** 2,
            a * a + b * b,
            c * c + d * d,
            a * cubic_c + b * cubic_d,
            difference_2 * (c * c - d * d) + 4 * eta[1, 1] * c * d,
            b * cubic_c - a * cubic_d,
        ]
    )
    return np.sign(hu) * np.log10(1 + np.abs(hu) / HU_FLOOR)


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """Return the convex hull of a region, bool (h, w): the pixels whose centre lies in or on the hull.

    A pixel is represented by the middles of its four sides, as in ``skimage.morphology.convex_hull_image``.
    """
    first, last = _hull_spans(mask)
    columns = np.arange(mask.shape[1])
    return (columns >= first[:, None]) & (columns <= last[:, None])


def convex_area(mask: np.ndarray) -> int:
    """Return the number of pixels of `convex_hull`."""
    first, last = _hull_spans(mask)
    return int(np.maximum(last - first + 1, 0).sum())


def _hull_spans(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last column of the convex hull in each row; last < first where it has none."""
    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    first, last = np.full(len(mask), mask.shape[1]), np.full(len(mask), -1)
    left_side, right_side = _envelopes(rows - rows[0], np.stack([left, -right]))
    inside = slice(rows[0], rows[-1] + 1)
    first[inside] = np.ceil(left_side - 1e-9)
    last[inside] = np.floor(1e-9 - right_side)
    return first, last


def _envelopes(rows: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the lower convex envelope of each line of `ends`, given at some rows, at every row from first to last.

    A pixel reaches half a pixel beyond its centre in the middle of its row, and to its centre half a row above and
    below. The lines are treated as one, their end points always kept.
    """
    reach = np.full((len(ends), 2 * rows[-1] + 3), np.inf)
    reach[:, 2 * rows] = ends
    reach[:, 2 * rows + 2] = np.minimum(reach[:, 2 * rows + 2], ends)
    reach[:, 2 * rows + 1] = ends - 0.5
    end = np.zeros(reach.shape, bool)
    end[:, [0, -1]] = True
    at = np.flatnonzero(reach.ravel() < np.inf)
    values, end = reach.ravel()[at], end.ravel()[at]
    while True:  # a point on or above the chord of its neighbours is no corner
        steps, rises = at[1:] - at[:-1], values[1:] - values[:-1]
        corner = end.copy()
        corner[1:-1] |= rises[:-1] * steps[1:] < rises[1:] * steps[:-1]
        if corner.all():
            middle = np.arange(reach.size).reshape(reach.shape)[:, 1::2]
            return np.interp(middle, at, values)
        at, values, end = at[corner], values[corner], end[corner]


def _framed(mask: np.ndarray) -> np.ndarray:
    """Return a mask with one pixel of outside all around, uint8 (h + 2, w + 2)."""
    framed = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    framed[1:-1, 1:-1] = mask
    return framed


def depth(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel's centre from the nearest pixel outside, pixels, (h + 2, w + 2)."""
    return ndimage.distance_transform_edt(_framed(mask))


def lobes(depths: np.ndarray) -> int:
    """Count the lobes of a nucleus: the most pieces it falls into while it is eroded.

    What is deeper than 0.75, 0.75², … 0.75⁶ (18 %) of the largest depth is looked at. A piece counts if it is a third
    deeper still: a lobe is at least a third wider than the neck that joins it, and specks count for nothing.

    Parameters
    ----------
    depths
        From `depth`.
    """
    deepest, most = depths.max(), 1
    outlasted = depths >= deepest
    for level in range(1, EROSION_LEVELS + 1):
        eroded = depths >= deepest * EROSION_STEP**level
        pieces, count = ndimage.label(eroded, structure=_NEIGHBOURS)
        if count > most:
            most = max(most, np.count_nonzero(np.bincount(pieces[outlasted])))
        outlasted = eroded
    return most
