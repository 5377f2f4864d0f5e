"""Oversampling that works for every class, however small, and an audit of what synthetic rows were made from."""

from collections import Counter

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator

from wbc_utils.models import ModelError

_COLLINEAR = 1e-6  # detour over a pair of source rows, in units of the spread of their class, that counts as none


class SafeSMOTE(BaseEstimator):
    """Raise every class to the size of the largest: by SMOTE, or by copies where a class is too small for it.

    SMOTE makes a row between a member of a class and one of its ``k_neighbors`` nearest members, so it needs more
    than ``k_neighbors`` members. A smaller class is oversampled at random instead and listed in ``fallback_``. Original
    rows come first, in their order. To be used as a step of an imbalanced-learn pipeline, which resamples the
    training part alone.

    Parameters
    ----------
    k_neighbors
        Neighbours of SMOTE.
    random_state
        Seed.

    Attributes
    ----------
    fallback_ : dict
        Members of each class that was oversampled by copies, in the rows last resampled.

    References
    ----------
    N. V. Chawla et al. (2002), *SMOTE: synthetic minority over-sampling technique*.
    """

    def __init__(self, k_neighbors: int = 3, random_state: int = 0):
        self.k_neighbors = k_neighbors
        self.random_state = random_state

    def fit_resample(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """Return the rows and labels, (n, features) and (n,), followed by the added ones."""
        members = Counter(np.asarray(y).tolist())
        largest = max(members.values())
        self.fallback_ = {label: n for label, n in members.items() if n <= self.k_neighbors}
        smote = SMOTE(
            sampling_strategy={label: largest for label in members if label not in self.fallback_},
            k_neighbors=self.k_neighbors,
            random_state=self.random_state,
        )
        copies = RandomOverSampler(
            sampling_strategy=dict.fromkeys(self.fallback_, largest), random_state=self.random_state
        )
        resampled = X, y
        for sampler in (smote, copies):
            if sampler.sampling_strategy:
                resampled = sampler.fit_resample(*resampled)
        return resampled


def source_rows(
    original: np.ndarray, y: np.ndarray, resampled: np.ndarray, labels: np.ndarray, k_neighbors: int
) -> np.ndarray:
    """Find the two original rows that each resampled row lies between, from the rows alone.

    A row x made by SMOTE lies on the segment from a row a to one of its neighbours b: |x − a| + |x − b| = |a − b|.
    For an original row or a copy both sources are that row. Nothing that the sampler says is trusted.

    Parameters
    ----------
    original, y
        Rows, (n, features), and their classes, (n,).
    resampled, labels
        Rows, (m, features), and classes, (m,), after resampling, in the space in which it was done.
    k_neighbors
        Neighbours of the sampler.

    Returns
    -------
    numpy.ndarray
        Positions in ``original``, (m, 2) int; input of check WBC005.

    Raises
    ------
    ModelError
        If a row lies on no such segment.
    """
    found = np.empty((len(resampled), 2), dtype=int)
    for label in np.unique(labels):
        own, made = np.flatnonzero(y == label), np.flatnonzero(labels == label)
        apart = cdist(original[own], original[own])
        near = np.argsort(apart, axis=1, kind="stable")[:, : k_neighbors + 1]
        start, end = np.repeat(np.arange(len(own)), near.shape[1]), near.ravel()
        itself = np.arange(len(own))
        start, end = np.concatenate([itself, start]), np.concatenate([itself, end])
        away = cdist(resampled[made], original[own])
        detour = away[:, start] + away[:, end] - apart[start, end]
        best = detour.argmin(axis=1)
        lost = detour[np.arange(len(made)), best] > _COLLINEAR * max(apart.max(), 1)
        if lost.any():
            raise ModelError(
                f"{lost.sum()} rows of class {label} lie between no two neighbours of the original table; give the "
                f"table that was resampled, scaled as it was, and its k_neighbors (now {k_neighbors})"
            )
        found[made] = own[np.column_stack([start[best], end[best]])]
    return found
