"""How alike two images are: the distance of their perceptual hashes, then the correlation of their thumbnails.

Hashes find candidates among millions of pairs in a second, but centred cells resemble each other. A candidate is
therefore measured again: thumbnails in the winning orientation, with local contrast normalised so that a dark round
nucleus does not outweigh the surroundings that tell two cells apart.
"""

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from wbc_utils.data.fingerprints import ORIENTATIONS, THUMBNAIL_SIDE, orient

_DETAIL = 2.0  # standard deviation of the Gaussian that separates detail from shading, thumbnail pixels
_NOISE = 3.0  # added to the local contrast so that plain areas stay plain, grey levels
_REACH = 3  # largest shift tried, thumbnail pixels
_ROWS, _COLUMNS = 128, 8192  # block of the distance table that stays in the processor's cache
_BATCH = 64  # images in work at a time, so that their transforms stay in the cache


def near_pairs(hashes: np.ndarray, threshold: int) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs of images whose hashes differ in few bits, in any orientation of the first.

    Every pair is compared, block by block; memory grows with the pairs found, not with the pairs compared.

    Parameters
    ----------
    hashes
        Perceptual hashes, (n, 8) uint64.
    threshold
        Largest Hamming distance of a pair, 0 to 64 bits.

    Returns
    -------
    pairs
        Positions i < j, (m, 2) int64, in ascending order.
    distances
        Smallest Hamming distance over the orientations, (m,) uint8.
    """
    upright = np.ascontiguousarray(hashes[:, 0])
    found = [np.empty((0, 3), np.int64)]
    for top in range(0, len(hashes), _ROWS):
        rows = hashes[top : top + _ROWS]
        for left in range(top, len(hashes), _COLUMNS):
            distance = _distance_block(rows, upright[left : left + _COLUMNS])
            i, j = np.nonzero(distance <= threshold)
            block = np.column_stack([i + top, j + left, distance[i, j]])
            found.append(block[block[:, 0] < block[:, 1]])
    table = np.concatenate(found)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return table[:, :2], table[:, 2].astype(np.uint8)


def aligned_distances(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash distance of n pairs and the orientation of the first image that gives it.

    Parameters
    ----------
    first, second
        Perceptual hashes, (n, 8) uint64 each.

    Returns
    -------
    distances, orientations
        (n,) uint8 and (n,) int64.
    """
    distances = np.bitwise_count(first ^ second[:, :1])
    return distances.min(axis=1), distances.argmin(axis=1)


def correlations(thumbnails: np.ndarray, i: np.ndarray, j: np.ndarray, orientations: np.ndarray) -> np.ndarray:
    """Return the largest correlation over small shifts of m pairs of thumbnails.

    The thumbnails are normalised for local contrast: the local mean is subtracted, the rest divided by its local
    standard deviation. An image without any detail correlates with nothing (0).

    Parameters
    ----------
    thumbnails
        Grey thumbnails, (n, 64, 64) uint8.
    i, j
        Positions of the first and second image of each pair, (m,) int each.
    orientations
        Orientation of the first image of each pair, (m,) int; see `wbc_utils.data.fingerprints.orient`.

    Returns
    -------
    numpy.ndarray
        Correlation, (m,) float32, at most 1. Shifts wrap around, which costs a true pair that is shifted by three
        pixels (5 % of the width) about a tenth.

    References
    ----------
    K. Jarrett et al. (2009), *What is the best multi-stage architecture for object recognition?*, section 2.2
    (local contrast normalisation).
    """
    used, place = np.unique(np.concatenate([i, j]), return_inverse=True)
    detail = np.empty((len(used), *thumbnails.shape[1:]), np.float16)  # each image once: half the memory is enough
    for start in range(0, len(used), _BATCH):
        detail[start : start + _BATCH] = _normalise(thumbnails[used[start : start + _BATCH]])
    values = np.empty(len(i), np.float32)
    for start in range(0, len(i), _BATCH):
        part = range(start, min(start + _BATCH, len(i)))
        first = np.array([orient(detail[place[k]], orientations[k]) for k in part], np.float32)
        second = detail[place[len(i) + start : len(i) + part.stop]].astype(np.float32)
        values[start : part.stop] = _shifted_maximum(first, second)
    return values


def _distance_block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    smallest = np.bitwise_count(rows[:, :1] ^ columns)
    for orientation in range(1, ORIENTATIONS):
        distance = np.bitwise_count(rows[:, orientation, None] ^ columns)
        np.minimum(smallest, distance, out=smallest)
    return smallest


def _normalise(thumbnails: np.ndarray) -> np.ndarray:
    detail = thumbnails.astype(np.float32)
    detail -= gaussian_filter(detail, (0, _DETAIL, _DETAIL))
    contrast = np.sqrt(gaussian_filter(detail**2, (0, 2 * _DETAIL, 2 * _DETAIL)))
    detail /= contrast + _NOISE
    detail -= detail.mean(axis=(1, 2), keepdims=True)
    length = np.linalg.norm(detail, axis=(1, 2), keepdims=True)
    return np.where(length > 1e-3, detail / np.maximum(length, 1e-3), 0).astype(np.float32)


def _shifted_maximum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    surface = irfft2(rfft2(first) * rfft2(second).conj(), s=side)
    near = np.roll(surface, (_REACH, _REACH), axis=(1, 2))[:, : 2 * _REACH + 1, : 2 * _REACH + 1]
    return np.minimum(near.max(axis=(1, 2)), 1)
