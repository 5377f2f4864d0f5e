"""Confident learning: which labels are likely wrong, from out-of-fold probabilities.

An item labelled i counts as confidently of class j if its probability of j reaches what items labelled j reach on
average. These counts, the confident joint, estimate how many items labelled i are truly of class j; that many, the
ones whose probability leans most from i to j, are then suspected ("prune by noise rate").

References
----------
C. G. Northcutt, L. Jiang, I. L. Chuang (2021), *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal
of Artificial Intelligence Research 70, equations 1 to 3 and section 3.2.
"""

import numpy as np

from wbc_utils.metrics.calibration import require_probabilities

_ROUNDING = 1e-9  # a probability reaches a mean of equal probabilities in spite of rounding


def margin(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability of the given label less the largest of the others, (n,); the most doubtful are lowest.

    Parameters
    ----------
    probabilities
        Out of fold: by a model that did not see the item, (n, k).
    labels
        Position of the given label, (n,) int.

    Raises
    ------
    MetricError
        As `wbc_utils.metrics.calibration.require_probabilities`.
    """
    probabilities, labels = require_probabilities(probabilities, labels)
    items = np.arange(len(labels))
    others = probabilities.copy()
    others[items, labels] = -np.inf
    return probabilities[items, labels] - others.max(axis=1)


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Estimate how many items of each given label (row) are of each true class (column), (k, k) float.

    Items that reach the threshold of no class are not counted; rows are then scaled to the number of items with that
    label. A row of which no item is counted is all on the diagonal.

    Parameters and errors are those of `margin`.
    """
    probabilities, labels = require_probabilities(probabilities, labels)
    k = probabilities.shape[1]
    given = np.bincount(labels, minlength=k)
    threshold = np.array([probabilities[labels == c, c].mean() if given[c] else np.inf for c in range(k)])
    sure = np.where(probabilities >= threshold - _ROUNDING, probabilities, -np.inf)
    counted = np.isfinite(sure).any(axis=1)
    joint = np.zeros((k, k))
    np.add.at(joint, (labels[counted], sure[counted].argmax(axis=1)), 1)
    nobody = joint.sum(axis=1) == 0
    joint[nobody, nobody] = 1
    return joint * (given / joint.sum(axis=1))[:, None]


def label_issues(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether the label of each item is likely wrong, (n,) bool; order them by `margin`.

    Of the items labelled i, as many as the confident joint puts into class j are suspected, those with the largest
    p_j − p_i; an item whose own label is its most probable class never is.

    Parameters and errors are those of `margin`.
    """
    joint = np.rint(confident_joint(probabilities, labels)).astype(int)
    probabilities, labels = require_probabilities(probabilities, labels)
    suspected = np.zeros(len(labels), dtype=bool)
    for given, true in np.argwhere(joint * ~np.eye(len(joint), dtype=bool)):
        items = np.flatnonzero(labels == given)
        lean = probabilities[items, true] - probabilities[items, given]
        suspected[items[np.argsort(-lean, kind="stable")[: joint[given, true]]]] = True
    return suspected & (margin(probabilities, labels) < 0)
