"""Overlap of boxes ``xmin, ymin, xmax, ymax`` in px; the right and lower borders are exclusive."""

import numpy as np

from wbc_utils.metrics import MetricError


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every box of one set with every box of another, (n, m).

    Parameters
    ----------
    first, second
        Boxes, (n, 4) and (m, 4).

    Raises
    ------
    MetricError
        If a shape is wrong or a box has a coordinate that is not finite or no area.
    """
    first, second = _require_boxes(first), _require_boxes(second)
    return paired_iou(first[:, None], second[None])


def giou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the generalised intersection over union, IoU − (C − U) / C, (n, m), from −1 to 1.

    U is the area of the union and C that of the smallest box around both, so that boxes apart are told from boxes
    far apart.

    Parameters
    ----------
    first, second
        Boxes, (n, 4) and (m, 4).

    Raises
    ------
    MetricError
        As `iou`.

    References
    ----------
    H. Rezatofighi et al. (2019), *Generalized Intersection over Union*.
    """
    first, second = _require_boxes(first)[:, None], _require_boxes(second)[None]
    shared, union = _areas(first, second)
    low, high = np.minimum(first[..., :2], second[..., :2]), np.maximum(first[..., 2:], second[..., 2:])
    around = (high - low).prod(axis=-1)
    return shared / union - (around - union) / around


def paired_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes that broadcast against each other, (…, 4) to (…).

    The boxes are not checked; `iou` does that.
    """
    shared, union = _areas(first, second)
    return shared / union


def box_faults(boxes: np.ndarray) -> dict[str, np.ndarray]:
    """Return what can be wrong with boxes (n, 4), and which of them it is wrong with, (n,) bool."""
    finite = np.isfinite(boxes).all(axis=1)
    sides = np.where(finite[:, None], boxes[:, 2:] - boxes[:, :2], 1.0)
    return {
        "a coordinate that is not a finite number": ~finite,
        "reversed borders (xmin > xmax or ymin > ymax)": (sides < 0).any(axis=1),
        "no area": (sides >= 0).all(axis=1) & ~(sides.prod(axis=1) > 0),
    }


def _areas(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas of intersection and union, from corner and sides as in COCO: equal to the last bit."""
    first_sides, second_sides = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    high = np.minimum(first[..., :2] + first_sides, second[..., :2] + second_sides)
    shared = np.maximum(high - np.maximum(first[..., :2], second[..., :2]), 0).prod(axis=-1)
    return shared, first_sides.prod(axis=-1) + second_sides.prod(axis=-1) - shared


def _require_boxes(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, dtype=float)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise MetricError(f"boxes of shape {boxes.shape}; give one row xmin, ymin, xmax, ymax a box, (n, 4)")
    for fault, wrong in box_faults(boxes).items():
        if wrong.any():
            first = boxes[wrong][0].tolist()
            raise MetricError(
                f"{wrong.sum()} of {len(boxes)} boxes have {fault}, the first {first}; repair or drop them"
            )
    return boxes
