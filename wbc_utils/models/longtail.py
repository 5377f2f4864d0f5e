"""Training sets with the class frequencies of another data set, so that imbalance methods can show what they do.

Only training rows are ever drawn. The rows that are tested keep the frequencies of the data at hand, so that scores
with and without the draw are of the same items.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.models import ModelError
from wbc_utils.models.table import FeatureTable

WBCBENCH_COUNTS: dict[str, int] = {
    "SNE": 15048, "LY": 9230, "MO": 3195, "BL": 2271, "EO": 979, "MY": 513, "BA": 494, "BNE": 451, "MMY": 433,
    "VLY": 382, "PMY": 118, "PC": 58, "PLY": 13,
}  # fmt: skip
"""Cells of each class in WBCBench 2026."""


def longtail_counts(
    available: Mapping[str, int],
    stand_ins: Mapping[str, str],
    minimum: int,
    reference: Mapping[str, int] = WBCBENCH_COUNTS,
) -> dict[str, int]:
    """Return how many of each class to draw so that the frequencies follow a reference.

    The counts are the largest that need no more of any class than there is, before the rarest are raised to
    ``minimum``.

    Parameters
    ----------
    available
        Cells of each class at hand.
    stand_ins
        For each class at hand that the reference lacks, the class whose frequency it takes.
    minimum
        Smallest count of a class, at least 1; all there are where there are fewer.
    reference
        Counts to follow.

    Raises
    ------
    ModelError
        If a class at hand is neither in the reference nor given a stand-in, two classes take the same frequency, or
        ``minimum`` is below 1.
    """
    takes = {label: stand_ins.get(label, label) for label in available}
    unknown = sorted(label for label, taken in takes.items() if taken not in reference)
    if unknown:
        raise ModelError(
            f"no reference count for {', '.join(unknown)}; give each a stand-in from {', '.join(reference)}"
        )
    if len(set(takes.values())) < len(takes):
        raise ModelError(f"two classes take the same frequency: {takes}; give each a stand-in of its own")
    if minimum < 1:
        raise ModelError(f"the smallest count of a class must be at least 1, found {minimum}")
    scale = min(available[label] / reference[taken] for label, taken in takes.items())
    wanted = {label: max(int(scale * reference[taken]), minimum) for label, taken in takes.items()}
    return {label: min(count, available[label]) for label, count in wanted.items()}


def longtail_draw(
    y: Sequence[str], groups: Sequence[Hashable], wanted: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Draw training rows at random, a wanted number of each class.

    A second member of a duplicate group is drawn only when the class has no other group left, so that small counts
    are of different cells.

    Parameters
    ----------
    y, groups
        Class and duplicate group of each training row, (n,).
    wanted
        As returned by `longtail_counts`.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Positions in ``y``, ascending.

    Raises
    ------
    ModelError
        If a class has fewer rows than wanted.
    """
    shuffled = pd.DataFrame({"label": list(y), "group": list(groups)}).iloc[rng.permutation(len(y))]
    shuffled["copy"] = shuffled.groupby(["label", "group"]).cumcount()
    ordered = shuffled.sort_values("copy", kind="stable")
    drawn = ordered[ordered.groupby("label").cumcount() < ordered["label"].map(wanted).fillna(0)]
    short = {label: count for label, count in wanted.items() if (drawn["label"] == label).sum() < count}
    if short:
        raise ModelError(f"fewer rows than wanted of {short}; count the classes of these rows with longtail_counts")
    return np.sort(drawn.index.to_numpy())


@dataclass(frozen=True)
class LongTail:
    """Narrow the training rows of each fold to a long-tailed draw; to be given as ``choose``.

    Attributes
    ----------
    table
        The cells.
    stand_ins, minimum
        As `longtail_counts`.
    seed
        Of the draws; each fold has its own.
    """

    table: FeatureTable
    stand_ins: Mapping[str, str]
    minimum: int
    seed: int

    def __call__(self, train: np.ndarray, fold: int) -> np.ndarray:
        """Return the rows that a fold trains on, of those that it may."""
        y, groups = self.table.y[train], self.table.groups[train]
        labels, counts = np.unique(y, return_counts=True)
        available = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        wanted = longtail_counts(available, self.stand_ins, self.minimum)
        return train[longtail_draw(y, groups, wanted, np.random.default_rng([self.seed, fold + 1]))]
