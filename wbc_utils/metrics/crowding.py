"""Crowding: how much a cell's box overlaps that of its nearest neighbour, and cells in thirds by such a property."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.detection import COORDINATES
from wbc_utils.metrics.overlap import iou


def nearest_iou(boxes: pd.DataFrame) -> np.ndarray:
    """Return the largest IoU of each box with another box of its image, of any class, (n,); 0 where it is alone.

    Suppression at an IoU loses true cells that overlap by more, however well a detector sees them.

    Parameters
    ----------
    boxes
        ``image``, ``xmin``, ``ymin``, ``xmax``, ``ymax``.

    Raises
    ------
    wbc_utils.metrics.MetricError
        If a box has a coordinate that is not finite or no area.
    """
    corners, nearest = boxes[COORDINATES].to_numpy(dtype=float), np.zeros(len(boxes))
    for rows in boxes.groupby("image", sort=False).indices.values():
        overlap = iou(corners[rows], corners[rows])
        np.fill_diagonal(overlap, 0)
        nearest[rows] = overlap.max(axis=1)
    return nearest


def thirds(values: Sequence[float], digits: int = 2) -> pd.Categorical:
    """Return the third of its rank that each value lies in, (n,); ties are divided in the order of the items.

    Parameters
    ----------
    values
        Three or more.
    digits
        After the point in the names of the categories, which are ordered, such as "lowest, 0.00–0.03".

    Raises
    ------
    wbc_utils.metrics.MetricError
        If there are fewer than three values or one is not finite.
    """
    values = pd.Series(np.asarray(values, dtype=float))
    if len(values) < 3 or not np.isfinite(values).all():
        raise MetricError(f"thirds need at least three finite values, found {np.isfinite(values).sum()}")
    third = pd.qcut(values.rank(method="first"), 3, labels=["lowest", "middle", "highest"])
    ends = values.groupby(third, observed=True).agg(["min", "max"])
    names = {name: f"{name}, {low:.{digits}f}–{high:.{digits}f}" for name, low, high in ends.itertuples()}
    return pd.Categorical(third.map(names), list(names.values()), ordered=True)
