"""Scores of a classification, all from its confusion matrix, rows true and columns predicted.

Every score takes one matrix (k, k) or a stack of them (…, k, k), so that a bootstrap needs no loop. A score whose
denominator is zero is undefined and NaN; a macro average is taken over the classes where the score is defined, as
scikit-learn does over the labels that occur.
"""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError


def codes(labels: Sequence[Hashable], order: Sequence[Hashable]) -> np.ndarray:
    """Return the position of each label in the order of the classes, (n,) int.

    Raises
    ------
    MetricError
        If a label is not in ``order``, or ``order`` names a class twice.
    """
    if len(set(order)) != len(order):
        raise MetricError(f"the order of the classes {list(order)} names a class twice")
    found = pd.Index(order).get_indexer(list(labels))
    if (found < 0).any():
        unknown = sorted({str(label) for label, place in zip(labels, found, strict=True) if place < 0})
        raise MetricError(f"labels {unknown} are not in the order of the classes {list(order)}; add them or drop them")
    return found


def confusion(y_true: Sequence[Hashable], y_pred: Sequence[Hashable], order: Sequence[Hashable]) -> np.ndarray:
    """Count the items of each true and predicted class.

    Parameters
    ----------
    y_true, y_pred
        Labels, (n,).
    order
        The k classes in the order of rows and columns.

    Returns
    -------
    numpy.ndarray
        Counts, (k, k) int; rows true, columns predicted.

    Raises
    ------
    MetricError
        If lengths differ, there is no item, or a label is not in ``order``.
    """
    if len(y_true) != len(y_pred) or not len(y_true):
        raise MetricError(f"{len(y_true)} true and {len(y_pred)} predicted labels; give one of each per item")
    k = len(order)
    cells = codes(y_true, order) * k + codes(y_pred, order)
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def precision(confusion: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FP) of each class, (…, k); NaN for a class that is never predicted."""
    return _ratio(_hits(confusion), confusion.sum(axis=-2))


def recall(confusion: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FN) of each class, (…, k); NaN for a class without true items."""
    return _ratio(_hits(confusion), confusion.sum(axis=-1))


def f1(confusion: np.ndarray) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN) of each class, (…, k); NaN for a class neither true nor predicted."""
    return _ratio(2 * _hits(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the classes that are true or predicted at least once, (…)."""
    scores = f1(confusion)
    defined = ~np.isnan(scores)
    return _ratio(np.where(defined, scores, 0).sum(axis=-1), defined.sum(axis=-1))


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the share of items on the diagonal, (…)."""
    return _ratio(_hits(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes with true items, (…); guessing one class gives 1 / their number."""
    found = recall(confusion)
    defined = ~np.isnan(found)
    return _ratio(np.where(defined, found, 0).sum(axis=-1), defined.sum(axis=-1))


def class_scores(confusion: np.ndarray, order: Sequence[str]) -> pd.DataFrame:
    """Return one row a class: ``class``, ``n`` (true items), ``precision``, ``recall``, ``F1``."""
    return pd.DataFrame(
        {
            "class": list(order),
            "n": confusion.sum(axis=1),
            "precision": precision(confusion),
            "recall": recall(confusion),
            "F1": f1(confusion),
        }
    )


def share_of_errors_within(
    confusion: np.ndarray, pairs: Collection[tuple[str, str]], order: Sequence[str]
) -> np.ndarray:
    """Return the share of errors that confuse the two classes of a named pair, either way, (…).

    Pairs with a class that is not in ``order`` do not count. NaN without errors.
    """
    within = _pair_mask(pairs, order)
    errors = confusion * ~np.eye(len(order), dtype=bool)
    return _ratio((errors * within).sum(axis=(-2, -1)), errors.sum(axis=(-2, -1)))


def share_expected_by_chance(
    confusion: np.ndarray, pairs: Collection[tuple[str, str]], order: Sequence[str]
) -> np.ndarray:
    """Return the share of errors that named pairs would hold if errors knew no similarity, (…).

    Each class keeps its number of errors; they fall on the other classes in proportion to how often these occur. NaN
    without errors or with one class only.
    """
    within = _pair_mask(pairs, order)
    support = confusion.sum(axis=-1).astype(float)
    elsewhere = support[..., None, :] * ~np.eye(len(order), dtype=bool)
    target = _ratio(elsewhere, elsewhere.sum(axis=-1, keepdims=True))
    errors = support - _hits(confusion)
    return _ratio((errors * (target * within).sum(axis=-1)).sum(axis=-1), errors.sum(axis=-1))


def _pair_mask(pairs: Collection[tuple[str, str]], order: Sequence[str]) -> np.ndarray:
    place = {name: number for number, name in enumerate(order)}
    mask = np.zeros((len(order), len(order)), dtype=bool)
    for one, other in pairs:
        if one in place and other in place:
            mask[place[one], place[other]] = mask[place[other], place[one]] = True
    return mask


def _hits(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan), where=whole > 0)
