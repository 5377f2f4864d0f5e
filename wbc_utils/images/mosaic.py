"""Mosaic and mixup: several fields of view with their boxes joined to one for training.

Z. Ge et al. (2021), *YOLOX: Exceeding YOLO Series in 2021*, arXiv 2107.08430, section 2.1, *Strong data augmentation*;
mosaic comes from A. Bochkovskiy et al. (2020), *YOLOv4*, arXiv 2004.10934, mixup for detection from Z. Zhang et al.
(2019), *Bag of Freebies for Training Object Detection Neural Networks*, arXiv 1902.04103.

A field is an image, float (3, h, w) in [0, 1], and its target: ``boxes`` ``xmin, ymin, xmax, ymax`` (m, 4) in px and
anything else of length m, such as ``labels``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_area, clip_boxes_to_image

Field = tuple[Tensor, dict[str, Tensor]]

SCALES = (0.5, 1.5)
"""Least and greatest change of size in a mosaic, as for YOLOX-tiny."""
VISIBLE = 0.2
"""Share of the area of a box of which more must be left after a cut; else the box is dropped."""

_GREY = 114 / 255  # where no image is, as YOLOX


def mosaic(fields: Sequence[Field], generator: torch.Generator) -> Field:
    """Lay four fields around a point, all enlarged or reduced alike, and return the canvas of the first one's size.

    The point is uniform in the middle half of the width and of the height, the change of size between ``SCALES`` and
    uniform in its logarithm.

    Parameters
    ----------
    fields
        Four, of any sizes: upper left, upper right, lower left, lower right of the point.
    generator
        Source of the draws, on the CPU.
    """
    height, width = fields[0][0].shape[1:]
    across, down, size = torch.rand(3, generator=generator).tolist()
    x, y = round((0.25 + across / 2) * width), round((0.25 + down / 2) * height)
    low, high = SCALES
    canvas, targets = torch.full_like(fields[0][0], _GREY), []
    for place, (image, target) in enumerate(fields):
        image, target = _resized(image, target, low * (high / low) ** size)
        left = x if place % 2 else x - image.shape[2]
        top = y if place // 2 else y - image.shape[1]
        _lay(image, canvas, left, top)
        targets.append(_cut(target, left, top, (height, width)))
    return canvas, {name: torch.cat([target[name] for target in targets]) for name in targets[0]}


def mixup(one: Field, other: Field) -> Field:
    """Return the mean of two fields with the boxes of both; the other is cut or continued in grey to the first's size.

    Parameters
    ----------
    one, other
        See the module.
    """
    image, target = one
    canvas = torch.full_like(image, _GREY)
    _lay(other[0], canvas, 0, 0)
    cut = _cut(other[1], 0, 0, tuple(image.shape[1:]))
    return (image + canvas) / 2, {name: torch.cat([target[name], cut[name]]) for name in target}


def _resized(image: Tensor, target: dict[str, Tensor], scale: float) -> Field:
    """Return a field with its sides multiplied and rounded to whole pixels, its boxes by the same ratio."""
    before = image.shape[1:]
    after = [max(1, round(side * scale)) for side in before]
    image = functional.interpolate(image[None], after, mode="bilinear", antialias=scale < 1)[0]
    down, across = (new / old for new, old in zip(after, before, strict=True))
    return image, {**target, "boxes": target["boxes"] * target["boxes"].new_tensor([across, down, across, down])}


def _lay(image: Tensor, canvas: Tensor, left: int, top: int) -> None:
    """Copy the part of an image that a canvas has room for."""
    rows, columns = (
        slice(max(0, start), min(start + length, room))
        for start, length, room in zip((top, left), image.shape[1:], canvas.shape[1:], strict=True)
    )
    canvas[:, rows, columns] = image[
        :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]  # fmt: skip


def _cut(target: dict[str, Tensor], left: int, top: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return a target moved and clipped to a canvas, without the boxes of which too little is left."""
    moved = target["boxes"] + target["boxes"].new_tensor([left, top, left, top])
    clipped = clip_boxes_to_image(moved, size)
    left_over = box_area(clipped) > VISIBLE * box_area(moved)
    return {name: value[left_over] for name, value in {**target, "boxes": clipped}.items()}
