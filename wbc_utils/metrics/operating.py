"""Detection at a score threshold: precision–recall curves, and the operating point with its interval over images."""

import numpy as np
import pandas as pd

from wbc_utils.metrics.bootstrap import DRAWS
from wbc_utils.metrics.detection import Detections, Thresholds, interval_table
from wbc_utils.metrics.groups import resampled_sums
from wbc_utils.metrics.matching import match

POOLED = "pooled"
"""Row of all classes' boxes together."""


def precision_recall(detections: Detections, iou: float = 0.5) -> pd.DataFrame:
    """Return the precision–recall curve of each class under one-to-one matching, not interpolated.

    Returns
    -------
    pandas.DataFrame
        ``class``, ``score``, ``precision``, ``recall``: a row for each score that occurs, from the highest, of
        keeping all predictions of that score or a higher one. A class without predictions has no row, one without
        true boxes no recall (NaN).

    Raises
    ------
    wbc_utils.metrics.MetricError
        If the IoU is not in (0, 1].
    """
    boxes, hit = detections.predictions, match(detections, [iou])[0] >= 0
    numbers, curves = detections.count(detections.truth).sum(axis=0), []
    for label, name in enumerate(detections.classes):
        own = np.flatnonzero(boxes.label == label)
        own = own[np.argsort(-boxes.score[own], kind="stable")]
        last = np.flatnonzero(np.diff(boxes.score[own], append=-1))
        true = np.cumsum(hit[own])[last]
        recall = true / numbers[label] if numbers[label] else np.full(len(last), np.nan)
        columns = {"score": boxes.score[own][last], "precision": true / (last + 1), "recall": recall}
        curves.append(pd.DataFrame({"class": [name] * len(last), **columns}))
    return pd.concat(curves, ignore_index=True)


def operating_point(detections: Detections, thresholds: Thresholds, iou: float = 0.5) -> pd.DataFrame:
    """Return precision, recall and F1 of the predictions that reach the score thresholds, matched one to one.

    Parameters
    ----------
    thresholds
        Lowest score, for all classes or for each.
    iou
        Lowest IoU of a true positive.

    Returns
    -------
    pandas.DataFrame
        A row a class and the row "pooled": ``class``, ``n`` (true boxes), ``TP``, ``FP``, ``FN``, ``precision``,
        ``recall``, ``F1``; NaN where a denominator is zero.

    Raises
    ------
    wbc_utils.metrics.MetricError
        If a threshold is not in [0, 1], a class has none, or the IoU is not in (0, 1].
    """
    counts = _counts(detections, thresholds, iou).sum(axis=0)
    true, kept, truth = counts
    names = [*detections.classes, POOLED]
    return pd.DataFrame(
        {"class": names, "n": truth, "TP": true, "FP": kept - true, "FN": truth - true, **_rates(counts)}
    )


def operating_interval(
    detections: Detections, thresholds: Thresholds, seed: int, iou: float = 0.5, draws: int = DRAWS
) -> pd.DataFrame:
    """Return precision, recall and F1 at the score thresholds with percentile intervals if images are independent.

    Parameters
    ----------
    thresholds, iou
        As `operating_point`.
    seed, draws
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``class`` (the classes and "pooled"), ``metric`` ("precision", "recall", "F1"), ``value``, ``low``, ``high``,
        ``n`` (images).

    Raises
    ------
    wbc_utils.metrics.MetricError
        If there are fewer than two images; as `operating_point`.
    """
    counts = _counts(detections, thresholds, iou)
    drawn = resampled_sums(counts.reshape(len(counts), -1), seed, draws).reshape(-1, *counts.shape[1:])
    names = [*detections.classes, POOLED]
    return interval_table(names, _rates(counts.sum(axis=0)), _rates(drawn), len(counts))


def _counts(detections: Detections, thresholds: Thresholds, iou: float) -> np.ndarray:
    """Count true positives, predictions and true boxes of each image, (images, 3, k + 1), the last pooled."""
    kept, hit = detections.detected(thresholds), match(detections, [iou])[0] >= 0
    counts = np.stack(
        [
            detections.count(detections.predictions, kept & hit),
            detections.count(detections.predictions, kept),
            detections.count(detections.truth),
        ],
        axis=1,
    )
    return np.concatenate([counts, counts.sum(axis=-1, keepdims=True)], axis=-1)


def _rates(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of counts (…, 3, k), each (…, k)."""
    true, kept, truth = np.moveaxis(counts.astype(float), -2, 0)
    parts = {"precision": (true, kept), "recall": (true, truth), "F1": (2 * true, kept + truth)}
    return {
        name: np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
        for name, (part, whole) in parts.items()
    }
