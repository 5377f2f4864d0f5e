"""The average precision that report 002 tunes, which is not COCO's."""

import numpy as np
import pandas as pd

from wbc_utils.metrics.bootstrap import DRAWS
from wbc_utils.metrics.coco import MEAN, with_mean
from wbc_utils.metrics.detection import Detections, interval_table, require_paired, times_drawn
from wbc_utils.metrics.matching import overlapping

REPORT_002_IOU = 0.5
"""A prediction is a true positive above it."""

_NAME = "report_002_AP"


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
        ``report_002_AP`` (NaN without true boxes, 0 without predictions), and ``precision`` and ``recall`` of the whole
        list, the end of the curve (none for the mean; precision none without predictions).
    """
    hits = _hits(detections, ranked)
    numbers = detections.count(detections.truth).sum(axis=0)
    found = {label: hits[label][0].sum() / n for label, n in enumerate(numbers) if n}
    right = [hit.mean() if len(hit) else np.nan for hit, _ in hits]
    return pd.DataFrame(
        {
            "class": [*detections.classes, MEAN],
            "n": [*numbers, numbers.sum()],
            _NAME: _areas(detections, hits, ranked, np.ones((1, len(detections.images)), dtype=int))[0],
            "precision": [*right, np.nan],
            "recall": [*(found.get(label, np.nan) for label in range(len(numbers))), np.nan],
        }
    )


def report_002_interval(detections: Detections, seed: int, ranked: bool = True, draws: int = DRAWS) -> pd.DataFrame:
    """Return report 002's own AP with its percentile interval if images are independent.

    Every resample is evaluated as if its images were the data set, an image drawn twice standing there twice.

    Parameters
    ----------
    ranked
        As `report_002_ap`.
    seed, draws
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``class`` (the classes and "mean"), ``metric`` ("report_002_AP"), ``value``, ``low``, ``high``, ``n`` (images).

    Raises
    ------
    wbc_utils.metrics.MetricError
        If there are fewer than two images.
    """
    value, drawn = _resampled(detections, seed, ranked, draws)
    return interval_table([*detections.classes, MEAN], {_NAME: value}, {_NAME: drawn}, len(detections.images))


def report_002_difference(
    first: Detections, second: Detections, seed: int, ranked: bool = True, draws: int = DRAWS
) -> pd.DataFrame:
    """Return AP(second) − AP(first) in report 002's own definition with its paired interval.

    Parameters
    ----------
    first, second
        Two sets of predictions beside the same truth.
    ranked, seed, draws
        As `report_002_interval`; both are scored on the same resamples.

    Returns
    -------
    pandas.DataFrame
        As `report_002_interval`.

    Raises
    ------
    wbc_utils.metrics.MetricError
        If images, classes or truth differ, or there are fewer than two images.
    """
    require_paired(first, second)
    (before, drawn_before), (after, drawn_after) = (_resampled(one, seed, ranked, draws) for one in (first, second))
    names = [*first.classes, MEAN]
    return interval_table(names, {_NAME: after - before}, {_NAME: drawn_after - drawn_before}, len(first.images))


def _resampled(detections: Detections, seed: int, ranked: bool, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas, (k + 1,), and those of the resamples, (draws, k + 1)."""
    hits, n = _hits(detections, ranked), len(detections.images)
    drawn = [_areas(detections, hits, ranked, times) for times in times_drawn(n, seed, draws, draws)]
    return _areas(detections, hits, ranked, np.ones((1, n), dtype=int))[0], drawn[0]


def _hits(detections: Detections, ranked: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return of each class which predictions are true positives, and their images, in the order of the curve."""
    best, boxes = overlapping(detections).best(), detections.predictions
    hit = np.zeros(len(boxes), dtype=bool)
    hit[best.prediction] = best.iou > REPORT_002_IOU
    found = []
    for label in range(len(detections.classes)):
        own = np.flatnonzero(boxes.label == label)
        if ranked:
            own = own[np.argsort(-boxes.score[own], kind="stable")]
        found.append((hit[own], boxes.image[own]))
    return found


def _areas(detections: Detections, hits: list, ranked: bool, times: np.ndarray) -> np.ndarray:
    """Return the area of each class and their mean, (draws, k + 1), from how often each image is there."""
    positives = times @ detections.count(detections.truth)
    areas = np.full(positives.shape, np.nan)
    for label, (hit, image) in enumerate(hits):
        for draw in np.flatnonzero(positives[:, label]):
            again = np.repeat(np.arange(len(hit)), times[draw, image]) if ranked else _copies(image, times[draw])
            areas[draw, label] = _area(hit[again], positives[draw, label])
    return with_mean(areas)


def _area(hit: np.ndarray, truth: int) -> float:
    """Return the area of the trapezoids; recall moves at true positives only, each time by one true box."""
    seen = np.flatnonzero(hit) + 1
    true = np.arange(1, len(seen) + 1)
    before = np.where(seen > 1, (true - 1) / np.maximum(seen - 1, 1), 1.0)
    return float((true / seen + before).sum() / 2 / truth)


def _copies(image: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the predictions, which lie image after image, with those of an image as often as it was drawn."""
    blocks = np.repeat(np.arange(len(times)), times)
    sizes = np.bincount(image, minlength=len(times))
    first = np.cumsum(sizes) - sizes
    within = np.arange(sizes[blocks].sum()) - np.repeat(np.cumsum(sizes[blocks]) - sizes[blocks], sizes[blocks])
    return np.repeat(first[blocks], sizes[blocks]) + within
