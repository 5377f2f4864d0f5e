"""SimOTA: which predictions of an anchor-free detector learn which true box.

Z. Ge et al. (2021), *YOLOX: Exceeding YOLO Series in 2021*, arXiv 2107.08430, section 2.1: a simplification of Z. Ge et
al. (2021), *OTA: Optimal Transport Assignment for Object Detection*, CVPR. Each true box takes its k cheapest
predictions near its centre, k being about the number of those that already overlap it well.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

RADIUS = 2.5
"""Half side of the square about the centre of a true box that predictions are taken from, in strides of their map."""

_IOU_WEIGHT = 3.0  # λ of the cost
_OVERLAPS = 10  # best ones, whose sum is k
_OUTSIDE = 1e5  # cost of a point outside the box: only if no other is left
_SURE = -100.0  # lowest logarithm of a probability


class Assignment(NamedTuple):
    """What each of n predictions learns.

    Attributes
    ----------
    truth
        Position of its true box, int64 (n,); −1 is background.
    iou
        Its overlap with that box, (n,); 0 for background.
    """

    truth: Tensor
    iou: Tensor


@torch.no_grad()
def assign(
    probabilities: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, truth: Tensor, labels: Tensor
) -> Assignment:
    """Assign the predictions of an image to its true boxes.

    A prediction that two true boxes ask for goes to the one that it costs less.

    Parameters
    ----------
    probabilities
        Of each class, objectness included, (n, k) in [0, 1].
    boxes
        Predicted, ``xmin, ymin, xmax, ymax`` (n, 4) in px.
    points, strides
        Where the predictions are made: the middle of their pixel (n, 2), and its side (n,), px.
    truth, labels
        True boxes (m, 4), m may be 0, and their classes, int64 (m,) from 0.
    """
    if not len(truth):
        return Assignment(torch.full_like(strides, -1, dtype=torch.int64), torch.zeros_like(strides))
    near, inside = reach(points, strides, truth)
    iou = box_iou(boxes, truth) * near
    price = cost(probabilities, iou, labels) + _OUTSIDE * ~inside
    price = price.masked_fill(~near, torch.inf)
    rank = price.argsort(dim=0, stable=True).argsort(dim=0)
    price = price.masked_fill(rank >= dynamic_k(iou), torch.inf)
    least, cheapest = price.min(dim=1)
    taken = least.isfinite()
    return Assignment(cheapest.where(taken, -1), iou.gather(1, cheapest[:, None])[:, 0] * taken)


def reach(points: Tensor, strides: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return which points lie near the centre of which true box, and which inside it, bool (n, m) each.

    Parameters
    ----------
    points, strides, truth
        See `assign`.
    """
    centres = (truth[:, :2] + truth[:, 2:]) / 2
    near = (points[:, None] - centres).abs() < RADIUS * strides[:, None, None]
    inside = (points[:, None] > truth[:, :2]) & (points[:, None] < truth[:, 2:])
    return near.all(dim=2), inside.all(dim=2)


def cost(probabilities: Tensor, iou: Tensor, labels: Tensor) -> Tensor:
    """Return what each prediction costs each true box, (n, m): cross-entropy of the classes − 3 log IoU.

    YOLOX, equation 1. The cross-entropy is that of the square root of the probabilities, as in the authors' code.

    Parameters
    ----------
    probabilities, labels
        See `assign`.
    iou
        Of predictions and true boxes, (n, m).
    """
    wanted = functional.one_hot(labels, probabilities.shape[1]).bool()
    root = probabilities.sqrt()[:, None]
    classes = -torch.where(wanted, root, 1 - root).log().clamp(min=_SURE).sum(dim=2)
    return classes - _IOU_WEIGHT * (iou + 1e-8).log()


def dynamic_k(iou: Tensor) -> Tensor:
    """Return how many predictions each true box takes: the whole part of the sum of its ten best overlaps, at least 1.

    OTA, section 3.4, *Dynamic k Estimation*.

    Parameters
    ----------
    iou
        Of predictions and true boxes, (n, m).
    """
    best = iou.topk(min(_OVERLAPS, len(iou)), dim=0).values
    return best.sum(dim=0).long().clamp(min=1)
