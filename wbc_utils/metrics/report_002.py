"""The average precision that report 002 tunes, which is not COCO's."""

import numpy as np
import pandas as pd

from wbc_utils.metrics.coco import MEAN
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.matching import overlapping

REPORT_002_IOU = 0.5
"""A prediction is a true positive above it."""


def report_002_ap(detections: Detections, ranked: bool = True) -> pd.DataFrame:
    """Return report 002's own AP: best-IoU assignment without a one-to-one rule, area by the trapezoid rule.

    Each prediction is assigned to the true box of its class and image with the highest IoU and is a true positive if
    that IoU is above 0.5. Any number of predictions may share a true box, so recall, and with it this AP, may pass 1.
    The curve starts at recall 0 with the precision of its first prediction, and its area is that of the trapezoids.

    The report does not say in which order the predictions enter the curve. By falling score (``ranked``), cutting the
    list at a score threshold can only take area away. Image after image, as a detector returns them, precision hardly
    varies along the curve and the area is near precision × recall of the whole list, which a threshold does raise.

    Parameters
    ----------
    ranked
        By falling score over all images; else image after image, by falling score within each.

    Returns
    -------
    pandas.DataFrame
        A row a class and the row "mean" over the classes with true boxes: ``class``, ``n`` (true boxes),
        ``report_002_AP`` (NaN without true boxes, 0 without predictions) and ``recall`` at the end of the curve (none
        for the mean).
    """
    best, boxes = overlapping(detections).best(), detections.predictions
    hit = np.zeros(len(boxes), dtype=bool)
    hit[best.prediction] = best.iou > REPORT_002_IOU
    numbers = detections.count(detections.truth).sum(axis=0)
    area, recall = np.full(len(numbers), np.nan), np.full(len(numbers), np.nan)
    for label in np.flatnonzero(numbers):
        own = np.flatnonzero(boxes.label == label)
        if ranked:
            own = own[np.argsort(-boxes.score[own], kind="stable")]
        true = np.cumsum(hit[own])
        precision, reached = true / np.arange(1, len(own) + 1), true / numbers[label]
        area[label] = np.trapezoid([*precision[:1], *precision], [0, *reached]) if len(own) else 0.0
        recall[label] = reached[-1] if len(own) else 0.0
    mean = area[numbers > 0].mean() if numbers.any() else np.nan
    return pd.DataFrame(
        {
            "class": [*detections.classes, MEAN],
            "n": [*numbers, numbers.sum()],
            "report_002_AP": [*area, mean],
            "recall": [*recall, np.nan],
        }
    )
