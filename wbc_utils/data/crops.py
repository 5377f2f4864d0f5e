"""Crops of cells from fields, for a classifier: a square around each box, cut in memory and scaled to one size.

Learning and inference cut in the same way, on the device where the image is. What lies beyond the border of an image is
its border continued.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

from wbc_utils.data.tables import DataError
from wbc_utils.metrics.overlap import giou

MARGIN = 16
"""Pixels around a box, as report 000."""

COORDINATES = ["xmin", "ymin", "xmax", "ymax"]


def cut(image: Tensor, boxes: Tensor, side: int, margin: float = MARGIN) -> Tensor:
    """Cut a square around each box of an image.

    The square has the box's centre and its longer side, with the margin on either side. A pixel of the crop is the mean
    of the pixels it covers.

    Parameters
    ----------
    image
        Float (3, h, w).
    boxes
        ``xmin, ymin, xmax, ymax`` in px, float (n, 4); n may be 0.
    side
        Of the crops, px.
    margin
        In px of the image.

    Returns
    -------
    Tensor
        Float (n, 3, side, side), on the device of the image.
    """
    if not len(boxes):
        return image.new_empty(0, 3, side, side)
    boxes = boxes.to(image)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True) / 2
    squares = torch.cat([centre - half - margin, centre + half + margin], dim=1)
    height, width = image.shape[1:]
    limits = image.new_tensor([width, height])
    past = max(0, math.ceil(max((-squares[:, :2]).max(), (squares[:, 2:] - limits).max()).item()))
    if past:
        image, squares = functional.pad(image[None], (past,) * 4, mode="replicate")[0], squares + past
    return roi_align(image[None], [squares], output_size=side, aligned=True)


def crops_of(
    images: Mapping[str, np.ndarray], boxes: pd.DataFrame, side: int, margin: float = MARGIN, device: str = "cpu"
) -> np.ndarray:
    """Cut all boxes of a table.

    Parameters
    ----------
    images
        uint8 (h, w, 3) by name.
    boxes
        ``image``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px.
    side, margin
        See `cut`.
    device
        Where it is computed.

    Returns
    -------
    numpy.ndarray
        uint8 (n, side, side, 3), in the order of the table.

    Raises
    ------
    wbc_utils.data.tables.DataError
        If there is a box of an image that is not given, or the side is not positive.
    """
    if side < 1:
        raise DataError(f"crops of {side} px; give a positive number of pixels")
    if unknown := set(boxes["image"]) - set(images):
        raise DataError(f"boxes of {len(unknown)} images that are not given, such as {sorted(unknown)[0]!r}")
    found = np.empty((len(boxes), side, side, 3), np.uint8)
    for name, rows in boxes.groupby("image", sort=False).indices.items():
        pixels = torch.from_numpy(np.array(images[name])).to(device).permute(2, 0, 1).float()
        corners = torch.from_numpy(boxes[COORDINATES].to_numpy(np.float32)[rows])
        crops = cut(pixels, corners, side, margin).round_().clamp_(0, 255)
        found[rows] = crops.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
    return found


def with_truth(found: pd.DataFrame, truth: pd.DataFrame, least: float = 0.0) -> pd.DataFrame:
    """Give each detection the class of the true box of its image with the best generalised IoU.

    Parameters
    ----------
    found
        Detections with ``image`` and coordinates.
    truth
        True boxes with ``image``, ``class`` and coordinates; a missing class is one that is not known.
    least
        A detection with no true box of at least this GIoU is of no cell; −1 takes the best, however far.

    Returns
    -------
    pandas.DataFrame
        ``found`` with ``class``, missing where there is none or where two true boxes of different classes are equally
        near, and ``giou`` with the best true box, −1 where the image has none.
    """
    classes, best = np.full(len(found), None, dtype=object), np.full(len(found), -1.0)
    true_rows = truth.groupby("image", sort=False).indices
    corners, true_corners = found[COORDINATES].to_numpy(float), truth[COORDINATES].to_numpy(float)
    labels = truth["class"].to_numpy(dtype=object)
    for name, rows in found.groupby("image", sort=False).indices.items():
        if name in true_rows:
            near = giou(corners[rows], true_corners[true_rows[name]])
            best[rows] = near.max(axis=1)
            for row, overlap in zip(rows, near, strict=True):
                said = set(labels[true_rows[name]][overlap == overlap.max()])
                if len(said) == 1 and best[row] >= least:
                    (classes[row],) = said
    return found.assign(**{"class": classes, "giou": best})
