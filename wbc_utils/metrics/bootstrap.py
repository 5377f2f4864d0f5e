"""Intervals by the percentile bootstrap over confusion matrices: of items, of groups, of two models' difference.

Groups with equal confusion counts are exchangeable. A resample of groups is therefore one multinomial draw over the
distinct kinds of group, and its confusion matrix a matrix product; no draw touches the items again. Where every item
is its own group this is the multinomial draw over the cells of the confusion matrix.

A class of which all units are right, or none, is so in every resample, and of the chance of its recall the bootstrap
knows nothing: an F1 of 0 after two cells would count as certain. `loosened` draws such a recall from Jeffreys'
posterior; a bound is the outer one of resamples with and without it.

References
----------
B. Efron, R. Tibshirani (1993), *An Introduction to the Bootstrap*, chapters 8 (grouped data) and 13 (percentile).
L. D. Brown, T. T. Cai, A. DasGupta (2001), *Interval estimation for a binomial proportion*, Statistical Science 16.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta

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
    drawn = _resample(kinds, confusion.ravel()[cells], seed, draws).reshape(-1, *confusion.shape)
    both = [statistic(some) for some in (drawn, loosened(drawn, confusion, confusion.sum(axis=1), seed))]
    return _interval(statistic(confusion), both, int(confusion.sum()))


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
    shape = (-1, len(order), len(order))
    drawn, whole = _resample(*_kinds(counts), seed, draws).reshape(shape), counts.sum(axis=0).reshape(shape)[0]
    both = [statistic(some) for some in (drawn, loosened(drawn, whole, _units(counts, shape), seed))]
    return _interval(statistic(whole), both, len(counts))


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
    counts = [_group_counts(y_true, y_pred, groups, order) for y_pred in (y_first, y_second)]
    shape = (-1, 2, len(order), len(order))
    whole = np.hstack(counts).sum(axis=0).reshape(shape)[0]
    drawn = _resample(*_kinds(np.hstack(counts)), seed, draws).reshape(shape)
    units = _units(counts[0], (-1, len(order), len(order)))
    loose = np.stack([loosened(drawn[:, one], whole[one], units, seed) for one in (0, 1)], axis=1)
    found = statistic(whole)
    both = [scores[:, 1] - scores[:, 0] for scores in (statistic(drawn), statistic(loose))]
    return _interval(found[1] - found[0], both, len(counts[0]))


def loosened(drawn: np.ndarray, whole: np.ndarray, units: np.ndarray, seed: int) -> np.ndarray:
    """Return resampled confusion matrices with another recall of each class that is all right, or all wrong, in whole.

    The recall of a resample comes from Beta(x + ½, n − x + ½) with x = n or 0 of the n units. What is no longer wrong
    is taken from all other columns in proportion; what is no longer right is shared among those that occur. Equal seeds
    draw equal quantiles, so that two models that are both certain of a class do not come apart.

    Parameters
    ----------
    drawn
        Resampled matrices, (draws, k, c); columns beyond the k-th are of items that got no class.
    whole
        The matrix that they are resampled from, (k, c).
    units
        Independent units of each true class, (k,).
    seed
        Of the quantiles.
    """
    loose, (k, columns) = drawn.copy(), whole.shape
    quantile = np.random.default_rng([seed, k]).random((len(drawn), k))
    occurs = whole.any(axis=0) | np.pad(whole.any(axis=1), (0, columns - k), constant_values=True)
    for label in range(k):
        hits, total = whole[label, label], whole[label].sum()
        others = occurs & (np.arange(columns) != label)
        if total and others.any() and hits in (0, total):
            right = units[label] if hits else 0
            recall = beta.ppf(quantile[:, label], right + 0.5, units[label] - right + 0.5)
            own = drawn[:, label].sum(axis=1)
            elsewhere = np.outer(own, others / others.sum()) if hits else drawn[:, label]
            loose[:, label] = (1 - recall)[:, None] * elsewhere
            loose[:, label, label] = recall * own
    return loose


def outer_bounds(several: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the outer ones of the `percentile_bounds` of several sets of draws."""
    low, high = zip(*(percentile_bounds(drawn) for drawn in several), strict=True)
    return np.minimum.reduce(low), np.maximum.reduce(high)


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


def _units(counts: np.ndarray, shape: tuple) -> np.ndarray:
    """Count the groups that show each class, (k,)."""
    return (counts.reshape(shape).sum(axis=2) > 0).sum(axis=0)


def _interval(value: np.ndarray, several: Sequence[np.ndarray], n: int) -> Interval:
    low, high = outer_bounds(several)
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
