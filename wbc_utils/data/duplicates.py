"""Which images are in the data twice: exactly, or nearly so, within and across splits and data sets.

Exact duplicates have equal pixels. Near duplicates are candidates by perceptual hash (`near_pairs`) that the
correlation of their thumbnails confirms; both thresholds come from `calibrate`, not from habit.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wbc_utils.data.calibration import Calibration, calibrate
from wbc_utils.data.fingerprints import Fingerprints, dihedral_hashes, fingerprint, orient
from wbc_utils.data.images import open_image
from wbc_utils.data.similarity import aligned_distances, correlations, near_pairs

PAIR_COLUMNS = (
    "dataset_a", "image_a", "split_a", "label_a", "dataset_b", "image_b", "split_b", "label_b",
    "kind", "distance", "correlation",
)  # fmt: skip
_DESCRIBED = ("dataset", "image", "split", "label")


@dataclass(frozen=True)
class DuplicateScan:
    """The outcome of a search for duplicates.

    Attributes
    ----------
    images
        The images searched, in their order: ``dataset``, ``image``, ``split``, ``label``, ``digest`` (missing where
        unreadable), ``cluster`` (images that are duplicates of each other, directly or through others, share it).
    pairs
        Every candidate with ``PAIR_COLUMNS``; ``kind`` is ``exact``, ``near`` or, where the correlation did not
        confirm the hash, ``look-alike``.
    unreadable
        ``dataset``, ``image``, ``error``.
    calibration
        Where the thresholds come from.
    """

    images: pd.DataFrame
    pairs: pd.DataFrame
    unreadable: pd.DataFrame
    calibration: Calibration

    def frame(self) -> pd.DataFrame:
        """Return the duplicates, one row a pair: exact ones first, then by falling correlation."""
        found = self.pairs[self.pairs["kind"] != "look-alike"]
        return found.sort_values(["kind", "correlation"], ascending=[True, False], kind="stable", ignore_index=True)

    def look_alikes(self) -> pd.DataFrame:
        """Return the candidates that were not confirmed, one row a pair, by falling correlation."""
        found = self.pairs[self.pairs["kind"] == "look-alike"]
        return found.sort_values("correlation", ascending=False, kind="stable", ignore_index=True)

    def exact_groups(self) -> pd.DataFrame:
        """Return one row a group of two or more images with equal pixels.

        Columns: ``images`` (tuple), ``datasets``, ``splits``, ``labels`` (tuples of distinct values) and
        ``conflicting`` (more than one label).
        """
        return self._groups("digest")

    def clusters(self) -> pd.DataFrame:
        """Return one row a cluster of two or more duplicates, exact or near; columns as `exact_groups`."""
        return self._groups("cluster")

    def _groups(self, key: str) -> pd.DataFrame:
        several = self.images[self.images[key].notna() & self.images[key].duplicated(keep=False)]
        rows = [
            {
                "images": tuple(members["image"]),
                "datasets": _distinct(members["dataset"]),
                "splits": _distinct(members["split"]),
                "labels": _distinct(members["label"]),
                "conflicting": len(_distinct(members["label"])) > 1,
            }
            for _, members in several.groupby(key, sort=False)
        ]
        return pd.DataFrame(rows, columns=["images", "datasets", "splits", "labels", "conflicting"])


def scan(
    images: pd.DataFrame,
    rng: np.random.Generator,
    prints: Fingerprints | None = None,
    calibration: Calibration | None = None,
) -> DuplicateScan:
    """Search images for exact and near duplicates.

    Parameters
    ----------
    images
        One row an image: ``image``, ``path``, and where known ``split``, ``label``, ``dataset``. Concatenate the
        tables of several data sets to find what they share.
    rng
        Draws the known pairs of the calibration.
    prints
        Fingerprints of these images, in the same order; taken anew if None.
    calibration
        Thresholds; calibrated on these images if None.

    Raises
    ------
    wbc_utils.data.tables.DataError
        If there are no two different readable images to calibrate on.
    """
    prints = prints or fingerprint(images["path"])
    calibration = calibration or calibrate(images["path"], prints, rng)
    described = _described(images, prints)
    candidates = _candidates(prints, calibration)
    confirmed = candidates.loc[candidates["kind"] != "look-alike", ["i", "j"]].to_numpy()
    described["cluster"] = clusters(len(images), confirmed)
    pairs = pd.concat(
        [
            described.iloc[candidates[end]][list(_DESCRIBED)].add_suffix(suffix).reset_index(drop=True)
            for end, suffix in (("i", "_a"), ("j", "_b"))
        ]
        + [candidates[["kind", "distance", "correlation"]]],
        axis=1,
    )
    failed = sorted(prints.errors)
    unreadable = described.iloc[failed][["dataset", "image"]].reset_index(drop=True)
    unreadable["error"] = [prints.errors[position] for position in failed]
    return DuplicateScan(described, pairs[list(PAIR_COLUMNS)], unreadable, calibration)


def scan_each(images: pd.DataFrame, prints: Fingerprints, rng: np.random.Generator, known: int) -> dict:
    """Search every data set with thresholds of its own, and all of them together for what they share.

    Parameters
    ----------
    images
        As `scan`, with ``dataset``.
    prints
        Fingerprints of these images, in the same order.
    known
        Altered copies made for each calibration.

    Returns
    -------
    dict
        Data set → `DuplicateScan`; the key ``""`` holds the search over all images.
    """
    found = {}
    for name in ["", *dict.fromkeys(images["dataset"])]:
        own = np.flatnonzero(images["dataset"] == name) if name else np.arange(len(images))
        part, part_prints = images.iloc[own].reset_index(drop=True), prints.take(own)
        found[name] = scan(part, rng, part_prints, calibrate(part["path"], part_prints, rng, known))
    return found


def across_datasets(together: DuplicateScan) -> pd.DataFrame:
    """Return the duplicates whose images belong to different data sets, one row a pair."""
    found = together.frame()
    return found[found["dataset_a"] != found["dataset_b"]].reset_index(drop=True)


def summarise(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count duplicate pairs by kind, data sets and splits.

    Returns
    -------
    pandas.DataFrame
        ``kind``, ``data sets``, ``splits``, ``pairs``, ``under different labels``; empty if there are no pairs.
    """
    both = pairs[["label_a", "label_b"]].notna().all(axis=1)
    described = pd.DataFrame(
        {
            "kind": pairs["kind"],
            "data sets": _both_ends(pairs["dataset_a"], pairs["dataset_b"]),
            "splits": _both_ends(pairs["split_a"], pairs["split_b"]),
            "different": both & (pairs["label_a"] != pairs["label_b"]),
        }
    )
    counted = described.groupby(["kind", "data sets", "splits"], sort=True)["different"].agg(["size", "sum"])
    return counted.reset_index().rename(columns={"size": "pairs", "sum": "under different labels"})


