"""What several networks say, joined: boxes by weighted fusion, probabilities by a blend.

R. Solovyev, W. Wang, T. Gabruseva (2021), *Weighted boxes fusion: ensembling boxes from different object detection
models*, by the authors' package ``ensemble-boxes``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import require_share

FUSED_IOU = 0.55
"""Least IoU of boxes that are taken for one cell, the package's default."""

_MOST_GROUPS = 2**24  # the package keeps a group's number as a 32-bit float


class Found(NamedTuple):
    """Boxes with scores, in groups that have nothing to do with each other: the images, or the classes of each.

    Attributes
    ----------
    group
        Number of the group of each box, (n,) int, from 0.
    boxes
        ``xmin, ymin, xmax, ymax`` in px, (n, 4).
    scores
        From 0 to 1, (n,).
    """

    group: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


def fuse(several: Sequence[Found], iou: float = FUSED_IOU) -> Found:
    """Fuse the boxes of several networks, or of several views by one network, of all images in one call.

    Boxes that overlap become their mean, weighted by score. A score is the mean of the fused ones times the share of
    networks that saw the box, so that what one of four saw keeps a quarter.

    Parameters
    ----------
    several
        What each network found; boxes without overlap must not be lost, so suppress within each network before.
    iou
        See `FUSED_IOU`.

    Returns
    -------
    Found
        Ordered by group, within it by falling score.

    Raises
    ------
    ModelError
        If lengths differ, a box has no area or is not finite, a score is not in (0, 1], the IoU not in [0, 1], or there
        are more groups than the package can tell apart.
    """
    from ensemble_boxes import weighted_boxes_fusion  # seconds to load, and needed for ensembles alone

    require_share("the IoU of fusion", iou)
    for found in several:
        _require_sound(found)
    corners = np.concatenate([np.asarray(found.boxes, dtype=float).reshape(-1, 4) for found in several])
    if not len(corners):
        return Found(np.empty(0, dtype=int), np.empty((0, 4)), np.empty(0))
    low, high = corners.reshape(-1, 2).min(axis=0), corners.reshape(-1, 2).max(axis=0)
    scaled = [(np.reshape(found.boxes, (-1, 2, 2)) - low) / (high - low) for found in several]  # as the package wants
    boxes, scores, groups = weighted_boxes_fusion(
        [np.clip(corners, 0, 1).reshape(-1, 4) for corners in scaled],
        [found.scores for found in several],
        [found.group for found in several],
        iou_thr=iou,
    )
    order = np.lexsort((-scores, groups))
    boxes = (boxes[order].reshape(-1, 2, 2) * (high - low) + low).reshape(-1, 4)
    return Found(groups[order].astype(int), boxes, scores[order])


def blend(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Return (1 − share) · first + share · second of probabilities (n, k), each brought to rows that sum to 1.

    Raises
    ------
    ModelError
        If shapes differ, a row of probabilities is negative or sums to nothing, or the share is not in [0, 1].
    """
    require_share("the share of the blend", share)
    if np.shape(first) != np.shape(second):
        raise ModelError(f"probabilities {np.shape(first)} and {np.shape(second)} cannot be blended; give equal shapes")
    parts = []
    for part in (first, second):
        part = np.asarray(part, dtype=float)
        total = part.sum(axis=1, keepdims=True)
        if not ((part >= 0).all() and (total > 0).all()):
            raise ModelError("a row of probabilities is negative, not a number or sums to nothing; nothing to blend")
        parts.append(part / total)
    return (1 - share) * parts[0] + share * parts[1]


def _require_sound(found: Found) -> None:
    group, boxes, scores = (np.asarray(part) for part in found)
    if not len(group) == len(boxes) == len(scores):
        raise ModelError(f"{len(group)} groups, {len(boxes)} boxes and {len(scores)} scores; give one of each per box")
    if not len(boxes):
        return
    sides = boxes[:, 2:] - boxes[:, :2]
    if not (np.isfinite(boxes).all() and (sides > 0).all()):
        raise ModelError("a box has no area, or a coordinate that is not a finite number; drop it before the fusion")
    if not ((scores > 0) & (scores <= 1)).all():
        raise ModelError("a score is not above 0 and up to 1; give probabilities, and drop boxes without any")
    if not 0 <= group.min() <= group.max() < _MOST_GROUPS:
        raise ModelError(f"groups from {group.min()} to {group.max()}; number them from 0 to {_MOST_GROUPS - 1}")
