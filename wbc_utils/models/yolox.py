"""YOLOX: a detector without anchors, one prediction a pixel of each map.

Z. Ge et al. (2021), *YOLOX: Exceeding YOLO Series in 2021*, arXiv 2107.08430. As published: path aggregation over the
maps of a body, a decoupled head, SimOTA assignment, loss weights. Changed: boxes are learned by generalised IoU (H.
Rezatofighi et al. 2019, *Generalized Intersection over Union*, CVPR) instead of IoU, as report 000 does; the L1 loss of
the last epochs is left out.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import batched_nms, clip_boxes_to_image, generalized_box_iou_loss

from wbc_utils.models.postprocess import DETECTIONS
from wbc_utils.models.simota import assign
from wbc_utils.models.yolox_layers import DecoupledHead

_BOX_WEIGHT = 5.0


class Yolox(nn.Module):
    """YOLOX with the interface of torchvision's detectors, classes numbered from 0.

    Attributes
    ----------
    score_thresh, nms_thresh, detections_per_img
        Predictions must exceed the score; suppression within classes, 1 is none; most predictions of an image.
    """

    def __init__(
        self,
        backbone: nn.Module,
        strides: Sequence[int],
        num_classes: int,
        min_size: int,
        max_size: int,
        image_mean: Sequence[float],
        image_std: Sequence[float],
    ):
        super().__init__()
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean, image_std, size_divisible=strides[-1]
        )  # fmt: skip
        self.backbone, self.strides = backbone, tuple(strides)
        self.head = DecoupledHead(backbone.channels, num_classes)
        self.score_thresh, self.nms_thresh, self.detections_per_img = 0.05, 0.65, DETECTIONS

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Return the losses by name in training, else ``boxes``, ``labels`` and ``scores`` of each image, best first.

        Parameters
        ----------
        images
            Float (3, h, w) in [0, 1] each.
        targets
            One an image: ``boxes`` (m, 4) in px and ``labels`` int64 (m,) from 0.
        """
        sizes = [tuple(image.shape[-2:]) for image in images]
        batch, targets = self.transform(images, targets)
        maps = self.backbone(batch.tensors)
        said = self.head(maps).float()
        points, strides = grid(maps, self.strides)
        boxes = decode(said[..., :4], points, strides)
        if self.training:
            return losses(said, boxes, points, strides, targets)
        scores = said[..., 5:].sigmoid() * said[..., 4:5].sigmoid()
        found = [self._best(*one) for one in zip(boxes, scores, batch.image_sizes, strict=True)]
        return self.transform.postprocess(found, batch.image_sizes, sizes)

    def _best(self, boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return what is kept of the predictions (n, 4) and (n, k) of an image."""
        place, label = (scores > self.score_thresh).nonzero(as_tuple=True)
        boxes, scores = clip_boxes_to_image(boxes[place], size), scores[place, label]
        if self.nms_thresh < 1:
            kept = batched_nms(boxes, scores, label, self.nms_thresh)
        else:
            kept = scores.argsort(descending=True, stable=True)
        kept = kept[: self.detections_per_img]
        return {"boxes": boxes[kept], "labels": label[kept], "scores": scores[kept]}


def grid(maps: OrderedDict[str, Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the middles of the pixels of all maps (n, 2) in px of the image, row by row, and their strides (n,)."""
    points, sides = [], []
    for found, stride in zip(maps.values(), strides, strict=True):
        rows, columns = (torch.arange(length, device=found.device) for length in found.shape[-2:])
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        points.append((torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * stride)
        sides.append(torch.full((x.numel(),), float(stride), device=found.device))
    return torch.cat(points), torch.cat(sides)


def decode(said: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return boxes (…, n, 4) in px from what the head says about them.

    The centre is the upper left corner of the pixel plus the first two numbers, the sides are the exponentials of the
    last two, in strides (YOLOX, section 2.1, *Anchor-free*).

    Parameters
    ----------
    said
        (…, n, 4).
    points, strides
        See `grid`.
    """
    strides = strides[:, None]
    centre = points + (said[..., :2] - 0.5) * strides
    half = said[..., 2:].exp() * strides / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def losses(
    said: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, targets: list[dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the losses of a batch, sums divided by the number of predictions that learn a true box.

    Binary cross-entropy of objectness over all predictions; over those that learn a true box, binary cross-entropy of
    the classes, whose target is the overlap, and 5 (1 − GIoU).

    Parameters
    ----------
    said
        Of the head, (b, n, 5 + k): box, objectness, classes.
    boxes
        Decoded, (b, n, 4).
    points, strides, targets
        See `grid` and `Yolox.forward`.
    """
    objectness, logits = said[..., 4], said[..., 5:]
    scores = (logits.sigmoid() * objectness.sigmoid()[..., None]).detach()
    found = [
        assign(*one, points, strides, target["boxes"], target["labels"])
        for *one, target in zip(scores, boxes.detach(), targets, strict=True)
    ]
    learns = torch.stack([one.truth >= 0 for one in found])
    overlap = torch.stack([one.iou for one in found])[learns]
    chosen = [one.truth[one.truth >= 0] for one in found]
    truth, labels = (
        torch.cat([target[name][places] for target, places in zip(targets, chosen, strict=True)])
        for name in ("boxes", "labels")
    )
    wanted = functional.one_hot(labels, logits.shape[-1]) * overlap[:, None]
    number = max(1, len(truth))
    sums = {
        "classification": functional.binary_cross_entropy_with_logits(logits[learns], wanted, reduction="sum"),
        "bbox_regression": _BOX_WEIGHT * generalized_box_iou_loss(boxes[learns], truth, reduction="sum"),
        "objectness": functional.binary_cross_entropy_with_logits(objectness, learns.float(), reduction="sum"),
    }
    return {name: value / number for name, value in sums.items()}