def pictures(pairs: pd.DataFrame, images: pd.DataFrame) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[str]]:
    """Open both images of some pairs, the first turned onto the second.

    Parameters
    ----------
    pairs
        Rows of `DuplicateScan.frame`.
    images
        Table with ``dataset``, ``image`` and ``path``.
    """
    paths = images.set_index(["dataset", "image"])["path"]
    opened, titles = [], []
    for pair in pairs.itertuples(index=False):
        first, second = (
            open_image(paths[end]) for end in ((pair.dataset_a, pair.image_a), (pair.dataset_b, pair.image_b))
        )
        turn = aligned_distances(dihedral_hashes(first)[None], dihedral_hashes(second)[None])[1][0]
        opened.append((orient(first, int(turn)), second))
        titles.append(f"{pair.dataset_a}, r = {pair.correlation:.2f}")
    return opened, titles


def _both_ends(first: pd.Series, second: pd.Series) -> list[str]:
    return [a if a == b else " – ".join(sorted((a, b))) for a, b in zip(first, second, strict=True)]


def clusters(n: int, pairs: np.ndarray) -> np.ndarray:
    """Return the cluster of each of n items: the connected components of the graph of pairs.

    Parameters
    ----------
    n
        Number of items.
    pairs
        Positions, (m, 2) int.

    Returns
    -------
    numpy.ndarray
        (n,) int64; clusters are numbered in the order of their first item, whatever the order of the pairs.
    """
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    _, first, number = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def _candidates(prints: Fingerprints, calibration: Calibration) -> pd.DataFrame:
    """Return the pairs within reach of the hash, with i, j, distance, correlation and kind."""
    readable = np.flatnonzero(prints.readable)
    pairs, distances = near_pairs(prints.hashes[readable], calibration.distance)
    i, j = readable[pairs].T
    _, orientations = aligned_distances(prints.hashes[i], prints.hashes[j])
    correlation = correlations(prints.thumbnails, i, j, orientations)
    digests = np.array(prints.digests, dtype=object)
    exact = (digests[i] == digests[j]).astype(bool)
    kind = np.where(exact, "exact", np.where(correlation >= calibration.correlation, "near", "look-alike"))
    correlation = np.where(exact, 1.0, correlation)
    return pd.DataFrame({"i": i, "j": j, "distance": distances, "correlation": correlation, "kind": kind})


def _described(images: pd.DataFrame, prints: Fingerprints) -> pd.DataFrame:
    columns = {name: images[name].to_numpy() if name in images else None for name in _DESCRIBED}
    return pd.DataFrame({**columns, "digest": list(prints.digests)}, index=range(len(images)))


def _distinct(values: pd.Series) -> tuple:
    return tuple(dict.fromkeys(values.dropna()))
