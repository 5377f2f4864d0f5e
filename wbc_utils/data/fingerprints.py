"""Fingerprints of images, from one decoding pass: an exact digest, perceptual hashes and a thumbnail.

The perceptual hash is the 64-bit pHash of the ``imagehash`` package: the lowest 8×8 coefficients of the discrete
cosine transform (DCT) of the 32×32 grey image, each compared with their median. Cells have no upright
orientation, so an image has eight hashes, one for each element of the dihedral group of the square. One DCT yields
all eight: mirroring an image only changes the sign of its odd coefficients, transposing it transposes them.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.fft import dctn

from wbc_utils.data.images import ImageError, open_image
from wbc_utils.repro import digest_bytes

ORIENTATIONS = 8
"""Number of orientations; number ``o`` has bit 4 for transposed, bit 2 for upside down, bit 1 for left to right."""

HASH_SIDE = 8
DCT_SIDE = 32
THUMBNAIL_SIDE = 64

_BATCH = 256


@dataclass(frozen=True)
class Fingerprints:
    """What is known of n images after one decoding pass; rows of unreadable images are zero.

    Attributes
    ----------
    digests
        SHA-256 of the decoded pixels, None where the image cannot be read.
    hashes
        Perceptual hashes, (n, 8) uint64, one column an orientation.
    thumbnails
        Grey images, (n, 64, 64) uint8.
    errors
        Position of each unreadable image and why it cannot be read.
    """

    digests: tuple[str | None, ...]
    hashes: np.ndarray
    thumbnails: np.ndarray
    errors: dict[int, str]

    def __len__(self) -> int:
        return len(self.digests)

    def take(self, positions: np.ndarray) -> "Fingerprints":
        """Return the fingerprints at some positions, in that order."""
        digests = tuple(self.digests[position] for position in positions)
        errors = {new: self.errors[old] for new, old in enumerate(positions) if old in self.errors}
        return Fingerprints(digests, self.hashes[positions], self.thumbnails[positions], errors)

    @property
    def readable(self) -> np.ndarray:
        """Which images could be read, (n,) bool."""
        return np.array([digest is not None for digest in self.digests], dtype=bool)


def fingerprint(paths: Iterable[Path | str], threads: int | None = None) -> Fingerprints:
    """Decode each image once and take its digest, its eight hashes and its thumbnail.

    Parameters
    ----------
    paths
        Image files.
    threads
        Number of threads, by default one a core usable by this process (decoding and hashing release the
        interpreter lock). The result does not depend on it.
    """
    files = list(paths)
    thumbnails = np.zeros((len(files), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    hashes = np.zeros((len(files), ORIENTATIONS), np.uint64)
    digests: list[str | None] = [None] * len(files)
    errors: dict[int, str] = {}

    def look(position: int) -> np.ndarray:
        try:
            image = open_image(Path(files[position]))
        except ImageError as error:
            errors[position] = error.reason
            return np.zeros((DCT_SIDE, DCT_SIDE), np.uint8)
        digests[position] = pixel_digest(image)
        grey = Image.fromarray(image).convert("L")
        thumbnails[position] = _thumbnail(grey)
        return _shrink(grey)

    with ThreadPoolExecutor(threads or _usable_cores()) as pool:
        for start in range(0, len(files), _BATCH):
            batch = range(start, min(start + _BATCH, len(files)))
            hashes[batch.start : batch.stop] = _hash_shrunk(np.stack(list(pool.map(look, batch))))
    hashes[sorted(errors)] = 0
    return Fingerprints(tuple(digests), hashes, thumbnails, dict(sorted(errors.items())))


def pixel_digest(image: np.ndarray) -> str:
    """Return the SHA-256 of shape and pixels, whatever file format they were stored in.

    Parameters
    ----------
    image
        RGB image, (height, width, 3) uint8.
    """
    return digest_bytes(repr(image.shape).encode(), np.ascontiguousarray(image).data.cast("B"))


def dihedral_hashes(image: np.ndarray) -> np.ndarray:
    """Return the pHash of the eight orientations of an image, (8,) uint64.

    The first equals ``imagehash.phash(image)``; the others equal the pHash of the 32×32 grey image in that
    orientation (see `orient`). Most significant bit first, as ``imagehash`` prints it.

    Parameters
    ----------
    image
        RGB image, (height, width, 3) uint8, or grey, (height, width) uint8.

    References
    ----------
    N. Krawetz (2011), *Looks Like It*, as implemented by ``imagehash.phash(hash_size=8, highfreq_factor=4)``.
    """
    return _hash_shrunk(_shrink(Image.fromarray(image).convert("L"))[None])[0]


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return the grey 64×64 version of an RGB image, (64, 64) uint8."""
    return _thumbnail(Image.fromarray(image).convert("L"))


def orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return an image in one of the eight orientations: transposed, then upside down, then left to right.

    Parameters
    ----------
    image
        (height, width) or (height, width, channels).
    orientation
        0 (as it is) to 7; see `ORIENTATIONS`.
    """
    if orientation & 4:
        image = image.swapaxes(0, 1)
    if orientation & 2:
        image = image[::-1]
    return image[:, ::-1] if orientation & 1 else image


def _shrink(grey: Image.Image) -> np.ndarray:
    return np.asarray(grey.resize((DCT_SIDE, DCT_SIDE), Image.Resampling.LANCZOS))


def _thumbnail(grey: Image.Image) -> np.ndarray:
    return np.asarray(grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR))


def _hash_shrunk(shrunk: np.ndarray) -> np.ndarray:
    """Hash a batch of 32×32 grey images, (n, 32, 32) to (n, 8)."""
    low = dctn(shrunk.astype(float), axes=(1, 2))[:, :HASH_SIDE, :HASH_SIDE]
    alternating = 1 - 2 * (np.arange(HASH_SIDE) % 2)
    hashes = np.empty((len(shrunk), ORIENTATIONS), np.uint64)
    for orientation in range(ORIENTATIONS):
        turned = low.swapaxes(1, 2) if orientation & 4 else low
        if orientation & 2:
            turned = turned * alternating[:, None]
        if orientation & 1:
            turned = turned * alternating
        hashes[:, orientation] = _pack(turned.reshape(len(shrunk), -1))
    return hashes


def _pack(coefficients: np.ndarray) -> np.ndarray:
    bits = coefficients > np.median(coefficients, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
