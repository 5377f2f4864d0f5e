"""Exact binomial limits for shares where a bootstrap sees nothing vary.

Resamples of a sample without an error have no error either, so that the interval of a share of 0 or 1 shrinks to a
point, however few the items. There, and nowhere else, the limit of Clopper and Pearson takes its place: after 61 of
61 the share is at least 0.941.

References
----------
C. J. Clopper, E. S. Pearson (1934), *The use of confidence or fiducial limits illustrated in the case of the
binomial*, Biometrika 26.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import LEVEL, Interval, group_numbers
from wbc_utils.metrics.groups import class_means


def where_certain(found: Interval, units: int | Sequence[int] | None = None) -> Interval:
    """Widen the bounds of shares of 0 or 1, of which a bootstrap knows too little or nothing; others stay.

    The limits hold for a mean of any numbers between 0 and 1, since such a mean is at least the share of ones and at
    most the share of those that are not zero.

    Parameters
    ----------
    found
        Shares between 0 and 1, one number or an array (k,).
    units
        Independent units behind each share, one number or (k,); those of ``found`` if left out. A mean recall has
        those of `units_of_mean_recall`.

    Raises
    ------
    MetricError
        If a value is not between 0 and 1, or one that is replaced has no unit.
    """
    value, low, high = (np.array(part, dtype=float) for part in (found.value, *found.ci))
    if ((value < 0) | (value > 1)).any():
        raise MetricError(f"a share lies between 0 and 1, found {value[(value < 0) | (value > 1)].tolist()}")
    numbers = np.broadcast_to(found.n if units is None else units, value.shape)
    certain = np.isin(value, (0, 1)) & ~np.isnan(low)
    if (numbers[certain] < 1).any():
        raise MetricError("an exact limit needs at least one independent unit, found 0; report no interval")
    for place in np.argwhere(certain):
        n, at = int(numbers[tuple(place)]), tuple(place)
        limits = binomtest(n if value[at] else 0, n).proportion_ci(LEVEL, method="exact")
        low[at], high[at] = min(low[at], limits.low), max(high[at], limits.high)
    return (
        Interval(found.value, low, high, found.n)
        if low.ndim
        else Interval(found.value, low.item(), high.item(), found.n)
    )


def units_of_mean_recall(y_true: Sequence[Hashable], groups: Sequence[Hashable]) -> int:
    """Return the units of a mean recall over k classes: k times the groups of the class with the fewest.

    If no group errs, the recalls pᵢ with that chance or more fulfil Π pᵢ^nᵢ ≥ α. Their mean is at least their
    geometric mean, and this at least α^(1 / (k min nᵢ)), the limit of a share with k min nᵢ units.

    Parameters
    ----------
    y_true, groups
        True class and group (duplicates, patient) of each item, (n,).

    Raises
    ------
    MetricError
        If lengths differ, a group is missing, or there is no item.
    """
    number = group_numbers(groups)
    if len(y_true) != len(number) or not len(number):
        raise MetricError(f"{len(y_true)} true labels and {len(number)} groups; give one of each per item")
    found = pd.Series(number).groupby(pd.Series(list(y_true))).nunique()
    return int(len(found) * found.min())


def class_shares(
    values: Sequence[float],
    labels: Sequence[Hashable],
    groups: Sequence[Hashable],
    order: Sequence[Hashable],
    seed: int,
) -> pd.DataFrame:
    """Return the share of each class with its interval over groups, exact where it is 0 or 1.

    With ``values`` that say whether each item was recognised these are the recalls of the classes.

    Parameters
    ----------
    values, labels, groups, order, seed
        As `wbc_utils.metrics.groups.class_means`; values between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        As `wbc_utils.metrics.groups.class_means`.

    Raises
    ------
    MetricError
        As `wbc_utils.metrics.groups.class_means`; if a share is not between 0 and 1.
    """
    table = class_means(values, labels, groups, order, seed)
    found = Interval(*table[["value", "low", "high"]].to_numpy().T, n=int(table["n"].sum()))
    return table.assign(**dict(zip(("low", "high"), where_certain(found, table["n"].to_numpy()).ci, strict=True)))
