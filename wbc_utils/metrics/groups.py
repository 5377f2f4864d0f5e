"""Averages over items with intervals by the bootstrap over whole groups (duplicates, patients).

A resample draws as many groups as there are, with replacement; what an average needs of it are the sums of its items,
and these follow from the sums within each group.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS, Interval, group_numbers, percentile_bounds
from wbc_utils.metrics.classification import codes

_AT_ONCE = 100  # resamples held in memory together


def group_sums(values: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    """Add up the rows of each group, (groups, c).

    Parameters
    ----------
    values
        One row an item, (n, c).
    groups
        Group of each item, (n,).

    Raises
    ------
    MetricError
        If lengths differ, a group is missing, or a value is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) != len(groups):
        raise MetricError(f"{len(values)} values and {len(groups)} groups; give one of each per item")
    bad = int((~np.isfinite(values)).any(axis=1).sum())
    if bad:
        raise MetricError(f"{bad} of {len(values)} items have a value that is not finite; leave them out and say so")
    number = group_numbers(groups)
    sums = np.zeros((number.max(initial=-1) + 1, values.shape[1]))
    np.add.at(sums, number, values)
    return sums


def resampled_sums(sums: np.ndarray, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Draw groups with replacement and add up their sums, (draws, c).

    Parameters
    ----------
    sums
        One row a group, (groups, c).
    seed, draws
        Of the bootstrap.

    Raises
    ------
    MetricError
        If there are fewer than two groups.
    """
    number = len(sums)
    if number < 2:
        raise MetricError(f"an interval needs at least two independent groups, found {number}; report no interval")
    rng = np.random.default_rng(seed)
    sizes = [min(_AT_ONCE, draws - start) for start in range(0, draws, _AT_ONCE)]
    return np.concatenate([_times_drawn(number, size, rng) @ sums for size in sizes])


def _times_drawn(number: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each group is in each resample, (size, number); faster than multinomial draws of many groups."""
    cells = rng.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
    return np.bincount(cells.ravel(), minlength=size * number).reshape(size, number)


def group_mean_interval(values: Sequence[float], groups: Sequence[Hashable], seed: int, draws: int = DRAWS) -> Interval:
    """Return the mean over items and its percentile interval if whole groups are independent.

    Parameters
    ----------
    values, groups
        One number and the group (duplicates, patient) of each item, (n,).
    seed, draws
        Of the bootstrap.

    Raises
    ------
    MetricError
        If there are fewer than two groups, lengths differ, or a value is not finite.
    """
    values = np.asarray(values, dtype=float)
    sums = group_sums(np.column_stack([values, np.ones(len(values))]), groups)
    drawn = resampled_sums(sums, seed, draws)
    low, high = percentile_bounds(drawn[:, 0] / drawn[:, 1])
    return Interval(float(values.mean()), float(low), float(high), len(sums))


def class_means(
    values: Sequence[float],
    labels: Sequence[Hashable],
    groups: Sequence[Hashable],
    order: Sequence[Hashable],
    seed: int,
) -> pd.DataFrame:
    """Return the mean of each class with its interval over groups: ``name``, ``n``, ``value``, ``low``, ``high``.

    A class of one group has no interval (NaN), an absent class no mean either; ``n`` counts its groups.

    Parameters
    ----------
    values, groups, seed
        As `group_mean_interval`.
    labels, order
        Class of each item, (n,), and the classes in the order of the rows.

    Raises
    ------
    MetricError
        If a label is not in ``order`` or lengths differ; as `group_mean_interval`.
    """
    values, group, place = np.asarray(values, dtype=float), group_numbers(groups), codes(labels, order)
    if not len(values) == len(group) == len(place):
        found = f"{len(values)} values, {len(place)} labels and {len(group)} groups"
        raise MetricError(f"{found}; give one of each per item")
    rows = []
    for number, name in enumerate(order):
        own = place == number
        units = len(np.unique(group[own]))
        if units > 1:
            found = group_mean_interval(values[own], group[own], seed)
            rows.append((name, units, found.value, found.low, found.high))
        else:
            rows.append((name, units, values[own].mean() if units else np.nan, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["name", "n", "value", "low", "high"])
