"""What a picture of an embedding cannot give: how pure, how separated, how faithful, how linearly readable it is.

Distances are Euclidean. They are computed block by block; memory grows with the items, not with their pairs.

References
----------
P. J. Rousseeuw (1987), *Silhouettes*. J. Venna, S. Kaski (2001), *Neighborhood Preservation in Nonlinear Projection
Methods* (trustworthiness). G. Alain, Y. Bengio (2017), *Understanding intermediate layers using linear classifier
probes*.
"""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_chunked, silhouette_samples
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import group_numbers
from wbc_utils.metrics.classification import codes

NEIGHBOURS = 10
"""Neighbours of an item where nothing else is asked for."""

_BLOCK_MIB = 256  # of the distance table held in memory
_PENALTY = 0.1  # scikit-learn's C of the probe; 0.01 to 0.1 give the same macro-F1 on standardised features
_TOLERANCE = 1e-3  # largest gradient left; ten times less changes macro-F1 by under 0.003 and takes three times as long


@dataclass(frozen=True)
class Probe:
    """Out-of-fold predictions of a linear probe.

    Attributes
    ----------
    classes
        The k classes in alphabetical order, the columns of ``probabilities``.
    y_pred
        Predicted class of each item, (n,).
    probabilities
        (n, k); zero for a class that the fold of the item had no training item of.
    """

    classes: tuple
    y_pred: np.ndarray
    probabilities: np.ndarray


def nearest(embeddings: np.ndarray, k: int = NEIGHBOURS, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Return the rows of the k nearest other items, the nearest first, (n, k) int.

    Parameters
    ----------
    embeddings
        One row an item, (n, d).
    k
        Number of neighbours.
    groups
        Duplicate cluster of each item, (n,); members of the same one are not counted as neighbours.

    Raises
    ------
    MetricError
        If an item has fewer than k others outside its group, k < 1, lengths differ, or a value is not finite.
    """
    embeddings = _require_finite(embeddings)
    group = np.arange(len(embeddings)) if groups is None else group_numbers(groups)
    _require_length(embeddings, groups=group)
    others = len(group) - np.bincount(group).max()
    if not 1 <= k <= others:
        raise MetricError(f"{k} neighbours; some item has only {others} others outside its group, give 1 to {others}")

    def rows(distances: np.ndarray, start: int) -> np.ndarray:
        distances[group[start : start + len(distances), None] == group] = np.inf
        near = np.argpartition(distances, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
        return np.take_along_axis(near, order, axis=1)

    return _by_block(embeddings, rows)


def knn_purity(
    embeddings: np.ndarray,
    labels: Sequence[Hashable],
    k: int = NEIGHBOURS,
    groups: Sequence[Hashable] | None = None,
) -> np.ndarray:
    """Return the share of each item's k nearest neighbours that have its label, (n,).

    Parameters
    ----------
    labels
        Class of each item, (n,).
    embeddings, k, groups
        As `nearest`.

    Raises
    ------
    MetricError
        As `nearest`.
    """
    labels = np.asarray(labels)
    _require_length(embeddings, labels=labels)
    return (labels[nearest(embeddings, k, groups)] == labels[:, None]).mean(axis=1)


def silhouette(embeddings: np.ndarray, labels: Sequence[Hashable]) -> np.ndarray:
    """Return (b − a) / max(a, b) of each item, (n,), from −1 to 1; 0 for the only item of its class (Rousseeuw 1987).

    a is the mean distance to the other items of its class, b the smallest mean distance to the items of another.

    Parameters
    ----------
    embeddings, labels
        As `knn_purity`.

    Raises
    ------
    MetricError
        If there are fewer than two classes or no more items than classes, lengths differ, or a value is not finite.
    """
    embeddings = _require_finite(embeddings)
    _require_length(embeddings, labels=labels)
    number = len(set(labels))
    if not 2 <= number < len(embeddings):
        raise MetricError(f"{number} classes of {len(embeddings)} items; silhouettes need two classes and more items")
    return silhouette_samples(embeddings, labels)


def trustworthiness(high: np.ndarray, low: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Return how far neighbours in a projection are neighbours in the space it shows; 1 if all are.

    1 − 2 / (n k (2n − 3k − 1)) Σ_i Σ_j (r(i, j) − k)⁺ over the k nearest j of i in the projection, where r is the rank
    of j among the neighbours of i in the original space (Venna, Kaski 2001, equation 1).

    Parameters
    ----------
    high, low
        Original space, (n, d), and projection of the same items, (n, 2).
    k
        Neighbours in the projection, fewer than n / 2.

    Raises
    ------
    MetricError
        If lengths differ, k is too large, or a value is not finite.
    """
    high = _require_finite(high)
    _require_length(high, projected=low)
    n = len(high)
    if not 1 <= k < n / 2:
        raise MetricError(f"{k} neighbours of {n} items; trustworthiness is defined for 1 to fewer than {n / 2:g}")
    near = nearest(low, k)

    def excess(distances: np.ndarray, start: int) -> np.ndarray:
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        own = near[start : start + len(distances)]
        ranks = [1 + (distances < distances[rows, column, None]).sum(axis=1) for column in own.T]
        return np.maximum(np.array(ranks) - k, 0).sum(axis=0)

    return float(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * _by_block(high, excess).sum())


def linear_probe(
    embeddings: np.ndarray, labels: Sequence[Hashable], groups: Sequence[Hashable], folds: int, seed: int
) -> Probe:
    """Predict each item by a standardised multinomial logistic regression fitted to the other folds.

    Parameters
    ----------
    embeddings, labels
        As `knn_purity`.
    groups
        Group (duplicates, patient) of each item, (n,); none is divided between folds.
    folds, seed
        Number of folds, stratified by class, and the seed of their making.

    Raises
    ------
    MetricError
        If there are fewer groups than folds, no class has as many items as there are folds, a fold would train on one
        class only, lengths differ, or a value is not finite.
    """
    embeddings, group, labels = _require_finite(embeddings), group_numbers(groups), np.asarray(labels)
    _require_length(embeddings, labels=labels, groups=group)
    classes, y = np.unique(labels, return_inverse=True)
    most = min(group.max() + 1, np.bincount(y).max())
    if not 2 <= folds <= most:
        raise MetricError(f"{folds} folds; groups and class sizes allow 2 to {most}")
    probabilities = np.zeros((len(y), len(classes)))
    with warnings.catch_warnings():
        # a class with fewer items than folds is allowed; it is then absent from some of them
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(embeddings, y, group))
    for train, test in parts:
        present = np.unique(y[train])
        if len(present) < 2:
            raise MetricError(f"a fold trains on {classes[present].tolist()} only; use fewer folds or more groups")
        model = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALTY, tol=_TOLERANCE, max_iter=1000))
        probabilities[np.ix_(test, present)] = model.fit(embeddings[train], y[train]).predict_proba(embeddings[test])
    return Probe(tuple(classes.tolist()), classes[probabilities.argmax(axis=1)], probabilities)


