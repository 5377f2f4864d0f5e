"""Does a feature measure what it claims? Its association with what a human saw, with an interval.

Rank correlation against ordered attributes, area under the ROC curve against attributes of two values. Both follow
from mid-ranks, and the mid-ranks of a resample follow from how often each item was drawn, so that the bootstrap over
groups needs neither the items again nor a sort.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import group_numbers, percentile_bounds

DRAWS = 1000
_AT_ONCE = 100  # resamples held in memory together


@dataclass(frozen=True)
class Association:
    """How a feature goes with a human attribute.

    Attributes
    ----------
    measure
        ``AUC`` for two values (0.5 = none), ``Spearman's ρ`` for more (0 = none).
    value, low, high
        The measure and its 95 % interval.
    n
        Items used.
    """

    measure: str
    value: float
    low: float
    high: float
    n: int


def association(
    feature: np.ndarray,
    attribute: Sequence[Hashable],
    order: Sequence[Hashable],
    groups: Sequence[Hashable],
    seed: int,
    draws: int = DRAWS,
) -> Association:
    """Measure the association of a feature with a human attribute, with an interval over groups.

    Parameters
    ----------
    feature
        Values, (n,).
    attribute
        What the human saw, (n,). Items whose value is not in ``order`` (or missing) are left out; ``n`` says how
        many were used.
    order
        Values of the attribute from low to high: two for an AUC, more for a rank correlation.
    groups
        Duplicate cluster of each item, (n,); whole groups are resampled.
    seed, draws
        Of the bootstrap; resamples in which the attribute has one value only are left out.

    Raises
    ------
    MetricError
        If lengths differ, fewer than two values are ordered, a feature value is not finite, a value of the order does
        not occur, the feature is constant, or there are fewer than two groups.
    """
    level = pd.Series(list(attribute)).map({value: rank for rank, value in enumerate(order)}).to_numpy(dtype=float)
    feature = np.asarray(feature, dtype=float)
    if not len(feature) == len(level) == len(groups):
        found = f"{len(feature)} feature values, {len(level)} attributes and {len(groups)} groups"
        raise MetricError(f"{found}; give one of each per item")
    used = ~np.isnan(level)
    group = np.unique(group_numbers(groups)[used], return_inverse=True)[1]
    feature, level = feature[used], level[used].astype(int)
    _require_usable(feature, level, group, order)
    name, measure = ("AUC", _auc) if len(order) == 2 else ("Spearman's ρ", _spearman)
    once = np.ones((1, len(feature)))
    value = measure(_midranks(feature, once), level, once)
    low, high = percentile_bounds(
        np.concatenate(
            [measure(_midranks(feature, weights), level, weights) for weights in _resamples(group, seed, draws)]
        )
    )
    return Association(name, float(value[0]), float(low), float(high), len(feature))


def _resamples(group: np.ndarray, seed: int, draws: int) -> Iterator[np.ndarray]:
    """Draw as many groups as there are, with replacement; yield how often each item occurs, (some draws, n)."""
    rng = np.random.default_rng(seed)
    number = group.max() + 1
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        yield rng.multinomial(number, np.full(number, 1 / number), size=size)[:, group]


def _require_usable(feature: np.ndarray, level: np.ndarray, group: np.ndarray, order: Sequence[Hashable]) -> None:
    if len(order) < 2:
        raise MetricError(f"the order {list(order)} needs at least two values")
    bad = np.flatnonzero(~np.isfinite(feature))
    if len(bad):
        raise MetricError(
            f"{len(bad)} of {len(feature)} feature values are not finite; leave these items out and say so"
        )
    absent = [str(value) for rank, value in enumerate(order) if not (level == rank).any()]
    if absent:
        raise MetricError(f"no item has the attribute value {', '.join(absent)}; take it out of the order")
    if (feature == feature[0]).all():
        raise MetricError("the feature is constant; it cannot be associated with anything")
    if group.max() < 1:
        raise MetricError("an interval needs at least two independent groups, found 1; report no interval")


def _midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mid-rank of each item if item i occurs ``weights[:, i]`` times, (draws, n)."""
    _, tied = np.unique(values, return_inverse=True)
    order = np.argsort(tied, kind="stable")
    starts = np.flatnonzero(np.diff(tied[order], prepend=-1))
    occurring = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(occurring, axis=1) - (occurring - 1) / 2)[:, tied]


def _auc(ranks: np.ndarray, level: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the Mann–Whitney estimate of P(high > low) + P(tie) / 2, (draws,)."""
    high = weights * (level == 1)
    many, few = high.sum(axis=1), weights.sum(axis=1) - high.sum(axis=1)
    above = (ranks * high).sum(axis=1) - many * (many + 1) / 2
    return _where_defined(above, many * few)


def _spearman(ranks: np.ndarray, level: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted correlation of the mid-ranks, (draws,)."""
    others = _midranks(level, weights)
    total = weights.sum(axis=1, keepdims=True)
    one = ranks - (weights * ranks).sum(axis=1, keepdims=True) / total
    other = others - (weights * others).sum(axis=1, keepdims=True) / total
    spread = (weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1)
    return _where_defined((weights * one * other).sum(axis=1), np.sqrt(spread))


def _where_defined(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
