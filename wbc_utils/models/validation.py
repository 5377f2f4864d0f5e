"""Cross-validation in which everything is refitted inside the fold.

Folds are given, not made: they come from the split tables of notebook 01. ``jobs`` is the number of folds (or of
candidates of a search) that are fitted side by side, each in a process that joblib keeps to its share of the cores.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from imblearn.pipeline import Pipeline
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from wbc_utils.metrics.bootstrap import Interval, Statistic, grouped_interval, paired_difference
from wbc_utils.metrics.classification import confusion, macro_f1
from wbc_utils.models.classical import classifier_grid
from wbc_utils.models.table import Choose, FeatureTable

Folder = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From classes and groups to fold numbers, such as ``wbc_utils.data.splits.group_folds`` with its k and seed set."""


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions: each cell is predicted once, by a model that saw nothing of its group.

    Attributes
    ----------
    table
        What was validated.
    y_pred
        Predicted class of each cell, (n,) str.
    trained
        Rows that each fold trained on, before resampling.
    fallbacks
        ``fold``, ``class``, ``members``: classes too small for SMOTE in that fold, oversampled by copies instead.
    seconds
        Wall time.
    """

    table: FeatureTable
    y_pred: np.ndarray
    trained: tuple[int, ...]
    fallbacks: pd.DataFrame
    seconds: float

    def confusion(self, order: Sequence[str]) -> np.ndarray:
        """Return the confusion matrix, rows true and columns predicted, (k, k)."""
        return confusion(self.table.y, self.y_pred, order)

    def interval(self, order: Sequence[str], seed: int, statistic: Statistic = macro_f1) -> Interval:
        """Return a score with its interval over groups."""
        return grouped_interval(self.table.y, self.y_pred, self.table.groups, statistic, order, seed)

    def gain_over(self, other: "Predictions", order: Sequence[str], seed: int) -> Interval:
        """Return by how much macro-F1 exceeds that of other predictions of the same cells, with its interval."""
        return paired_difference(self.table.y, other.y_pred, self.y_pred, self.table.groups, macro_f1, order, seed)

    def frame(self) -> pd.DataFrame:
        """Return one row a cell: ``true``, ``predicted``, ``fold``, ``group``."""
        return pd.DataFrame(
            {"true": self.table.y, "predicted": self.y_pred, "fold": self.table.folds, "group": self.table.groups}
        )


@dataclass(frozen=True)
class Comparison:
    """Predictions of the same cells in different ways; the first is what the others are compared with."""

    results: Mapping[str, Predictions]

    def frame(self, order: Sequence[str], seed: int) -> pd.DataFrame:
        """Return one row a way.

        Columns: ``way``, ``macro-F1``, ``low``, ``high``; ``difference`` to the first way with ``difference low`` and
        ``difference high`` (missing for the first itself); ``trained`` rows a fold; ``seconds``.
        """
        first = next(iter(self.results.values()))
        rows = []
        for way, result in self.results.items():
            score = result.interval(order, seed)
            row = {"way": way, "macro-F1": score.value, "low": score.low, "high": score.high}
            if result is not first:
                gain = result.gain_over(first, order, seed)
                row |= {"difference": gain.value, "difference low": gain.low, "difference high": gain.high}
            rows.append(row | {"trained": round(np.mean(result.trained)), "seconds": result.seconds})
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class NestedSearch:
    """A grid search inside each outer fold.

    Attributes
    ----------
    predictions
        Of each outer fold, by the candidate that its own inner folds chose.
    candidates
        ``fold``, one column a parameter, inner ``macro-F1`` and its ``deviation`` over inner folds, ``seconds`` a
        fit, ``chosen``.
    """

    predictions: Predictions
    candidates: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """Return one row an outer fold and candidate."""
        return self.candidates


def grouped_cv_predict(
    model: Pipeline, table: FeatureTable, choose: Choose | None = None, jobs: int = 1
) -> Predictions:
    """Predict each cell by a model fitted to the other folds, scaler and resampling included.

    A class that is missing from the training rows of a fold is never predicted there: its cells count as errors.

    Parameters
    ----------
    model
        Cloned for each fold.
    table
        Cells with their folds.
    choose
        Narrows the training rows of a fold (a long-tailed draw, a part of the data); the tested cells stay.
    jobs
        Folds fitted side by side.

    Raises
    ------
    ModelError
        As `wbc_utils.models.table.FeatureTable.parts`.
    """
    started = time.perf_counter()
    parts = table.parts(choose)
    fitted = Parallel(n_jobs=jobs)(
        delayed(_fit_predict)(clone(model), table.features[train], table.y[train], table.features[test])
        for _, train, test in parts
    )
    return _collect(table, parts, fitted, started)


def nested_search(
    model: Pipeline, table: FeatureTable, grid: Mapping[str, Sequence], inner: Folder, jobs: int = 1
) -> NestedSearch:
    """Choose settings on inner folds of the training rows, then predict the outer fold, so that it decides nothing.

    Parameters
    ----------
    model
        Cloned for each fold.
    table
        Cells with their outer folds.
    grid
        Values to try of the classifier's own parameters.
    inner
        Makes the inner folds of the training rows from their classes and groups.
    jobs
        Candidates fitted side by side.

    Raises
    ------
    ValueError
        If a parameter does not exist; whatever a candidate's fit raises.
    """
    started = time.perf_counter()
    parts, fitted, tables = table.parts(), [], []
    for fold, train, test in parts:
        number = inner(table.y[train], table.groups[train])
        splits = [(np.flatnonzero(number != one), np.flatnonzero(number == one)) for one in np.unique(number)]
        search = GridSearchCV(
            model, classifier_grid(model, grid), scoring="f1_macro", cv=splits, n_jobs=jobs, error_score="raise"
        ).fit(table.features[train], table.y[train])
        fitted.append((search.predict(table.features[test]), _fallback(search.best_estimator_)))
        tables.append(_candidates(search, grid, fold))
    return NestedSearch(_collect(table, parts, fitted, started), pd.concat(tables, ignore_index=True))


def _fit_predict(model: Pipeline, features: np.ndarray, y: np.ndarray, tested: np.ndarray) -> tuple[np.ndarray, dict]:
    model.fit(features, y)
    return model.predict(tested), _fallback(model)


def _fallback(model: Pipeline) -> dict[str, int]:
    return model["resampler"].fallback_ if "resampler" in model.named_steps else {}


def _collect(table: FeatureTable, parts: list, fitted: list, started: float) -> Predictions:
    y_pred = np.empty_like(table.y)
    small = []
    for (fold, _, test), (predicted, fallback) in zip(parts, fitted, strict=True):
        y_pred[test] = predicted
        small += [(fold, label, members) for label, members in fallback.items()]
    return Predictions(
        table,
        y_pred,
        tuple(len(train) for _, train, _ in parts),
        pd.DataFrame(small, columns=["fold", "class", "members"]),
        time.perf_counter() - started,
    )


def _candidates(search: GridSearchCV, grid: Mapping[str, Sequence], fold: int) -> pd.DataFrame:
    found = search.cv_results_
    tried = pd.DataFrame([list(params.values()) for params in found["params"]], columns=list(found["params"][0]))
    tried.columns = [name.rpartition("__")[2] for name in tried.columns]
    scores = {
        "macro-F1": found["mean_test_score"],
        "deviation": found["std_test_score"],
        "seconds": found["mean_fit_time"],
        "chosen": np.arange(len(tried)) == search.best_index_,
    }
    return pd.concat([pd.Series(fold, index=tried.index, name="fold"), tried, pd.DataFrame(scores)], axis=1)
