"""False positives and false negatives, each with the circumstance that goes with it.

The first circumstance that holds is the one that is named; the thresholds of overlap are those of TIDE (foreground from
an IoU of 0.5 on, background below 0.1).

References
----------
D. Bolya et al. (2020), *TIDE: A General Toolbox for Identifying Object Detection Errors*.
"""

from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.crowding import nearest_iou
from wbc_utils.metrics.detection import COORDINATES, Detections
from wbc_utils.metrics.matching import matched_tables
from wbc_utils.metrics.overlap import iou

FOREGROUND, BACKGROUND = 0.5, 0.1
PART = 0.7
"""A box lies inside another if at least this share of its area does."""
BORDER_PX = 2.0
"""A box touches the border of the image if it comes as near as this."""

FALSE_POSITIVES = {
    "other class": "a cell of another class is there",
    "second box": "the cell already has a better box",
    "part of a cell": "one of several boxes of the class inside one cell",
    "shifted": "a missed cell of the class is there, but overlaps too little",
    "beside a found cell": "overlaps a cell of the class that was found",
    "at the border": "on no label, touching the border of the image",
    "no label, sure": "on no label, with a score of the upper half of true positives: perhaps an unlabelled cell",
    "no label, unsure": "on no label, with a lower score",
}
"""Circumstances of a false positive, in the order in which they are asked, and what they mean."""

FALSE_NEGATIVES = {
    "other class": "found, but called another class",
    "in parts": "several boxes of the class lie inside it",
    "shifted": "a box of the class that found nothing overlaps it, but too little",
    "overlapping": "its box overlaps that of another cell",
    "at the border": "touches the border of the image",
    "alone": "nothing of this",
}
"""Circumstances of a false negative, in the order in which they are asked, and what they mean."""

Sizes = Mapping[Hashable, tuple[float, float]]
"""Width and height of each image, px."""


def errors(detections: Detections, sizes: Sizes) -> pd.DataFrame:
    """Return every error of detections with its circumstance; all predictions that are given count.

    Parameters
    ----------
    detections
        Filtered predictions beside the truth; matched one to one at an IoU of 0.5.
    sizes
        See `Sizes`.

    Returns
    -------
    pandas.DataFrame
        A row an error: ``image``, ``class``, ``error`` ("false positive", "false negative"), ``circumstance`` (a key
        of `FALSE_POSITIVES` or `FALSE_NEGATIVES`), ``score`` (NaN of a false negative) and four coordinates.

    Raises
    ------
    MetricError
        If an image has no size.
    """
    predictions, truth = matched_tables(detections, FOREGROUND)
    sure = predictions[predictions["match"] == "true positive"].groupby("class")["score"].median()
    predictions["sure"] = predictions["score"] >= predictions["class"].map(sure).fillna(1.0)
    truth["crowded"] = nearest_iou(truth) >= BACKGROUND
    rows = []
    for image in detections.images:
        own = [table[table["image"] == image] for table in (predictions, truth)]
        rows += [_of_image(*own, _size(sizes, image))]
    return pd.concat(rows, ignore_index=True)


def circumstances(detections: Detections, sizes: Sizes) -> pd.DataFrame:
    """Return the true boxes with ``found`` (at IoU 0.5, bool) and ``where``: "at the border", "overlapping" or "free".

    So the cells that are missed can be compared with those that are not.

    Parameters
    ----------
    detections, sizes
        As `errors`.

    Raises
    ------
    MetricError
        If an image has no size.
    """
    truth = matched_tables(detections, FOREGROUND)[1].reset_index(drop=True)
    border = np.zeros(len(truth), dtype=bool)
    for image, rows in truth.groupby("image", sort=False).indices.items():
        border[rows] = _at_border(truth[COORDINATES].to_numpy(float)[rows], _size(sizes, image))
    crowded = nearest_iou(truth) >= BACKGROUND
    return truth.assign(where=np.select([border, crowded], ["at the border", "overlapping"], default="free"))


def _of_image(predictions: pd.DataFrame, truth: pd.DataFrame, size: tuple[float, float]) -> pd.DataFrame:
    """Return the errors of one image."""
    corners, true = (table[COORDINATES].to_numpy(float) for table in (predictions, truth))
    same = predictions["class"].to_numpy()[:, None] == truth["class"].to_numpy()
    overlap, inside = iou(corners, true), _share_inside(corners, true)
    hit, found = (predictions["match"] == "true positive").to_numpy(), truth["found"].to_numpy(bool)
    near = same & (overlap >= BACKGROUND)
    pieces = same & (inside >= PART)
    several = pieces.sum(axis=0) > 1
    border = _at_border(corners, size)
    sure = predictions["sure"].to_numpy(bool)
    positives = {
        "other class": (~same & (overlap >= FOREGROUND)).any(axis=1),
        "second box": (predictions["match"] == "duplicate").to_numpy(),
        "part of a cell": (pieces & several).any(axis=1),
        "shifted": (near & ~found).any(axis=1),
        "beside a found cell": near.any(axis=1),
        "at the border": border,
        "no label, sure": sure,
        "no label, unsure": ~sure,
    }
    negatives = {
        "other class": (~same & (overlap >= FOREGROUND)).any(axis=0),
        "in parts": several,
        "shifted": (near & ~hit[:, None]).any(axis=0),
        "overlapping": truth["crowded"].to_numpy(),
        "at the border": _at_border(true, size),
        "alone": np.ones(len(truth), dtype=bool),
    }
    parts = [
        predictions.assign(error="false positive", circumstance=_first(positives, len(predictions)))[~hit],
        truth.assign(error="false negative", circumstance=_first(negatives, len(truth)), score=np.nan)[~found],
    ]
    columns = ["image", "class", "error", "circumstance", "score", *COORDINATES]
    return pd.concat([part[columns] for part in parts], ignore_index=True)


def _first(holds: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    """Return the name of the first circumstance that holds, (n,) str."""
    return np.select(list(holds.values()), list(holds), default="") if number else np.empty(0, dtype=object)


def _share_inside(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of the area of each box that lies inside each other box, (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    return shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]


def _at_border(corners: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    low, high = corners[:, :2] <= BORDER_PX, corners[:, 2:] >= np.array(size) - BORDER_PX
    return (low | high).any(axis=1)


def _size(sizes: Sizes, image: Hashable) -> tuple[float, float]:
    if image not in sizes:
        raise MetricError(f"no size of {image}; give width and height of each of the images")
    return sizes[image]
