"""Splits and folds in which what belongs together stays together: duplicate clusters, patients.

Three ways to divide items, all deterministic given the seed: named splits with wanted fractions, folds stratified by
one label, folds stratified by several properties at once. A class with fewer groups than parts cannot be in every
part: it goes to as many as it can, and check ``WBC003`` says so.
"""

import warnings
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from sklearn.model_selection import StratifiedGroupKFold


class SplitError(ValueError):
    """A division that was asked for and cannot be made."""


def stratified_groups(
    labels: Sequence[Hashable], groups: Sequence[Hashable], fractions: Mapping[str, float], seed: int
) -> np.ndarray:
    """Divide items into named splits that keep groups whole and class shares close to the wanted ones.

    Groups are placed one after the other, larger ones first, equal ones in random order; each goes where it
    lowers Σ (found − wanted)² / wanted over splits and classes most. With groups of one item this is
    Webster's apportionment: each split gets its share of each class to within about one item. Where every class is too
    small to give a split one, the fullest split gives it a group of its commonest class, if there are groups enough.

    Parameters
    ----------
    labels, groups
        Class and group of each item, (n,).
    fractions
        Name and share of each split; positive, sum 1.
    seed
        Orders groups of equal size.

    Returns
    -------
    numpy.ndarray
        Name of the split of each item, (n,) object.

    Raises
    ------
    SplitError
        If the fractions are not positive or do not sum to 1, if a label or group is missing, or if lengths differ.
    """
    shares = np.array(list(fractions.values()), dtype=float)
    if not (len(shares) and (shares > 0).all() and np.isclose(shares.sum(), 1)):
        raise SplitError(f"the fractions {dict(fractions)} must be positive and sum to 1")
    classes, group = _codes(labels=labels, groups=groups)
    counts = _group_counts(group, classes, group.max() + 1)
    wanted = np.outer(shares, counts.sum(axis=0))
    placed = np.zeros_like(wanted)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    split = np.empty(len(counts), dtype=int)
    for number in order:
        added = counts[number]
        present = added > 0
        excess = (placed - wanted)[:, present]
        cost = ((2 * excess + added[present]) * added[present] / wanted[:, present]).sum(axis=1)
        split[number] = cost.argmin()
        placed[split[number]] += added
    for empty in np.setdiff1d(np.arange(len(shares)), split) if len(counts) >= len(shares) else []:
        fullest = np.bincount(split).argmax()
        givers = [number for number in order[::-1] if split[number] == fullest]
        given = givers[np.argmax([placed[fullest, counts[number] > 0].min() for number in givers])]
        placed[fullest] -= counts[given]
        split[given] = empty
    return np.array(list(fractions), dtype=object)[split[group]]


def group_folds(labels: Sequence[Hashable], groups: Sequence[Hashable], k: int, seed: int) -> np.ndarray:
    """Return the fold of each item, stratified by label, with groups whole.

    Parameters
    ----------
    labels, groups
        Class and group of each item, (n,).
    k
        Number of folds, at least 2.
    seed
        Shuffles the groups.

    Returns
    -------
    numpy.ndarray
        Fold in which the item is tested, 0 to k − 1, (n,) int.

    Raises
    ------
    SplitError
        If there are fewer groups or, in every class, fewer items than folds, if k < 2, if a label or group is
        missing, or if lengths differ.
    """
    classes, group = _codes(labels=labels, groups=groups)
    _require_groups(group, k)
    if np.bincount(classes).max() < k:
        raise SplitError(f"every class has fewer than {k} items; use at most {np.bincount(classes).max()} folds")
    folds = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # a class with fewer items than folds is allowed: check WBC003 reports it, in the page and not on the terminal
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return _fold_numbers(folds.split(group, classes, group), len(group))


def multilabel_folds(
    label_sets: Sequence[Sequence[Hashable]],
    size_bins: Sequence[Hashable],
    brightness_bins: Sequence[Hashable],
    groups: Sequence[Hashable],
    k: int,
    seed: int,
) -> np.ndarray:
    """Return the fold of each image, stratified by label set, cell-size bin and brightness bin, with groups whole.

    The scheme of report 000. A group counts as one sample that has every label and bin of its images.

    Parameters
    ----------
    label_sets
        Classes present in each image, (n,) of collections; may be empty.
    size_bins, brightness_bins
        Bin of the cell size and of the image brightness, (n,).
    groups
        Group of each image, (n,).
    k
        Number of folds, at least 2.
    seed
        Breaks ties.

    Returns
    -------
    numpy.ndarray
        Fold in which the image is tested, 0 to k − 1, (n,) int.

    Raises
    ------
    SplitError
        If there are fewer groups than folds, k < 2, a bin or group is missing, or lengths differ.

    References
    ----------
    K. Sechidis, G. Tsoumakas, I. Vlahavas (2011), *On the stratification of multi-label data*, as implemented by
    ``iterative-stratification``.
    """
    size, brightness, group = _codes(size_bins=size_bins, brightness_bins=brightness_bins, groups=groups)
    if len(label_sets) != len(group):
        raise SplitError(f"{len(label_sets)} label sets for {len(group)} groups; give one of each per image")
    _require_groups(group, k)
    several = [len(set(labels)) > 1 for labels in label_sets]
    memberships = [(row, label) for row, labels in enumerate(label_sets) for label in sorted(set(labels), key=repr)]
    n_groups = group.max() + 1
    columns = [_group_counts(group, codes, n_groups) for codes in (size, brightness, np.array(several, dtype=int))]
    if memberships:
        rows, names = zip(*memberships, strict=True)
        columns.append(_group_counts(group[list(rows)], pd.factorize(pd.Series(names, dtype=object))[0], n_groups))
    properties = np.hstack(columns) > 0
    folds = MultilabelStratifiedKFold(n_splits=k, shuffle=True, random_state=seed)
    return _fold_numbers(folds.split(properties, properties), len(properties))[group]


def _codes(**columns: Sequence[Hashable]) -> list[np.ndarray]:
    """Give each distinct value of a column its number, in the order of first appearance."""
    if len({len(values) for values in columns.values()}) != 1:
        found = ", ".join(f"{len(values)} {name}" for name, values in columns.items())
        raise SplitError(f"lengths differ: {found}; give one of each per item")
    coded = []
    for name, values in columns.items():
        codes = pd.factorize(pd.Series(list(values), dtype=object))[0]
        if (codes < 0).any():
            raise SplitError(
                f"{(codes < 0).sum()} of {len(codes)} {name} are missing; fill them in or drop these items"
            )
        coded.append(codes)
    if not len(coded[0]):
        raise SplitError("there is nothing to divide: no items were given")
    return coded


def _group_counts(group: np.ndarray, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Count the items of each code in each group, (groups, codes)."""
    counts = np.zeros((n_groups, codes.max() + 1))
    np.add.at(counts, (group, codes), 1)
    return counts


def _require_groups(group: np.ndarray, k: int) -> None:
    found = group.max() + 1
    if not 2 <= k <= found:
        raise SplitError(f"{k} folds of {found} groups are impossible; use 2 to {found} folds, or more groups")


def _fold_numbers(folds, n: int) -> np.ndarray:
    number = np.empty(n, dtype=int)
    for fold, (_, test) in enumerate(folds):
        number[test] = fold
    return number