def centroids(embeddings: np.ndarray, labels: Sequence[Hashable], order: Sequence[Hashable]) -> pd.DataFrame:
    """Return the mean embedding of each class, one row a class in the given order, (k, d).

    Raises
    ------
    MetricError
        If a class has no item, a label is not in ``order``, lengths differ, or a value is not finite.
    """
    embeddings = _require_finite(embeddings)
    _require_length(embeddings, labels=labels)
    place = codes(labels, order)
    number = np.bincount(place, minlength=len(order))
    if not number.all():
        absent = [str(name) for name, items in zip(order, number, strict=True) if not items]
        raise MetricError(f"classes {absent} have no item and no centroid; take them out of the order")
    return pd.DataFrame(embeddings.astype(float)).groupby(place).mean().set_axis(list(order))


def centroid_distances(embeddings: np.ndarray, labels: Sequence[Hashable], order: Sequence[Hashable]) -> pd.DataFrame:
    """Return the Euclidean distances between the class centroids, (k, k), classes as index and columns.

    Raises
    ------
    MetricError
        As `centroids`.
    """
    means = centroids(embeddings, labels, order)
    return pd.DataFrame(cdist(means, means), index=means.index, columns=means.index)


def nearest_class(distances: pd.DataFrame) -> pd.Series:
    """Return for each class the one whose centroid is nearest to its own; the first of several equally near ones.

    Parameters
    ----------
    distances
        As `centroid_distances` returns them, of two classes or more.
    """
    return distances.mask(np.eye(len(distances), dtype=bool)).idxmin(axis=1)


def _by_block(embeddings: np.ndarray, reduce: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Apply a function to the distances of some items to all, (rows, n), and their first row; join the results."""
    return np.concatenate(list(pairwise_distances_chunked(embeddings, reduce_func=reduce, working_memory=_BLOCK_MIB)))


def _require_finite(embeddings: np.ndarray) -> np.ndarray:
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or not embeddings.size:
        raise MetricError(f"embeddings of shape {embeddings.shape}; give one row an item, (n, d)")
    bad = int((~np.isfinite(embeddings)).any(axis=1).sum())
    if bad:
        raise MetricError(f"{bad} of {len(embeddings)} embeddings are not finite; leave them out and say so")
    return embeddings


def _require_length(embeddings: np.ndarray, **columns: Sequence) -> None:
    for what, column in columns.items():
        if len(column) != len(embeddings):
            raise MetricError(f"{len(embeddings)} embeddings and {len(column)} {what}; give one of each per item")
