"""Intervals by the percentile bootstrap over confusion matrices: of items, of groups, of two models' difference.

Groups with equal confusion counts are exchangeable. A resample of groups is therefore one multinomial draw over the
distinct kinds of group, and its confusion matrix a matrix product; no draw touches the items again. Where every item
is its own group this is the multinomial draw over the cells of the confusion matrix.

References
----------
B. Efron, R. Tibshirani (1993), *An Introduction to the Bootstrap*, chapters 8 (grouped data) and 13 (percentile).
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.classification import codes

DRAWS = 2000
"""Resamples of an interval."""

LEVEL = 0.95

Statistic = Callable[[np.ndarray], np.ndarray]
"""From a stack of confusion matrices (…, k, k) to a score (…) or one score a class (…, k)."""


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval.

    Attributes
    ----------
    value, low, high
        Numbers, or arrays (k,) of one number a class.
    n
        Independent units resampled: groups, or items where each is its own group.
    """

    value: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray
    n: int

    @property
    def ci(self) -> tuple:
        """The bounds ``(low, high)``."""
        return self.low, self.high


def multinomial_interval(confusion: np.ndarray, statistic: Statistic, seed: int, draws: int = DRAWS) -> Interval:
    """Return a score and its interval if the items are independent.

    Parameters
    ----------
    confusion
        Counts, (k, k).
    statistic
        Score of a stack of confusion matrices.
    seed
        Of the resamples.
    draws
        Number of resamples.

    Raises
    ------
    MetricError
        If the matrix holds fewer than two items.
    """
    confusion = np.asarray(confusion)
    cells = np.flatnonzero(confusion)
    kinds = np.zeros((len(cells), confusion.size))
    kinds[np.arange(len(cells)), cells] = 1
    resampled = _resample(kinds, confusion.ravel()[cells], seed, draws).reshape(-1, *confusion.shape)
    return _interval(statistic(confusion), statistic(resampled), int(confusion.sum()))


def grouped_interval(
    y_true: Sequence[Hashable],
    y_pred: Sequence[Hashable],
    groups: Sequence[Hashable],
    statistic: Statistic,
    order: Sequence[Hashable],
    seed: int,
    draws: int = DRAWS,
) -> Interval:
    """Return a score and its interval if whole groups (duplicates, patients) are independent.

    Parameters
    ----------
    y_true, y_pred, groups
        Label, prediction and group of each item, (n,).
    statistic
        Score of a stack of confusion matrices.
    order
        The k classes.
    seed, draws
        As `multinomial_interval`.

    Raises
    ------
    MetricError
        If there are fewer than two groups, lengths differ, or a label is not in ``order``.
    """
    counts = _group_counts(y_true, y_pred, groups, order)
    resampled = _resample(*_kinds(counts), seed, draws)
    shape = (-1, len(order), len(order))
    return _interval(statistic(counts.sum(axis=0).reshape(shape)[0]), statistic(resampled.reshape(shape)), len(counts))


def paired_difference(
    y_true: Sequence[Hashable],
    y_first: Sequence[Hashable],
    y_second: Sequence[Hashable],
    groups: Sequence[Hashable],
    statistic: Statistic,
    order: Sequence[Hashable],
    seed: int,
    draws: int = DRAWS,
) -> Interval:
    """Return score(second) − score(first) of two models on the same items, and its interval.

    Parameters
    ----------
    y_true, y_first, y_second, groups
        Label, prediction of either model and group of each item, (n,).
    statistic, order, seed, draws
        As `grouped_interval`.

    Raises
    ------
    MetricError
        As `grouped_interval`.
    """
    both = [_group_counts(y_true, y_pred, groups, order) for y_pred in (y_first, y_second)]
    shape = (-1, 2, len(order), len(order))
    found = statistic(np.hstack(both).sum(axis=0).reshape(shape)[0])
    drawn = statistic(_resample(*_kinds(np.hstack(both)), seed, draws).reshape(shape))
    return _interval(found[1] - found[0], drawn[:, 1] - drawn[:, 0], len(both[0]))


def percentile_bounds(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds that hold the central 95 % of the defined draws, over the first axis; NaN where none is."""
    tail = (1 - LEVEL) / 2
    drawn = np.asarray(drawn, dtype=float)
    some = ~np.isnan(drawn).all(axis=0)
    bounds = np.full((2, *drawn.shape[1:]), np.nan)
    bounds[:, some] = np.nanquantile(drawn[:, some], [tail, 1 - tail], axis=0)
    return bounds[0], bounds[1]


def group_numbers(groups: Sequence[Hashable]) -> np.ndarray:
    """Return the number of the group of each item, 0, 1, …, in the order of first appearance, (n,) int.

    Raises
    ------
    MetricError
        If a group is missing.
    """
    numbers = pd.factorize(pd.Series(list(groups), dtype=object))[0]
    if (numbers < 0).any():
        raise MetricError(f"{(numbers < 0).sum()} of {len(numbers)} groups are missing; give each item a group")
    return numbers


def _group_counts(y_true, y_pred, groups, order) -> np.ndarray:
    """Count the cells of the confusion matrix in each group, (groups, k²)."""
    if not len(y_true) == len(y_pred) == len(groups):
        found = f"{len(y_true)} true labels, {len(y_pred)} predictions and {len(groups)} groups"
        raise MetricError(f"{found}; give one of each per item")
    number = group_numbers(groups)
    k = len(order)
    counts = np.zeros((number.max(initial=-1) + 1, k * k))
    np.add.at(counts, (number, codes(y_true, order) * k + codes(y_pred, order)), 1)
    return counts


def _kinds(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows and how often each occurs; rows are compared as bytes, which is fast."""
    rows = np.ascontiguousarray(counts).view(np.dtype((np.void, counts.shape[1] * counts.itemsize))).ravel()
    _, first, numbers = np.unique(rows, return_index=True, return_counts=True)
    return counts[first], numbers


def _resample(kinds: np.ndarray, numbers: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Draw as many units as there are, with replacement, and add up their counts, (draws, cells)."""
    total = int(numbers.sum())
    if total < 2:
        raise MetricError(f"an interval needs at least two independent groups, found {total}; report no interval")
    return np.random.default_rng(seed).multinomial(total, numbers / total, size=draws).astype(float) @ kinds


def _interval(value: np.ndarray, drawn: np.ndarray, n: int) -> Interval:
    low, high = percentile_bounds(drawn)
    if np.ndim(value) == 0:
        return Interval(float(value), float(low), float(high), n)
    return Interval(np.asarray(value), low, high, n)


def mean_interval(values: Sequence[float], seed: int, draws: int = DRAWS) -> Interval:
    """Return the mean of independent values with its interval.

    Raises
    ------
    MetricError
        If there are fewer than two values or one is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        raise MetricError(f"an interval needs at least two finite values, found {np.isfinite(values).sum()}")
    counts = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    low, high = percentile_bounds(counts @ values / len(values))
    return Interval(float(values.mean()), float(low), float(high), len(values))
