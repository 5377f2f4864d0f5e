"""A lesson, not a method: what oversampling before the split does to a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from wbc_utils.metrics.classification import confusion
from wbc_utils.models.resampling import SafeSMOTE, source_rows


@dataclass(frozen=True)
class LeakyPredictions:
    """Predictions of a table that was oversampled before it was split; original rows come first.

    Attributes
    ----------
    y_true, y_pred
        Class and prediction of each resampled row, (m,) str.
    folds
        Fold in which the row was tested, (m,) int.
    sources
        The two original rows that each row was made from, (m, 2) int; twice itself for an original row.
    n_original
        Number of original rows.
    """

    y_true: np.ndarray
    y_pred: np.ndarray
    folds: np.ndarray
    sources: np.ndarray
    n_original: int

    def confusion(self, order: Sequence[str]) -> np.ndarray:
        """Return the confusion matrix of all resampled rows, as a report that leaks would print it, (k, k)."""
        return confusion(self.y_true, self.y_pred, order)

    def confusion_of_originals(self, order: Sequence[str]) -> np.ndarray:
        """Return the confusion matrix of the original rows alone; still too good, (k, k)."""
        return confusion(self.y_true[: self.n_original], self.y_pred[: self.n_original], order)

    def provenance(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the sources of the training rows and the original rows tested, the input of check WBC005."""
        tested = np.flatnonzero(self.folds[: self.n_original] == fold)
        return self.sources[self.folds != fold], tested


def leaky_smote_cv(
    classifier: Any, features: np.ndarray, y: np.ndarray, k: int, seed: int, jobs: int = 1
) -> LeakyPredictions:
    """Scale and oversample the whole table, then cross-validate on random folds of what came out.

    This is wrong on purpose: rows made from a tested row are trained on, and made rows are tested.

    Parameters
    ----------
    classifier
        Fitted to scaled features.
    features, y
        Of each cell, (n, features), and classes, (n,).
    k
        Number of folds.
    seed
        Of resampling and folds.
    jobs
        Folds fitted side by side.
    """
    scaled = StandardScaler().fit_transform(features)
    sampler = SafeSMOTE(random_state=seed)
    rows, labels = sampler.fit_resample(scaled, np.asarray(y))
    splits = list(StratifiedKFold(k, shuffle=True, random_state=seed).split(rows, labels))
    predicted = Parallel(n_jobs=jobs)(
        delayed(_fit_predict)(clone(classifier), rows[train], labels[train], rows[test]) for train, test in splits
    )
    y_pred, folds = np.empty_like(labels), np.empty(len(labels), dtype=int)
    for fold, ((_, test), found) in enumerate(zip(splits, predicted, strict=True)):
        y_pred[test], folds[test] = found, fold
    sources = source_rows(scaled, np.asarray(y), rows, labels, sampler.k_neighbors)
    return LeakyPredictions(labels, y_pred, folds, sources, len(scaled))


def _fit_predict(classifier: Any, rows: np.ndarray, y: np.ndarray, tested: np.ndarray) -> np.ndarray:
    return classifier.fit(rows, y).predict(tested)
