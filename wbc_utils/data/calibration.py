"""When two images count as near duplicates: thresholds from pairs known to be the same and pairs known to differ."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter

from wbc_utils.data.fingerprints import ORIENTATIONS, Fingerprints, dihedral_hashes, orient, thumbnail
from wbc_utils.data.images import open_image
from wbc_utils.data.similarity import aligned_distances, correlations
from wbc_utils.data.tables import DataError

CANDIDATES_PER_IMAGE = 10
"""Pairs of different images that the hash may propose, per image searched; each costs one correlation."""

EXPECTED_FALSE_PAIRS = 0.1
"""Pairs of different images that may be expected to be confirmed in the whole search."""

KNOWN_SHARE_LOST = 0.01
"""Share of the known pairs that may lie below the upper bound of the correlation threshold."""

_HASH_BITS = 64


@dataclass(frozen=True)
class Calibration:
    """Two thresholds and the measurements they come from.

    Attributes
    ----------
    distance
        Largest hash distance of a candidate, bits. Chosen as the largest at which the pairs of different images
        proposed, extrapolated to all pairs searched, stay below ``CANDIDATES_PER_IMAGE`` an image.
    correlation
        Smallest correlation of a confirmed pair. Chosen halfway between ``different_bound`` and ``known_bound``, or
        at ``different_bound`` where the two overlap.
    different_bound
        Correlation that ``EXPECTED_FALSE_PAIRS`` of all pairs of different images searched exceed.
    known_bound
        Correlation that all but ``KNOWN_SHARE_LOST`` of the known pairs reach.
    pairs_searched
        Number of pairs the thresholds are meant for.
    measured
        See `frame`.
    """

    distance: int
    correlation: float
    different_bound: float
    known_bound: float
    pairs_searched: int
    measured: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """Return the measured pairs: ``kind`` (an alteration, or ``different``), ``distance``, ``correlation``.

        ``held`` marks those that the thresholds know nothing of.
        """
        return self.measured

    @property
    def recall(self) -> float:
        """Share of the known pairs held back that both thresholds let through."""
        known = self.measured[self.measured["held"]]
        return float(((known["distance"] <= self.distance) & (known["correlation"] >= self.correlation)).mean())


def calibrate(
    paths: Iterable[Path | str],
    prints: Fingerprints,
    rng: np.random.Generator,
    known: int = 400,
    different: int = 20_000,
) -> Calibration:
    """Choose the thresholds of the search for near duplicates among these images.

    Known pairs are an image and its altered copy (see ``ALTERATIONS``), turned at random; the second half of them is
    held back, to measure how many the thresholds find. Different pairs are two
    images drawn at random; a few unknown duplicates among them do no harm, as only their 90 % and 99 % quantiles
    count.

    Parameters
    ----------
    paths, prints
        The images and their fingerprints, in the same order.
    rng
        Draws images, alterations and pairs, the two kinds of pairs from streams of their own.
    known, different
        Number of pairs drawn (of different pairs at most; repeated and identical ones are left out).

    Raises
    ------
    DataError
        If there are no two different readable images.
    """
    readable = np.flatnonzero(prints.readable)
    if len({prints.digests[position] for position in readable}) < 2:
        raise DataError(
            f"near duplicates cannot be calibrated: of {len(prints)} images {len(readable)} are readable, and no two "
            "of them differ. Check the data root and the unreadable images."
        )
    of_copies, of_others = rng.spawn(2)
    copies = _known_pairs(list(paths), prints, readable, of_copies, known)
    others = _different_pairs(prints, readable, of_others, different)
    held = np.arange(len(copies) + len(others)) < len(copies)
    held[: len(copies) // 2] = False
    measured = pd.concat([copies, others], ignore_index=True).assign(held=held)
    pairs_searched = len(readable) * (len(readable) - 1) // 2
    is_different = measured["kind"] == "different"
    apart, same = measured[is_different], measured[~is_different & ~held]
    different_bound = _tail_bound(apart["correlation"].to_numpy(), EXPECTED_FALSE_PAIRS / pairs_searched)
    known_bound = float(same["correlation"].quantile(KNOWN_SHARE_LOST))
    return Calibration(
        distance=_largest_distance(apart["distance"].to_numpy(), pairs_searched, CANDIDATES_PER_IMAGE * len(readable)),
        correlation=max(different_bound, (different_bound + known_bound) / 2),
        different_bound=different_bound,
        known_bound=known_bound,
        pairs_searched=pairs_searched,
        measured=measured,
    )


def _known_pairs(paths, prints, readable, rng, number) -> pd.DataFrame:
    chosen = rng.choice(readable, number)
    kinds = np.resize(list(ALTERATIONS), number)
    hashes = np.empty((number, ORIENTATIONS), np.uint64)
    thumbnails = [prints.thumbnails[chosen]]
    for row, (position, kind) in enumerate(zip(chosen, kinds, strict=True)):
        image = np.asarray(ALTERATIONS[kind](Image.fromarray(open_image(Path(paths[position]))), rng))
        copy = np.ascontiguousarray(orient(image, int(rng.integers(ORIENTATIONS))))
        hashes[row] = dihedral_hashes(copy)
        thumbnails.append(thumbnail(copy)[None])
    distances, orientations = aligned_distances(prints.hashes[chosen], hashes)
    rows = np.arange(number)
    correlation = correlations(np.concatenate(thumbnails), rows, number + rows, orientations)
    return pd.DataFrame({"kind": kinds, "distance": distances, "correlation": correlation})


def _different_pairs(prints, readable, rng, number) -> pd.DataFrame:
    pairs = np.unique(np.sort(rng.choice(readable, (number, 2)), axis=1), axis=0)
    digests = np.array(prints.digests, dtype=object)
    i, j = pairs[(digests[pairs[:, 0]] != digests[pairs[:, 1]]).astype(bool)].T
    distances, orientations = aligned_distances(prints.hashes[i], prints.hashes[j])
    correlation = correlations(prints.thumbnails, i, j, orientations)
    return pd.DataFrame({"kind": "different", "distance": distances, "correlation": correlation})


def _largest_distance(distances: np.ndarray, pairs_searched: int, budget: float) -> int:
    proposed = np.cumsum(np.bincount(distances, minlength=_HASH_BITS + 1)) * (pairs_searched / len(distances))
    return max(int(np.searchsorted(proposed, budget, side="right")) - 1, 0)


def _tail_bound(correlation: np.ndarray, probability: float) -> float:
    """Return the correlation exceeded with a small probability.

    Beyond the 99 % quantile the tail is taken as exponential in Fisher's z = artanh(r), with the slope between the
    90 % and the 99 % quantile; below it the empirical quantile is used.
    """
    z = np.arctanh(np.clip(correlation, -0.999, 0.999))
    if probability >= 0.01:
        return float(np.tanh(np.quantile(z, 1 - probability)))
    ninety, ninety_nine = np.quantile(z, [0.90, 0.99])
    return float(np.tanh(ninety_nine + (ninety_nine - ninety) * np.log10(0.01 / probability)))


def _reencoded(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(60, 96)))
    return Image.open(buffer)


def _brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.uniform(0.9, 1.1))


def _blurred(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.003, 0.0075) * image.width))


def _cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    scale = rng.uniform(0.98, 1.0)
    left, top = rng.uniform(0, 1 - scale, 2) * image.size
    box = (left, top, left + scale * image.width, top + scale * image.height)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def _unaltered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image


ALTERATIONS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "re-encoded": _reencoded,
    "brightened": _brightened,
    "blurred": _blurred,
    "cropped": _cropped,
    "turned": _unaltered,
}
"""What is done to an image to make a known near duplicate: JPEG quality 60–95, brightness ±10 %, Gaussian blur of
0.3–0.75 % of the width, a crop of up to 2 % scaled back, a rotation or reflection alone."""
