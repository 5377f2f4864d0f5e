"""Batches that nobody wrote down: separate modes of the slide's colour, and groups of cells with like surroundings.

Data without patient or slide numbers can still show that cells were not photographed alike. Whether this flatters a
score is seen by keeping such groups whole when the folds are made.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from wbc_utils.data.splits import group_folds
from wbc_utils.images.stain import otsu
from wbc_utils.metrics.bootstrap import paired_difference
from wbc_utils.metrics.classification import confusion, macro_f1
from wbc_utils.models.classical import classifiers, pipeline
from wbc_utils.models.table import FeatureTable
from wbc_utils.models.validation import grouped_cv_predict

_SEPARATE = 4.0  # Ashman's D; the halves of a normal distribution have 2.7, those of a uniform one 3.5
_SMALLEST = 0.01  # of the values; fewer are outliers


def two_modes(values: np.ndarray) -> np.ndarray | None:
    """Part values at Otsu's threshold if they lie in two separate modes.

    Modes are separate if √2 |μ₁ − μ₂| / √(σ₁² + σ₂²) (Ashman's D) exceeds 4, which no halves of a single bell do, and
    each holds at least a hundredth of the values.

    Parameters
    ----------
    values
        (n,), finite.

    Returns
    -------
    numpy.ndarray or None
        True in the higher mode, bool (n,); None where there is one mode.

    References
    ----------
    K. Ashman, C. Bird, S. Zepf (1994), The Astronomical Journal 108, 2348-2361, equation 3.
    """
    values = np.asarray(values, dtype=float)
    high = values >= otsu(values)[0]
    if not _SMALLEST <= high.mean() <= 1 - _SMALLEST:
        return None
    distance = values[high].mean() - values[~high].mean()
    spread = np.hypot(values[high].std(), values[~high].std())
    return high if 2**0.5 * distance > _SEPARATE * spread else None


def tint(slides: np.ndarray) -> np.ndarray:
    """Return log(red / blue) of the colours of empty slides, 0 for grey, positive for yellow, (n,).

    Parameters
    ----------
    slides
        RGB, 1 to 255, (n, 3).
    """
    slides = np.asarray(slides, dtype=float)
    return np.log(slides[:, 0] / slides[:, 2])


def alike(measures: np.ndarray, number: int, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return which of some groups of like surroundings a cell is in, (n,) int: k-means of standardised measures.

    Parameters
    ----------
    measures
        Of the surroundings of each cell, (n, measures), finite.
    number
        Of groups.
    groups
        Duplicate cluster of each cell, (n,); all its members follow the first.
    seed
        Of the first centres.
    """
    found = KMeans(number, n_init=3, random_state=seed).fit_predict(StandardScaler().fit_transform(measures))
    return _as_first(found, groups)


def compare_folds(
    table: FeatureTable, measures: np.ndarray, numbers: Sequence[int], k: int, deals: int, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Compare folds that keep groups of like surroundings whole with folds that do not.

    The other folds have as many cells of each class in each fold, dealt out at random, several times. A lower score in
    the first is due to what cells of one group share beyond their class, or to surroundings unlike those trained on.

    Parameters
    ----------
    table
        Features of the cells themselves; its own folds are not used.
    measures
        Of the surroundings, (n, measures).
    numbers
        Numbers of groups to try, each at least k.
    k
        Number of folds.
    deals
        Number of random deals, at least 1.
    seed
        Of groups, folds, deals and bootstrap.
    jobs
        Folds fitted side by side.

    Returns
    -------
    pandas.DataFrame
        One row a number of ``groups``: macro-F1 in folds of ``whole groups`` and in ``random folds`` (mean over deals);
        their ``difference`` (whole − random) with ``low`` and ``high`` (95 %, bootstrap over the groups, mean over
        deals); ``spread of random folds``, largest − smallest score of random folds: a smaller difference says nothing.

    Raises
    ------
    wbc_utils.data.splits.SplitError
        If there are fewer groups than folds.
    """
    rows = []
    for number in numbers:
        group = alike(measures, number, table.groups, seed)
        folds = group_folds(table.y, group, k, seed)
        whole = _named(table, folds, seed, jobs)
        order, scores, changes = np.unique(table.y).tolist(), [], []
        for rng in np.random.default_rng(seed).spawn(deals):
            torn = _named(table, _dealt_again(folds, table, rng), seed, jobs)
            scores.append(float(macro_f1(confusion(table.y, torn, order))))
            change = paired_difference(table.y, torn, whole, group, macro_f1, order, seed)
            changes.append((change.value, change.low, change.high))
        score = float(macro_f1(confusion(table.y, whole, order)))
        rows.append((number, score, np.mean(scores), *np.mean(changes, axis=0), np.ptp(scores)))
    columns = ["groups", "whole groups", "random folds", "difference", "low", "high", "spread of random folds"]
    return pd.DataFrame(rows, columns=columns)


def _named(table: FeatureTable, folds: np.ndarray, seed: int, jobs: int) -> np.ndarray:
    """Return the predicted class of each cell, out of fold, (n,)."""
    model = pipeline(classifiers(seed)["RBF-SVM"], "weights", seed)
    return grouped_cv_predict(model, replace(table, folds=folds), jobs=jobs).y_pred


def _dealt_again(folds: np.ndarray, table: FeatureTable, rng: np.random.Generator) -> np.ndarray:
    """Deal the fold numbers of each class out again among its cells; duplicates follow the first of them."""
    dealt = folds.copy()
    for label in np.unique(table.y):
        members = np.flatnonzero(table.y == label)
        dealt[members] = rng.permutation(folds[members])
    return _as_first(dealt, table.groups)


def _as_first(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Give all members of a group the value of its first."""
    return pd.Series(values).groupby(np.asarray(groups)).transform("first").to_numpy()
