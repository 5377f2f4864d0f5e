"""Statements about the granulocytic lineage, made testable on neighbours and centroids."""

from collections.abc import Collection, Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import Interval, percentile_bounds
from wbc_utils.metrics.exact import where_certain
from wbc_utils.metrics.groups import group_mean_interval, group_sums, resampled_sums

PRECURSORS = ("PMY", "MY", "MMY")
"""Granulocytic precursors: promyelocyte, myelocyte, metamyelocyte."""

MATURATION = ("PMY", "MY", "MMY", "BNE", "SNE")
"""Stages of the neutrophil in the order of maturation."""


class Blob(NamedTuple):
    """Whether some types form one indistinct group.

    Attributes
    ----------
    inside
        Share of the neighbours of a cell of these types that are of these types: 1 is a closed group.
    same
        Share of those neighbours that are of the cell's own type.
    over_chance
        By how much ``same`` exceeds the share that neighbours drawn from the group's other cells would give: the group
        is indistinct if this is not above zero.
    """

    inside: Interval
    same: Interval
    over_chance: Interval

    @property
    def chance(self) -> float:
        """The share of neighbours of the same type if they were drawn from the group's other cells."""
        return self.same.value - self.over_chance.value


def blob(
    near: np.ndarray, labels: Sequence[str], groups: Sequence[Hashable], types: Collection[str], seed: int
) -> Blob:
    """Ask whether some types form one group, and whether they can be told apart inside it.

    Shares of 0 or 1 have exact limits.

    Parameters
    ----------
    near
        Labels of the k nearest neighbours of each item, (n, k).
    labels, groups
        Label and duplicate cluster of each item, (n,).
    types
        The types in question.
    seed
        Of the intervals.

    Raises
    ------
    MetricError
        If no item is of these types or none of their neighbours is; if there are fewer than two groups.
    """
    labels, near, types = np.asarray(labels), np.asarray(near), list(types)
    own = np.isin(labels, types)
    if not own.any():
        raise MetricError(f"no item is of the types {', '.join(types)}")
    member = np.isin(near[own], types)
    if not member.any():
        raise MetricError(f"no neighbour of {', '.join(types)} is one of them; the share inside is zero, no more")
    same = near[own] == labels[own, None]
    inside = group_mean_interval(member.mean(axis=1), np.asarray(groups)[own], seed)
    others = pd.Series(labels[own]).map(pd.Series(labels[own]).value_counts()).to_numpy() - 1
    expected = member.sum(axis=1) * others / max(own.sum() - 1, 1)
    columns = [same.sum(axis=1), same.sum(axis=1) - expected, member.sum(axis=1)]
    sums = group_sums(np.column_stack(columns), np.asarray(groups)[own])
    drawn = resampled_sums(sums, seed)
    drawn = drawn[drawn[:, 2] > 0]
    low, high = percentile_bounds(drawn[:, :2] / drawn[:, 2:])
    values = sums[:, :2].sum(axis=0) / sums[:, 2].sum()
    same_type, excess = (Interval(*map(float, bounds), len(sums)) for bounds in zip(values, low, high, strict=True))
    return Blob(where_certain(inside), where_certain(same_type), excess)


def rank_correlation(distances: pd.DataFrame, stages: Sequence[str]) -> float:
    """Return Spearman's ρ of the distance of two centroids and the number of stages between them.

    Parameters
    ----------
    distances
        Between class centroids, (k, k), classes as index and columns.
    stages
        At least three classes in the order of maturation.

    Raises
    ------
    MetricError
        If there are fewer than three stages, or one is not in the table.
    """
    if len(stages) < 3 or not set(stages) <= set(distances.index):
        raise MetricError(f"stages {list(stages)} of classes {list(distances.index)}; give at least three of them")
    one, other = np.triu_indices(len(stages), 1)
    table = distances.loc[list(stages), list(stages)].to_numpy()
    return float(spearmanr(table[one, other], other - one).statistic)
