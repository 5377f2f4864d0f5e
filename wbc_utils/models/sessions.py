"""Batches that nobody wrote down: separate modes of the slide's colour, and groups of cells with like surroundings.

Data without patient or session numbers can still show that cells were not photographed alike. Whether this flatters a
score is seen by keeping such groups whole when the folds are made.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from wbc_utils.data.splits import group_folds
from wbc_utils.images.stain import otsu
from wbc_utils.metrics.bootstrap import paired_difference
from wbc_utils.metrics.classification import macro_f1
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


def greenness(slides: np.ndarray) -> np.ndarray:
    """Return log(green² / (red · blue)) of the colours of empty slides, 0 for grey, (n,).

    Parameters
    ----------
    slides
        RGB, 1 to 255, (n, 3).
    """
    slides = np.asarray(slides, dtype=float)
    return np.log(slides[:, 1] ** 2 / (slides[:, 0] * slides[:, 2]))


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
    table: FeatureTable, measures: np.ndarray, numbers: Sequence[int], k: int, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Compare folds that keep groups of like surroundings whole with folds that do not.

    The other folds have the same number of cells of each class in each fold, drawn at random. A lower score in the
    first is due to what cells of one group share beyond their class, or to surroundings unlike those trained on.

    Parameters
    ----------
    table
        Features of the cells themselves; its own folds are not used.
    measures
        Of the surroundings, (n, measures).
    numbers
        Numbers of groups to try, each more than k.
    k
        Number of folds.
    seed
        Of groups, folds and bootstrap.
    jobs
        Folds fitted side by side.

    Returns
    -------
    pandas.DataFrame
        One row a number of ``groups``: macro-F1 in folds of ``whole groups`` and in ``random folds``, their
        ``difference`` (whole − random) with ``low`` and ``high`` (95 %, bootstrap over the groups).

    Raises
    ------
    wbc_utils.data.splits.SplitError
        If there are fewer groups than folds.
    """
    model = pipeline(classifiers(seed)["RBF-SVM"], "weights", seed)
    order = np.unique(table.y).tolist()
    rows = []
    for number in numbers:
        group = alike(measures, number, table.groups, seed)
        whole = group_folds(table.y, group, k, seed)
        torn = _shuffled_within(whole, table.y, table.groups, seed)
        predicted = [
            grouped_cv_predict(
                model, FeatureTable(table.features, table.y, table.groups, folds, table.names), jobs=jobs
            )
            for folds in (torn, whole)
        ]
        scores = [float(macro_f1(one.confusion(order))) for one in predicted]
        change = paired_difference(table.y, *(one.y_pred for one in predicted), group, macro_f1, order, seed)
        rows.append((number, scores[1], scores[0], change.value, change.low, change.high))
    return pd.DataFrame(rows, columns=["groups", "whole groups", "random folds", "difference", "low", "high"])


def _shuffled_within(folds: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Deal the fold numbers of each class out again among its cells; duplicates follow the first of them."""
    rng, shuffled = np.random.default_rng(seed), folds.copy()
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        shuffled[members] = rng.permutation(folds[members])
    return _as_first(shuffled, groups)


def _as_first(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Give all members of a group the value of its first."""
    return pd.Series(values).groupby(np.asarray(groups)).transform("first").to_numpy()
